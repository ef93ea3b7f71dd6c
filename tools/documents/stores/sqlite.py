"""The embedded store: one SQLite file with full-text search (FTS5, BM25).

A document is known by its content; `names` maps paths to it, with their version. What
is being read is not seen before it is complete. Chunks of a document have successive ids, so that
a search inside one document is a range of the full-text table.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.notes import stored_notes
from qwenbelt.tools.documents.parsing.page_rows import PAGE_COLUMNS, page_of, page_row, to_json
from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.vector_cache import Small
from qwenbelt.tools.documents.store import (
    Document,
    DocumentFile,
    Match,
    Outline,
    Passage,
    Scope,
    Unplaced,
)
from qwenbelt.tools.documents.stores.narrowing import Ranked, best_within
from qwenbelt.tools.documents.stores.sqlite_fulltext import FullText, Range
from qwenbelt.tools.documents.stores.sqlite_schema import Connections, revision, touch
from qwenbelt.tools.documents.stores.sqlite_sources import Source, log_added, log_removed
from qwenbelt.tools.documents.stores.sqlite_vectors import VectorTable

_PASSAGE = "id, document, page, start, stop, kind, section, context"


class SqliteStore:
    """Documents of one collection in a SQLite file.

    Raises:
        InputError: the file is not an index of this program, or cannot be written.
    """

    def __init__(self, path: Path, collection: str) -> None:
        self._path, self._name = path, collection
        self._connections = Connections(path)
        self._collection = self._connections.collection(collection)
        self._text = FullText(self._connections, self._collection)
        self._vectors = VectorTable(self._connections, self._collection)

    def close(self) -> None:
        """Closes the file."""
        self._connections.close()

    def _all(self, query: str, *values: Any) -> list[Any]:
        return self._connections.get().execute(query, values).fetchall()

    # Taking in

    def begin(self, source: DocumentFile) -> tuple[int, bool]:
        """Returns the id of the content's document, made if it is new, and whether it is done."""
        query = "SELECT id, state FROM documents WHERE collection = ? AND key = ?"
        found = self._all(query, self._collection, source.key)
        if not found:
            with self._connections.writing() as connection:
                connection.execute(
                    """INSERT OR IGNORE INTO documents
                    (collection, key, title, kind, bytes, pages, outline, state)
                    VALUES (?, ?, ?, ?, ?, ?, ?, 'reading')""",
                    (
                        self._collection,
                        source.key,
                        source.title,
                        source.kind,
                        source.bytes,
                        source.pages,
                        to_json(source.outline),
                    ),
                )
            found = self._all(query, self._collection, source.key)
        document, state = found[0]
        return int(document), state == "ready"

    def known(self, key: str, path: str) -> Document | None:
        """Returns the finished document with this content, if it is the path's newest version."""
        for document in self._select("d.key = ? AND n.path = ? AND n.current = 1", key, path):
            return document
        return None

    def have_pages(self, document: int) -> set[int]:
        """Returns the numbers of the pages that are stored."""
        return {n for (n,) in self._all("SELECT number FROM pages WHERE document = ?", document)}

    def put_pages(self, document: int, pages: Sequence[Page]) -> None:
        """Stores pages; those that are there already are left as they are."""
        rows = [(document, *page_row(page)) for page in pages]
        with self._connections.writing() as connection:
            connection.executemany(
                f"INSERT OR IGNORE INTO pages (document, {PAGE_COLUMNS}) "  # noqa: S608
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def finish(
        self, document: int, source: DocumentFile, chunks: Iterable[tuple[Chunk, str]], keep: int
    ) -> None:
        """Makes a document visible under its path, in one transaction."""
        with self._connections.writing() as connection:
            (state,) = connection.execute(
                "SELECT state FROM documents WHERE id = ?", (document,)
            ).fetchone()
            if state != "ready":
                first, last = self._put_chunks(connection, document, chunks)
                rows = connection.execute(
                    "SELECT number, notes FROM pages WHERE document = ? ORDER BY number",
                    (document,),
                )
                notes = stored_notes(source.notes, rows, last - first + 1)
                connection.execute(
                    """UPDATE documents SET state = 'ready', first_chunk = ?, last_chunk = ?,
                    notes = ? WHERE id = ?""",
                    (first, last, to_json(notes), document),
                )
            self._put_name(connection, document, source)
            touch(connection, self._collection)
            self._retire(connection, source.path, keep)
        log_added(self._path, Source(self._name, source.path, dict(source.meta)))

    def _put_chunks(
        self, connection: sqlite3.Connection, document: int, chunks: Iterable[tuple[Chunk, str]]
    ) -> tuple[int, int]:
        (last,) = connection.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'chunks'"
        ).fetchone()
        first = last + 1
        for chunk, text in chunks:
            last += 1
            tokens = self._text.put(connection, last, chunk, text)
            connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    last,
                    document,
                    chunk.page,
                    chunk.start,
                    chunk.end,
                    chunk.kind,
                    chunk.section,
                    chunk.context,
                    tokens,
                ),
            )
        return (first, last) if last >= first else (0, -1)

    def _put_name(
        self, connection: sqlite3.Connection, document: int, source: DocumentFile
    ) -> None:
        here = (self._collection, source.path)
        row = connection.execute(
            """SELECT version, document FROM names WHERE collection = ? AND path = ?
            ORDER BY version DESC""",
            here,
        ).fetchone()
        if row is not None and row[1] == document:
            return
        connection.execute("UPDATE names SET current = 0 WHERE collection = ? AND path = ?", here)
        connection.execute(
            "INSERT INTO names VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            (
                *here,
                row[0] + 1 if row else 1,
                source.name,
                document,
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
                to_json(dict(source.meta)),
            ),
        )

    def _retire(self, connection: sqlite3.Connection, path: str, keep: int) -> None:
        """Forgets versions beyond those to keep; older ones stay readable, but unsearched."""
        connection.execute(
            """DELETE FROM names WHERE collection = ?1 AND path = ?2 AND version <= (
            SELECT max(version) FROM names WHERE collection = ?1 AND path = ?2) - 1 - ?3""",
            (self._collection, path, keep),
        )
        for (old,) in connection.execute(
            """SELECT id FROM documents d WHERE collection = ? AND state = 'ready' AND NOT EXISTS
            (SELECT 1 FROM names n WHERE n.document = d.id AND n.current = 1)""",
            (self._collection,),
        ).fetchall():
            self._text.drop(connection, old)
            connection.execute("DELETE FROM chunks WHERE document = ?", (old,))
            connection.execute("UPDATE documents SET state = 'retired' WHERE id = ?", (old,))
        connection.execute(
            """DELETE FROM documents WHERE collection = ? AND state = 'retired' AND NOT EXISTS
            (SELECT 1 FROM names n WHERE n.document = documents.id)""",
            (self._collection,),
        )

    def discard(self, document: int) -> None:
        """Forgets a document that was begun and not finished."""
        with self._connections.writing() as connection:
            connection.execute(
                "DELETE FROM documents WHERE id = ? AND state = 'reading'", (document,)
            )

    def remove(self, paths: Sequence[str]) -> None:
        """Forgets all versions of paths, and documents that no path leads to."""
        with self._connections.writing() as connection:
            for path in paths:
                log_removed(self._path, self._name, path)
                connection.execute(
                    "DELETE FROM names WHERE collection = ? AND path = ?",
                    (self._collection, path),
                )
                self._retire(connection, path, 0)
            touch(connection, self._collection)

    def settle(self) -> None:
        """Prepares what makes searching fast, if much was added or removed."""
        self._text.settle()

    # Looking

    def documents(self, *, versions: bool = False) -> list[Document]:
        """Returns the documents by name; with `versions` older ones too."""
        return list(self._select("1" if versions else "n.current = 1"))

    def find(self, wanted: str | int) -> list[Document]:
        """Returns the documents with this id, or with this name or path."""
        if isinstance(wanted, int):
            return self.named([wanted])
        where = "n.current = 1 AND (n.name = ? OR n.path = ?)"
        return list(self._select(where, wanted, wanted))

    def named(self, documents: Sequence[int]) -> list[Document]:
        """Returns documents by their ids, under each of their names."""
        # "+": by the document, not through all names of the collection in their order
        where = "n.current = 1 AND d.id IN (SELECT value FROM json_each(?))"
        return list(self._select(where, to_json(documents), of_all="+n.collection"))

    def where(self, meta: Mapping[str, Any]) -> list[Document]:
        """Returns the documents that were added with these values."""
        found = self._select("n.current = 1")
        return [d for d in found if all(d.meta.get(k) == v for k, v in meta.items())]

    def _select(self, where: str, *values: Any, of_all: str = "n.collection") -> Iterator[Document]:
        query = f"""SELECT d.id, n.name, n.path, d.title, d.kind, d.pages,
            max(0, d.last_chunk - d.first_chunk + 1), d.bytes, n.added, n.version, n.current,
            n.meta, d.notes FROM names n JOIN documents d ON d.id = n.document
            WHERE {of_all} = ? AND d.state <> 'reading' AND {where}
            ORDER BY n.name, n.path, n.version DESC"""  # noqa: S608 - constant text
        for *row, current, meta, notes in self._all(query, self._collection, *values):
            yield Document(*[*row, bool(current), json.loads(meta), tuple(json.loads(notes))])

    def outline(self, document: int) -> Outline:
        """Returns the bookmarks of a document."""
        ((outline,),) = self._all("SELECT outline FROM documents WHERE id = ?", document)
        return [(level, title, page) for level, title, page in json.loads(outline)]

    def labels(self, document: int) -> dict[int, str]:
        """Returns the labels of pages by number, of those that have one."""
        query = "SELECT number, label FROM pages WHERE document = ? AND label <> ''"
        return dict(self._all(query, document))

    def pages(self, document: int, numbers: Iterable[int] | None = None) -> Iterator[Page]:
        """Yields pages in order, or those of the given numbers that exist."""
        query = f"SELECT {PAGE_COLUMNS} FROM pages WHERE document = ?"  # noqa: S608
        connection = self._connections.get()
        if numbers is None:
            yield from map(page_of, connection.execute(f"{query} ORDER BY number", (document,)))
            return
        for number in numbers:
            yield from map(page_of, self._all(f"{query} AND number = ?", document, number))

    def pages_at(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Page]:
        """Returns pages by document and number; those that do not exist are left out."""
        return {
            (document, number): page
            for document, number in places
            for page in self.pages(document, [number])
        }

    def state(self) -> object:
        """Returns a value that changes when documents do."""
        return revision(self._connections.get(), self._collection)

    def fronts(self, characters: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Returns id, name, title and first words of the documents; none beyond `limit` of them.

        Documents of fewer than three pages give no first words: those are their content.
        """
        rows = self._all(
            """SELECT d.id, n.name, d.title, CASE WHEN d.pages < 3 THEN '' ELSE substr(p.text, 1, ?)
            END FROM names n JOIN documents d ON d.id = n.document
            JOIN pages p ON p.document = d.id AND p.number = 1
            WHERE n.collection = ? AND n.current = 1 LIMIT ?""",
            characters,
            self._collection,
            limit + 1,
        )
        return [tuple(row) for row in rows] if len(rows) <= limit else []

    # Searching

    def match(self, terms: Sequence[str], limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that fit search terms best."""
        return self._search(
            lambda fetch, ranges: self._text.ranked(terms, fetch, ranges), limit, scope
        )

    def missing_vectors(self, model: str, limit: int) -> list[Unplaced]:
        """Returns chunks that have no vector of a model."""
        return self._vectors.missing(model, limit)

    def put_vectors(self, model: str, chunks: Sequence[int], rows: Sequence[Small]) -> None:
        """Stores the vectors of chunks' parts; those of chunks that are gone are passed over."""
        self._vectors.put(model, chunks, rows)

    def nearest(self, model: str, vector: Vectors, limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that are most like a vector, best first (see `parts.sharpened`)."""

        def rank(fetch: int, ranges: list[Range] | None) -> Ranked:
            return self._vectors.ranked(model, vector, fetch, ranges)

        return self._search(rank, limit, scope)

    def _search(
        self, rank: Callable[[int, list[Range] | None], Ranked], limit: int, scope: Scope
    ) -> list[Match]:
        ranges = None if scope.documents is None else self._ranges(scope.documents)
        if ranges == []:
            return []
        return best_within(lambda fetch: rank(fetch, ranges), self._passages, limit, scope)

    def _ranges(self, documents: Sequence[int]) -> list[tuple[int, int]]:
        return [
            found
            for document in documents
            for found in self._all(
                "SELECT first_chunk, last_chunk FROM documents WHERE id = ? AND last_chunk > 0",
                document,
            )
        ]

    def _passages(self, chunks: Sequence[int]) -> dict[int, Passage]:
        query = f"SELECT {_PASSAGE} FROM chunks WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
        return {row[0]: Passage(*row) for row in self._all(query, to_json(chunks))}

    def passage(self, chunk: int) -> Passage | None:
        """Returns a chunk by its id."""
        rows = self._all(f"SELECT {_PASSAGE} FROM chunks WHERE id = ?", chunk)  # noqa: S608
        return Passage(*rows[0]) if rows else None

    def passages(self, document: int, page: int) -> list[Passage]:
        """Returns the chunks of a page in order."""
        query = f"SELECT {_PASSAGE} FROM chunks WHERE document = ? AND page = ? ORDER BY id"  # noqa: S608
        return [Passage(*row) for row in self._all(query, document, page)]
