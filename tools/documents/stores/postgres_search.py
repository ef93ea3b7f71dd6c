"""Searching an index in PostgreSQL: by words (tsvector, GIN) and by meaning (pgvector).

PostgreSQL's own ranking does not know how rare a word is, so it only finds: the chunks that have
most of the question's rare words. Those are scored by BM25 with the same constants as SQLite's.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.sentence_vectors import DEEPER, middle, others, sharpened
from qwenbelt.tools.documents.search.stems import Stemmer, rarest, rarity
from qwenbelt.tools.documents.search.vector_cache import Small, large
from qwenbelt.tools.documents.store import Scope
from qwenbelt.tools.documents.stores.fulltext_snapshot import K1, B, best
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.sqlite_fulltext import Ranked
from qwenbelt.tools.documents.stores.sqlite_vectors import cosines, lengths_of

MOST = 30_000  # chunks that are looked at for one question
SCORED = 300  # of those that are scored exactly, at least
_HEAVY = "A"  # marks words of section titles and table headers


def word_vector(counts: Mapping[str, float]) -> str:
    """Returns a tsvector's text: each stem with a place for each time that it occurs."""
    parts = []
    for word, count in counts.items():
        quoted = word.replace("\\", "\\\\").replace("'", "''")
        heavy, light = divmod(int(count), 2)  # words of the context count twice
        places = [f"{n + 1}{_HEAVY}" for n in range(min(heavy, 100))]
        places += [str(101 + n) for n in range(light)]
        parts.append(f"'{quoted}':{','.join(places)}")
    return " ".join(parts)


class WordSearch:
    """Finds chunks of a collection by words."""

    def __init__(self, server: Server, collection: int, stemmer: Stemmer) -> None:
        self._server, self._collection, self._stemmer = server, collection, stemmer

    def ranked(self, terms: Sequence[str], limit: int, scope: Scope) -> Ranked:
        """Returns the chunks that fit best, best first, with their BM25."""
        stems = [stem for stem in dict.fromkeys(self._stemmer.stems(terms)) if stem]
        counts = {
            word: int(count)
            for word, count in self._server.rows(
                "SELECT word, count FROM qwenbelt.words WHERE collection = %s AND word = ANY(%s)",
                self._collection,
                stems,
            )
            if count > 0
        }
        if not counts:
            return []
        ((total, tokens),) = self._server.rows(
            """SELECT coalesce(sum(chunks), 0), coalesce(sum(tokens), 0) FROM qwenbelt.documents
            WHERE collection = %s AND state = 'ready'""",
            self._collection,
        )
        weights = {word: rarity(count, int(total)) for word, count in counts.items()}
        mean = max(float(tokens) / max(int(total), 1), 1.0)
        found = self._candidates(counts, weights, max(SCORED, limit), scope)
        return self._scored(found, weights, mean)[:limit]

    def _candidates(
        self, counts: Mapping[str, int], weights: Mapping[str, float], limit: int, scope: Scope
    ) -> list[int]:
        narrow = scope.documents is not None and len(scope.documents) < 50
        finders = list(counts) if narrow else rarest(counts, MOST)
        where, values = scope_filter(scope)
        score = " + ".join(["(words @@ %s::tsquery)::int * %s::real"] * len(weights))
        scored = [v for word, w in weights.items() for v in (query_of([word]), w)]
        rows = self._server.rows(
            f"""SELECT id FROM qwenbelt.chunks WHERE collection = %s AND words @@ %s::tsquery
            {where} ORDER BY {score} DESC, id LIMIT %s""",  # noqa: S608 - constant text
            self._collection,
            query_of(finders),
            *values,
            *scored,
            limit,
        )
        return [chunk for (chunk,) in rows]

    def _scored(self, chunks: list[int], weights: Mapping[str, float], mean: float) -> Ranked:
        scores: dict[int, float] = {}
        for chunk, tokens, word, marks in self._server.rows(
            """SELECT c.id, c.tokens, u.lexeme, u.weights FROM qwenbelt.chunks c,
            unnest(c.words) u WHERE c.id = ANY(%s) AND u.lexeme = ANY(%s)""",
            chunks,
            list(weights),
        ):
            count = sum(2.0 if mark == _HEAVY else 1.0 for mark in marks)
            scale = K1 * (1 - B + B * tokens / mean)
            scores[chunk] = scores.get(chunk, 0.0) + weights[word] * count * (K1 + 1) / (
                count + scale
            )
        return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


def query_of(words: Sequence[str]) -> str:
    """Returns the tsquery that any of the words fulfils."""
    return " | ".join("'" + w.replace("\\", "\\\\").replace("'", "''") + "'" for w in words)


def scope_filter(scope: Scope, table: str = "") -> tuple[str, list[Any]]:
    """Returns what a query's WHERE needs to stay within a scope, and its values."""
    parts: list[str] = []
    values: list[Any] = []
    if scope.documents is not None:
        parts.append(f" AND {table}document = ANY(%s)")
        values.append(list(scope.documents))
    if scope.pages is not None:
        parts.append(f" AND {table}page = ANY(%s)")
        values.append(list(scope.pages))
    if scope.section:
        parts.append(f" AND strpos(lower({table}section), %s) > 0")
        values.append(scope.section.lower())
    return "".join(parts), values


class VectorSearch:
    """Finds chunks of a collection by their vectors; in the database where it has pgvector."""

    def __init__(self, server: Server, collection: int) -> None:
        self._server, self._collection = server, collection
        self._held: tuple[object, list[int], Small] | None = None
        self._lock = threading.Lock()

    def put(
        self, connection: Any, model: str, chunks: Sequence[int], rows: Sequence[Small]
    ) -> None:
        """Stores the vectors of parts; those of chunks that are gone are passed over."""
        middles = [middle(parts) for parts in rows]
        with connection.cursor() as cursor:
            if self._server.has_vectors:
                cursor.executemany(
                    """INSERT INTO qwenbelt.placed SELECT id, %s, %s::vector FROM qwenbelt.chunks
                    WHERE id = %s ON CONFLICT DO NOTHING""",
                    [
                        (model, _text(v), n)
                        for n, v in zip(chunks, large(np.array(middles)), strict=True)
                    ],
                )
            cursor.executemany(
                """INSERT INTO qwenbelt.vectors SELECT id, %s, %s, %s FROM qwenbelt.chunks
                WHERE id = %s ON CONFLICT DO NOTHING""",
                [
                    (model, v.tobytes(), others(parts), n)
                    for n, v, parts in zip(chunks, middles, rows, strict=True)
                ],
            )

    def ranked(self, model: str, vector: Vectors, limit: int, scope: Scope) -> Ranked:
        """Returns the chunks that point the same way, best first (see `parts.sharpened`)."""
        found = self._by_middle(model, vector, DEEPER * limit, scope)
        stored = self._server.rows(
            "SELECT chunk, parts FROM qwenbelt.vectors WHERE model = %s AND chunk = ANY(%s)",
            *(model, [chunk for chunk, _ in found]),
        )
        return sharpened(found, {int(n): bytes(parts) for n, parts in stored}, vector, limit)

    def _by_middle(self, model: str, vector: Vectors, limit: int, scope: Scope) -> Ranked:
        where, values = scope_filter(scope, "c.")
        if self._server.has_vectors:
            found = self._server.rows(
                f"""SELECT c.id, 1 - (p.place <=> %s::vector) FROM qwenbelt.chunks c
                JOIN qwenbelt.placed p ON p.chunk = c.id AND p.model = %s
                WHERE c.collection = %s {where} ORDER BY p.place <=> %s::vector LIMIT %s""",  # noqa: S608
                *(_text(vector), model, self._collection, *values, _text(vector), limit),
            )
            return [(int(chunk), float(score)) for chunk, score in found]
        ids, rows = self._load(model)
        if not ids or rows.shape[1] != len(vector):
            return []
        inside = self._server.rows(
            f"SELECT c.id FROM qwenbelt.chunks c WHERE c.collection = %s {where}",  # noqa: S608
            *(self._collection, *values),
        )
        mask = None if not where else np.isin(ids, [chunk for (chunk,) in inside])
        scores = cosines(rows, vector) / lengths_of(rows)
        return [(ids[p], float(scores[p])) for p in best(scores, limit, mask)]

    def _load(self, model: str) -> tuple[list[int], Small]:
        with self._lock:
            state = (model, revision(self._server, self._collection))
            if self._held is None or self._held[0] != state:
                found = self._server.rows(
                    """SELECT v.chunk, v.data FROM qwenbelt.vectors v JOIN qwenbelt.chunks c
                    ON c.id = v.chunk WHERE c.collection = %s AND v.model = %s ORDER BY 1""",
                    self._collection,
                    model,
                )
                data = np.frombuffer(b"".join(data for _, data in found), np.int8)
                rows = data.reshape(len(found), -1) if found else np.zeros((0, 1), np.int8)
                self._held = (state, [int(chunk) for chunk, _ in found], rows)
            return self._held[1:]


def revision(server: Server, collection: int) -> int:
    """Returns a number that grows when the collection's documents or vectors change."""
    ((found,),) = server.rows("SELECT revision FROM qwenbelt.collections WHERE id = %s", collection)
    return int(found)


def _text(vector: Vectors) -> str:
    return "[" + ",".join(f"{value:.5g}" for value in vector) + "]"
