"""Tables of answers in a terminal: no word is broken, and where that cannot be, no table is drawn.

rich takes room from columns by their share, also from one whose words just fit, and then breaks
words. Here each column keeps its longest word; where even those do not fit side by side, a row is
written as lines of `heading: value`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import TableElement
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_LONGEST_PIECE = 8  # columns: text without spaces, as Chinese, is broken at any character
_BREAKABLE_FROM = 0x2E80  # the first of the scripts that are written without spaces


class WholeWordTable(TableElement):
    """A table that keeps words whole."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, or its rows as lines."""
        (drawn,) = super().__rich_console__(console, options)
        if not isinstance(drawn, Table) or not drawn.columns:
            yield drawn
            return
        cells = [[_text(cell) for cell in [c.header, *c.cells]] for c in drawn.columns]
        least = [max(map(_longest_piece, column)) for column in cells]
        wanted = [max(cell.cell_len for cell in column) for column in cells]
        _set_widths(drawn, least)
        endless = options.update(width=sum(least) + 10 * len(least))
        beside = Measurement.get(console, endless, drawn).maximum - sum(least)
        room = options.max_width - beside - sum(least)
        if room < 0:
            yield from _records(cells)
            return
        more = [most - low for most, low in zip(wanted, least, strict=True)]
        share = min(1.0, room / max(1, sum(more)))
        _set_widths(drawn, [low + int(m * share) for low, m in zip(least, more, strict=True)])
        yield drawn


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _longest_piece(cell: Text) -> int:
    return max((_piece_width(piece) for piece in cell.plain.split()), default=1)


def _piece_width(piece: str) -> int:
    if any(ord(character) >= _BREAKABLE_FROM for character in piece):
        return min(cell_len(piece), _LONGEST_PIECE)
    return cell_len(piece)


def _set_widths(table: Table, widths: Sequence[int]) -> None:
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width


def _records(cells: Sequence[Sequence[Text]]) -> RenderResult:
    """Yields the rows one below the other."""
    headings = [column[0].plain for column in cells]
    for row in zip(*(column[1:] for column in cells), strict=True):
        for heading, cell in zip(headings, row, strict=True):
            line = Text(f"{heading}: ", "bold") if heading else Text()
            yield line.append_text(cell)
        yield Text()
