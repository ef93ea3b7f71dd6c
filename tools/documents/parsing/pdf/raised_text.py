"""Raised and lowered characters keep their meaning in plain text: 10^6, 45[1], CO₂.

A raised number is an exponent after 10, a unit or a single letter, and the mark of a footnote
elsewhere: without a sign, 45 with a footnote would read 451.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from qwenbelt.tools.documents.parsing.pdf.pdfium import Floats

SMALLER = 0.86  # of the line's height
_DESCENT = 0.21  # of a font's height; what it truly is matters little for two sizes of one font
_RAISED, _LOWERED = 0.17, 0.06  # of the line's height, from its baseline
_DEEPER = 0.01  # of the line's height: what is lowered ends below its neighbours
_LOW = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_EXPONENT = re.compile(r"^[+\-−–]?\d{1,4}(?:[.,/]\d+)?$|^[+\-−–]?[a-z]$|^[+\-−–]?\d?[a-z]\d?$")
_FOOTNOTE = re.compile(r"^\(?(?:\d{1,3}|[a-z])(?:[,;\-–]\s?(?:\d{1,3}|[a-z]))*\)?$")
_POWER_BASE = re.compile(
    r"(?:(?<![\d.,])(?:10|e|\d)|(?<![^\W_])(?:[mck]?m|ft|in|yd|mi|s|kg|[^\W\d_])|[+\-*/=^]\w*\))$"
)
_SIGNED = re.compile(r"^[+\-−–]")


def may_hold_scripts(boxes: Floats, starts: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Returns which lines hold characters of other sizes off the line's baseline.

    Args:
        boxes: rows `x0, top, x1, bottom` of all lines.
        starts: where each line begins.
    """
    height = boxes[:, 3] - boxes[:, 1]
    tallest = np.maximum.reduceat(height, starts)
    baseline = boxes[:, 3] - _DESCENT * height
    spread = np.maximum.reduceat(baseline, starts) - np.minimum.reduceat(baseline, starts)
    uneven = np.minimum.reduceat(height, starts) < SMALLER * tallest
    found: npt.NDArray[np.bool_] = uneven & (spread > 0.5 * _LOWERED * tallest)
    return found


def raised(base: str, script: str) -> str:
    """Returns how raised text after other text is written."""
    if not base or base[-1].isspace():
        return script + " " if base == "" and script.isdigit() else script
    if _EXPONENT.match(script) and (_POWER_BASE.search(base) or _SIGNED.match(script)):
        return "^" + re.sub("[−–]", "-", script)
    if _FOOTNOTE.match(script):
        return f"[{script.strip('()')}]"
    return script


def lowered(base: str, script: str) -> str:
    """Returns how lowered text after other text is written."""
    if base and not base[-1].isspace() and script and all(ord(c) in _LOW for c in script):
        return script.translate(_LOW)
    return script


def _touches(boxes: Floats, inked: npt.NDArray[np.bool_], at: int) -> bool:
    before = np.flatnonzero(inked[:at])
    if not len(before):
        return False
    last = boxes[before[-1]]
    return bool(boxes[at, 0] - last[2] < 0.12 * (last[3] - last[1]))


def _is_inside_word(text: str, at: int, end: int) -> bool:
    """Returns whether only letters are off the line, with two before them and one after."""
    before, piece, after = text[max(0, at - 2) : at], text[at:end], text[end : end + 1]
    return len(before) == 2 and (before + piece).isalpha() and after.islower()


def _kinds(text: str, boxes: Floats) -> npt.NDArray[np.int_] | None:
    """Returns 1 for raised characters of a line, -1 for lowered ones; None if there are none."""
    height = boxes[:, 3] - boxes[:, 1]
    inked = np.array([not c.isspace() for c in text]) & (height > 0)
    if not inked.any():
        return None
    sizes = np.sort(height[inked])  # np.quantile and np.median take longer than all the rest
    line = float(sizes[(3 * len(sizes)) // 4])
    usual = inked & (height >= SMALLER * line)
    small = inked & ~usual
    if not small.any():
        return None
    baseline = boxes[:, 3] - _DESCENT * height
    levels = np.sort(baseline[usual])
    level = float(levels[len(levels) // 2]) if len(levels) else 0.0
    shift = (level - baseline) / max(line, 1.0)
    if not (abs(shift[small]) > min(_RAISED, _LOWERED)).any():
        return None  # such as full stops of Chinese
    # fonts that say how tall each glyph is: a hyphen that ends at the baseline is not lowered
    ends = np.sort(boxes[usual, 3])
    deeper = boxes[:, 3] > (ends[len(ends) // 2] if len(ends) else 0.0) + _DEEPER * line
    lowered_ones = small & (shift < -_LOWERED) & deeper
    kinds = np.where(small & (shift > _RAISED), 1, np.where(lowered_ones, -1, 0))
    if not kinds.any() or (kinds != 0).sum() > 0.5 * inked.sum():
        return None
    return kinds


def with_scripts(text: str, boxes: Floats) -> str:
    """Returns the characters of a line, those that are raised or lowered with their signs.

    Args:
        text: one character for each box.
        boxes: rows `x0, top, x1, bottom`.
    """
    kinds = _kinds(text, boxes)
    if kinds is None:
        return text
    inked = np.array([not c.isspace() for c in text]) & (boxes[:, 3] > boxes[:, 1])
    out, at = "", 0
    while at < len(text):
        kind, end = kinds[at], at + 1
        while end < len(text) and kinds[end] == kind:
            end += 1
        piece = text[at:end]
        if kind and out[-1:] in ("\r", "\n") and _touches(boxes, inked, at):
            out = out.rstrip("\r\n ")  # pdfium begins a line for an exponent of another font
        if kind and _is_inside_word(text, at, end):
            kind = 0  # no mark: the line is slanted
        if kind > 0:
            base = out[-12:].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
            piece = raised(base, piece)
        elif kind < 0:
            piece = lowered(out, piece)
        out += piece
        at = end
    return out
