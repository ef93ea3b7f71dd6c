"""The sources of an index file: listed beside it, so that a damaged one can be rebuilt.

`documents.db.sources` has a line for each document that was added or removed. A damaged file is
set aside as `documents.db.damaged`, and `documents.db.rebuild` lists what is still to be indexed,
so that an interrupted rebuild resumes at the next opening.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.core.files import write_bytes

_SIDES = ("-wal", "-shm", "-journal")
_DAMAGE = ("malformed", "not a database", "corrupt", "disk I/O error")
_NAMES = """SELECT c.name, n.path, n.meta FROM names n JOIN collections c ON c.id = n.collection
WHERE n.current = 1 ORDER BY n.document"""


class Source(NamedTuple):
    """A document's collection, the path or URL that it was taken from, and its `meta`."""

    collection: str
    path: str
    meta: Mapping[str, Any]


def is_damage(error: BaseException) -> bool:
    """Returns whether an error is that of a damaged file, or came while one was dealt with."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, sqlite3.DatabaseError) and any(d in str(seen) for d in _DAMAGE):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def log_added(index: Path, source: Source) -> None:
    """Notes that a document was added."""
    _append(index, {"added": source})


def log_removed(index: Path, collection: str, path: str) -> None:
    """Notes that a path was removed."""
    _append(index, {"removed": Source(collection, path, {})})


def begin_log(index: Path, connection: sqlite3.Connection) -> None:
    """Writes the list of an index that has none, as those of older versions."""
    if not _log(index).exists():
        for source in _names(connection):
            log_added(index, source)


def forget(index: Path) -> None:
    """Removes the list of an index whose file was deleted on purpose."""
    _log(index).unlink(missing_ok=True)


def set_aside(index: Path) -> None:
    """Moves a damaged index file away and writes the list of what is to be indexed again."""
    sources = _read(_log(index)) or list(_salvaged(index))
    _write(index, [*_read(_todo(index)), *sources])
    if index.exists():
        os.replace(index, index.with_name(index.name + ".damaged"))
    for side in _SIDES:
        index.with_name(index.name + side).unlink(missing_ok=True)
    _log(index).unlink(missing_ok=True)


def is_sound(index: Path) -> bool:
    """Returns whether an index file can be read, as when another program has rebuilt it already."""
    try:
        with contextlib.closing(sqlite3.connect(index)) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            return bool(tables and sound)
    except sqlite3.Error:
        return False


def is_known(index: Path) -> bool:
    """Returns whether there is a list of what an index file was made from."""
    return _log(index).exists()


def waiting(index: Path, collection: str) -> list[Source]:
    """Returns what is still to be indexed again."""
    return [s for s in _read(_todo(index)) if s.collection == collection]


def rebuilt(index: Path, collection: str) -> None:
    """Notes that all of a collection was indexed again."""
    _write(index, [s for s in _read(_todo(index)) if s.collection != collection])


def _log(index: Path) -> Path:
    return index.with_name(index.name + ".sources")


def _todo(index: Path) -> Path:
    return index.with_name(index.name + ".rebuild")


def _append(index: Path, line: Mapping[str, Source]) -> None:
    with _log(index).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def _read(path: Path) -> list[Source]:
    found: dict[tuple[str, str], Source] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # cut by a stop
            for what, values in json.loads(line).items():
                source = Source(*values)
                found.pop((source.collection, source.path), None)
                if what == "added":
                    found[source.collection, source.path] = source
    return list(found.values())


def _write(index: Path, sources: Iterable[Source]) -> None:
    text = "".join(json.dumps({"added": s}, ensure_ascii=False) + "\n" for s in sources)
    if text:
        write_bytes(_todo(index), text.encode())
    else:
        _todo(index).unlink(missing_ok=True)


def _salvaged(index: Path) -> list[Source]:
    try:
        with contextlib.closing(sqlite3.connect(index)) as connection:
            return list(_names(connection))
    except (sqlite3.Error, ValueError):
        return []


def _names(connection: sqlite3.Connection) -> Iterator[Source]:
    for collection, path, meta in connection.execute(_NAMES):
        yield Source(collection, path, json.loads(meta))
