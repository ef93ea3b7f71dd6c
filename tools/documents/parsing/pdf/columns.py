"""Where text is in columns: band by band of a page, not for the page as a whole.

A gutter is a strip that most rows of a band leave free, with text on both sides. Whether it parts
columns of prose or the cells of a table is decided by two signs: the order in which the producer
wrote the text (column by column, or row by row), and how long the lines on both sides are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment

MIN_COLUMN_LINES = 4
MIN_WRITTEN_LINES = 2  # of a column that the producer wrote by itself
MIN_COLUMN_CHARACTERS = 18  # the median line of a column of prose
MIN_GUTTER = 5.0  # points
MAX_TRIES = 6
_BIN = 2.0  # points
_CROSSED = np.int32(3)  # rows that leave a strip free make up for one that crosses it
_BLOCK_LINES = 2.5  # of a block in two columns, at the least
_ASIDE = 0.85  # of a line's width on one side of the gutter: it belongs to that column

_Counts = npt.NDArray[np.float64]


class Gutter(NamedTuple):
    """A strip without text in a band of rows: from `left` to `right`, rows `first` to `last`."""

    left: float
    right: float
    first: int
    last: int

    @property
    def middle(self) -> float:
        """Its centre in points."""
        return (self.left + self.right) / 2


def find_gutter(rows: list[list[Fragment]]) -> Gutter | None:
    """Returns the gutter between two columns in a band of rows, or None.

    Args:
        rows: the fragments of a region by baseline, from the top.
    """
    if len(rows) < MIN_WRITTEN_LINES:
        return None
    for gutter in _candidates(rows):
        band = [f for row in rows[gutter.first : gutter.last + 1] for f in row]
        if _parts_columns(band, gutter):
            return gutter
        shorter = _without_end(rows, gutter)
        if shorter.last < gutter.last:
            band = [f for row in rows[shorter.first : shorter.last + 1] for f in row]
            if _parts_columns(band, shorter):
                return shorter
    return None


def _without_end(rows: list[list[Fragment]], gutter: Gutter) -> Gutter:
    """Returns a gutter without the rows at its end that were written last, on one side of it.

    A line below panels is not the end of the first of them.
    """
    last = gutter.last
    while last - gutter.first >= MIN_WRITTEN_LINES:
        before = max(f.order for row in rows[gutter.first : last] for f in row)
        if len({side(f, gutter) for f in rows[last]}) > 1:
            break
        if min(f.order for f in rows[last]) < before:
            break
        last -= 1
    return gutter._replace(last=last)


def side(fragment: Fragment, gutter: Gutter) -> int:
    """Returns -1 for what is left of a gutter, 1 for right, 0 for what spans it."""
    if fragment.x1 <= gutter.left + 1 or fragment.x0 >= gutter.right - 1:
        return -1 if (fragment.x0 + fragment.x1) / 2 <= gutter.middle else 1
    width = max(fragment.x1 - fragment.x0, 1e-6)
    left = (min(fragment.x1, gutter.middle) - min(fragment.x0, gutter.middle)) / width
    if left >= _ASIDE:
        return -1
    return 1 if left <= 1 - _ASIDE else 0


def blocks(band: list[Fragment], gutter: Gutter) -> list[list[Fragment]]:
    """Cuts a band where the producer wrote it block by block, each of them in two columns.

    That is how translations beside each other, and panels of slides, are written.
    """
    found: list[list[Fragment]] = []
    last = 1
    for fragment in sorted(band, key=lambda f: f.order):
        now = side(fragment, gutter)
        if not found or now < 0 < last:
            found.append([])
        found[-1].append(fragment)
        last = now
    lines = min(sum(side(f, gutter) < 0 for f in band), sum(side(f, gutter) > 0 for f in band))
    if _BLOCK_LINES * len(found) > lines:  # row by row
        return [band]
    for above, below in pairwise(found):
        if max(f.middle for f in above) >= min(f.middle for f in below):
            return [band]
    return found


def _candidates(rows: list[list[Fragment]]) -> Iterator[Gutter]:
    """Yields strips that rows leave free, those first with the most text on both sides."""
    ends = sorted(min(f.x1 for f in row) for row in rows)
    begins = sorted(max(f.x0 for f in row) for row in rows)
    if ends[MIN_WRITTEN_LINES - 1] > begins[-MIN_WRITTEN_LINES]:  # nothing is beside another
        return
    x0 = min(f.x0 for row in rows for f in row)
    size = int((max(f.x1 for row in rows for f in row) - x0) / _BIN) + 1
    if size * _BIN < 100:
        return
    covered, left, right = _marks(rows, x0, size)
    if not (left & right).any() and not _taller_side(left, right):
        return
    first, last = _bands(left | right, covered)
    strength = _strength(first, last, left, right)
    for _ in range(MAX_TRIES):
        best = int(strength.argmax())
        if strength[best] < MIN_WRITTEN_LINES:
            return
        low, high = _strip(best, strength, first, last)
        free = ~covered[first[best] : last[best] + 1, low : high + 1]
        if (high - low + 1) * _BIN >= MIN_GUTTER and free.any():
            yield Gutter(x0 + low * _BIN, x0 + (high + 1) * _BIN, int(first[best]), int(last[best]))
        strength[max(0, low - 1) : high + 2] = 0


def _marks(
    rows: list[list[Fragment]], x0: float, size: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns which strips each row covers, and whether it has text left and right of them."""
    lengths = [len(row) for row in rows]
    numbers = np.repeat(np.arange(len(rows)), lengths)
    begins = (np.array([f.x0 for row in rows for f in row]) - x0) / _BIN
    ends = (np.array([f.x1 for row in rows for f in row]) - x0) / _BIN
    changes = np.zeros((len(rows), size + 1), np.int32)
    np.add.at(changes, (numbers, begins.astype(int)), 1)
    np.add.at(changes, (numbers, np.minimum(np.ceil(ends), size).astype(int)), -1)
    covered = changes[:, :-1].cumsum(1) > 0
    starts = np.cumsum([0, *lengths[:-1]])
    strips = np.arange(size)
    left = strips >= np.ceil(np.minimum.reduceat(ends, starts))[:, None]
    right = strips < np.maximum.reduceat(begins, starts).astype(int)[:, None]
    return covered, left & ~covered, right & ~covered


def _taller_side(left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> bool:
    """Returns whether some strip has rows on both sides, though no row has text on both."""
    return bool(np.minimum(left.sum(0), right.sum(0)).max() >= MIN_WRITTEN_LINES)


def _bands(
    beside: npt.NDArray[np.bool_], covered: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns for each strip the first and last row of the band that leaves it free (Kadane)."""
    count, size = beside.shape
    sums = np.zeros((count + 1, size), np.int32)
    np.cumsum(beside - _CROSSED * covered, axis=0, out=sums[1:])
    lowest = np.minimum.accumulate(sums[:-1], axis=0)
    rows = np.arange(count, dtype=np.int32)[:, None]
    begun = np.maximum.accumulate(np.where(sums[:-1] == lowest, rows, 0), axis=0)
    gained = sums[1:] - lowest
    last = gained.argmax(axis=0)
    columns = np.arange(size)
    first = begun[last, columns]
    return first, np.where(gained[last, columns] > 0, last, -1)


def _strength(
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
    left: npt.NDArray[np.bool_],
    right: npt.NDArray[np.bool_],
) -> _Counts:
    """Returns for each strip how many rows of its band have text on the side that has fewer."""
    columns = np.arange(left.shape[1])
    sums = []
    for mask in (left, right):
        total = np.zeros((len(mask) + 1, mask.shape[1]), np.int32)
        np.cumsum(mask, axis=0, out=total[1:])
        sums.append(total[last + 1, columns] - total[first, columns])
    found: _Counts = np.where(last >= first, np.minimum(*sums), 0).astype(np.float64)
    return found


def _strip(
    best: int, strength: _Counts, first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]
) -> tuple[int, int]:
    """Returns the bins around the best one that are free in nearly the same band."""
    reach = 0.1 * (last[best] - first[best] + 1) + 1
    alike = (strength >= 0.9 * strength[best]) & (np.abs(first - first[best]) <= reach)
    others = np.flatnonzero(~alike | (np.abs(last - last[best]) > reach))
    at = int(np.searchsorted(others, best))
    low = int(others[at - 1]) + 1 if at else 0
    return low, (int(others[at]) if at < len(others) else len(strength)) - 1


def _parts_columns(band: list[Fragment], gutter: Gutter) -> bool:
    """Returns whether a gutter parts columns of text, not the cells of a table or a form."""
    sides = [side(f, gutter) for f in band]
    left = [f for f, at in zip(band, sides, strict=True) if at < 0]
    right = [f for f, at in zip(band, sides, strict=True) if at > 0]
    if min(len(left), len(right)) < MIN_WRITTEN_LINES:
        return False
    if _is_prose(left) and _is_prose(right):
        return not _by_row(left, right) or not _is_short(left, right)
    if not _apart(left, right) or _is_tabular(left) or _is_tabular(right):
        return False
    return all(_is_text(part) for part in (left, right))


def _is_prose(part: list[Fragment]) -> bool:
    if len(part) < MIN_COLUMN_LINES:
        return False
    width = max(f.x1 for f in part) - min(f.x0 for f in part)
    long = sum(1 for f in part if f.x1 - f.x0 >= 0.55 * width)
    if long < 0.5 * len(part):
        return False
    return median(_measure(f.text) for f in part) >= MIN_COLUMN_CHARACTERS


def _is_text(part: list[Fragment]) -> bool:
    """Returns whether a side that was written by itself holds lines of words."""
    if len(part) < MIN_WRITTEN_LINES:
        return False
    return median(_measure(f.text) for f in part) >= 0.5 * MIN_COLUMN_CHARACTERS


def _is_tabular(part: list[Fragment]) -> bool:
    figures = sum(1 for f in part if sum(c.isdigit() for c in f.text) >= 0.5 * len(f.text))
    return figures >= 0.4 * len(part)


def _is_short(left: list[Fragment], right: list[Fragment]) -> bool:
    """Whether one of two sides has few lines, as labels or values have beside each other."""
    return min(len(left), len(right)) < MIN_COLUMN_LINES


def _crossings(left: list[Fragment], right: list[Fragment]) -> int:
    """Returns how often the producer went from one side to the other."""
    sides = sorted([(f.order, 0) for f in left] + [(f.order, 1) for f in right])
    return sum(a[1] != b[1] for a, b in pairwise(sides))


def _apart(left: list[Fragment], right: list[Fragment]) -> bool:
    """Returns whether the producer wrote one side after the other."""
    fewer = min(len(left), len(right))
    header = 2 if fewer >= 2 * MIN_COLUMN_LINES else 0  # a running title and its page number
    return _crossings(left, right) <= max(1, 0.2 * fewer) + header


def _by_row(left: list[Fragment], right: list[Fragment]) -> bool:
    return _crossings(left, right) >= 1.2 * min(len(left), len(right))


def _measure(text: str) -> int:
    """Returns the length of a text in Latin letters; a Chinese character counts as two."""
    if text.isascii():
        return len(text)
    return sum(2 if c >= "\u2e80" else 1 for c in text)
