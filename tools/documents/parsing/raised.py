"""Raised and lowered text in one line: powers, footnote marks, indexes.

"45" with a raised 1 is neither 451 nor a power: it reads 45[1]; 10 with a raised 6 reads 10^6, and
CO with a lowered 2 CO₂.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PLAIN = re.compile(r"(?:st|nd|rd|th|e|er|re|ème|[ºª]|TM|SM|™|®|℠|©)", re.I)
_MARKS = re.compile(r"[*†‡§¶#]+")
_DIGITS = re.compile(r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*")
_LETTER_MARK = re.compile(r"[a-z](?:\s*,\s*[a-z])*")
_POWER_BASE = re.compile(r"(?:^|[^\d.,])(?:10|2)$")  # what is raised to a power without units
_UNIT = re.compile(r"(?:^|[^^\w])[A-Za-zµμΩ°Å]{1,3}$|[)\]}]$|(?:^|\W)[α-ωΑ-Ω]$")
_LOWER = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
LONGEST = 24  # characters; longer text is no superscript


def raised(before: str, text: str, *, linked: bool = False) -> str:
    """Returns what to write for raised text.

    Args:
        before: what is before it on the line.
        text: the raised characters.
        linked: whether they lead to a note.
    """
    text = unicodedata.normalize("NFKC", " ".join(text.split()))
    if not text or _PLAIN.fullmatch(text) or _MARKS.fullmatch(text) or text.startswith("["):
        return text
    if len(text) > LONGEST:
        return f" ({text})"
    if linked or not before or _is_mark(before, text):
        return f"[{text}]"
    return f"^{text}" if len(text) == 1 or text.isdigit() else f"^{{{text}}}"


def _is_mark(before: str, text: str) -> bool:
    """Whether raised characters are a footnote's mark: not after units, variables and 10."""
    if not before[-1:].strip():
        return _DIGITS.fullmatch(text) is not None
    if _DIGITS.fullmatch(text):
        return not (_POWER_BASE.search(before) or _UNIT.search(before))
    word = re.search(r"[^\W\d_]{3,}$|\d[.,)\]]?$|[.,;:!?”\"'’)]$", before)
    return _LETTER_MARK.fullmatch(text) is not None and word is not None


def lowered(text: str) -> str:
    """Returns what to write for lowered text."""
    text = " ".join(text.split())
    if not text or len(text) > LONGEST:
        return f" ({text})" if text else ""
    low = text.translate(_LOWER)
    if not any(c.isalnum() and c == low[at] for at, c in enumerate(text)):
        return low
    return f"_{text}" if len(text) == 1 else f"_{{{text}}}"


def pieces_in_line(pieces: Iterable[tuple[str | None, str]]) -> str:
    """Returns the text of pieces that Office may raise or lower.

    Args:
        pieces: each with "superscript", "subscript" or another word for its place, and its text.
    """
    text = ""
    for place, piece in pieces:
        if place == "superscript":
            text += raised(text, piece)
        else:
            text += lowered(piece) if place == "subscript" else piece
    return text
