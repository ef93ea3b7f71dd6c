"""Pages as rows of a database, and back."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any, overload

from qwenbelt.tools.documents.model import Box, Heading, Page, PageLine, Table

PAGE_COLUMNS = "number, width, height, text, lines, tables, headings, captions, notes, label"


def to_json(value: Any) -> str:
    """Returns compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def page_row(page: Page) -> tuple[Any, ...]:
    """Returns the values of `PAGE_COLUMNS`."""
    lines = array("f", (v for line in page.lines for v in (line.start, line.end, *line.box)))
    tables = [[t.box, t.rows, t.caption, t.ruled, t.start, t.end] for t in page.tables]
    return (
        page.number,
        page.width,
        page.height,
        page.text,
        lines.tobytes(),
        to_json(tables),
        to_json(page.headings),
        to_json(page.captions),
        to_json(page.notes),
        page.label,
    )


def page_of(row: Sequence[Any]) -> Page:
    """Returns the page of a row of `PAGE_COLUMNS`."""
    number, width, height, text, lines, tables, headings, captions, notes, *label = row
    return Page(
        number,
        width,
        height,
        text,
        StoredLines(lines),
        [
            Table(number, Box(*box) if box else None, rows, caption, ruled, start, end)
            for box, rows, caption, ruled, start, end in _listed(tables)
        ],
        [Heading(*entry) for entry in _listed(headings)],
        _listed(captions),
        _listed(notes),
        label[0] if label else "",
    )


def _listed(text: str) -> list[Any]:
    """Returns a list of JSON; most pages have none of what is asked for, and a search reads ten."""
    found: list[Any] = [] if text == "[]" else json.loads(text)
    return found


class StoredLines(Sequence[PageLine]):
    """Lines as they are stored; a search needs few of a page's, so each is made when asked for."""

    def __init__(self, data: bytes) -> None:
        self._numbers = array("f")
        self._numbers.frombytes(data)

    @property
    def ends(self) -> array[float]:
        """The end of each line, for finding one without making those before it."""
        return self._numbers[1::6]

    def __len__(self) -> int:
        return len(self._numbers) // 6

    @overload
    def __getitem__(self, index: int) -> PageLine: ...

    @overload
    def __getitem__(self, index: slice) -> list[PageLine]: ...

    def __getitem__(self, index: int | slice) -> PageLine | list[PageLine]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index] * 6
        start, end, *box = self._numbers[at : at + 6]
        return PageLine(int(start), int(end), Box(*box))
