"""Vectors of one collection's chunks in an index file, compared in memory.

One vector a chunk is read once and kept as int8 until documents change: 40 MB for 100 000 chunks of
384 numbers, compared block by block. The vectors of its parts are read for the best chunks only.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.sentence_vectors import DEEPER, middle, others, sharpened
from qwenbelt.tools.documents.search.vector_cache import Small
from qwenbelt.tools.documents.store import Unplaced
from qwenbelt.tools.documents.stores.fulltext_snapshot import Places, best
from qwenbelt.tools.documents.stores.narrowing import Ranked
from qwenbelt.tools.documents.stores.sqlite_fulltext import Range, places_within
from qwenbelt.tools.documents.stores.sqlite_schema import Connections, revision, touch

BLOCK = 1024  # rows that are widened at a time, so that they stay in the cache
_ASKED = 500  # chunks a query


class VectorTable:
    """The vectors of a collection's chunks."""

    def __init__(self, connections: Connections, collection: int) -> None:
        self._connections = connections
        self._collection = collection
        self._held: tuple[object, Places, Small, Vectors] | None = None
        self._lock = threading.Lock()

    def missing(self, model: str, limit: int) -> list[Unplaced]:
        """Returns chunks without a vector of this model."""
        query = """SELECT c.id, c.kind, c.section, c.context,
            substr(p.text, c.start + 1, c.stop - c.start)
            FROM documents d JOIN chunks c ON c.document = d.id
            JOIN pages p ON p.document = d.id AND p.number = c.page
            WHERE d.collection = ? AND NOT EXISTS
            (SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.model = ?)
            ORDER BY c.id LIMIT ?"""
        rows = self._connections.get().execute(query, (self._collection, model, limit))
        return [Unplaced(*row) for row in rows]

    def put(self, model: str, chunks: Sequence[int], rows: Sequence[Small]) -> None:
        """Stores the vectors of parts; a chunk that was removed meanwhile is passed over."""
        with self._connections.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO vectors SELECT id, ?, ?, ? FROM chunks WHERE id = ?",
                [
                    (model, middle(parts).tobytes(), others(parts), n)
                    for n, parts in zip(chunks, rows, strict=True)
                ],
            )
            touch(connection, self._collection)

    def ranked(
        self, model: str, vector: Vectors, limit: int, ranges: Sequence[Range] | None
    ) -> Ranked:
        """Returns the chunks that point the same way, best first (see `parts.sharpened`)."""
        ids, rows, lengths = self._load(model)
        if not len(ids):
            return []
        if rows.shape[1] != len(vector):
            return []  # another size under the same name: made by another version of the model
        scores = cosines(rows, vector) / lengths
        places = best(scores, DEEPER * limit, places_within(ids, ranges))
        found = [(int(ids[p]), float(scores[p])) for p in places]
        return sharpened(found, self._stored(model, [n for n, _ in found]), vector, limit)

    def _stored(self, model: str, chunks: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for first in range(0, len(chunks), _ASKED):
            part = chunks[first : first + _ASKED]
            marks = ",".join("?" * len(part))
            query = f"SELECT chunk, parts FROM vectors WHERE model = ? AND chunk IN ({marks})"  # noqa: S608
            found.update(self._connections.get().execute(query, (model, *part)).fetchall())
        return found

    def _load(self, model: str) -> tuple[Places, Small, Vectors]:
        with self._lock, self._connections.reading() as connection:
            state = (model, revision(connection, self._collection))
            if self._held is None or self._held[0] != state:
                found = connection.execute(
                    """SELECT v.chunk, v.data FROM documents d JOIN chunks c ON c.document = d.id
                    JOIN vectors v ON v.chunk = c.id AND v.model = ?
                    WHERE d.collection = ? ORDER BY v.chunk""",
                    (model, self._collection),
                ).fetchall()
                ids = np.array([chunk for chunk, _ in found], np.uint32)
                data = np.frombuffer(b"".join(data for _, data in found), np.int8)
                rows = data.reshape(len(ids), -1) if len(ids) else np.zeros((0, 1), np.int8)
                self._held = (state, ids, rows, lengths_of(rows))
            return self._held[1:]


def lengths_of(rows: Small) -> Vectors:
    """Returns the length of each row, at least 1."""
    found = np.ones(len(rows), np.float32)
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK].astype(np.float32)
        found[first : first + BLOCK] = np.linalg.norm(block, axis=1)
    return np.maximum(found, 1.0)


def cosines(rows: Small, vector: Vectors) -> Vectors:
    """Returns the products of rows and a vector, in blocks, so that memory stays small.

    Not by BLAS: its threads wait for each other longer than this takes.
    """
    found = np.empty(len(rows), np.float32)
    wide = np.empty((min(BLOCK, len(rows)), rows.shape[1]), np.float32)
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        part = wide[: len(block)]
        part[...] = block
        np.einsum("ij,j->i", part, vector, out=found[first : first + len(block)])
    return found
