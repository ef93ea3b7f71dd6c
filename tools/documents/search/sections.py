"""Context of pages from the whole document: running headers and footers, section titles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from qwenbelt.tools.documents.model import Heading, Page

_EDGE = 0.09  # of the page's height, at its top and its bottom
_LINE = re.compile(r"[^\n]+")
_MIN_PAGES = 4
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.I)
_JOINT = " > "
MAX_SECTION = 300


class Margins:
    """Lines that are at the top or bottom of many pages, page numbers aside."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._pages = 0
        self._repeated: frozenset[str] | None = None

    def look(self, page: Page) -> None:
        """Takes note of one page; pages without places have no margins."""
        self._pages += 1
        self._seen.update(set(_edge_lines(page)))
        self._repeated = None

    def holds(self, line: str) -> bool:
        """Returns whether a line is at the edge of at least a fifth of the pages."""
        if self._repeated is None:
            least = max(_MIN_PAGES, 0.2 * self._pages)
            self._repeated = frozenset(k for k, n in self._seen.items() if n >= least)
        return _key(line) in self._repeated


def _edge_lines(page: Page) -> Iterator[str]:
    edge = _EDGE * page.height
    starts = {line.start: line.box for line in page.lines}
    for match in _LINE.finditer(page.text):
        box = starts.get(match.start())
        if box is not None and (box.bottom < edge or box.top > page.height - edge):
            yield _key(match.group())


def _key(line: str) -> str:
    return _NUMBERS.sub("#", " ".join(line.split()))


class Sections:
    """The path of titles at each place of a document, asked for in reading order.

    With an outline, its titles are the path, and the last title found on the page ends it.
    """

    def __init__(self, outline: Iterable[tuple[int, str, int]]) -> None:
        self._outline = sorted(outline, key=lambda e: e[2])
        self._next = 0
        self._path: dict[int, str] = {}
        self._titles: dict[int, str] = {}

    def enter(self, page: int) -> None:
        """Moves on to a page."""
        while self._next < len(self._outline) and self._outline[self._next][2] <= page:
            level, title, _ = self._outline[self._next]
            self._path = {n: t for n, t in self._path.items() if n < level}
            self._path[level] = title
            self._titles = {}
            self._next += 1

    def pass_heading(self, heading: Heading) -> None:
        """Moves on past a title."""
        self._titles = {n: t for n, t in self._titles.items() if n < heading.level}
        self._titles[heading.level] = heading.title

    @property
    def path(self) -> str:
        """The titles here, outermost first, joined by " > "."""
        inner = [self._titles[n] for n in sorted(self._titles)]
        if self._path:
            outer = [self._path[n] for n in sorted(self._path)]
            inner = [*outer, *(t for t in inner[-1:] if t.lower() != outer[-1].lower())]
        return _JOINT.join(inner)[:MAX_SECTION]


def headings_of(page: Page, margins: Margins) -> Iterator[Heading]:
    """Yields a page's titles that are not running headers."""
    return (h for h in page.headings if not margins.holds(h.title))
