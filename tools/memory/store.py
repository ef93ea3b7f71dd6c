"""A knowledge graph in one SQLite file: entities, what was observed of them, and relations.

Every change is one transaction in WAL mode. What was acknowledged survives the end of the process
at any moment, and any number of threads and processes can use one file. (A power cut may lose the
last moments, never more: `synchronous` is NORMAL.)
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qwenbelt.core import transactions
from qwenbelt.core.errors import ConfigError, ToolError, one_line
from qwenbelt.tools.memory.words import loose_phrases, query_phrases, text_for_index

_BUSY_SECONDS = 30.0
_SCAN_SECONDS = 2.0
_MOST_FOUND = 20_000
_FEW = 2_000  # entities; a term that this many have is common
_APPLICATION = 0x71626D31  # "qbm1", so that another program's file is not taken for ours
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS observations (
    id INTEGER PRIMARY KEY, entity INTEGER NOT NULL REFERENCES entities(id), content TEXT NOT NULL,
    UNIQUE (entity, content));
CREATE TABLE IF NOT EXISTS relations (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, target TEXT NOT NULL, type TEXT NOT NULL,
    UNIQUE (source, target, type));
CREATE INDEX IF NOT EXISTS relations_target ON relations(target);
"""
_WORDS = """CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    text, content='', tokenize="unicode61 remove_diacritics 2")
"""

Entity = tuple[str, str, list[str]]
Relation = tuple[str, str, str]
Found = tuple[str, str, list[tuple[int, str]]]  # name, type, numbered observations


class GraphStore:
    """The graph in a file.

    Args:
        path: the file; made if it is missing.

    Raises:
        ConfigError: the file is something else, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"{path}: cannot be used as a memory ({one_line(error)}).",
                fix="A memory of the reference server is read with --import.",
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        transactions.use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cache_size = -16000")
        return connection

    def _prepare(self) -> None:
        with self._changing() as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if application != _APPLICATION and tables:
                raise sqlite3.DatabaseError("it belongs to another program")
            for statement in (*_SCHEMA.split(";\n"), _WORDS):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            try:
                with transactions.write_transaction(self._writer) as connection:
                    yield connection
            except sqlite3.OperationalError as error:
                if "full" not in str(error):
                    raise
                raise ToolError(
                    "The disk is full: nothing was changed.", fix="Make room and try again."
                ) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            connection = self._connect()
        try:
            # one moment of the graph, whatever others write meanwhile
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.execute("ROLLBACK")
            with self._lock:
                self._readers.append(connection)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            readers, self._readers = self._readers, []
        for connection in (*readers, self._writer):
            connection.close()

    # ------------------------------------------------------------------ changes

    def create_entities(self, entities: Iterable[Entity]) -> list[Entity]:
        """Adds entities that are not there; returns those that were added."""
        added = []
        with self._changing() as connection:
            for name, kind, observations in entities:
                row = connection.execute(
                    "INSERT OR IGNORE INTO entities (name, type) VALUES (?, ?)", (name, kind)
                )
                if row.rowcount < 1:
                    continue
                identity = int(row.lastrowid or 0)
                _index_text(connection, 2 * identity, f"{name}\n{kind}")
                kept = list(dict.fromkeys(observations))
                for content in kept:
                    _add_observation(connection, identity, content)
                added.append((name, kind, kept))
        return added

    def create_relations(self, relations: Iterable[Relation]) -> list[Relation]:
        """Adds relations that are not there; returns those that were added."""
        with self._changing() as connection:
            sql = "INSERT OR IGNORE INTO relations (source, target, type) VALUES (?, ?, ?)"
            return [r for r in relations if connection.execute(sql, r).rowcount > 0]

    def add_observations(
        self, observations: Iterable[tuple[str, list[str]]]
    ) -> list[tuple[str, list[str]]]:
        """Adds what was observed of entities; returns what was new, entity by entity.

        Raises:
            ToolError: there is no such entity; nothing is added then.
        """
        results = []
        with self._changing() as connection:
            for name, contents in observations:
                identity = _entity_number(connection, name)
                if identity is None:
                    raise ToolError(f"Entity with name {one_line(name, 200)} not found.")
                results.append(
                    (name, [c for c in contents if _add_observation(connection, identity, c)])
                )
        return results

    def delete_entities(self, names: Iterable[str]) -> int:
        """Removes entities with their observations and relations; returns how many there were."""
        count = 0
        with self._changing() as connection:
            for name in names:
                identity = _entity_number(connection, name)
                if identity is not None:
                    _forget_entity(connection, identity)
                    count += 1
                sql = "DELETE FROM relations WHERE source = ? OR target = ?"
                connection.execute(sql, (name, name))
        return count

    def delete_observations(self, deletions: Iterable[tuple[str, list[str]]]) -> int:
        """Removes observations; returns how many there were."""
        count = 0
        with self._changing() as connection:
            for name, contents in deletions:
                identity = _entity_number(connection, name)
                for content in contents if identity is not None else ():
                    sql = "SELECT id FROM observations WHERE entity = ? AND content = ?"
                    row = connection.execute(sql, (identity, content)).fetchone()
                    if row is not None:
                        _unindex_text(connection, 2 * row[0] + 1, content)
                        connection.execute("DELETE FROM observations WHERE id = ?", row)
                        count += 1
        return count

    def delete_relations(self, relations: Iterable[Relation]) -> int:
        """Removes relations; returns how many there were."""
        sql = "DELETE FROM relations WHERE source = ? AND target = ? AND type = ?"
        with self._changing() as connection:
            return sum(connection.execute(sql, relation).rowcount for relation in relations)

    # ------------------------------------------------------------------ reading

    def counts(self) -> tuple[int, int, int]:
        """Returns the numbers of entities, observations and relations."""
        with self._reading() as connection:
            sql = "SELECT count(*) FROM {}"
            tables = ("entities", "observations", "relations")
            a, b, c = (connection.execute(sql.format(t)).fetchone()[0] for t in tables)
            return a, b, c

    def ids_from(self, first: int, count: int) -> list[int]:
        """Returns identities of entities from `first` on, in order."""
        sql = "SELECT id FROM entities WHERE id >= ? ORDER BY id LIMIT ?"
        with self._reading() as connection:
            return [row[0] for row in connection.execute(sql, (first, count))]

    def ids_of(self, names: Iterable[str]) -> list[int]:
        """Returns the identities of the named entities that exist."""
        with self._reading() as connection:
            found = [_entity_number(connection, name) for name in dict.fromkeys(names)]
        return [identity for identity in found if identity is not None]

    def names_from(self, begun: str, most: int) -> list[str]:
        """Returns names of entities that begin so, in order; the case of ASCII does not matter."""
        start = re.sub(r"([\\%_])", r"\\\1", begun)
        sql = "SELECT name FROM entities WHERE name LIKE ? ESCAPE '\\' ORDER BY name LIMIT ?"
        with self._reading() as connection:
            return [row[0] for row in connection.execute(sql, (f"{start}%", most))]

    def entity(self, identity: int, after: int = 0) -> Found | None:
        """Returns an entity with its observations of higher numbers than `after`, or None."""
        with self._reading() as connection:
            sql = "SELECT name, type FROM entities WHERE id = ?"
            row = connection.execute(sql, (identity,)).fetchone()
            if row is None:
                return None
            sql = "SELECT id, content FROM observations WHERE entity = ? AND id > ? ORDER BY id"
            return row[0], row[1], connection.execute(sql, (identity, after)).fetchall()

    def relations_of(self, identities: Iterable[int]) -> list[tuple[int, str, str, str]]:
        """Returns the relations from or to the entities, each once, with their numbers."""
        found: dict[int, tuple[int, str, str, str]] = {}
        sql = (
            "SELECT r.id, r.source, r.target, r.type FROM entities e JOIN relations r "
            "ON r.{} = e.name WHERE e.id = ?"
        )
        with self._reading() as connection:
            for identity in identities:
                for end in ("source", "target"):
                    for row in connection.execute(sql.format(end), (identity,)):
                        found[row[0]] = row
        return [found[number] for number in sorted(found)]

    def relations_after(self, number: int, count: int) -> list[tuple[int, str, str, str]]:
        """Returns relations with higher numbers than `number`, in order."""
        sql = "SELECT id, source, target, type FROM relations WHERE id > ? ORDER BY id LIMIT ?"
        with self._reading() as connection:
            return connection.execute(sql, (number, count)).fetchall()

    def search(self, query: str) -> list[int]:
        """Returns the entities that a query matches, best first, at most 20 000.

        All words must be found in an entity's name, type or observations; case and accents do not
        matter, and words match as prefixes. Where nothing has all of them, the query is looked for
        literally (also inside words), and then entities with some of the words are taken.
        """
        with self._reading() as connection:
            terms = query_phrases(query)
            found = _with_all(connection, terms) if terms else []
            found = found or _entities_containing(connection, query)
            return found or _with_some(connection, loose_phrases(query))

    def everything(self) -> Iterator[tuple[str, Entity | Relation]]:
        """Yields all entities, then all relations, as of one moment."""
        with self._reading() as connection:
            rows = connection.execute("SELECT id, name, type FROM entities ORDER BY id")
            for identity, name, kind in rows:
                sql = "SELECT content FROM observations WHERE entity = ? ORDER BY id"
                contents = [row[0] for row in connection.execute(sql, (identity,))]
                yield "entity", (name, kind, contents)
            for row in connection.execute("SELECT source, target, type FROM relations ORDER BY id"):
                yield "relation", (row[0], row[1], row[2])


def _entity_number(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT id FROM entities WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def _add_observation(connection: sqlite3.Connection, entity: int, content: str) -> bool:
    sql = "INSERT OR IGNORE INTO observations (entity, content) VALUES (?, ?)"
    row = connection.execute(sql, (entity, content))
    if row.rowcount < 1:
        return False
    _index_text(connection, 2 * int(row.lastrowid or 0) + 1, content)
    return True


def _forget_entity(connection: sqlite3.Connection, identity: int) -> None:
    sql = "SELECT id, content FROM observations WHERE entity = ?"
    for number, content in connection.execute(sql, (identity,)).fetchall():
        _unindex_text(connection, 2 * number + 1, content)
    connection.execute("DELETE FROM observations WHERE entity = ?", (identity,))
    sql = "SELECT name, type FROM entities WHERE id = ?"
    name, kind = connection.execute(sql, (identity,)).fetchone()
    _unindex_text(connection, 2 * identity, f"{name}\n{kind}")
    connection.execute("DELETE FROM entities WHERE id = ?", (identity,))


def _index_text(connection: sqlite3.Connection, number: int, text: str) -> None:
    connection.execute(
        "INSERT INTO words (rowid, text) VALUES (?, ?)", (number, text_for_index(text))
    )


def _unindex_text(connection: sqlite3.Connection, number: int, text: str) -> None:
    sql = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)"
    connection.execute(sql, (number, text_for_index(text)))


# a row of the index is an entity (even numbers) or an observation (odd ones)
_OWNERS = """
    SELECT DISTINCT CASE WHEN w.rowid % 2 = 0 THEN w.rowid / 2 ELSE
        (SELECT o.entity FROM observations o WHERE o.id = w.rowid / 2) END AS entity
    FROM words w WHERE w.words MATCH ? LIMIT ?
"""


def _owners_of_phrase(
    connection: sqlite3.Connection, phrase: str, most: int = 5 * _MOST_FOUND
) -> list[int]:
    rows = connection.execute(_OWNERS, (phrase, most)).fetchall()
    return [row[0] for row in rows if row[0] is not None]


def _with_all(connection: sqlite3.Connection, terms: list[str]) -> list[int]:
    """Starts from the rare terms: those that half of the graph has are only looked up there."""
    found: dict[int, None] | None = None
    common = []
    for term in terms:
        owners = _owners_of_phrase(connection, term, _FEW)
        if len(owners) == _FEW:
            common.append(term)
            continue
        found = dict.fromkeys(owners if found is None else (o for o in owners if o in found))
        if not found:
            return []
    if found is None:
        lists = [_owners_of_phrase(connection, term) for term in terms]
        return sorted(set(lists[0]).intersection(*lists[1:]))[:_MOST_FOUND]
    return sorted(_entities_with_terms(connection, list(found), common) if common else found)


def _entities_with_terms(
    connection: sqlite3.Connection, entities: list[int], terms: list[str]
) -> set[int]:
    """Returns those of a few entities that have all terms, by a small index of their own.

    In the large one, SQLite gathers all rows of a common prefix before it looks at a few of them.
    """
    sql = (
        "SELECT name || char(10) || type FROM entities WHERE id = :id "
        "UNION ALL SELECT content FROM observations WHERE entity = :id"
    )
    owners: list[int] = []
    with contextlib.closing(sqlite3.connect(":memory:")) as small:
        small.execute(_WORDS)
        for entity in entities:
            for (text,) in connection.execute(sql, {"id": entity}):
                owners.append(entity)
                _index_text(small, len(owners), text)
        found = set(entities)
        for term in terms:
            rows = small.execute("SELECT rowid FROM words WHERE words MATCH ?", (term,))
            found &= {owners[row[0] - 1] for row in rows}
    return found


def _with_some(connection: sqlite3.Connection, terms: list[str]) -> list[int]:
    hits: dict[int, int] = {}
    for term in terms:
        for owner in _owners_of_phrase(connection, term):
            hits[owner] = hits.get(owner, 0) + 1
    most = max(hits.values(), default=0)
    # half of the best match's words is little in common
    good = [owner for owner, count in hits.items() if 2 * count > most]
    return sorted(good, key=lambda owner: (-hits[owner], owner))[:_MOST_FOUND]


def _entities_containing(connection: sqlite3.Connection, query: str) -> list[int]:
    pattern = query.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    end = time.monotonic() + _SCAN_SECONDS
    late: Callable[[], int] = lambda: int(time.monotonic() > end)  # noqa: E731
    connection.set_progress_handler(late, 10_000)
    sql = (
        "SELECT id FROM entities WHERE name LIKE :p ESCAPE '\\' OR type LIKE :p ESCAPE '\\' "
        "UNION SELECT entity FROM observations WHERE content LIKE :p ESCAPE '\\' LIMIT :n"
    )
    try:
        values = {"p": f"%{pattern}%", "n": _MOST_FOUND}
        return sorted(row[0] for row in connection.execute(sql, values))
    except sqlite3.OperationalError:  # too large to look at every row
        return []
    finally:
        connection.set_progress_handler(None, 0)
