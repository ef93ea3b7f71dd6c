"""Databases of schema 1, whose chunks have a tsvector with a GIN index, and how they come forward.

Until a database is brought forward it is written and searched as the version before does, so that
its replicas go on. PostgreSQL's own ranking does not know how rare a word is, so it only finds: the
chunks that have most of the question's rare words. Those are scored by BM25.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qwenbelt.tools.documents.search.stems import Stemmer, rarest, rarity
from qwenbelt.tools.documents.store import Scope
from qwenbelt.tools.documents.stores.fulltext_snapshot import K1, B
from qwenbelt.tools.documents.stores.narrowing import Ranked
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.postgres_search import scope_filter
from qwenbelt.tools.documents.stores.postgres_words import Tidying, put
from qwenbelt.tools.documents.stores.postings import packed

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


class OldWords:
    """The words of a collection as schema 1 keeps them."""

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


def count(connection: Any, collection: int, chunks: Sequence[Mapping[str, float]]) -> None:
    """Counts the words of chunks that were stored, as schema 1 does."""
    seen: Counter[str] = Counter()
    for words in chunks:
        seen.update(words.keys())
    _count(connection, collection, seen, 1)


def drop_old(connection: Any, collection: int, document: int) -> None:
    """Takes the words of a document's chunks from the counts of schema 1."""
    gone = connection.execute(
        """SELECT u.lexeme, count(*) FROM qwenbelt.chunks c, unnest(c.words) u
        WHERE c.document = %s GROUP BY 1""",
        (document,),
    ).fetchall()
    _count(connection, collection, dict(gone), -1)


def _count(connection: Any, collection: int, seen: Mapping[str, int], sign: int) -> None:
    connection.execute(
        """INSERT INTO qwenbelt.words AS w SELECT %s, u.word, u.count
        FROM unnest(%s::text[], %s::bigint[]) AS u (word, count)
        ON CONFLICT (collection, word) DO UPDATE SET count = w.count + excluded.count""",
        (collection, list(seen), [sign * count for count in seen.values()]),
    )


# -- coming forward -------------------------------------------------------------------------------


_LEFT = """SELECT d.id, d.collection FROM qwenbelt.documents d WHERE d.state = 'ready'
    AND NOT d.packed AND d.chunks > 0"""


def bring_forward(server: Server) -> None:
    """Gives the documents of schema 1 lists of our own, while others read and write.

    When all have some, the database has schema 2: replicas of the version before then still find
    what was there, but not what is added from then on. Their old words are dropped a day later.
    """
    with server.alone(0) as alone:
        if not alone:
            return
        while server.schema() < 2:
            if _pack(server, server.rows(f"{_LEFT} LIMIT 100")):
                continue
            _tidy(server)
            with server.get().transaction():
                for (collection,) in server.rows("SELECT id FROM qwenbelt.collections ORDER BY id"):
                    server.lock(server.get(), collection)
                if server.rows(f"{_LEFT} LIMIT 1"):
                    continue
                server.get().execute(
                    """ALTER TABLE qwenbelt.chunks ALTER COLUMN words SET DEFAULT '';
                    UPDATE qwenbelt.collections SET revision = revision + 1;
                    INSERT INTO qwenbelt.meta VALUES ('forward', now()::text)
                    ON CONFLICT DO NOTHING;
                    UPDATE qwenbelt.meta SET value = '2' WHERE key = 'schema'"""
                )


def catch_up(server: Server, collection: int) -> None:
    """Takes over what replicas of the version before added since, and drops old words in time."""
    if _pack(server, server.rows(f"{_LEFT} AND d.collection = %s", collection)):
        server.get().execute(
            "UPDATE qwenbelt.collections SET revision = revision + 1 WHERE id = %s", (collection,)
        )
    old = """SELECT 1 FROM qwenbelt.meta WHERE key = 'forward'
        AND value::timestamptz < now() - interval '1 day'"""
    if server.rows(old):
        with server.writing(0) as connection:
            connection.execute(
                """ALTER TABLE qwenbelt.chunks DROP COLUMN IF EXISTS words;
                DROP TABLE IF EXISTS qwenbelt.words"""
            )


def _tidy(server: Server) -> None:
    for (collection,) in server.rows("SELECT id FROM qwenbelt.collections"):
        Tidying(server, collection).run()


def _pack(server: Server, documents: Sequence[tuple[int, int]]) -> bool:
    for document, collection in documents:
        with server.writing(collection) as connection:
            chunks = connection.execute(
                "SELECT id, tokens FROM qwenbelt.chunks WHERE document = %s ORDER BY id FOR SHARE",
                (document,),
            ).fetchall()
            counts: dict[int, dict[str, float]] = {chunk: {} for chunk, _ in chunks}
            for chunk, word, marks in connection.execute(
                """SELECT c.id, u.lexeme, u.weights FROM qwenbelt.chunks c, unnest(c.words) u
                WHERE c.document = %s""",
                (document,),
            ):
                counts[chunk][word] = sum(2.0 if mark == _HEAVY else 1.0 for mark in marks)
            words = packed((counts[chunk], tokens) for chunk, tokens in chunks)
            if chunks:
                put(connection, collection, document, [chunk for chunk, _ in chunks], words)
            connection.execute(
                "UPDATE qwenbelt.documents SET packed = true WHERE id = %s", (document,)
            )
    return bool(documents)
