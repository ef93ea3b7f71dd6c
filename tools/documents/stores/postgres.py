"""The store for more than one machine: documents of one collection in PostgreSQL.

The same rules as in the embedded store: a document is known by its content, names say which paths
lead to it, and what is being read is not seen before it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from qwenbelt.tools.documents.stores import postgres_upgrade as upgrade
from qwenbelt.tools.documents.stores.narrowing import Ranked, best_within
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.postgres_search import VectorSearch, WordSearch, revision
from qwenbelt.tools.documents.stores.postgres_words import CHUNKS, ROWS, Tidying, drop, put
from qwenbelt.tools.documents.stores.postings import Packed, packed

MANY = 200  # chunks of a document that are not written while other writers wait
_PAGES = 64  # that are read at a time
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
        self._old_words = upgrade.OldWords(self._server, self._collection, self._stemmer)
        self._vectors = VectorSearch(self._server, self._collection)
        self._tidying = Tidying(self._server, self._collection)
        self._added = [0, 0]  # documents and chunks since their words were put in order
        self._is_new = self._server.schema() > 1
        self._caught_up = -1 if self._server.has_old_words() else None

    def close(self) -> None:
        """Closes the connections."""
        self._server.close()
        self._stemmer.close()

    def settle(self) -> None:
        """Puts the words in order, and tells the planner what the tables hold now."""
        if not self._now_new():
            upgrade.bring_forward(self._server)
        if self._added[0]:
            self._server.get().execute("ANALYZE qwenbelt.chunks, qwenbelt.pages")
        self._tidying.run()
        self._added = [0, 0]

    def _now_new(self) -> bool:
        """Returns whether the database has schema 2; others bring it forward too."""
        if not self._is_new:
            self._is_new = self._server.schema() > 1
            self._caught_up = -1
        return self._is_new

    # Taking in

    def begin(self, source: DocumentFile) -> tuple[int, bool]:
        """Returns the id of the content's document, made if it is new, and whether it is done."""
        made = self._server.rows(
            """INSERT INTO qwenbelt.documents (collection, key, title, kind, bytes, pages, outline,
            state) VALUES (%s, %s, %s, %s, %s, %s, %s, 'reading') ON CONFLICT DO NOTHING
            RETURNING id, state""",
            self._collection,
            source.key,
            _clean(source.title),
            source.kind,
            source.bytes,
            source.pages,
            _clean(to_json(source.outline)),
        )
        ((document, state),) = made or self._server.rows(
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
        given = list(chunks)
        counted = list(zip([c for c, _ in given], self._stemmer.counts(given), strict=True))
        words = packed(counts for _, counts in counted)
        if len(given) > MANY and self._now_new():
            with self._server.get().transaction():  # others finish their own documents meanwhile
                if self._state(document) == "reading":
                    self._put_chunks(document, counted, words)
        with self._server.writing(self._collection) as connection:
            state = self._state(document)
            if state == "reading":
                self._put_chunks(document, counted, words)
            if state != "ready":
                rows = connection.execute(
                    "SELECT number, notes FROM qwenbelt.pages WHERE document = %s ORDER BY number",
                    (document,),
                ).fetchall()
                notes = stored_notes(source.notes, rows, len(counted))
                connection.execute(
                    "UPDATE qwenbelt.documents SET state = 'ready', notes = %s WHERE id = %s",
                    (to_json(notes), document),
                )
            before = self._put_name(connection, document, source)
            if before:
                self._retire(connection, source.path, keep, before)
            self._touch(connection)
        self._added[0] += 1
        self._added[1] += len(counted)
        if self._added[0] > ROWS or self._added[1] > CHUNKS:
            self._added = [1, 0]
            if self._now_new():
                self._tidying.run()

    def _state(self, document: int) -> str:
        rows = self._server.rows(
            "SELECT state FROM qwenbelt.documents WHERE id = %s FOR UPDATE", document
        )
        return str(rows[0][0]) if rows else "gone"

    def _schema_for_writing(self) -> int:
        """Returns the schema, which then stays until the transaction ends."""
        query = "SELECT value FROM qwenbelt.meta WHERE key = 'schema' FOR SHARE"
        return int(self._server.rows(query)[0][0])

    def _put_chunks(
        self,
        document: int,
        counted: list[tuple[Chunk, tuple[dict[str, float], int]]],
        words: Packed,
    ) -> None:
        """Stores chunks and their words; the document is seen when it has a name."""
        connection = self._server.get()
        is_new = self._schema_for_writing() > 1
        with connection.cursor() as cursor:
            ids = [
                number
                for (number,) in cursor.execute(
                    """SELECT nextval('qwenbelt.chunks_id_seq') FROM generate_series(1, %s)""",
                    (len(counted),),
                )
            ]
            columns = "id, document, collection, page, start, stop, kind, section, context, tokens"
            if not is_new:
                columns += ", words"
            with cursor.copy(f"COPY qwenbelt.chunks ({columns}) FROM STDIN") as copy:
                for number, (chunk, (counts, tokens)) in zip(ids, counted, strict=True):
                    row = (
                        *(number, document, self._collection, chunk.page, chunk.start, chunk.end),
                        *(chunk.kind, _clean(chunk.section), _clean(chunk.context), tokens),
                    )
                    copy.write_row(row if is_new else (*row, upgrade.word_vector(counts)))
        if is_new and ids:
            put(connection, self._collection, document, ids, words)
        elif ids:
            upgrade.count(connection, self._collection, [counts for _, (counts, _) in counted])
        connection.execute(
            """UPDATE qwenbelt.documents SET state = 'filled', chunks = %s, tokens = %s, packed = %s
            WHERE id = %s""",
            (len(counted), int(words.lengths.sum()), is_new, document),
        )

    def _put_name(self, connection: Any, document: int, source: DocumentFile) -> list[int]:
        """Gives a document its name; returns those that had it."""
        here = (self._collection, source.path)
        before = connection.execute(
            """SELECT version, document FROM qwenbelt.names WHERE collection = %s AND path = %s
            ORDER BY version DESC""",
            here,
        ).fetchall()
        row = before[0] if before else None
        if row is not None and row[1] == document:
            return [old for _, old in before]
        if row is not None:
            connection.execute(
                "UPDATE qwenbelt.names SET current = false WHERE collection = %s AND path = %s",
                here,
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
        return [old for _, old in before]

    def _retire(self, connection: Any, path: str, keep: int, before: Sequence[int]) -> None:
        """Forgets versions beyond those to keep; older ones stay readable, but unsearched."""
        connection.execute(
            """DELETE FROM qwenbelt.names
            WHERE collection = %s AND path = %s AND version <= (SELECT max(version)
            FROM qwenbelt.names WHERE collection = %s AND path = %s) - 1 - %s""",
            (self._collection, path, self._collection, path, keep),
        )
        is_new = self._schema_for_writing() > 1
        for (old,) in connection.execute(
            """SELECT id FROM qwenbelt.documents d WHERE id = ANY(%s) AND state = 'ready'
            AND NOT EXISTS (SELECT 1 FROM qwenbelt.names n
            WHERE n.document = d.id AND n.current)""",
            (list(before),),
        ).fetchall():
            if is_new:
                drop(connection, self._collection, old)
            else:
                upgrade.drop_old(connection, self._collection, old)
            connection.execute("DELETE FROM qwenbelt.chunks WHERE document = %s", (old,))
            connection.execute(
                "UPDATE qwenbelt.documents SET state = 'retired' WHERE id = %s", (old,)
            )
        connection.execute(
            """DELETE FROM qwenbelt.documents d WHERE id = ANY(%s) AND state = 'retired'
            AND NOT EXISTS (SELECT 1 FROM qwenbelt.names n WHERE n.document = d.id)""",
            (list(before),),
        )

    def discard(self, document: int) -> None:
        """Forgets a document that was begun and not finished."""
        self._server.get().execute(
            """DELETE FROM qwenbelt.documents WHERE id = %s AND state IN ('reading', 'filled')""",
            (document,),
        )

    def remove(self, paths: Sequence[str]) -> None:
        """Forgets all versions of paths, and documents that no path leads to."""
        with self._server.writing(self._collection) as connection:
            for path in paths:
                gone = connection.execute(
                    """DELETE FROM qwenbelt.names WHERE collection = %s AND path = %s
                    RETURNING document""",
                    (self._collection, path),
                ).fetchall()
                self._retire(connection, path, 0, [document for (document,) in gone])
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

    def named(self, documents: Sequence[int]) -> list[Document]:
        """Returns documents by their ids, under each of their names."""
        return self._select("n.current AND d.id = ANY(%s)", list(documents))

    def where(self, meta: Mapping[str, Any]) -> list[Document]:
        """Returns the documents that were added with these values."""
        found = self._select("n.current")
        return [d for d in found if all(d.meta.get(k) == v for k, v in meta.items())]

    def _select(self, where: str, *values: Any) -> list[Document]:
        query = f"""SELECT d.id, n.name, n.path, d.title, d.kind, d.pages, d.chunks, d.bytes,
            n.added, n.version, n.current, n.meta, d.notes FROM qwenbelt.names n
            JOIN qwenbelt.documents d ON d.id = n.document
            WHERE n.collection = %s AND d.state IN ('ready', 'retired') AND {where}
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
        start = f"SELECT {PAGE_COLUMNS} FROM qwenbelt.pages WHERE document = %s"  # noqa: S608
        if numbers is None:
            last = 0
            query = f"{start} AND number > %s ORDER BY number LIMIT {_PAGES}"
            while rows := self._server.rows(query, document, last):
                yield from map(page_of, rows)
                last = rows[-1][0]
                if len(rows) < _PAGES:
                    return
            return
        wanted = list(numbers)
        for first in range(0, len(wanted), _PAGES):
            part = wanted[first : first + _PAGES]
            rows = self._server.rows(f"{start} AND number = ANY(%s)", document, part)
            found = {row[0]: row for row in rows}
            yield from (page_of(found[number]) for number in part if number in found)

    def pages_at(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Page]:
        """Returns pages by document and number; those that do not exist are left out."""
        columns = ", ".join(f"p.{name.strip()}" for name in PAGE_COLUMNS.split(","))
        rows = self._server.rows(
            f"""SELECT p.document, {columns} FROM unnest(%s::bigint[], %s::int[]) AS w (d, n)
            JOIN qwenbelt.pages p ON p.document = w.d AND p.number = w.n""",  # noqa: S608
            [document for document, _ in places],
            [number for _, number in places],
        )
        return {(int(document), int(row[0])): page_of(row) for document, *row in rows}

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
        if not self._now_new():
            return self._matches(self._old_words.ranked(terms, limit, scope))
        self._catch_up()
        documents = scope.documents

        def rank(count: int) -> Ranked:
            return self._words.ranked(terms, count, documents)

        return best_within(rank, self._passages, limit, scope)

    def _catch_up(self) -> None:
        """Takes over what replicas of the version before added, as long as there may be any."""
        if self._caught_up is not None and self._caught_up != self.state():
            upgrade.catch_up(self._server, self._collection)
            self._caught_up = revision(self._server, self._collection)
            if not self._server.has_old_words():
                self._caught_up = None

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
        held = self._passages([chunk for chunk, _ in ranked])
        return [Match(held[chunk], score) for chunk, score in ranked if chunk in held]

    def _passages(self, chunks: Sequence[int]) -> dict[int, Passage]:
        query = f"SELECT {_PASSAGE} FROM qwenbelt.chunks WHERE id = ANY(%s)"  # noqa: S608
        return {row[0]: Passage(*row) for row in self._server.rows(query, list(chunks))}

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
