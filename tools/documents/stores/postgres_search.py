"""Searching an index in PostgreSQL: by words (lists of our own) and by meaning (pgvector).

A process keeps what it needs of a collection: which chunks its segments hold, the documents that
are on their own, and the lists that were read last. One query a question says whether that still
holds (the collection's revision) and brings the lists that are not here yet.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.sentence_vectors import DEEPER, middle, others, sharpened
from qwenbelt.tools.documents.search.stems import Stemmer, rarity
from qwenbelt.tools.documents.search.vector_cache import Small, large
from qwenbelt.tools.documents.store import Scope
from qwenbelt.tools.documents.stores.fulltext_snapshot import Places, best
from qwenbelt.tools.documents.stores.narrowing import Ranked
from qwenbelt.tools.documents.stores.postgres_schema import Server
from qwenbelt.tools.documents.stores.postgres_words import rows_of, taken
from qwenbelt.tools.documents.stores.postings import (
    Counts,
    Scores,
    Word,
    from_bytes,
    steps_of,
)
from qwenbelt.tools.documents.stores.sqlite_vectors import cosines, lengths_of

KEPT_BYTES = 96_000_000  # of lists that a process keeps of a collection
KEPT_COLLECTIONS = 4  # that a process keeps something of
DRIFT = 0.01  # a mean length that changed by less is not followed

List = tuple[Places, Counts]


class Part(NamedTuple):
    """A segment, or a document that is on its own."""

    name: int  # of a segment its id, of a document the negative of its id
    base: int  # the first of its places
    ids: Any
    lengths: Any
    documents: Any
    starts: Any
    own: dict[str, List] | None  # the lists of a document, by word

    def places_of(self, documents: Sequence[int], into: Any, value: bool) -> None:
        """Marks the places of documents."""
        for number in np.flatnonzero(np.isin(self.documents, documents)):
            stop = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.ids)
            into[self.base + self.starts[number] : self.base + stop] = value


class View(NamedTuple):
    """What a collection holds at a revision."""

    revision: int
    parts: list[Part]
    size: int
    mean: float
    alive: Any  # a mask of the places whose documents are not dead, or None for all

    def chunks(self, places: Sequence[int]) -> list[int]:
        """Returns the chunks at places."""
        bases = [part.base for part in self.parts]
        found = []
        for place in places:
            part = self.parts[bisect.bisect_right(bases, place) - 1]
            found.append(int(part.ids[place - part.base]))
        return found

    def mask(self, documents: Sequence[int] | None) -> Any:
        """Returns the places of documents that are not dead, or None for all."""
        if documents is None:
            return self.alive
        mask = np.zeros(self.size, bool)
        for part in self.parts:
            part.places_of(documents, mask, True)
        return mask if self.alive is None else mask & self.alive


class KeptLists:
    """What a process keeps of a collection; for all its threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.view: View | None = None
        self.mean = 0.0
        self._lists: OrderedDict[tuple[int, str, float], List] = OrderedDict()
        self._bytes = 0

    def weighed(self, part: int, term: str, mean: float) -> List | None:
        """Returns a list that is kept, with the weights that go with a mean length."""
        with self.lock:
            found = self._lists.get((part, term, mean))
            if found is not None:
                self._lists.move_to_end((part, term, mean))
            return found

    def keep(self, part: int, term: str, mean: float, found: List) -> None:
        """Keeps a list; the ones used longest ago go."""
        with self.lock:
            if (part, term, mean) in self._lists:
                return
            self._lists[part, term, mean] = found
            self._bytes += _size(found)
            while self._bytes > KEPT_BYTES:
                self._bytes -= _size(self._lists.popitem(last=False)[1])

    def forget_lists(self, keep: set[int]) -> None:
        """Forgets the weighed lists of parts that are not among these."""
        with self.lock:
            gone = [key for key in self._lists if key[0] not in keep]
            for key in gone:
                self._bytes -= _size(self._lists.pop(key))


def _size(found: List) -> int:
    return 200 + 5 * len(found[0])


_held: OrderedDict[tuple[str, int], KeptLists] = OrderedDict()
_holding = threading.Lock()


def held(database: str, collection: int) -> KeptLists:
    """Returns what this process keeps of a collection of a database."""
    with _holding:
        found = _held.setdefault((database, collection), KeptLists())
        _held.move_to_end((database, collection))
        while len(_held) > KEPT_COLLECTIONS:
            _held.popitem(last=False)
        return found


class WordSearch:
    """Finds chunks of a collection by words."""

    def __init__(self, server: Server, collection: int, stemmer: Stemmer) -> None:
        self._server, self._collection, self._stemmer = server, collection, stemmer
        self._held = held(server.identity, collection)
        self._last: tuple[tuple[str, ...], View, Scores | None] | None = None

    def ranked(self, terms: Sequence[str], limit: int, documents: Sequence[int] | None) -> Ranked:
        """Returns the chunks that fit best, best first, with their BM25."""
        stems = tuple(stem for stem in dict.fromkeys(self._stemmer.stems(terms)) if stem)
        view, scores = self._scores(stems)
        if scores is None:
            return []
        found = scores.best(limit, view.mask(documents))
        chunks = view.chunks([place for place, _ in found])
        scored = [(chunk, score) for chunk, (_, score) in zip(chunks, found, strict=True)]
        return sorted(scored, key=lambda entry: (-entry[1], entry[0]))

    def _scores(self, stems: tuple[str, ...]) -> tuple[View, Scores | None]:
        """Returns a view and the scores in it; the last ones are kept."""
        last = self._last
        if last is not None and last[0] == stems and self._fetch(())[0] == last[1].revision:
            return last[1:]
        view, lists = self._read(stems)
        words = []
        for stem in stems:
            found = [(part.base, *entry) for part, entry in lists[stem] if len(entry[0])]
            count = sum(len(places) for _, places, _ in found)
            if count:
                words.append(Word(rarity(count, view.size), found))
        scores = Scores(words, view.size) if words else None
        self._last = (stems, view, scores)
        return view, scores

    def _read(self, stems: Sequence[str]) -> tuple[View, dict[str, list[tuple[Part, List]]]]:
        """Returns a view and the lists of words in it, all of one revision."""
        view = self._held.view or self._load()
        while True:
            lists: dict[str, list[tuple[Part, List]]] = {stem: [] for stem in stems}
            wanted: list[tuple[Part, str]] = []
            for part in view.parts:
                for stem in stems:
                    if part.own is not None:
                        found = part.own.get(stem)
                    else:
                        found = self._held.weighed(part.name, stem, view.mean)
                        if found is None:
                            wanted.append((part, stem))
                    if found is not None:
                        lists[stem].append((part, self._stepped(part, stem, found, view.mean)))
            revision, rows = self._fetch(wanted)
            if revision == view.revision:
                break
            view = self._load()
        for part, stem in wanted:
            data = rows.get((part.name, stem), b"")
            places, counts = from_bytes(data)
            found = places, steps_of(places, counts, part.lengths, view.mean)
            self._held.keep(part.name, stem, view.mean, found)
            lists[stem].append((part, found))
        return view, lists

    def _stepped(self, part: Part, stem: str, found: List, mean: float) -> List:
        if part.own is None:
            return found
        kept = self._held.weighed(part.name, stem, mean)
        if kept is None:
            kept = found[0], steps_of(*found, part.lengths, mean)
            self._held.keep(part.name, stem, mean, kept)
        return kept

    def _fetch(
        self, wanted: Sequence[tuple[Part, str]]
    ) -> tuple[int, dict[tuple[int, str], bytes]]:
        """Returns the revision and lists, as one query sees them."""
        with self._server.get().cursor(binary=True) as cursor:
            rows = cursor.execute(
                """SELECT c.revision, p.segment, p.term, p.list FROM qwenbelt.collections c
                LEFT JOIN (unnest(%s::bigint[], %s::text[]) AS w (segment, term)
                JOIN qwenbelt.postings p ON p.segment = w.segment AND p.term = w.term) ON true
                WHERE c.id = %s""",
                (
                    [part.name for part, _ in wanted],
                    [stem for _, stem in wanted],
                    self._collection,
                ),
            ).fetchall()
        lists = {(segment, term): data for _, segment, term, data in rows if segment is not None}
        return int(rows[0][0]), lists

    def _load(self) -> View:
        """Takes over what changed since the last view."""
        before = {part.name: part for part in (self._held.view or _NOTHING).parts}
        connection = self._server.get()
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            here = (self._collection,)
            ((revision,),) = cursor.execute(
                "SELECT revision FROM qwenbelt.collections WHERE id = %s", here
            ).fetchall()
            dead = [
                document
                for (document,) in cursor.execute(
                    "SELECT document FROM qwenbelt.dead WHERE collection = %s", here
                )
            ]
            query = "SELECT id FROM qwenbelt.segments WHERE collection = %s ORDER BY id"
            segments = [number for (number,) in cursor.execute(query, here)]
            query = """SELECT p.document FROM qwenbelt.packed p
                JOIN qwenbelt.documents d ON d.id = p.document AND d.state = 'ready'
                WHERE p.collection = %s ORDER BY 1"""
            alone = [document for (document,) in cursor.execute(query, here)]
            names = [*segments, *(-document for document in alone)]
            new = [name for name in names if name not in before]
            before.update((part.name, part) for part in _read_parts(cursor, new))
        parts, base, tokens = [], 0, 0
        for name in names:
            parts.append(before[name]._replace(base=base))
            base += len(parts[-1].ids)
            tokens += int(parts[-1].lengths.sum())
        alive = None
        if dead:
            alive = np.ones(base, bool)
            for part in parts:
                part.places_of(dead, alive, False)
        view = View(int(revision), parts, base, self._mean(tokens, base, names), alive)
        self._held.view = view
        return view

    def _mean(self, tokens: int, size: int, names: Sequence[int]) -> float:
        mean = max(tokens / max(size, 1), 1.0)
        keep = set(names)
        if abs(mean - self._held.mean) <= DRIFT * mean:
            mean = self._held.mean
        else:
            keep = set()  # the weights of all lists follow it
        self._held.mean = mean
        self._held.forget_lists(keep)
        return mean


_NOTHING = View(-1, [], 0, 1.0, None)


def _read_parts(cursor: Any, names: Sequence[int]) -> list[Part]:
    found = []
    query = "SELECT id, ids, lengths, documents, starts FROM qwenbelt.segments WHERE id = ANY(%s)"
    for number, *row in cursor.execute(query, ([n for n in names if n > 0],)):
        found.append(Part(int(number), 0, *rows_of(row), None))
    query = """SELECT document, ids, lengths, terms, ends, lists FROM qwenbelt.packed
        WHERE document = ANY(%s)"""
    for row in cursor.execute(query, ([-n for n in names if n < 0],)):
        document, ids, words = taken(row)
        starts = [0, *words.ends.tolist()]
        own = {
            term: (words.places[start:stop], words.counts[start:stop])
            for term, start, stop in zip(words.terms, starts, starts[1:], strict=False)
        }
        one = np.array([document]), np.zeros(1, np.int64)
        found.append(Part(-int(document), 0, ids, words.lengths, *one, own))
    return found


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
