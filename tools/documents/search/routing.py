"""Which documents a question is about: by their names, titles and first words.

A question over many files often names one ("3M's 2018 report"). Those words say little about a
passage, but much about the document, so they are matched against documents and not only passages.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from qwenbelt.tools.documents.search.tokens import STOP_WORDS, tokens

MAX_DOCUMENTS = 5000  # beyond it, names are not matched
FRONT_CHARACTERS = 1500
STRENGTH = 1.0  # how much a perfectly named document gains: its scores count 1 + STRENGTH times
_FRONT_WEIGHT = 0.3
_K, _B = 1.2, 0.3  # of BM25; names differ little in length
_JOINER = re.compile(r"[_\W]+")


class Router:
    """Names, titles and first words of documents, ready to be matched."""

    def __init__(self, fronts: Iterable[tuple[int, str, str, str]]) -> None:
        """Takes id, file name, title and first words of each document."""
        self._words: dict[int, dict[str, float]] = {
            document: _weights(name, title, front) for document, name, title, front in fronts
        }
        self._documents = Counter(w for words in self._words.values() for w in words)
        total = sum(sum(words.values()) for words in self._words.values())
        self._mean = total / max(len(self._words), 1) or 1.0

    def likely(self, question: Sequence[str]) -> dict[int, float]:
        """Returns the documents that the tokens of a question name, from 0 to 1 for the best."""
        pairs = map("".join, pairwise(question))  # "best buy" for BESTBUY.pdf
        asked = {t for t in (*question, *pairs) if t in self._documents and _says_something(t)}
        if not asked or len(self._words) < 2:
            return {}
        scores = {document: self._score(words, asked) for document, words in self._words.items()}
        best = max(scores.values())
        return {d: s / best for d, s in scores.items() if s > 0} if best > 0 else {}

    def _score(self, words: dict[str, float], asked: set[str]) -> float:
        length = _K * (1 - _B + _B * sum(words.values()) / self._mean)
        score = 0.0
        for word in asked & words.keys():
            number = self._documents[word]
            rarity = math.log(1 + (len(self._words) - number + 0.5) / (number + 0.5))
            score += rarity * words[word] * (_K + 1) / (words[word] + length)
        return score


def _weights(name: str, title: str, front: str) -> dict[str, float]:
    words: dict[str, float] = {}
    named = _JOINER.sub(" ", re.sub(r"\.\w{1,5}$", "", name))
    for token in tokens(f"{named} {title}"):
        words[token] = words.get(token, 0.0) + 1.0
    for token in set(tokens(front[:FRONT_CHARACTERS])):
        words[token] = words.get(token, 0.0) + _FRONT_WEIGHT
    return {word: weight for word, weight in words.items() if _says_something(word)}


def _says_something(token: str) -> bool:
    """Leaves out function words and numbers that are no years."""
    if token in STOP_WORDS:
        return False
    return not token.isdigit() or re.fullmatch(r"(?:19|20)\d\d", token) is not None
