"""Text that is drawn twice on one place, as bold letters are faked, counts once."""

from __future__ import annotations

import numpy as np

from qwenbelt.tools.documents.parsing.pdf.pdfium import Characters, has_ink

_NEAR = 0.12  # of a character's height; twins of one word, as the l in "all", are further apart
_LIGATURE = 2  # letters of one glyph, such as "ff", share its box


def without_doubles(characters: Characters) -> Characters:
    """Returns the characters without those printed on top of an identical earlier one."""
    codes, boxes = characters.codes, characters.boxes
    if len(codes) < 4:
        return characters
    inked = np.flatnonzero(has_ink(codes))
    places = np.clip(boxes[inked, :2], 0, 20_000).astype(np.int64)
    keys = (codes[inked].astype(np.int64) * 20_011 + places[:, 0]) * 20_011 + places[:, 1]
    keys.sort()
    if not (keys[1:] == keys[:-1]).any():  # nearly every page: no look at each place
        return characters
    inked = inked[boxes[inked, 2] > boxes[inked, 0]]
    doubles = np.zeros(len(codes), bool)
    for shift in (0.0, 1.0):  # of the rows into which places are cut
        rows = np.floor((boxes[inked, 1] + shift) / 2)
        by_place = inked[np.lexsort((inked, boxes[inked, 0], rows, codes[inked]))]
        first, second = by_place[:-1], by_place[1:]
        reach = _NEAR * (boxes[first, 3] - boxes[first, 1])
        same = (codes[first] == codes[second]) & (np.abs(first - second) > _LIGATURE)
        same &= np.abs(boxes[first] - boxes[second]).max(1) <= reach
        doubles[np.maximum(first, second)[same]] = True
    return characters.chosen(~doubles) if doubles.any() else characters
