"""Pages become chunks: the passages that are searched and cited.

A chunk never crosses a page, so each knows its page, its box and its place in the page's text.
Tables are chunks of their own; those that start below their table's header carry it as context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from qwenbelt.tools.documents.model import Box, Heading, Page, Table
from qwenbelt.tools.documents.parsing.cells import is_number
from qwenbelt.tools.documents.search.sections import Margins, Sections, headings_of

CHUNK_WORDS = 150  # a CJK character counts as 0.6 of a word
STRETCH = 1.5  # times that size a paragraph may be before it is cut: small rests find nothing
MIN_WORDS = 40  # a title does not open a new chunk before this
MAX_HEADER_ROWS = 4
MAX_PIECE = 2000  # characters without a place to cut
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"“(])|(?<=[。！？；])")
_PARAGRAPH = re.compile(r"[^\n]+")


@dataclass(slots=True)
class Chunk:
    """A passage of one page.

    Attributes:
        page: the page's number, from 1.
        start: where it begins in the page's text.
        end: where it ends.
        box: where it is on the page, or None.
        kind: "text" or "table".
        section: the titles of the sections that it is in, outermost first, joined by " > ".
        context: what is searched with it but is not in it: its table's caption and header.
    """

    page: int
    start: int
    end: int
    box: Box | None
    kind: str
    section: str = ""
    context: str = ""


@dataclass(slots=True)
class _Piece:
    """A paragraph, or a part of one; `title` when it is a section's title."""

    start: int
    end: int
    words: float
    table: Table | None = None
    title: Heading | None = None


def words_in(text: str) -> float:
    """Returns the length of a text in words."""
    cjk = len(_CJK.findall(text))
    return 0.6 * cjk + len(_CJK.sub(" ", text).split())


def chunks_of(page: Page, sections: Sections, margins: Margins) -> Iterator[Chunk]:
    """Yields the chunks of a page in order."""
    sections.enter(page.number)
    group: list[_Piece] = []
    path = ""
    for piece in _pieces(page, margins):
        if group and _opens(piece, group):
            yield _chunk(page, group, path)
            group = []
        if piece.title is not None:
            sections.pass_heading(piece.title)
        if not group or all(p.title for p in group):
            path = sections.path
        group.append(piece)
    if group:
        yield _chunk(page, group, path)


def _opens(piece: _Piece, group: list[_Piece]) -> bool:
    """Returns whether a piece begins a new chunk."""
    size = sum(p.words for p in group)
    last = group[-1]
    if piece.table is not last.table:
        return not (last.title is not None and size < MIN_WORDS)
    if piece.title is not None:
        return size >= MIN_WORDS
    return size >= CHUNK_WORDS or size + piece.words > 1.2 * CHUNK_WORDS


def _chunk(page: Page, group: list[_Piece], section: str) -> Chunk:
    start, end = group[0].start, group[-1].end
    table = group[-1].table
    return Chunk(
        page.number,
        start,
        end,
        page.box(start, end),
        "text" if table is None else "table",
        section,
        "" if table is None else table_context(table, start),
    )


def table_context(table: Table, start: int) -> str:
    """Returns a table's caption, and its header when the passage starts below it."""
    lines = [table.caption] if table.caption else []
    if start > table.start:
        lines += [header_line(row) for row in header_rows(table)]
    return "\n".join(lines)


def header_line(row: list[str]) -> str:
    """Returns a row of a header as people see it: a cell that covers several columns once."""
    shown = [cell for n, cell in enumerate(row) if cell and (n == 0 or cell != row[n - 1])]
    return "  ".join(shown)


def header_rows(table: Table) -> list[list[str]]:
    """Returns the rows above the first row that has a label and a number."""
    rows: list[list[str]] = []
    for row in table.rows[:MAX_HEADER_ROWS]:
        numbers = [c for c in row[1:] if c and is_number(c)]
        if row[0] and numbers and not all(_is_year(c) for c in numbers):
            break
        rows.append([cell.replace("\n", " ") for cell in row])
    return rows


def _is_year(text: str) -> bool:
    return bool(re.fullmatch(r"(?:19|20)\d\d", text))


def _pieces(page: Page, margins: Margins) -> Iterator[_Piece]:
    """Yields paragraphs without running headers; long ones cut at sentences, then by length."""
    titles = {h.start: h for h in headings_of(page, margins)}
    found = [m for m in _PARAGRAPH.finditer(page.text) if m.group().strip()]
    for match in [m for m in found if not margins.holds(m.group())] or found:
        start, end = match.span()
        text = match.group()
        table = next((t for t in page.tables if t.start <= start < t.end), None)
        words = words_in(text)
        if words <= STRETCH * CHUNK_WORDS and len(text) <= 3 * MAX_PIECE:
            yield _Piece(start, end, words, table, titles.get(start))
            continue
        for low, high in _cuts(text):
            part = text[low:high]
            if part.strip():
                yield _Piece(start + low, start + high, words_in(part), table)


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    bounds = [0, *(m.end() for m in _SENTENCE.finditer(text)), len(text)]
    for low, high in pairwise(bounds):
        for cut in range(low, high, MAX_PIECE):
            yield cut, min(cut + MAX_PIECE, high)
