"""Vectors for the parts of a passage: a sentence or two each, not one for the whole of it.

A small model blurs what a passage says beside the answer. So each part gets a vector, and the mean
of a passage's vectors represents it where all are compared. How near a passage is goes by its
nearest part, which answers a question, and by a third by that mean, which is what the passage is
about (`benchmarks/RESULTS.md` has what that gains).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.vector_cache import Small, large, small
from qwenbelt.tools.documents.stores.narrowing import Ranked

NEAREST_SHARE = 2 / 3
DEEPER = 4  # times as many passages are found by their means as are wanted
_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n+")


def parts_of(head: Sequence[str], text: str, kind: str, columns: int | None) -> list[str]:
    """Returns the texts that a passage gets vectors for; at least one.

    Args:
        head: the titles that it is under and what else explains it; may be empty texts.
        text: its own words.
        kind: "table" for rows that only say something together.
        columns: about how wide a part may be, a Chinese character counting two; None keeps the
            passage whole.
    """
    given = [part for part in head if part]
    if columns is None or kind == "table":
        return ["\n".join([*given, text])]
    parts = given[:]
    start = 0
    ends = [*(match.end() for match in _END.finditer(text)), len(text)]
    for end, after in zip(ends, [*ends[1:], None], strict=True):
        if after is None or _width(text[start:after].strip()) > columns:
            parts.append(text[start:end].strip())
            start = end
    return [part for part in parts if part] or [text]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def middle(rows: Small) -> Small:
    """Returns the one row that represents the vectors of a passage."""
    return rows[0] if len(rows) == 1 else small(large(rows).mean(axis=0))


def others(rows: Small) -> bytes:
    """Returns the vectors of a passage as they are stored beside their middle."""
    return b"" if len(rows) == 1 else rows.tobytes()


def sharpened(found: Ranked, stored: Mapping[int, bytes], vector: Vectors, limit: int) -> Ranked:
    """Returns passages by their nearest parts and their middles, best first.

    Args:
        found: passages by their middles, with their cosines.
        stored: the vectors of those that have several, by passage.
        vector: what was asked, of length 1.
        limit: how many are wanted.
    """
    scores = dict(found)
    for number, middle_score in found:
        if stored.get(number):
            nearest = float((large(_rows(stored[number], len(vector))) @ vector).max())
            scores[number] = NEAREST_SHARE * nearest + (1 - NEAREST_SHARE) * middle_score
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))[:limit]


def _rows(data: bytes, size: int) -> Small:
    return np.frombuffer(data, np.int8).reshape(-1, size)
