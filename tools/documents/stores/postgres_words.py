"""The words of a collection in PostgreSQL: lists of our own, and how they are put in order.

A finished document adds one row with all of its words (`packed`): cheap to write, and readers take
each row over once. When there are many such rows, they become a segment: a row a word with the list
of its chunks (`postings`). Segments never change; four of about a size become one. So a question
reads a few lists by their key, whoever added the documents, and nobody waits for anybody.

What is removed is written down (`dead`) and left out until its segment is written again.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from qwenbelt.tools.documents.stores.fulltext_snapshot import Places
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.postings import (
    Counts,
    Packed,
    from_bytes,
    joined,
    to_bytes,
)

ROWS = 64  # documents that are read on their own; more become a segment
CHUNKS = 20_000  # and so many chunks of them, at most
SMALLEST = 4096  # chunks; segments below are of one size
FACTOR = 4  # segments of a size become one; the next size has so many times the chunks
SPOILED = 0.2  # of a segment that is dead has it written again
_BATCH = 500  # lists that a cursor fetches at a time

Lists = Iterable[tuple[str, Places, Counts]]


class Rows(NamedTuple):
    """What a segment says of its chunks, in order of its places."""

    ids: Any
    lengths: Any
    documents: Any  # in order of places
    starts: Any  # the first place of each

    def kept(self, dead: Sequence[int]) -> Any:
        """Returns which places are not of these documents."""
        mask = np.ones(len(self.ids), bool)
        for number in np.flatnonzero(np.isin(self.documents, dead)):
            stop = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.ids)
            mask[self.starts[number] : stop] = False
        return mask


def put(connection: Any, collection: int, document: int, ids: Sequence[int], words: Packed) -> None:
    """Stores the words of a document."""
    connection.execute(
        """INSERT INTO qwenbelt.packed VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING""",
        (
            document,
            collection,
            len(ids),
            np.array(ids, "<i8").tobytes(),
            words.lengths.astype("<u4").tobytes(),
            "\n".join(words.terms),
            words.ends.astype("<u4").tobytes(),
            to_bytes(words.places, words.counts),
        ),
        binary=True,
    )


def taken(row: Sequence[Any]) -> tuple[int, Any, Packed]:
    """Returns document, ids of chunks and words of a row of `packed`.

    Args:
        row: `document, ids, lengths, terms, ends, lists`.
    """
    document, ids, lengths, terms, ends, lists = row
    words = Packed(
        np.frombuffer(lengths, "<u4"),
        terms.split("\n") if terms else [],
        np.frombuffer(ends, "<u4"),
        *from_bytes(lists),
    )
    return document, np.frombuffer(ids, "<i8"), words


def drop(connection: Any, collection: int, document: int) -> None:
    """Has the words of a document found no more."""
    query = "DELETE FROM qwenbelt.packed WHERE document = %s"
    if not connection.execute(query, (document,)).rowcount:
        connection.execute(
            "INSERT INTO qwenbelt.dead VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (collection, document),
        )


def rows_of(row: Sequence[Any]) -> Rows:
    """Returns what a segment's row `ids, lengths, documents, starts` says."""
    return Rows(
        *(np.frombuffer(d, t) for d, t in zip(row, ("<i8", "<u4", "<i8", "<u4"), strict=True))
    )


class Tidying:
    """Puts a collection's words in order: rows become segments, segments larger ones."""

    def __init__(self, server: Server, collection: int) -> None:
        self._server, self._collection = server, collection

    def run(self, rows: int = ROWS) -> None:
        """Does what is due, unless another process is at it.

        Args:
            rows: documents that may stay on their own.
        """
        with self._server.alone(self._collection) as alone:
            while alone and self._step(rows):
                pass

    def _step(self, rows: int) -> bool:
        ((count, chunks),) = self._server.rows(
            """SELECT count(*), coalesce(sum(p.chunks), 0) FROM qwenbelt.packed p
            JOIN qwenbelt.documents d ON d.id = p.document AND d.state = 'ready'
            WHERE p.collection = %s""",
            self._collection,
        )
        if count > rows or chunks > CHUNKS:
            self._take_rows()
            return True
        sizes = self._server.rows(
            "SELECT id, chunks FROM qwenbelt.segments WHERE collection = %s ORDER BY id",
            self._collection,
        )
        by_size: dict[int, list[int]] = {}
        for number, size in sizes:
            level = max(0, math.floor(math.log(max(size, 1) / SMALLEST, FACTOR)) + 1)
            by_size.setdefault(level, []).append(number)
        full = [some for some in by_size.values() if len(some) >= FACTOR]
        if not full:
            full = [[number] for number in self._spoiled()]
        if full:
            self._join(full[0])
        return bool(full)

    def _dead(self) -> list[int]:
        query = "SELECT document FROM qwenbelt.dead WHERE collection = %s"
        return [document for (document,) in self._server.rows(query, self._collection)]

    def _spoiled(self) -> Iterator[int]:
        dead = self._dead()
        if not dead:
            return
        query = """SELECT ids, lengths, documents, starts, id FROM qwenbelt.segments
            WHERE collection = %s"""
        with self._server.get().cursor(binary=True) as cursor:
            for *row, number in cursor.execute(query, (self._collection,)).fetchall():
                kept = rows_of(row).kept(dead)
                if (~kept).sum() > SPOILED * len(kept):
                    yield number

    def _take_rows(self) -> None:
        """Makes a segment of the documents that are on their own."""
        with self._server.get().cursor(binary=True) as cursor:
            found = cursor.execute(
                """SELECT p.document, p.ids, p.lengths, p.terms, p.ends, p.lists
                FROM qwenbelt.packed p
                JOIN qwenbelt.documents d ON d.id = p.document AND d.state = 'ready'
                WHERE p.collection = %s ORDER BY p.document LIMIT 2000""",
                (self._collection,),
            ).fetchall()
        parts = [taken(row) for row in found]
        sizes = [len(ids) for _, ids, _ in parts]
        rows = Rows(
            np.concatenate([ids for _, ids, _ in parts]),
            np.concatenate([words.lengths for _, _, words in parts]),
            np.array([document for document, _, _ in parts]),
            np.cumsum([0, *sizes[:-1]]),
        )
        connection = self._server.another()
        try:
            with connection.transaction():
                self._write(connection, rows, joined([words for _, _, words in parts]))
                self._lock(connection)
                gone = connection.execute(
                    "DELETE FROM qwenbelt.packed WHERE document = ANY(%s) RETURNING document",
                    (rows.documents.tolist(),),
                ).fetchall()
                # removed while this went on
                missing = set(rows.documents.tolist()) - {document for (document,) in gone}
                for document in missing:
                    drop(connection, self._collection, document)
        finally:
            connection.close()

    def _join(self, numbers: Sequence[int]) -> None:
        """Makes one segment of several, without what is dead."""
        dead = self._dead()
        reader, writer = self._server.another(), self._server.another()
        try:
            with reader.transaction(), writer.transaction():
                reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                with reader.cursor(binary=True) as cursor:
                    found = cursor.execute(
                        """SELECT ids, lengths, documents, starts FROM qwenbelt.segments
                        WHERE id = ANY(%s) ORDER BY array_position(%s::bigint[], id)""",
                        (list(numbers), list(numbers)),
                    ).fetchall()
                parts = [rows_of(row) for row in found]
                kept = [part.kept(dead) for part in parts]
                rows = _joined_rows(parts, kept, dead)
                self._write(writer, rows, _joined_lists(reader, numbers, kept))
                self._lock(writer)
                for table, column in (("segments", "id"), ("postings", "segment")):
                    query = f"DELETE FROM qwenbelt.{table} WHERE {column} = ANY(%s)"  # noqa: S608
                    writer.execute(query, (list(numbers),))
                purged = [int(d) for part in parts for d in part.documents if int(d) in set(dead)]
                writer.execute(
                    "DELETE FROM qwenbelt.dead WHERE collection = %s AND document = ANY(%s)",
                    (self._collection, purged),
                )
        finally:
            reader.close()
            writer.close()

    def _lock(self, connection: Any) -> None:
        self._server.lock(connection, self._collection)
        connection.execute(
            "UPDATE qwenbelt.collections SET revision = revision + 1 WHERE id = %s",
            (self._collection,),
        )

    def _write(self, connection: Any, rows: Rows, lists: Lists) -> None:
        if not len(rows.ids):
            return
        kinds = ("<i8", "<u4", "<i8", "<u4")
        data = [
            np.asarray(column).astype(kind).tobytes()
            for column, kind in zip(rows, kinds, strict=True)
        ]
        ((number,),) = connection.execute(
            """INSERT INTO qwenbelt.segments (collection, chunks, ids, lengths, documents, starts)
            VALUES (%s, %s, %s, %s, %s, %s) RETURNING id""",
            (self._collection, len(rows.ids), *data),
        ).fetchall()
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY qwenbelt.postings FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.set_types(["int8", "text", "bytea"])
            for term, places, counts in lists:
                copy.write_row((number, term, to_bytes(places, counts)))


def _joined_rows(parts: Sequence[Rows], kept: Sequence[Any], dead: Sequence[int]) -> Rows:
    documents, starts, base = [], [], 0
    for part, mask in zip(parts, kept, strict=True):
        before = np.concatenate([[0], np.cumsum(mask)])  # places that are kept before each
        alive = ~np.isin(part.documents, dead)
        documents.append(part.documents[alive])
        starts.append(before[part.starts[alive]] + base)
        base += int(mask.sum())
    return Rows(
        np.concatenate([part.ids[mask] for part, mask in zip(parts, kept, strict=True)]),
        np.concatenate([part.lengths[mask] for part, mask in zip(parts, kept, strict=True)]),
        np.concatenate(documents),
        np.concatenate(starts),
    )


def _joined_lists(reader: Any, numbers: Sequence[int], kept: Sequence[Any]) -> Lists:
    """Yields the lists of segments as one, by word."""
    moved, base = [], 0
    for mask in kept:
        moved.append((np.cumsum(mask) - 1 + base, mask))
        base += int(mask.sum())

    def read(order: int) -> Iterator[tuple[str, int, bytes]]:
        # a cursor on the server: a segment's lists are not held at once
        with reader.cursor(f"lists_{order}", binary=True) as cursor:
            cursor.itersize = _BATCH
            cursor.execute(
                "SELECT term, list FROM qwenbelt.postings WHERE segment = %s ORDER BY term",
                (numbers[order],),
            )
            for term, data in cursor:
                yield term, order, data

    merged = heapq.merge(*(read(order) for order in range(len(numbers))), key=itemgetter(0, 1))
    for term, group in groupby(merged, key=itemgetter(0)):
        places, counts = [], []
        for _, order, data in group:
            here, count = from_bytes(data)
            where, mask = moved[order]
            if not mask.all():
                here, count = here[mask[here]], count[mask[here]]
            places.append(where[here])
            counts.append(count)
        if sum(map(len, places)):
            yield term, np.concatenate(places), np.concatenate(counts)
