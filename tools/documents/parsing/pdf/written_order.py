"""The order in which a page's producer wrote its text: followed where it can be a reading order.

It can be where hardly a line is written after one that is below it in the same column. Tables
are left out: their rows are read across, however they were written.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qwenbelt.tools.documents.parsing.cells import is_number
from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment

MAX_INVERTED = 0.08  # of the pairs of lines that share a column
MAX_MISPLACED = 0.1  # of the lines
MAX_LINES = 1500
_Counts = npt.NDArray[np.intp]
_SHARED = 0.3  # of the narrower line's width
_TABLE_ROWS = 3
_TABLE_SHARE = 0.2  # of all rows


def written_lines(fragments: list[Fragment]) -> list[list[Fragment]]:
    """Groups fragments that were written one after the other on one baseline."""
    lines: list[list[Fragment]] = []
    for fragment in sorted(fragments, key=lambda f: f.order):
        last = lines[-1][-1] if lines else None
        if last is not None and _goes_on(last, fragment):
            lines[-1].append(fragment)
        else:
            lines.append([fragment])
    return lines


def _goes_on(last: Fragment, fragment: Fragment) -> bool:
    reach = 0.5 * min(last.height, fragment.height)
    beside = fragment.x0 >= last.x1 - reach or fragment.x1 <= last.x0 + reach
    return abs(fragment.middle - last.middle) <= max(reach, 1.0) and beside


def in_written_order(fragments: list[Fragment]) -> list[list[Fragment]] | None:
    """Returns the lines as they were written, or None where that is no order to read in.

    A few lines that are out of place, such as a running title that was written last, are moved.
    """
    lines = written_lines(fragments)
    if not 2 <= len(lines) <= MAX_LINES:
        return None
    inverted, shared = _inversions(lines)
    misplaced = inverted > 0.5 * np.maximum(shared, 1)
    if not _is_order(inverted, shared):
        kept = [line for line, out in zip(lines, misplaced, strict=True) if not out]
        if misplaced.sum() > MAX_MISPLACED * len(lines) or not _is_order(*_inversions(kept)):
            return None
    kept = [line for line, out in zip(lines, misplaced, strict=True) if not out]
    for line, out in zip(lines, misplaced, strict=True):
        if out:
            kept.insert(_place(line, kept), line)
    return kept


def is_consistent(fragments: list[Fragment]) -> bool:
    """Returns whether text was written in an order to read in, with no line out of its place."""
    lines = written_lines(fragments)
    return 2 <= len(lines) <= MAX_LINES and _is_order(*_inversions(lines))


def _is_order(inverted: _Counts, shared: _Counts) -> bool:
    return bool(inverted.sum() <= 2 * MAX_INVERTED * max(shared.sum() / 2, 1))


def _inversions(
    lines: list[list[Fragment]],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns for each line how many others it is written on the wrong side of, and of how many."""
    x0 = np.array([min(f.x0 for f in line) for line in lines])
    x1 = np.array([max(f.x1 for f in line) for line in lines])
    middle = np.array([sum(f.middle for f in line) / len(line) for line in lines])
    height = np.array([max(f.height for f in line) for line in lines])
    width = np.maximum(x1 - x0, 1.0)
    overlap = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    shares = overlap > _SHARED * np.minimum(width[:, None], width)
    np.fill_diagonal(shares, False)
    reach = 0.5 * np.minimum(height[:, None], height)
    later = np.arange(len(lines))[:, None] > np.arange(len(lines))
    above = middle[:, None] < middle - reach
    wrong = shares & ((later & above) | (later.T & above.T))
    return wrong.sum(1), shares.sum(1)


def _place(line: list[Fragment], lines: list[list[Fragment]]) -> int:
    """Returns where a line that was written out of its place belongs."""
    middle = line[0].middle
    x0, x1 = min(f.x0 for f in line), max(f.x1 for f in line)
    for number, other in enumerate(lines):
        beside = min(x1, max(f.x1 for f in other)) - max(x0, min(f.x0 for f in other))
        if beside > 0 and other[0].middle > middle:
            return number
    above = [n for n, other in enumerate(lines) if other[0].middle <= middle]
    return above[-1] + 1 if above else 0


def is_tabular(rows: list[list[Fragment]]) -> bool:
    """Returns whether rows hold numbers beside other text, as those of tables do."""
    found = sum(1 for row in rows if len(row) > 1 and any(is_number(f.text) for f in row[1:]))
    return found >= max(_TABLE_ROWS, _TABLE_SHARE * len(rows))
