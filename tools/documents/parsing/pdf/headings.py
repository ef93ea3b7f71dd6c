"""Which lines of a page are titles of sections: larger, bold, numbered, or in capitals."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import median

from qwenbelt.tools.documents.model import Heading
from qwenbelt.tools.documents.parsing.pdf.page_text import Written
from qwenbelt.tools.documents.parsing.pdf.reading_order import Row

MAX_TITLE = 140
_LARGER = 1.12  # of the body's line height
_TOP = re.compile(
    r"^(?:part\s+[ivx\d]+|item\s+\d+[a-z]?|chapter\s+\d+|appendix\s+\w+|note\s+\d+|"
    r"第[一二三四五六七八九十百\d]+[章编篇部])\b",
    re.I,
)
_NUMBERED = re.compile(r"^(?P<n>\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")
_CJK_SECTION = re.compile(r"^(?:第[一二三四五六七八九十百\d]+节|[一二三四五六七八九十]+、)")
_LETTERED = re.compile(r"^(?:[A-Z]|\(?[a-z]\)|[IVX]+)\.?\s+[A-Z]")
_END = re.compile(r"[.;,，。；、：:]$")
_MANY_LETTERS = re.compile(r"[^\W\d_].*[^\W\d_]", re.S)


def find_headings(written: Sequence[Written], weight: Callable[[int], int]) -> list[Heading]:
    """Returns the titles among a page's rows, in order."""
    if not written:
        return []
    sizes = [w.row.height for w in written for _ in range(1 + (w.end - w.start) // 20)]
    body = median(sizes)
    found = []
    for number, entry in enumerate(written):
        following = written[number + 1] if number + 1 < len(written) else None
        if not entry.opens or (following is not None and not following.opens):
            continue
        title = entry.row.text.strip()
        if not _may_be_title(title, entry.row):
            continue
        level = _level(title, entry.row, body, weight)
        if level:
            found.append(Heading(entry.start, level, " ".join(title.split())))
    return found


def _may_be_title(title: str, row: Row) -> bool:
    if not 2 <= len(title) <= MAX_TITLE or not _MANY_LETTERS.search(title):
        return False
    if len(row.fragments) > 2 or any(f.text[:1].isdigit() for f in row.fragments[1:]):
        return False
    return not _END.search(title) or bool(_TOP.match(title) or _NUMBERED.match(title))


def _level(title: str, row: Row, body: float, weight: Callable[[int], int]) -> int:
    """Returns the title's level from 1, or 0 if it is none."""
    larger = row.height / max(body, 1.0)
    heavy = _weight_of(row, weight)
    marked = larger >= _LARGER or heavy == 2
    if _TOP.match(title) and (marked or len(title) < 60):
        return 1
    numbered = _NUMBERED.match(title)
    if numbered and marked:
        return 1 + numbered["n"].count(".")
    if _CJK_SECTION.match(title) and len(title) < 40:
        return 2
    if larger >= _LARGER:
        return 1 if larger >= 1.5 else 2
    if heavy == 2:
        return 3 if title.isupper() else 4
    return 5 if (heavy or _LETTERED.match(title)) and len(title) < 90 else 0


def _weight_of(row: Row, weight: Callable[[int], int]) -> int:
    """Returns the least weight of each fragment's first and the row's last characters."""
    last = row.fragments[-1]
    places = [f.place for f in row.fragments] + [last.place + max(0, len(last.text) - 2)]
    least = 2
    for place in places:  # most rows are plain at their first character
        least = min(least, weight(place))
        if not least:
            break
    return least
