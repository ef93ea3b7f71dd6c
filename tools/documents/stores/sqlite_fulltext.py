"""Full-text search in one collection of an index file: FTS5, and a snapshot of it for speed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice

import numpy as np

from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.tokens import index_text
from qwenbelt.tools.documents.stores.fulltext_snapshot import (
    BATCH,
    GROWTH,
    LEAST,
    Floats,
    Places,
    Snapshot,
    best,
    lists,
    stems_of,
    table,
)
from qwenbelt.tools.documents.stores.narrowing import Ranked
from qwenbelt.tools.documents.stores.sqlite_schema import Connections, revision, touch

Range = tuple[int, int]  # first and last chunk id


class FullText:
    """The search tokens of a collection's chunks."""

    def __init__(self, connections: Connections, collection: int) -> None:
        self._connections = connections
        self._collection = collection
        self._words = f"words_{collection}"
        self._fast = f"fast_{collection}"
        self._held: tuple[int, Places, int] | None = None  # until a change
        self._last: tuple[int, tuple[str, ...], Floats] | None = None

    def put(self, connection: sqlite3.Connection, number: int, chunk: Chunk, text: str) -> int:
        """Takes in a chunk; returns how many tokens it has."""
        body, context = _indexed(text, chunk.section, chunk.context)
        connection.execute(
            f"INSERT INTO {self._words} (rowid, body, context) VALUES (?, ?, ?)",  # noqa: S608
            (number, body, context),
        )
        return len(body.split()) + len(context.split())

    def drop(self, connection: sqlite3.Connection, document: int) -> None:
        """Forgets the chunks of a document; FTS5 needs the same tokens again for that."""
        rows = connection.execute(
            """SELECT c.id, p.text, c.start, c.stop, c.section, c.context FROM chunks c
            JOIN pages p ON p.document = c.document AND p.number = c.page WHERE c.document = ?""",
            (document,),
        ).fetchall()
        for chunk, text, start, stop, section, context in rows:
            connection.execute(
                f"INSERT INTO {self._words} ({self._words}, rowid, body, context) "  # noqa: S608
                "VALUES ('delete', ?, ?, ?)",
                (chunk, *_indexed(text[start:stop], section, context)),
            )

    def ranked(self, terms: Sequence[str], limit: int, ranges: Sequence[Range] | None) -> Ranked:
        """Returns the chunks that fit best, best first.

        Args:
            terms: search tokens; those of the same stem count once.
            limit: at most this many.
            ranges: chunks to choose from; all for None.
        """
        with self._connections.reading() as connection:
            stems = stems_of(connection, terms)
            if not stems:
                return []
            state, ids, newest = self._covered(connection)
            found: Ranked = []
            if len(ids):
                scores = self._scores(connection, state, tuple(stems), len(ids))
                places = best(scores, limit, places_within(ids, ranges))
                found = [(int(ids[p]), float(scores[p])) for p in places]
            after = int(ids[-1]) if len(ids) else 0
            words = " OR ".join(f'"{term}"' for term in stems.values())
            for low, high in ranges or [(0, newest)]:
                if high > after:
                    found += self._by_rows(connection, words, limit, (max(low, after + 1), high))
        return sorted(found, key=lambda entry: (-entry[1], entry[0]))[:limit]

    def _scores(
        self, connection: sqlite3.Connection, state: int, stems: tuple[str, ...], size: int
    ) -> Floats:
        """Returns the scores of all chunks that the snapshot covers; the last ones are kept.

        A question is searched for in all documents, and then in those that it names.
        """
        last = self._last
        if last is None or last[:2] != (state, stems):
            last = state, stems, Snapshot(connection, self._fast).scores(stems, size)
            self._last = last
        return last[2]

    def _covered(self, connection: sqlite3.Connection) -> tuple[int, Places, int]:
        """Returns the revision, the chunks that the snapshot covers, and the newest chunk."""
        state = revision(connection, self._collection)
        held = self._held
        if held is None or held[0] != state:
            (newest,) = connection.execute(
                "SELECT coalesce(max(last_chunk), 0) FROM documents WHERE collection = ?",
                (self._collection,),
            ).fetchone()
            held = state, Snapshot(connection, self._fast).ids(), newest
            self._held = held
        return held

    def _by_rows(
        self, connection: sqlite3.Connection, words: str, limit: int, within: Range
    ) -> Ranked:
        rows = connection.execute(
            f"SELECT rowid, -rank FROM {self._words} WHERE {self._words} MATCH ? "  # noqa: S608
            "AND rowid BETWEEN ? AND ? ORDER BY rank LIMIT ?",
            (words, *within, limit),
        )
        return rows.fetchall()

    def settle(self) -> None:
        """Makes the snapshot again when too many chunks are new or gone."""
        with self._connections.reading() as connection:
            covered = len(Snapshot(connection, self._fast).ids())
            (total,) = connection.execute(
                """SELECT coalesce(sum(last_chunk - first_chunk + 1), 0) FROM documents
                WHERE collection = ? AND last_chunk > 0""",
                (self._collection,),
            ).fetchone()
        if total < LEAST or (total <= GROWTH * covered and covered <= GROWTH * total):
            return
        self._make()

    def _sizes(self, connection: sqlite3.Connection) -> tuple[Places, np.ndarray]:
        rows = connection.execute(
            """SELECT c.id, c.tokens FROM documents d JOIN chunks c ON c.document = d.id
            WHERE d.collection = ?""",
            (self._collection,),
        ).fetchall()
        pairs = np.array(rows, np.int64).reshape(-1, 2)
        pairs = pairs[np.argsort(pairs[:, 0])]
        return pairs[:, 0].astype(np.uint32), pairs[:, 1].astype(np.float32)

    def _make(self) -> None:
        """Reads one state of the index on a connection of its own, writes in small steps."""
        made = f"{self._fast}_made"
        with self._connections.writing() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {made}")
            connection.execute(table(made))
        reader = self._connections.another()
        try:
            reader.execute("BEGIN")
            found = lists(reader, self._words, *self._sizes(reader))
            while batch := list(islice(found, BATCH)):
                with self._connections.writing() as connection:
                    connection.executemany(
                        f"INSERT INTO {made} VALUES (?, ?, ?, ?)",  # noqa: S608
                        batch,
                    )
        finally:
            reader.close()
        with self._connections.writing() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self._fast}")
            connection.execute(f"ALTER TABLE {made} RENAME TO {self._fast}")
            touch(connection, self._collection)


def places_within(ids: Places, ranges: Sequence[Range] | None) -> np.ndarray | None:
    """Returns the places of those sorted chunk ids that are within ranges, or None for all."""
    if ranges is None:
        return None
    found, end = [np.zeros(0, np.intp)], 0
    for low, high in sorted(ranges):
        first, last = np.searchsorted(ids, np.array([low, high + 1], ids.dtype))
        found.append(np.arange(max(first, end), last))
        end = max(end, int(last))
    return np.concatenate(found)


def _indexed(text: str, section: str, context: str) -> tuple[str, str]:
    return index_text(text), index_text(f"{section}\n{context}")
