"""Finds tools by the words of a question: BM25 over fields, with the words of names.

SQLite's FTS5 cuts and stems (porter; Chinese as overlapping pairs); the weights are worked out
once, when the tools are known, so that a question only adds up numbers. Ranking by FTS5 itself
cannot do what helps here: saturate a word over all fields together (BM25F), and ask how much of
a tool's name a question holds.
"""

from __future__ import annotations

import math
import re
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.tools.documents.search.tokens import STOP_WORDS, index_text

_COLUMNS = "name, description, parameters, about"
_WEIGHTS = (2.0, 1.0, 1.0, 0.5)  # name, description, parameters' names, their descriptions
_LENGTHS = (0.3, 0.5, 0.6, 0.75)  # how much a long field counts less, BM25's b
_SATURATION = 1.2  # BM25's k1
_NAMED = 0.5  # what a name that is all in the question counts beside the words
_SCHEMAS = ("parameters", "inputSchema", "input_schema", "arguments")  # OpenAI, MCP, Anthropic, …
_MOST_WORDS = 200  # of a question
_DEEPEST = 5  # levels of a schema
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_JOINTS = re.compile(r"[_.\-/]")


class WordIndex:
    """Tools that are found by words; may be used from many threads.

    Args:
        functions: declarations, without the wrapper of a request.
    """

    def __init__(self, functions: Sequence[Mapping[str, Any]]) -> None:
        self._count = len(functions)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        for table, columns in (("tools", _COLUMNS), ("asked", "words")):
            self._file.execute(
                f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, tokenize='porter unicode61')"
            )
            self._file.execute(
                f"CREATE VIRTUAL TABLE {table}_words USING fts5vocab({table}, instance)"
            )
        rows = ((n, *_fields(function)) for n, function in enumerate(functions))
        self._file.executemany(
            f"INSERT INTO tools (rowid, {_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            rows,
        )
        self._file.commit()
        self._postings = self._weighed()

    def scores(self, texts: Sequence[str]) -> list[dict[int, float]]:
        """Returns for each text how well each tool fits; tools that share no word are left out."""
        return [self._scored(words) for words in self._stems(texts)]

    def _scored(self, words: Counter[str]) -> dict[int, float]:
        scores: defaultdict[int, float] = defaultdict(float)
        named: defaultdict[int, float] = defaultdict(float)
        for word, times in words.most_common(_MOST_WORDS):
            for row, weight, share in self._postings.get(word, ()):
                scores[row] += weight * math.sqrt(times)
                if share:
                    named[row] += share
        for row, share in named.items():
            scores[row] *= 1 + _NAMED * share
        return scores

    def _stems(self, texts: Sequence[str]) -> list[Counter[str]]:
        found: list[Counter[str]] = [Counter() for _ in texts]
        with self._lock:
            self._file.execute("BEGIN")
            try:
                rows = enumerate(spelled(text) for text in texts)
                self._file.executemany("INSERT INTO asked (rowid, words) VALUES (?, ?)", rows)
                for word, row in self._file.execute("SELECT term, doc FROM asked_words"):
                    found[row][word] += 1
            finally:
                self._file.execute("ROLLBACK")
        return found

    def _weighed(self) -> dict[str, list[tuple[int, float, float]]]:
        """Returns for each word the tools it is in, what it counts there, and in their names."""
        counts: defaultdict[str, defaultdict[int, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0] * len(_WEIGHTS))
        )
        lengths = [[0] * len(_WEIGHTS) for _ in range(self._count)]
        columns = {column: n for n, column in enumerate(_COLUMNS.split(", "))}
        for word, row, column in self._file.execute("SELECT term, doc, col FROM tools_words"):
            counts[word][row][columns[column]] += 1
            lengths[row][columns[column]] += 1
        usual = [
            max(sum(row[n] for row in lengths) / max(self._count, 1), 1)
            for n in range(len(_WEIGHTS))
        ]
        idf = {
            word: math.log(1 + (self._count - len(rows) + 0.5) / (len(rows) + 0.5))
            for word, rows in counts.items()
        }
        names: defaultdict[int, float] = defaultdict(float)
        for word, rows in counts.items():
            for row, times in rows.items():
                names[row] += idf[word] if times[0] else 0.0
        postings: dict[str, list[tuple[int, float, float]]] = {}
        for word, rows in counts.items():
            postings[word] = []
            for row, times in rows.items():
                found = sum(
                    weight * times[n] / (1 - _LENGTHS[n] + _LENGTHS[n] * lengths[row][n] / usual[n])
                    for n, weight in enumerate(_WEIGHTS)
                )
                weight = idf[word] * found * (_SATURATION + 1) / (_SATURATION + found)
                postings[word].append((row, weight, idf[word] / names[row] if times[0] else 0.0))
        return postings


def spelled(text: str) -> str:
    """Returns the search tokens of a text, the words of names apart."""
    apart = _JOINTS.sub(" ", _CAMEL.sub(" ", text))
    return " ".join(word for word in index_text(apart).split() if word not in STOP_WORDS)


def _fields(function: Mapping[str, Any]) -> tuple[str, str, str, str]:
    schema: Any = next((function[key] for key in _SCHEMAS if function.get(key)), {})
    told = list(_parameters(schema))
    names, about = (" ".join(text for kind, text in told if kind == one) for one in ("n", "a"))
    texts = (str(function["name"]), str(function.get("description") or ""), names, about)
    name, description, parameters, rest = (spelled(text) for text in texts)
    return name, description, parameters, rest


def _parameters(schema: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yields ("n", the name) and ("a", the description or choice) of parameters."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    properties = schema.get("properties")
    for name, entry in properties.items() if isinstance(properties, Mapping) else ():
        yield "n", str(name)
        if isinstance(entry, Mapping):
            yield "a", str(entry.get("description") or "")
            choices = entry.get("enum")
            if isinstance(choices, list):
                yield "a", " ".join(map(str, choices))
            yield from _parameters(entry, depth + 1)
            yield from _parameters(entry.get("items"), depth + 1)
