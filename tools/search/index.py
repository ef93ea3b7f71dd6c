"""An index of tools by their names, descriptions and parameters.

Words are found with names weighed above descriptions of parameters (`words.py`);
with the offline embedding, meaning counts beside words. A question that asks for
several things is searched in its sentences as well, so that each brings its tool, and a tool
whose name the question spells out comes first.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.tools.search.words import WordIndex, spelled

_SENTENCES = re.compile(r"[.!?;。！？；\n]+(?:\s+|$)|[。！？；\n]")
_MOST_PARTS = 12
_FEWEST = 3  # words that make a part
_PART = 0.5  # what the best of a part counts beside the best of the whole question
_MEANING = 0.5  # what meaning counts beside words
_SPELLED = re.compile(r"\w+(?:[.\-/]\w+)*")
_A_NAME = re.compile(r"[_.]|[a-z0-9][A-Z]")  # what distinguishes a tool's name from a word


class ToolIndex:
    """Tools that can be searched; may be used from many threads.

    Args:
        functions: declarations as OpenAI has them (name, description, parameters), or as MCP has.
        vectors: whether meaning counts beside words (the extra `embed`): embedding the tools takes
            seconds at the first search, so it is not the default.
    """

    def __init__(self, functions: Iterable[Mapping[str, Any]], *, vectors: bool = False) -> None:
        self._functions = [_bare(function) for function in functions]
        self._words = WordIndex(self._functions)
        self._rows = {str(function["name"]): n for n, function in enumerate(self._functions)}
        self._wants_vectors = vectors
        self._vectors: Any = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._functions)

    def search(self, query: str, k: int = 10) -> list[str]:
        """Returns the names of the k tools that fit a question best, the best one first."""
        return [self._functions[row]["name"] for row in self._ranked(query)[:k]]

    def declarations(self, query: str, k: int = 5) -> list[dict[str, Any]]:
        """Returns the declarations of the k tools that fit a question best."""
        return [dict(self._functions[row]) for row in self._ranked(query)[:k]]

    def _ranked(self, query: str) -> list[int]:
        texts = [query, *_parts(query)]
        scores = _fused(self._words.scores(texts))
        if self._wants_vectors:
            for row, score in _fused([self._by_meaning(text) for text in texts]).items():
                scores[row] = scores.get(row, 0.0) + _MEANING * score
        for name in self._spelled_out(query):
            scores[name] = scores.get(name, 0.0) + 1.0
        return sorted(scores, key=lambda row: (-scores[row], row))

    def _spelled_out(self, query: str) -> Iterator[int]:
        """Yields the tools whose names are in a question literally."""
        for word in dict.fromkeys(_SPELLED.findall(query)):
            if word in self._rows and _A_NAME.search(word):
                yield self._rows[word]

    def _by_meaning(self, text: str) -> dict[int, float]:
        import numpy as np

        from qwenbelt.tools.documents.search.embedding import OfflineEmbedder

        with self._lock:
            if self._vectors is None:
                model = OfflineEmbedder()
                told = [f"{f['name']}: {f.get('description', '')}" for f in self._functions]
                self._vectors = (model, model.passages(told))
        model, vectors = self._vectors
        near = vectors @ model.query(text)
        return dict(enumerate(np.maximum(near - near.mean(), 0).tolist()))


def _fused(found: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Returns one score a tool, from those for the whole question and for each of its parts."""
    whole, *parts = (_of_the_best(scores) for scores in found)
    best: dict[int, float] = {}
    for part in parts:
        for row, score in part.items():
            best[row] = max(best.get(row, 0.0), score)
    return {row: whole.get(row, 0.0) + _PART * best.get(row, 0.0) for row in {**whole, **best}}


def _of_the_best(scores: Mapping[int, float]) -> dict[int, float]:
    most = max(scores.values(), default=0.0) or 1.0
    return {row: score / most for row, score in scores.items()}


def _bare(function: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a declaration without the wrapper of a request."""
    inner = function.get("function")
    return dict(inner) if isinstance(inner, Mapping) else dict(function)


def _parts(query: str) -> list[str]:
    """Returns the sentences of a question that has several."""
    parts = [part.strip() for part in _SENTENCES.split(query)]
    parts = [part for part in parts if len(spelled(part).split()) >= _FEWEST]
    return parts[:_MOST_PARTS] if len(parts) > 1 else []
