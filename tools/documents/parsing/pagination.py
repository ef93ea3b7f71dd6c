"""Documents without pages of their own: blocks of text are cut into pages of about a screen.

A page breaks where the document breaks it, at a title once the page is long enough, or when it is
full. Page numbers of such documents are stable for the same content, so they can be cited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.model import Heading, Page, Table
from qwenbelt.tools.documents.parsing.cells import is_number

PAGE_CHARACTERS = 3000
MAX_COLUMNS = 4096  # of a table; more are data for a program, and cost minutes
TITLE_BREAK = 1800  # a title opens a new page from here on
TABLE_ROWS = 60  # rows of one table on one page
MAX_CELL = 2000
MAX_HEADER = 4  # rows
MAX_TITLES = 3  # rows above a table's header


@dataclass(frozen=True, slots=True)
class Title:
    """A section's title; its level counts from 1."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A stretch of text; its line ends are kept."""

    text: str


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table's rows; `shown` has the value of a cell that covers several places only once."""

    rows: list[list[str]]
    caption: str = ""
    shown: list[list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """The document itself begins a new page here."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was left out here, guessed or hidden: a note of the page, see `documents.notes`."""

    text: str


Block = Title | Paragraph | TableRows | Break | Note


def pages_of(blocks: Iterable[Block], *, fixed: bool = False) -> list[Page]:
    """Returns pages made of blocks; with `fixed`, they end only at a `Break`."""
    pager = _Pager(fixed)
    for block in blocks:
        pager.put(block)
    return pager.finish()


class _Pager:
    def __init__(self, fixed: bool) -> None:
        self._fixed = fixed
        self._pages: list[Page] = []
        self._parts: list[str] = []
        self._size = 0
        self._page = Page(1)

    def put(self, block: Block) -> None:
        if isinstance(block, Break):
            self._turn(always=self._fixed)
        elif isinstance(block, Note):
            if block.text not in self._page.notes:
                self._page.notes.append(block.text)
        elif isinstance(block, Title):
            self._title(block)
        elif isinstance(block, TableRows):
            if any(len(cell) > MAX_CELL for row in block.rows for cell in row):
                self.put(Note(f"Cells were cut after {MAX_CELL} characters."))
            titles, block = _without_titles(block)
            for title in titles:
                self._text(title)
            for part in _split(block, self._fixed):
                self._grid(part)
        else:
            for piece in [block.text] if self._fixed else _pieces(block.text):
                self._text(piece)

    def finish(self) -> list[Page]:
        if self._parts or not self._pages or self._page.notes:
            self._turn(always=True)
        return self._pages

    def _turn(self, *, always: bool = False) -> None:
        if not self._parts and not always:
            return
        self._page.text = "".join(self._parts)
        self._pages.append(self._page)
        self._page = Page(len(self._pages) + 1)
        self._parts, self._size = [], 0

    def _room_for(self, length: int) -> None:
        if not self._fixed and self._size and self._size + length > PAGE_CHARACTERS:
            self._turn()

    def _append(self, text: str) -> tuple[int, int]:
        start = self._size
        self._parts.append(text + "\n")
        self._size += len(text) + 1
        return start, start + len(text)

    def _title(self, block: Title) -> None:
        text = " ".join(block.text.split())
        if not text:
            return
        if not self._fixed and self._size >= TITLE_BREAK:
            self._turn()
        start, _ = self._append(text)
        self._page.headings.append(Heading(start, block.level, text))

    def _text(self, text: str) -> None:
        if text.strip():
            self._room_for(len(text))
            self._append(text)

    def _grid(self, block: TableRows) -> None:
        shown = block.shown or block.rows
        lines = ["  ".join(cell.replace("\n", " ") for cell in row if cell) for row in shown]
        text = "\n".join(lines)
        if not text.strip():
            return
        self._room_for(len(text))
        start, end = self._append(text)
        self._page.tables.append(
            Table(self._page.number, None, block.rows, block.caption, True, start, end)
        )


def _pieces(text: str) -> Iterator[str]:
    """Cuts what does not fit on a page, at line ends or spaces."""
    text = text.strip("\n")
    at, size = 0, PAGE_CHARACTERS  # never cut off what is left: 60 MB in one line take 20 000 cuts
    while len(text) - at > size:
        cut = max(text.rfind("\n", at, at + size), text.rfind("。", at, at + size) + 1)
        if cut < at + size // 2:
            cut = text.rfind(" ", at + size // 2, at + size)
        cut = cut if cut > at else at + size
        yield text[at:cut]
        at = cut
        while text[at : at + 1] in ("\n", " "):
            at += 1
    yield text[at:]


def _split(grid: TableRows, fixed: bool) -> Iterator[TableRows]:
    """Cuts long tables; the parts after the first carry the header in their caption."""
    kept = [n for n, row in enumerate(grid.rows) if any(row)]
    rows = _even([grid.rows[n] for n in kept])
    shown = _even([grid.shown[n] for n in kept]) if grid.shown else rows
    if fixed or len(rows) <= TABLE_ROWS:
        yield TableRows(rows, grid.caption, shown)
        return
    count = header_size(rows)
    header = "\n".join("  ".join(filter(None, row)) for row in shown[:count])
    for start in range(0, len(rows), TABLE_ROWS):
        end = start + TABLE_ROWS
        named = [grid.caption, header if start else ""]
        yield TableRows(
            rows[start:end], "\n".join(filter(None, named)), _first_shown(rows, shown, start, end)
        )


def _without_titles(grid: TableRows) -> tuple[list[str], TableRows]:
    """Returns the titles that are in rows of their own above a table's header, and the rest.

    Such a row has one value in the first of at least three columns, or one that covers all.
    """
    titles: list[str] = []
    rows, shown = grid.rows, grid.shown or grid.rows
    while len(rows) > 2 and len(titles) < MAX_TITLES and _is_title(rows[0], shown[0], rows[1]):
        titles.append(" ".join(rows[0][0].split()))
        rows, shown = rows[1:], shown[1:]
    if not titles:
        return [], grid
    caption = "\n".join(dict.fromkeys(filter(None, [grid.caption, *titles])))
    return titles, TableRows(rows, caption, shown)


def _is_title(row: list[str], shown: list[str], below: list[str]) -> bool:
    if not row or not row[0] or len(row) < 2 or len([c for c in shown if c]) != 1:
        return False
    covers = len(set(row)) == 1
    return (covers or len(row) > 2) and len({c for c in below if c}) > 1 and not is_number(row[0])


def _even(rows: list[list[str]]) -> list[list[str]]:
    width = max(map(len, rows), default=0)
    if width > MAX_COLUMNS:
        raise InputError(f"has a table of {width} columns; at most {MAX_COLUMNS} are read.")
    return [[cell[:MAX_CELL] for cell in row] + [""] * (width - len(row)) for row in rows]


def _first_shown(
    rows: list[list[str]], shown: list[list[str]], start: int, end: int
) -> list[list[str]]:
    """Returns a part of a table as shown; cells that span from above are repeated."""
    part = [list(row) for row in shown[start:end]]
    if start and part:
        part[0] = list(rows[start])
    return part


def header_size(rows: list[list[str]]) -> int:
    """Returns how many rows at the top have no number: the header, if it is short."""
    for count, row in enumerate(rows[: MAX_HEADER + 1]):
        if any(map(is_number, filter(None, row[1:] or row))):
            return count
    return 1 if rows and not any(map(is_number, filter(None, rows[0]))) else 0
