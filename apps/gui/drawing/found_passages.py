"""Passages that searches of a turn have found, by the numbers that answers cite them with."""

from __future__ import annotations

import re
from collections.abc import Callable

# a found passage as the search tools write it: "[1] report.pdf p.3", its text below
HIT = re.compile(r"^(\[\d+\]) (.{1,200}?) p\.(\d{1,5})(?=\s|$)", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+")
_MOST = 400


class FoundPassages:
    """What `[1]` in an answer may mean: several searches of a turn each count from one.

    Args:
        has_document: returns whether a document can be opened at a page.
    """

    def __init__(self, has_document: Callable[[str], bool]) -> None:
        self._has_document = has_document
        self._found: dict[int, list[tuple[str, int, set[str]]]] = {}
        self._count = 0

    def add(self, result: str) -> None:
        """Takes in the result of a call."""
        matches = list(HIT.finditer(result))
        ends = [match.start() for match in matches[1:]] + [len(result)]
        for match, end in zip(matches, ends, strict=False):
            text = result[match.end() : end]
            file, page = match.group(2), int(match.group(3))
            if self._count < _MOST and self._has_document(file):
                self._count += 1
                number = int(match.group(1)[1:-1])
                self._found.setdefault(number, []).append((file, page, _words_of(text)))

    def find(self, number: int, words: str) -> tuple[str, int] | None:
        """Returns the document and page of a number; of several, the one most like the words."""
        known = self._found.get(number)
        if not known:
            return None
        said = _words_of(words)
        shared = [len(said & text) for _, _, text in known]
        best = max(range(len(known)), key=lambda at: (shared[at], at))  # else the latest
        return known[best][:2]


def _words_of(text: str) -> set[str]:
    """Returns the words of a text; of Chinese, its pairs of letters."""
    out: set[str] = set()
    for word in _WORD.findall(text[:4000].lower()):
        out |= {word} if word.isascii() else {word[n : n + 2] for n in range(max(1, len(word) - 1))}
    return out
