"""The blocks of a web page: titles, tables and paragraphs as a browser shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.parsing.grids import Places
from qwenbelt.tools.documents.parsing.html.hidden import elements
from qwenbelt.tools.documents.parsing.html.page import NOT_SHOWN, HtmlPage
from qwenbelt.tools.documents.parsing.pagination import Block, Note, Paragraph, TableRows, Title

if TYPE_CHECKING:
    from bs4 import Tag

BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details div dl dt fieldset
    figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol p pre
    section summary table tbody td textarea tfoot th thead tr ul br""".split()
)
TITLES = frozenset("h1 h2 h3 h4 h5 h6".split())
MAX_NODES = 2_000_000
MAX_NESTED = 4  # tables in cells of tables


def html_blocks(page: HtmlPage) -> Iterator[Block]:
    """Yields the blocks of a page, its notes first."""
    for note in page.notes:
        yield Note(note)
    yield from _blocks(page.soup.body or page.soup)


def _blocks(root: Any) -> Iterator[Block]:
    inline: list[str] = []
    waiting: list[Any] = [root]
    for _ in range(MAX_NODES):
        if not waiting:
            break
        node = waiting.pop()
        if node is None:
            yield from _paragraph(inline)
        elif isinstance(node, str):
            inline.append(node)
        elif node.name not in NOT_SHOWN:
            yield from _enter(node, inline, waiting)
    yield from _paragraph(inline)


def _enter(node: Tag, inline: list[str], waiting: list[Any]) -> Iterator[Block]:
    """Turns a title or a table into a block; of other elements the children are next."""
    name = node.name or ""
    if name not in BLOCKS:
        waiting.extend(reversed(node.contents))
        return
    yield from _paragraph(inline)
    if name in TITLES:
        yield Title(text_of(node), int(name[1]))
    elif name == "table" and (places := table_places(node)) is not None:
        yield TableRows(places.rows, _caption(node), places.shown)
    elif name in ("pre", "textarea"):
        yield Paragraph(node.get_text().strip("\n"))
    else:
        waiting.append(None)
        waiting.extend(reversed(node.contents))


def _paragraph(inline: list[str]) -> Iterator[Block]:
    text = _squeezed("".join(inline))
    inline.clear()
    if text:
        yield Paragraph(text)


def _caption(table: Tag) -> str:
    caption = table.find("caption", recursive=False)
    return text_of(caption) if caption else ""


def text_of(node: Any) -> str:
    """Returns the text of an element, without nested blocks."""
    if len(node.contents) == 1 and isinstance(node.contents[0], str):
        return "" if node.name in NOT_SHOWN else _squeezed(node.contents[0])
    parts: list[str] = []
    waiting: list[Any] = [node]
    for _ in range(MAX_NODES):
        if not waiting:
            break
        part = waiting.pop()
        if isinstance(part, str):
            parts.append(part)
        elif part.name not in NOT_SHOWN:
            if part.name in BLOCKS:
                parts.append("\n")
                waiting.append("\n")
            waiting.extend(reversed(part.contents))
    lines = [_squeezed(line) for line in _in_lines(parts)]
    return "\n".join(filter(None, lines))


def _in_lines(parts: list[str]) -> Iterator[str]:
    """Yields the lines of pieces; a line ends at a piece that is a line end, not inside of one."""
    line: list[str] = []
    for part in parts:
        if part == "\n":
            yield "".join(line)
            line = []
        else:
            line.append(part)
    yield "".join(line)


def table_places(table: Tag) -> Places | None:
    """Returns the places of a table of data, or None for one that is used for layout.

    A table in a cell is the cell's text. Tables in which most cells hold tables, and those of one
    row or one column, are for layout.
    """
    around = (parent for parent in table.parents if parent.name == "table")
    if next(islice(around, MAX_NESTED, None), None) is not None:
        return None
    if _holds_table(table) and _is_layout(table):
        return None
    places = Places()
    rows = sorted(_own(table, "tr"), key=_section)  # browsers show a foot at the end
    for number, row in enumerate(rows):
        places.next_row()
        for cell in _own(row, "td", "th"):
            down = _span(cell, "rowspan")
            down = len(rows) - number if down == 0 else min(down, len(rows) - number)
            places.put(text_of(cell), max(1, _span(cell, "colspan")), down)
    places.cut()
    kept = [n for n, row in enumerate(places.rows) if any(row)]
    if len(kept) < 2 or max(len(places.rows[n]) for n in kept) < 2:
        return None
    places.rows = [places.rows[n] for n in kept]
    places.shown = [places.shown[n] for n in kept]
    return places


def _holds_table(tag: Tag) -> bool:
    return any(inside.name == "table" for inside in elements(tag))


def _section(row: Tag) -> int:
    around = row.parent.name if row.parent is not None else ""
    return {"thead": 0, "tfoot": 2}.get(around, 1)


def _own(parent: Tag, *names: str) -> Iterator[Tag]:
    """Yields the descendants of these names that do not belong to a table inside."""
    waiting: list[Any] = list(reversed(parent.contents))
    while waiting:
        node = waiting.pop()
        name = getattr(node, "name", None)
        if name in names:
            yield node
        elif name is not None and name not in ("table", *NOT_SHOWN):
            waiting.extend(reversed(node.contents))


def _is_layout(table: Tag) -> bool:
    """Returns whether a table that holds others is a frame for them."""
    if str(table.get("role") or "") in ("presentation", "none"):
        return True
    if next(_own(table, "th"), None) is not None:
        return False
    cells = list(_own(table, "td"))
    holding = [cell for cell in cells if _holds_table(cell)]
    inside = sum(len(cell.get_text()) for cell in holding)
    return inside > 0.5 * len(table.get_text()) or len(holding) > 0.5 * len(cells)


def _span(cell: Tag, name: str) -> int:
    found = re.match(r"\s*(\d{1,6})", str(cell.get(name, "1")))
    return int(found[1]) if found else 1


def _squeezed(text: str) -> str:
    return " ".join(text.split())
