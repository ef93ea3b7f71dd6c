"""Qwen-VL's document form (HTML whose elements carry their boxes) becomes lines and tables.

Elements carry `data-bbox="x1 y1 x2 y2"`, in pixels of the picture or in thousandths of its sides.
What a model says is data like any document: only text is taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.model import Box, Heading, Page, PageLine, Table
from qwenbelt.tools.documents.parsing.html.blocks import table_places, text_of
from qwenbelt.tools.documents.parsing.html.page import html_page

if TYPE_CHECKING:
    from bs4 import Tag

MAX_ANSWER = 400_000  # characters of one page
MAX_BLOCKS = 5000
_FENCE = re.compile(r"^\s*```\w*\s*\n(.*?)\n?```\s*$", re.DOTALL)
_LINE_HEIGHT = 1.25  # of the letters' size
_LETTER = 0.5  # of the letters' size, by average


@dataclass(slots=True)
class ReadByModel:
    """What a model read in a picture; offsets count characters of `text`."""

    text: str = ""
    lines: list[PageLine] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)

    def add(self, text: str, box: Box) -> None:
        """Appends a line with its box."""
        start = len(self.text)
        self.text += text + "\n"
        self.lines.append(PageLine(start, start + len(text), box))


def seen_in(answer: str, region: Box, units: tuple[float, float], number: int) -> ReadByModel:
    """Reads an answer in the document form; plain text gets the whole region as its box.

    Args:
        answer: the model's words.
        region: where the picture is on the page.
        units: how many units of the answer's boxes the picture is wide and high.
        number: of the page.
    """
    fenced = _FENCE.match(answer)
    html = (fenced[1] if fenced else answer)[:MAX_ANSWER]
    seen = ReadByModel()
    if "<" not in html:
        for line in filter(None, map(str.strip, html.split("\n"))):
            seen.add(line, region)
        return seen
    soup = html_page(html.encode(), "utf-8").soup
    for count, node in enumerate(_blocks(soup.body or soup)):
        if count >= MAX_BLOCKS:
            break
        _add(seen, node, _box_of(node, region, units) or region, number)
    return seen


def _blocks(root: Any) -> Iterator[Any]:
    """Yields the innermost elements that have a place, and text that is in none of them."""
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        name = getattr(node, "name", None)
        if name is None:
            if node.strip():
                yield node
        elif name == "table" or (not _places_inside(node) and (_is_placed(node) or _is_leaf(node))):
            yield node
        else:
            waiting.extend(reversed(node.contents))


def _is_placed(node: Tag) -> bool:
    return bool(node.get("data-bbox"))


def _is_leaf(node: Tag) -> bool:
    return node.find(True) is None


def _places_inside(node: Tag) -> bool:
    return node.find(lambda tag: tag.name != "img" and tag.has_attr("data-bbox")) is not None


def _box_of(node: Any, region: Box, units: tuple[float, float]) -> Box | None:
    """Returns an element's box on the page, or None where its attribute is missing or wrong."""
    if getattr(node, "name", None) is None:
        return None
    found = re.findall(r"-?\d+(?:\.\d+)?", str(node.get("data-bbox", ""))[:200])
    if len(found) != 4:
        return None
    wide, high = region.x1 - region.x0, region.bottom - region.top
    x0, top, x1, bottom = (min(max(float(v), 0.0), 1e6) for v in found)
    x0, x1 = (region.x0 + wide * min(v / units[0], 1.0) for v in sorted((x0, x1)))
    top, bottom = (region.top + high * min(v / units[1], 1.0) for v in sorted((top, bottom)))
    return Box(x0, top, x1, bottom).rounded() if x1 > x0 and bottom > top else None


def _add(seen: ReadByModel, node: Any, box: Box, number: int) -> None:
    name = getattr(node, "name", None)
    if name == "table" and (places := table_places(node)) is not None:
        start, count = len(seen.text), len(places.rows)
        for row, part in zip(places.shown, _slices(box, count), strict=True):
            words = "  ".join(cell.replace("\n", " ") for cell in row if cell)
            if words:
                seen.add(words, part)
        width = max(map(len, places.rows))
        rows = [[*row, *[""] * (width - len(row))] for row in places.rows]
        seen.tables.append(Table(number, box, rows, start=start, end=len(seen.text)))
        return
    text = text_of(node)
    if not text.strip():
        return
    if name is not None and re.fullmatch("h[1-6]", name):
        seen.headings.append(Heading(len(seen.text), int(name[1]), " ".join(text.split())))
    lines = text.split("\n")
    for line, part in zip(lines, _slices(box, len(lines)), strict=True):
        pieces = list(_pieces(line, part))
        for piece, place in zip(pieces, _slices(part, len(pieces)), strict=True):
            seen.add(piece, place)


def _slices(box: Box, count: int) -> list[Box]:
    """Cuts a box into rows of equal height."""
    step = (box.bottom - box.top) / max(count, 1)
    return [
        Box(box.x0, box.top + n * step, box.x1, box.top + (n + 1) * step).rounded()
        for n in range(count)
    ]


def _pieces(text: str, box: Box) -> Iterator[str]:
    """Cuts a paragraph into about the lines that it fills in its box, so that quotes are placed."""
    units = sum(2 if c >= "\u2e80" else 1 for c in text)
    size = sqrt((box.x1 - box.x0) * (box.bottom - box.top) / (_LETTER * _LINE_HEIGHT * units))
    count = min(max(1, round((box.bottom - box.top) / (_LINE_HEIGHT * size))), len(text))
    at = 0
    for number in range(1, count):
        cut = text.rfind(" ", at + 1, len(text) * number // count + 8) if " " in text else -1
        cut = cut if cut > at else max(len(text) * number // count, at + 1)
        yield text[at:cut].strip()
        at = cut
    yield text[at:].strip()


def put_on_page(page: Page, seen: ReadByModel) -> None:
    """Makes a page of what was seen of all of it; forms and comments that it has come after."""
    aside = ReadByModel(page.text, list(page.lines))
    page.text, page.lines = seen.text, seen.lines
    page.tables, page.headings = seen.tables, seen.headings
    append_to_page(page, aside)


def append_to_page(page: Page, seen: ReadByModel) -> None:
    """Adds what was seen in a figure after a page's own text."""
    if page.text and not page.text.endswith("\n"):
        page.text += "\n"
    at = len(page.text)
    page.text += seen.text
    page.lines = [*page.lines, *(PageLine(a + at, b + at, box) for a, b, box in seen.lines)]
    for table in seen.tables:
        table.start, table.end = table.start + at, table.end + at
        page.tables.append(table)
