"""Which documents a question is about: by their names, titles and first words.

A question over many files often names one ("3M's 2018 report"). Those words say little about a
passage, but much about the document, so they are matched against documents and not only passages.
"""

from __future__ import annotations

import math
import re
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
        words = {document: _weights(name, title, front) for document, name, title, front in fronts}
        sizes = {document: sum(weights.values()) for document, weights in words.items()}
        mean = sum(sizes.values()) / max(len(words), 1) or 1.0
        self._lengths = {d: _K * (1 - _B + _B * size / mean) for d, size in sizes.items()}
        # by word: a question is matched against the documents that have its words, not against all
        self._by_word: dict[str, list[tuple[int, float]]] = {}
        for document, weights in words.items():
            for word, weight in weights.items():
                self._by_word.setdefault(word, []).append((document, weight))

    def likely(self, question: Sequence[str]) -> dict[int, float]:
        """Returns the documents that the tokens of a question name, from 0 to 1 for the best."""
        pairs = map("".join, pairwise(question))  # "best buy" for BESTBUY.pdf
        asked = {t for t in (*question, *pairs) if t in self._by_word and _says_something(t)}
        if not asked or len(self._lengths) < 2:
            return {}
        scores: dict[int, float] = {}
        for word in sorted(asked):
            having = self._by_word[word]
            rarity = math.log(1 + (len(self._lengths) - len(having) + 0.5) / (len(having) + 0.5))
            for document, weight in having:
                score = rarity * weight * (_K + 1) / (weight + self._lengths[document])
                scores[document] = scores.get(document, 0.0) + score
        best = max(scores.values())
        return {document: score / best for document, score in scores.items()}


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
