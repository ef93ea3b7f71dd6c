"""The store for more than one machine: documents of one collection in PostgreSQL.

The same rules as in the embedded store: a document is known by its content, names say which paths
lead to it, and what is being read is not seen before it is complete.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.notes import stored_notes
from qwenbelt.tools.documents.parsing.page_rows import PAGE_COLUMNS, page_of, page_row, to_json
from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.stems import Stemmer
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
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.postgres_search import (
    VectorSearch,
    WordSearch,
    revision,
    word_vector,
)
from qwenbelt.tools.documents.stores.sqlite_fulltext import Ranked

_PASSAGE = "id, document, page, start, stop, kind, section, context"


class PostgresStore:
    """Documents of one collection in a PostgreSQL database, in its schema `qwenbelt`.

    Raises:
        ConfigError: the `postgres` extra is not installed.
        InputError: the database cannot be reached or used.
    """

    def __init__(self, url: str, collection: str) -> None:
        self._server = Server(url)
        self._collection = self._server.collection(collection)
        self._stemmer = Stemmer()
        self._words = WordSearch(self._server, self._collection, self._stemmer)
        self._vectors = VectorSearch(self._server, self._collection)

    def close(self) -> None:
        """Closes the connections."""
        self._server.close()
        self._stemmer.close()

    def settle(self) -> None:
        """Tells the planner what the tables hold now."""
        self._server.get().execute("ANALYZE qwenbelt.chunks")

    # Taking in

    def begin(self, source: DocumentFile) -> tuple[int, bool]:
        """Returns the id of the content's document, made if it is new, and whether it is done."""
        self._server.get().execute(
            """INSERT INTO qwenbelt.documents (collection, key, title, kind, bytes, pages, outline,
            state) VALUES (%s, %s, %s, %s, %s, %s, %s, 'reading') ON CONFLICT DO NOTHING""",
            (
                self._collection,
                source.key,
                _clean(source.title),
                source.kind,
                source.bytes,
                source.pages,
                _clean(to_json(source.outline)),
            ),
        )
        ((document, state),) = self._server.rows(
            "SELECT id, state FROM qwenbelt.documents WHERE collection = %s AND key = %s",
            *(self._collection, source.key),
        )
        return int(document), state == "ready"

    def known(self, key: str, path: str) -> Document | None:
        """Returns the finished document with this content, if it is the path's newest version."""
        found = self._select("d.key = %s AND n.path = %s AND n.current", key, path)
        return next(iter(found), None)

    def have_pages(self, document: int) -> set[int]:
        """Returns the numbers of the pages that are stored."""
        query = "SELECT number FROM qwenbelt.pages WHERE document = %s"
        return {number for (number,) in self._server.rows(query, document)}

    def put_pages(self, document: int, pages: Sequence[Page]) -> None:
        """Stores pages; those that are there already are left as they are."""
        rows = [(document, *(_clean(v) for v in page_row(page))) for page in pages]
        connection = self._server.get()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO qwenbelt.pages (document, {PAGE_COLUMNS}) VALUES "  # noqa: S608
                "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                rows,
            )

    def finish(
        self, document: int, source: DocumentFile, chunks: Iterable[tuple[Chunk, str]], keep: int
    ) -> None:
        """Makes a document visible under its path, in one transaction."""
        given = list(chunks)  # read on this thread's connection before the transaction begins
        with self._server.writing(self._collection) as connection:
            ((state,),) = connection.execute(
                "SELECT state FROM qwenbelt.documents WHERE id = %s", (document,)
            ).fetchall()
            if state != "ready":
                tokens = self._put_chunks(connection, document, given)
                rows = connection.execute(
                    "SELECT number, notes FROM qwenbelt.pages WHERE document = %s ORDER BY number",
                    (document,),
                ).fetchall()
                notes = stored_notes(source.notes, rows, len(given))
                connection.execute(
                    """UPDATE qwenbelt.documents SET state = 'ready', chunks = %s, tokens = %s,
                    notes = %s WHERE id = %s""",
                    (len(given), tokens, to_json(notes), document),
                )
            self._put_name(connection, document, source)
            self._retire(connection, source.path, keep)
            self._touch(connection)

    def _put_chunks(self, connection: Any, document: int, given: list[tuple[Chunk, str]]) -> int:
        seen: Counter[str] = Counter()
        total = 0
        with (
            connection.cursor() as cursor,
            cursor.copy(
                """COPY qwenbelt.chunks (document, collection, page, start, stop, kind, section,
            context, tokens, words) FROM STDIN"""
            ) as copy,
        ):
            for chunk, text in given:
                counts, tokens = self._stemmer.counts(chunk, text)
                seen.update(counts.keys())
                total += tokens
                copy.write_row(
                    (
                        document,
                        self._collection,
                        chunk.page,
                        chunk.start,
                        chunk.end,
                        chunk.kind,
                        _clean(chunk.section),
                        _clean(chunk.context),
                        tokens,
                        word_vector(counts),
                    )
                )
        self._count(connection, seen, 1)
        return total

    def _count(self, connection: Any, seen: Mapping[str, int], sign: int) -> None:
        connection.execute(
            """INSERT INTO qwenbelt.words AS w SELECT %s, u.word, u.count
            FROM unnest(%s::text[], %s::bigint[]) AS u (word, count)
            ON CONFLICT (collection, word) DO UPDATE SET count = w.count + excluded.count""",
            (self._collection, list(seen), [sign * count for count in seen.values()]),
        )

    def _put_name(self, connection: Any, document: int, source: DocumentFile) -> None:
        here = (self._collection, source.path)
        row = connection.execute(
            """SELECT version, document FROM qwenbelt.names WHERE collection = %s AND path = %s
            ORDER BY version DESC LIMIT 1""",
            here,
        ).fetchone()
        if row is not None and row[1] == document:
            return
        connection.execute(
            "UPDATE qwenbelt.names SET current = false WHERE collection = %s AND path = %s", here
        )
        connection.execute(
            "INSERT INTO qwenbelt.names VALUES (%s, %s, %s, %s, %s, true, %s, %s)",
            (
                *here,
                row[0] + 1 if row else 1,
                source.name,
                document,
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
                to_json(dict(source.meta)),
            ),
        )

    def _retire(self, connection: Any, path: str, keep: int) -> None:
        """Forgets versions beyond those to keep; older ones stay readable, but unsearched."""
        connection.execute(
            """DELETE FROM qwenbelt.names
            WHERE collection = %s AND path = %s AND version <= (SELECT max(version)
            FROM qwenbelt.names WHERE collection = %s AND path = %s) - 1 - %s""",
            (self._collection, path, self._collection, path, keep),
        )
        for (old,) in connection.execute(
            """SELECT id FROM qwenbelt.documents d WHERE collection = %s AND state = 'ready'
            AND NOT EXISTS (SELECT 1 FROM qwenbelt.names n
            WHERE n.document = d.id AND n.current)""",
            (self._collection,),
        ).fetchall():
            gone = connection.execute(
                """SELECT u.lexeme, count(*) FROM qwenbelt.chunks c, unnest(c.words) u
                WHERE c.document = %s GROUP BY 1""",
                (old,),
            ).fetchall()
            self._count(connection, dict(gone), -1)
            connection.execute("DELETE FROM qwenbelt.chunks WHERE document = %s", (old,))
            connection.execute(
                "UPDATE qwenbelt.documents SET state = 'retired' WHERE id = %s", (old,)
            )
        connection.execute(
            """DELETE FROM qwenbelt.documents d WHERE collection = %s AND state = 'retired'
            AND NOT EXISTS (SELECT 1 FROM qwenbelt.names n WHERE n.document = d.id)""",
            (self._collection,),
        )

    def discard(self, document: int) -> None:
        """Forgets a document that was begun and not finished."""
        self._server.get().execute(
            "DELETE FROM qwenbelt.documents WHERE id = %s AND state = 'reading'", (document,)
        )

    def remove(self, paths: Sequence[str]) -> None:
        """Forgets all versions of paths, and documents that no path leads to."""
        with self._server.writing(self._collection) as connection:
            for path in paths:
                connection.execute(
                    "DELETE FROM qwenbelt.names WHERE collection = %s AND path = %s",
                    (self._collection, path),
                )
                self._retire(connection, path, 0)
            self._touch(connection)

    def _touch(self, connection: Any) -> None:
        connection.execute(
            "UPDATE qwenbelt.collections SET revision = revision + 1 WHERE id = %s",
            (self._collection,),
        )

    # Looking

    def documents(self, *, versions: bool = False) -> list[Document]:
        """Returns the documents by name; with `versions` older ones too."""
        return self._select("true" if versions else "n.current")

    def find(self, wanted: str | int) -> list[Document]:
        """Returns the documents with this id, or with this name or path."""
        if isinstance(wanted, int):
            return self._select("n.current AND d.id = %s", wanted)
        return self._select("n.current AND (n.name = %s OR n.path = %s)", wanted, wanted)

    def where(self, meta: Mapping[str, Any]) -> list[Document]:
        """Returns the documents that were added with these values."""
        found = self._select("n.current")
        return [d for d in found if all(d.meta.get(k) == v for k, v in meta.items())]

    def _select(self, where: str, *values: Any) -> list[Document]:
        query = f"""SELECT d.id, n.name, n.path, d.title, d.kind, d.pages, d.chunks, d.bytes,
            n.added, n.version, n.current, n.meta, d.notes FROM qwenbelt.names n
            JOIN qwenbelt.documents d ON d.id = n.document
            WHERE n.collection = %s AND d.state <> 'reading' AND {where}
            ORDER BY n.name, n.path, n.version DESC"""  # noqa: S608 - constant text
        return [
            Document(*[*row, json.loads(meta), tuple(json.loads(notes))])
            for *row, meta, notes in self._server.rows(query, self._collection, *values)
        ]

    def outline(self, document: int) -> Outline:
        """Returns the bookmarks of a document."""
        query = "SELECT outline FROM qwenbelt.documents WHERE id = %s"
        ((outline,),) = self._server.rows(query, document)
        return [(level, title, page) for level, title, page in json.loads(outline)]

    def labels(self, document: int) -> dict[int, str]:
        """Returns the labels of pages by number, of those that have one."""
        query = "SELECT number, label FROM qwenbelt.pages WHERE document = %s AND label <> ''"
        return dict(self._server.rows(query, document))

    def pages(self, document: int, numbers: Iterable[int] | None = None) -> Iterator[Page]:
        """Yields pages in order, or those of the given numbers that exist."""
        wanted = sorted(self.have_pages(document)) if numbers is None else list(numbers)
        query = (
            f"SELECT {PAGE_COLUMNS} FROM qwenbelt.pages WHERE document = %s AND number = ANY(%s)"  # noqa: S608
        )
        for first in range(0, len(wanted), 64):
            part = wanted[first : first + 64]
            found = {row[0]: row for row in self._server.rows(query, document, part)}
            yield from (page_of(found[number]) for number in part if number in found)

    def state(self) -> object:
        """Returns a value that changes when documents do."""
        return revision(self._server, self._collection)

    def fronts(self, characters: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Returns id, name, title and first words of the documents; none beyond `limit`."""
        rows = self._server.rows(
            """SELECT d.id, n.name, d.title,
            CASE WHEN d.pages < 3 THEN '' ELSE left(p.text, %s) END
            FROM qwenbelt.names n JOIN qwenbelt.documents d ON d.id = n.document
            JOIN qwenbelt.pages p ON p.document = d.id AND p.number = 1
            WHERE n.collection = %s AND n.current LIMIT %s""",
            *(characters, self._collection, limit + 1),
        )
        return [tuple(row) for row in rows] if len(rows) <= limit else []

    # Searching

    def match(self, terms: Sequence[str], limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that fit search terms best."""
        return self._matches(self._words.ranked(terms, limit, scope))

    def missing_vectors(self, model: str, limit: int) -> list[Unplaced]:
        """Returns chunks that have no vector of a model."""
        rows = self._server.rows(
            """SELECT c.id, c.kind, c.section, c.context,
            substr(p.text, c.start + 1, c.stop - c.start)
            FROM qwenbelt.chunks c
            JOIN qwenbelt.pages p ON p.document = c.document AND p.number = c.page
            WHERE c.collection = %s AND NOT EXISTS
            (SELECT 1 FROM qwenbelt.vectors v WHERE v.chunk = c.id AND v.model = %s)
            ORDER BY c.id LIMIT %s""",
            *(self._collection, model, limit),
        )
        return [Unplaced(*row) for row in rows]

    def put_vectors(self, model: str, chunks: Sequence[int], rows: Sequence[Small]) -> None:
        """Stores the vectors of chunks' parts; those of chunks that are gone are passed over."""
        with self._server.writing(self._collection) as connection:
            self._vectors.put(connection, model, chunks, rows)
            self._touch(connection)

    def nearest(self, model: str, vector: Vectors, limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that are most like a vector, best first (see `parts.sharpened`)."""
        return self._matches(self._vectors.ranked(model, vector, limit, scope))

    def _matches(self, ranked: Ranked) -> list[Match]:
        query = f"SELECT {_PASSAGE} FROM qwenbelt.chunks WHERE id = ANY(%s)"  # noqa: S608
        rows = self._server.rows(query, [chunk for chunk, _ in ranked])
        held = {row[0]: Passage(*row) for row in rows}
        return [Match(held[chunk], score) for chunk, score in ranked if chunk in held]

    def passage(self, chunk: int) -> Passage | None:
        """Returns a chunk by its id."""
        query = f"SELECT {_PASSAGE} FROM qwenbelt.chunks WHERE id = %s"  # noqa: S608
        rows = self._server.rows(query, chunk)
        return Passage(*rows[0]) if rows else None

    def passages(self, document: int, page: int) -> list[Passage]:
        """Returns the chunks of a page in order."""
        query = f"""SELECT {_PASSAGE} FROM qwenbelt.chunks WHERE document = %s AND page = %s
            ORDER BY id"""  # noqa: S608
        return [Passage(*row) for row in self._server.rows(query, document, page)]


def _clean(value: Any) -> Any:
    """Returns a value that PostgreSQL takes: its texts hold no NUL."""
    return value.replace("\x00", " ") if isinstance(value, str) else value
