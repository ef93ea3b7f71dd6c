"""Cells of tables: which are numbers, and signs that belong to the number beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment

_NUMBER = re.compile(
    r"^[(\[+\-−–—~<>]*\s*[$€£¥￥]?\s*[(\-−–]?\d[\d,.\s]*[)\]]?\s*"
    r"(?:%|x|bps|pts|[KMB]|million|billion|thousand|[万亿千百]?元?)?[)\]*†]*$",
    re.I,
)
_NOTHING = re.compile(r"^(?:[-–—−*†]+|n/?a|nm|n\.m\.|nil)$", re.I)
_BEFORE = re.compile(r"^[$€£¥￥(]+$")
_AFTER = re.compile(r"^[)%\]†*]+$")
_SIGNS = "$€£¥￥"
_TRAILING_SIGN = re.compile(rf"^(.*[\d)%—–-])\s+([{_SIGNS}])$")


@dataclass(slots=True)
class Cell:
    """A piece of a row: text and its left and right edge in points."""

    text: str
    x0: float
    x1: float

    @property
    def is_number(self) -> bool:
        """Whether it is a number or a sign for none."""
        return is_number(self.text)


def is_number(text: str) -> bool:
    """Returns whether a cell's text is one number, or a sign that there is none."""
    return bool(_NUMBER.match(text) or _NOTHING.match(text))


def cells_of(fragments: Iterable[Fragment]) -> list[Cell]:
    """Returns a row's fragments as cells; signs of currency and percent join their number."""
    cells: list[Cell] = []
    for piece in _split_signs(fragments):
        if cells and _BEFORE.match(cells[-1].text):
            cells[-1] = Cell(cells[-1].text + piece.text, cells[-1].x0, piece.x1)
        elif cells and _AFTER.match(piece.text) and cells[-1].is_number:
            cells[-1] = Cell(cells[-1].text + piece.text, cells[-1].x0, piece.x1)
        else:
            cells.append(piece)
    return cells


def _split_signs(fragments: Iterable[Fragment]) -> Iterator[Cell]:
    """Yields pieces; a currency sign at a fragment's end belongs to the next number."""
    for fragment in fragments:
        ends = fragment.text[-1:] in _SIGNS
        found = _TRAILING_SIGN.match(fragment.text) if ends else None
        if found:
            cut = fragment.x1 - 0.6 * fragment.height
            yield Cell(found[1], fragment.x0, cut)
            yield Cell(found[2], cut, fragment.x1)
        else:
            yield Cell(fragment.text, fragment.x0, fragment.x1)
