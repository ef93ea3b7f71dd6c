"""An index of tools by their names, descriptions and parameters.

Words are found by SQLite's FTS5 (BM25, stemmed), names and parameters weighed above descriptions;
with the offline embedding, meaning counts beside words. A question that asks for
several things is searched in its parts as well, so that each part brings its tool.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.tools.documents.search.tokens import STOP_WORDS, index_text

_WEIGHTS = (4.0, 2.0, 1.0)  # name, description, parameters
_PARTS = re.compile(r"[.!?;。！？；\n]+|,?\s+(?:and|then|also|plus)\s+|[，,]|以及|然后|并且|还有")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MOST_WORDS = 60  # of a question
_MOST_PARTS = 8
_RANK = 8.0  # a hit at rank r counts 1 / (_RANK + r)
_PART = 0.4  # what a part counts beside the whole question
_DEPTH = 60
_FEWEST = 3  # words that make a part


class ToolIndex:
    """Tools that can be searched; may be used from many threads.

    Args:
        functions: declarations as OpenAI has them: name, description, parameters.
        vectors: whether meaning counts beside words (the extra `embed`): embedding the tools takes
            seconds at the first search, so it is not the default.
    """

    def __init__(self, functions: Iterable[Mapping[str, Any]], *, vectors: bool = False) -> None:
        self._functions = [_bare(function) for function in functions]
        self._lock = threading.Lock()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        self._file.execute(
            "CREATE VIRTUAL TABLE tools USING fts5("
            "name, description, parameters, tokenize='porter unicode61')"
        )
        rows = [_texts(function) for function in self._functions]
        self._file.executemany("INSERT INTO tools VALUES (?, ?, ?)", rows)
        self._wants_vectors = vectors
        self._vectors: Any = None

    def __len__(self) -> int:
        return len(self._functions)

    def search(self, query: str, k: int = 10) -> list[str]:
        """Returns the names of the k tools that fit a question best, the best one first."""
        return [self._functions[row]["name"] for row in self._ranked(query)[:k]]

    def declarations(self, query: str, k: int = 5) -> list[dict[str, Any]]:
        """Returns the declarations of the k tools that fit a question best."""
        return [dict(self._functions[row]) for row in self._ranked(query)[:k]]

    def _ranked(self, query: str) -> list[int]:
        scores: dict[int, float] = {}
        whole, *parts = _questions(query)
        for weight, text in [(1.0, whole), *((_PART, part) for part in parts)]:
            for rows in self._lists(text):
                for rank, row in enumerate(rows):
                    scores[row] = scores.get(row, 0.0) + weight / (_RANK + rank)
        return sorted(scores, key=lambda row: (-scores[row], row))

    def _lists(self, text: str) -> Iterator[Sequence[int]]:
        yield self._by_words(text)
        if self._wants_vectors:
            yield self._by_meaning(text)

    def _by_words(self, text: str) -> list[int]:
        words = dict.fromkeys(
            word for word in index_text(_spelled(text)).split() if word not in STOP_WORDS
        )
        match = " OR ".join(f'"{word}"' for word in list(words)[:_MOST_WORDS])
        if not match:
            return []
        weights = ", ".join(map(str, _WEIGHTS))
        statement = (
            f"SELECT rowid - 1 FROM tools WHERE tools MATCH ? "  # noqa: S608
            f"ORDER BY bm25(tools, {weights}), rowid LIMIT {_DEPTH}"
        )
        with self._lock:
            return [row for (row,) in self._file.execute(statement, (match,))]

    def _by_meaning(self, text: str) -> Sequence[int]:
        import numpy as np

        from qwenbelt.tools.documents.search.embedding import OfflineEmbedder

        with self._lock:
            if self._vectors is None:
                model = OfflineEmbedder()
                told = [f"{f['name']}: {f.get('description', '')}" for f in self._functions]
                self._vectors = (model, model.passages(told))
        model, vectors = self._vectors
        order: Sequence[int] = np.argsort(-(vectors @ model.query(text)))[:_DEPTH].tolist()
        return order


def _bare(function: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a declaration without the wrapper of a request."""
    inner = function.get("function")
    return dict(inner) if isinstance(inner, Mapping) else dict(function)


def _texts(function: Mapping[str, Any]) -> tuple[str, str, str]:
    told = list(_parameters(function.get("parameters") or {}))
    texts = (str(function["name"]), str(function.get("description") or ""), " ".join(told))
    name, description, parameters = (index_text(_spelled(text)) for text in texts)
    return name, description, parameters


def _parameters(schema: Any, depth: int = 0) -> Iterator[str]:
    """Yields names, descriptions and choices of parameters."""
    if not isinstance(schema, Mapping) or depth > 5:
        return
    for name, entry in (schema.get("properties") or {}).items():
        yield str(name)
        if isinstance(entry, Mapping):
            yield str(entry.get("description") or "")
            yield " ".join(map(str, entry.get("enum") or ()))
            yield from _parameters(entry, depth + 1)
            yield from _parameters(entry.get("items"), depth + 1)


def _spelled(text: str) -> str:
    """Returns a text in which the words of names stand apart."""
    return _CAMEL.sub(" ", text).replace("_", " ").replace(".", " ").replace("-", " ")


def _questions(query: str) -> list[str]:
    """Returns the question, and its parts when it has several."""
    parts = [part.strip() for part in _PARTS.split(query)]
    parts = [part for part in parts if len(index_text(part).split()) >= _FEWEST]
    return [query, *parts[:_MOST_PARTS]] if len(parts) > 1 else [query]
