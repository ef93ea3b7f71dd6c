"""Digits that a font draws raised or lowered by glyphs of its own: ² without another font size.

Typesetting programs use them for notes and formulas; the file calls them ordinary digits. They are
narrower than the others of their size, and their ink is short and off the baseline.
"""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as raw

from qwenbelt.tools.documents.parsing.pdf.pdfium import Floats, PageCharacters, has_ink, unchecked

_NARROW = 0.85  # of the widest digit of that size
_SHORT = 0.8  # of its ink's height
_RAISED, _LOWERED = 0.15, 0.04  # of the line's height, from the baseline to the ink
MAX_LOOKED_AT = 4000  # digits of a page
_SIGNS = tuple(map(ord, "+-−–"))
_ink = unchecked(
    raw.FPDFText_GetCharBox, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, *[ctypes.c_void_p] * 4
)


def with_script_glyphs(page: PageCharacters) -> Floats:
    """Returns the characters' boxes; those of raised and lowered glyphs as if set in small."""
    codes, boxes = page.all.codes, page.all.boxes
    digits = np.flatnonzero((codes >= 0x30) & (codes <= 0x39))
    if len(digits) < 2:
        return boxes
    shape = (boxes[digits, 2] - boxes[digits, 0]) / np.maximum(
        boxes[digits, 3] - boxes[digits, 1], 0.1
    )
    if shape.min() > (_NARROW + 0.05) * shape.max():  # nearly every page
        return boxes
    sizes = np.round(4 * (boxes[digits, 3] - boxes[digits, 1])).astype(np.int64)
    _, groups = np.unique(sizes, return_inverse=True)
    width = boxes[digits, 2] - boxes[digits, 0]
    widest = np.zeros(groups.max() + 1)
    np.maximum.at(widest, groups, width)
    follows = has_ink(codes[np.maximum(digits - 1, 0)]) & (digits > 0)
    odd = np.flatnonzero((width < _NARROW * widest[groups]) & follows & (width > 0))
    if not len(odd) or len(odd) > MAX_LOOKED_AT:
        return boxes
    changed = boxes.copy()
    for group in np.unique(groups[odd]).tolist():
        usual = digits[groups == group][width[groups == group].argmax()]
        _look(page, changed, int(usual), digits[odd[groups[odd] == group]])
    return changed


def _look(page: PageCharacters, boxes: Floats, usual: int, odd: npt.NDArray[np.intp]) -> None:
    ink = _inks(page, [usual, *odd.tolist()])
    height = ink[:, 1] - ink[:, 0]
    line = boxes[usual, 3] - boxes[usual, 1]
    places = boxes[odd]
    # in PDF coordinates lines of one size have their baseline equally far above their box
    bottom = page.placement.matrix[5] - places[:, 3]
    floor = page.placement.matrix[5] - boxes[usual, 3]
    baseline = bottom + ink[0, 0] - floor
    short = height[1:] < _SHORT * height[0]
    off = (ink[1:, 0] - baseline) / max(line, 1.0)
    signs = [int(n) - 1 for n in odd[short & (off > _RAISED)] if page.all.codes[n - 1] in _SIGNS]
    if signs:
        middle = _inks(page, signs).mean(1) - (page.placement.matrix[5] - boxes[signs, 3])
        raised = [n for n, m in zip(signs, middle, strict=True) if m > ink[0].mean() - floor]
        boxes[raised, 3] = boxes[raised, 1] + 0.62 * line
    up, low = short & (off > _RAISED), short & (off < -_LOWERED)
    boxes[odd[up], 3] = places[up, 1] + 0.62 * line
    boxes[odd[low], 1] = places[low, 1] + 0.45 * line
    boxes[odd[low], 3] = places[low, 3] + 0.04 * line


def _inks(page: PageCharacters, places: list[int]) -> Floats:
    """Returns lower and upper end of the ink of characters."""
    handle = ctypes.cast(page.source.raw, ctypes.c_void_p).value
    found = np.zeros((len(places), 4))
    at = found.ctypes.data
    for number, place in enumerate(places):
        start = at + 32 * number
        _ink(handle, place, start, start + 8, start + 16, start + 24)
    return found[:, 2:]
