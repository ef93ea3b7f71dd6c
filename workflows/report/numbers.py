"""Finds numbers of an answer that no tool has returned: remembered, guessed, or miscalculated."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from qwenbelt.workflows.report.prose import Node, block_text

MOST_TOLD = 12
_NUMBER = re.compile(r"(?<![\w.,/-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w/-]|[.,]\d)")
_ANY = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
# an answer may say 3.2 billion for 3,226.8 (in millions), or 23.6 % for 0.236
_SCALES = (1.0, 100.0, 0.01, 1e3, 1e-3, 1e6, 1e-6, 1e4, 1e-4, 1e8, 1e-8)


def numbers_without_source(blocks: list[Node], sources: Iterable[str]) -> list[str]:
    """Returns the numbers of the blocks that are in none of the sources.

    A number counts as found when a source has one that rounds to it, as it is or in another unit
    (per cent, thousands, millions, 万, 亿). Single digits and years are not looked at.
    """
    known = sorted({float(n.replace(",", "")) for text in sources for n in _ANY.findall(text)})
    unknown = [
        text
        for text, value, step in _numbers("\n".join(block_text(b) for b in blocks if _told(b)))
        if not any(_holds(known, value / scale, step / scale) for scale in _SCALES)
    ]
    return list(dict.fromkeys(unknown))[:MOST_TOLD]


def _told(block: Node) -> bool:
    return block["kind"] not in ("code", "rule")


def _numbers(text: str) -> Iterator[tuple[str, float, float]]:
    """Yields each number as written, its value, and the size of its last digit."""
    for match in _NUMBER.finditer(text):
        whole, decimals = match[1], match[2] or ""
        value = float(whole.replace(",", "") + decimals)
        is_year = not decimals and "," not in whole and 1900 <= value <= 2100
        if is_year or (not decimals and value < 10):
            continue
        yield match[0], value, 10.0 ** -max(0, len(decimals) - 1)


def _holds(known: list[float], value: float, step: float) -> bool:
    """Whether a known number rounds to `value` at a step; exact halves may go either way."""
    margin = step * 0.5 + abs(value) * 1e-9
    place = bisect.bisect_left(known, value - margin)
    return place < len(known) and known[place] <= value + margin
