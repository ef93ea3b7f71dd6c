"""Finds tools by the words of a question: BM25 over fields, with the words of names.

SQLite's FTS5 cuts and stems (porter; Chinese as overlapping pairs); the weights are worked out
once, when the tools are known, so that a question only adds up numbers. Ranking by FTS5 itself
cannot do what helps here: saturate a word over all fields together (BM25F), ask how much of
a tool's name a question holds, and let the question's words stand for others (`synonyms.py`).
"""

from __future__ import annotations

import functools
import math
import re
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from qwenbelt.tools.documents.search.tokens import STOP_WORDS, index_text
from qwenbelt.tools.search.synonyms import POLITE, alike, forms, implied

# name, description, parameters' names, their descriptions and choices, the first sentence
_WEIGHTS = (1.7, 1.0, 1.0, 0.6, 1.4, 0.3)
_LENGTHS = (0.3, 0.5, 0.6, 0.75, 0.75, 0.5)  # how much a long field counts less, BM25's b
_IN_ORDER = 3  # so many of the fields are searched for words side by side
_SATURATION = 1.0  # BM25's k1
_RARE = 0.9  # the power of a word's rarity
_NAMED = 0.5  # what a name that is all in the question counts beside the words
_SIDE_BY_SIDE = 0.6  # what two words count that stand side by side in both
_STANDS_FOR = 0.3  # what a word counts that a word of the question stands for
_POLITE = 0.6  # what a word counts that people say around a question
_USUAL = 20  # tools; what is in more, and in a tenth of all, no other word stands for
_SCHEMAS = ("parameters", "inputSchema", "input_schema", "arguments")  # OpenAI, MCP, Anthropic, …
_MOST_WORDS = 200  # of a question
_DEEPEST = 5  # levels of a schema
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_JOINTS = re.compile(r"[_.\-/]")
_SENTENCE = re.compile(r"(?<=[.!?])\s|[。！？\n]")

Fields = tuple[Sequence[str], ...]


class _Word(NamedTuple):
    """What a word counts in the tools that it is in, and its share of those named with it."""

    tools: list[tuple[int, float]]
    names: list[tuple[int, float]]


_NOWHERE = _Word([], [])


class WordIndex:
    """Tools that are found by words; may be used from many threads.

    Args:
        functions: declarations, without the wrapper of a request.
    """

    def __init__(self, functions: Sequence[Mapping[str, Any]]) -> None:
        self._count = len(functions)
        self._usual = max(_USUAL, self._count // 10)
        self._stemmer = _Stemmer()
        texts = [text for function in functions for text in _fields(function)]
        stems = self._stemmer(texts)
        step = len(_WEIGHTS)
        tools = [tuple(stems[n : n + step]) for n in range(0, len(stems), step)]
        self._words = self._weighed(tools)
        self._pairs = _side_by_side(tools)
        self._synonyms = _synonyms()

    def scores(self, texts: Sequence[str]) -> list[dict[int, float]]:
        """Returns for each text how well each tool fits; tools that share no word are left out."""
        stems = self._stemmer([spelled(text) for text in texts])
        return [self._scored(*asked) for asked in zip(stems, texts, strict=True)]

    def _scored(self, stems: Sequence[str], text: str) -> dict[int, float]:
        table = self._synonyms
        scores, named = [0.0] * self._count, [0.0] * self._count
        own = dict(Counter(stems).most_common(_MOST_WORDS))
        for word, times in own.items():
            found = self._words.get(word, _NOWHERE)
            counts = math.sqrt(times) * (_POLITE if word in table.polite else 1.0)
            _add(scores, found.tools, counts)
            _add(named, found.names, 1.0)
        for word in sorted(table.others(own, text) - own.keys()):
            found = self._words.get(word, _NOWHERE)
            if len(found.tools) <= self._usual:
                _add(scores, found.tools, _STANDS_FOR)
                _add(named, found.names, _STANDS_FOR)
        for pair in dict.fromkeys(pairwise(stems[: 2 * _MOST_WORDS])):
            if rows := self._pairs.get(pair):
                _add(scores, ((row, 1.0) for row in rows), _SIDE_BY_SIDE * self._rarity(len(rows)))
        return {row: score * (1 + _NAMED * named[row]) for row, score in enumerate(scores) if score}

    def _rarity(self, rows: int) -> float:
        return math.log(1 + (self._count - rows + 0.5) / (rows + 0.5))

    def _weighed(self, tools: Sequence[Fields]) -> dict[str, _Word]:
        """Returns for each word the tools it is in, what it counts there, and in their names."""
        counts: defaultdict[str, defaultdict[int, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0] * len(_WEIGHTS))
        )
        for row, fields in enumerate(tools):
            for n, words in enumerate(fields):
                for word in words:
                    counts[word][row][n] += 1
        usual = [
            max(sum(len(fields[n]) for fields in tools) / max(self._count, 1), 1)
            for n in range(len(_WEIGHTS))
        ]
        lengths = [[len(words) / mean for words, mean in zip(f, usual, strict=True)] for f in tools]
        rarity = {word: self._rarity(len(rows)) for word, rows in counts.items()}
        names = [sum(rarity[word] for word in set(fields[0])) for fields in tools]
        weighed: dict[str, _Word] = {}
        for word, rows in counts.items():
            weighed[word] = _Word([], [])
            for row, times in rows.items():
                found = sum(
                    weight * times[n] / (1 - _LENGTHS[n] + _LENGTHS[n] * lengths[row][n])
                    for n, weight in enumerate(_WEIGHTS)
                    if times[n]
                )
                weight = rarity[word] ** _RARE * found * (_SATURATION + 1) / (_SATURATION + found)
                weighed[word].tools.append((row, weight))
                if times[0]:
                    weighed[word].names.append((row, rarity[word] / names[row]))
        return weighed


def _add(to: list[float], found: Iterable[tuple[int, float]], times: float) -> None:
    for row, weight in found:
        to[row] += weight * times


def _side_by_side(tools: Sequence[Fields]) -> dict[tuple[str, str], list[int]]:
    """Returns for two words the tools in which they stand side by side."""
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, fields in enumerate(tools):
        for pair in dict.fromkeys(pair for words in fields[:_IN_ORDER] for pair in pairwise(words)):
            found[pair].append(row)
    return dict(found)


class _Stemmer:
    """FTS5's porter stemmer, which SQLite offers through an index only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        told = "fts5(words, tokenize='porter unicode61')"
        self._file.execute(f"CREATE VIRTUAL TABLE texts USING {told}")
        self._file.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(texts, instance)")

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        """Returns the stems of each text in their order."""
        found: list[list[tuple[int, str]]] = [[] for _ in texts]
        with self._lock:
            self._file.execute("BEGIN")
            try:
                rows = enumerate(texts)
                self._file.executemany("INSERT INTO texts (rowid, words) VALUES (?, ?)", rows)
                for word, row, place in self._file.execute("SELECT term, doc, offset FROM stems"):
                    found[row].append((place, word))
            finally:
                self._file.execute("ROLLBACK")
        return [[word for _, word in sorted(places)] for places in found]


class _Synonyms(NamedTuple):
    """The table of synonyms, stemmed."""

    stand_for: Mapping[str, set[str]]
    polite: frozenset[str]
    stems: Mapping[str, Sequence[str]]

    def others(self, words: Mapping[str, int], text: str) -> set[str]:
        """Returns what the words of a question and its form stand for."""
        found = {other for word in words for other in self.stand_for.get(word, ())}
        return found.union(*(self.stems[word] for word in implied(text).split()))


@functools.cache
def _synonyms() -> _Synonyms:
    lines = [*alike()]
    told = {word for line in lines for side in line for word in side}
    words = sorted({*POLITE.split(), *forms(), *told})
    stems = dict(zip(words, _Stemmer()([spelled(word) for word in words]), strict=True))
    stand_for: defaultdict[str, set[str]] = defaultdict(set)
    for alike_words, others in lines:
        meant = {stem for word in others for stem in stems[word]}
        for stem in (stem for word in alike_words for stem in stems[word]):
            stand_for[stem] |= meant - {stem}
    polite = frozenset(stem for word in POLITE.split() for stem in stems[word])
    return _Synonyms(stand_for, polite, stems)


def spelled(text: str) -> str:
    """Returns the search tokens of a text, the words of names apart."""
    apart = _JOINTS.sub(" ", _CAMEL.sub(" ", text))
    return " ".join(word for word in index_text(apart).split() if word not in STOP_WORDS)


def _fields(function: Mapping[str, Any]) -> Iterator[str]:
    schema: Any = next((function[key] for key in _SCHEMAS if function.get(key)), {})
    told = list(_parameters(schema))
    description = str(function.get("description") or "")
    yield spelled(str(function["name"]))
    yield spelled(description)
    for one in "nac":
        yield spelled(" ".join(text for kind, text in told if kind == one))
    yield spelled(_SENTENCE.split(description, maxsplit=1)[0])


def _parameters(schema: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yields ("n", the name), ("a", the description) and ("c", the choices) of parameters."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    properties = schema.get("properties")
    for name, entry in properties.items() if isinstance(properties, Mapping) else ():
        yield "n", str(name)
        if isinstance(entry, Mapping):
            yield "a", str(entry.get("description") or "")
            choices = entry.get("enum")
            if isinstance(choices, list):
                yield "c", " ".join(map(str, choices))
            yield from _parameters(entry, depth + 1)
            yield from _parameters(entry.get("items"), depth + 1)
