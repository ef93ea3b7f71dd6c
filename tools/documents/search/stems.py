"""Search tokens become stems outside of SQLite's own tables, by the same tokenizer.

So that all backends find the same: FTS5's porter stemmer is asked through a small table in memory.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from qwenbelt.core.processes.per_process import per_process
from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.tokens import index_text
from qwenbelt.tools.documents.stores.fulltext_snapshot import SECTION_WEIGHT, stem_rows

MAX_HELD = 200_000  # words whose stems are kept
_ROUND = 20_000  # words that are stemmed at a time


class Stemmer:
    """Stems words as the SQLite store does; may be used from many threads."""

    def __init__(self) -> None:
        self._file = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()

    def stems(self, words: Iterable[str]) -> list[str]:
        """Returns the stem of each word."""
        given = list(words)
        with self._lock:
            new = [w for w in dict.fromkeys(given) if w not in self._held]
            if len(self._held) > MAX_HELD:
                self._held.clear()
                new = list(dict.fromkeys(given))
            for first in range(0, len(new), _ROUND):
                self._learn(new[first : first + _ROUND])
            return [self._held[w] for w in given]

    def _learn(self, words: list[str]) -> None:
        self._held.update(dict.fromkeys(words, ""))
        self._held.update((words[row], stem) for row, stem in stem_rows(self._file, words))

    def counts(self, chunks: Iterable[tuple[Chunk, str]]) -> list[tuple[dict[str, float], int]]:
        """Returns how often each stem is in chunks, and their lengths.

        Words of titles and table headers are weighed; lengths count tokens, as BM25 needs it.
        """
        texts = [
            (index_text(text).split(), index_text(f"{chunk.section}\n{chunk.context}").split())
            for chunk, text in chunks
        ]
        words = list({word for pair in texts for part in pair for word in part})
        known = dict(zip(words, self.stems(words), strict=True))
        return [
            (_counted(body, context, known), len(body) + len(context)) for body, context in texts
        ]

    def close(self) -> None:
        """Lets go of the table."""
        self._file.close()


# documents and conversations say much in the same words: what one has learnt serves the others
shared_stemmer = per_process(Stemmer)


def _counted(
    body: Iterable[str], context: Iterable[str], known: Mapping[str, str]
) -> dict[str, float]:
    counts: Counter[str] = Counter([known[word] for word in body])
    for word in context:
        counts[known[word]] += SECTION_WEIGHT  # type: ignore[assignment]
    counts.pop("", None)
    return dict(counts)


def rarity(count: int, total: int) -> float:
    """Returns the weight of a word that `count` of `total` chunks have; FTS5's formula."""
    return max(math.log((total - count + 0.5) / (count + 0.5)), 1e-6)


def rarest(counts: Mapping[str, int], most: int) -> list[str]:
    """Returns the words that fewest chunks have, as long as no more than `most` have any of them.

    The rarest is always among them.
    """
    chosen: list[str] = []
    total = 0
    for word, count in sorted(counts.items(), key=lambda entry: entry[1]):
        total += count
        if chosen and total > most:
            break
        chosen.append(word)
    return chosen
