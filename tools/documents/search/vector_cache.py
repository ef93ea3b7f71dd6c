"""Vectors that were made once are kept: one SQLite file for all indexes of a person.

A vector is kept as small whole numbers (int8): a quarter of the room, and no loss in ranking. The
key is the model and the text, so it does not matter which document or index the text is from.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qwenbelt.core import transactions
from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.search.embedding import Embedder, Vectors, unit

Small = npt.NDArray[np.int8]
CACHE_NAME = "vectors.db"
_ASKED = 500  # keys a query


def small(rows: Vectors) -> Small:
    """Returns vectors as int8; only their direction is kept."""
    most = np.maximum(np.abs(rows).max(axis=-1, keepdims=True), 1e-12)
    steps: Small = np.rint(rows / most * 127).astype(np.int8)
    return steps


def large(rows: Small) -> Vectors:
    """Returns int8 vectors as vectors of length 1."""
    return unit(rows.astype(np.float32))


class CachedEmbedder:
    """Asks an embedder only for what is not in a cache file.

    Raises:
        InputError: the file cannot be used.
    """

    def __init__(self, inner: Embedder, path: Path) -> None:
        self.name, self.batch, self.columns = inner.name, inner.batch, inner.columns
        self._inner = inner
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(
                path, timeout=60.0, isolation_level=None, check_same_thread=False
            )
            transactions.use_write_ahead_log(self._file)
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, data BLOB NOT NULL) "
                "WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{path}: cannot be used as a cache of vectors ({error}).") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a text; new ones are kept."""
        keys = [self._key("passage", text) for text in texts]
        found = self._get(keys)
        missing = list(dict.fromkeys(t for t, k in zip(texts, keys, strict=True) if k not in found))
        for first in range(0, len(missing), self.batch):
            part = missing[first : first + self.batch]
            rows = small(self._inner.passages(part))
            made = {
                self._key("passage", t): row.tobytes() for t, row in zip(part, rows, strict=True)
            }
            self._put(made)
            found.update(made)
        return large(np.array([np.frombuffer(found[key], np.int8) for key in keys]))

    def query(self, text: str) -> Vectors:
        """Returns the vector of a question."""
        key = self._key("query", text)
        found = self._get([key]).get(key)
        if found is not None:
            return np.frombuffer(found, np.float32)
        made = self._inner.query(text)
        self._put({key: made.astype(np.float32).tobytes()})
        return made

    def _key(self, kind: str, text: str) -> bytes:
        return hashlib.sha256(f"{self.name}\0{kind}\0{text}".encode()).digest()

    def _get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._lock:
            for first in range(0, len(keys), _ASKED):
                part = keys[first : first + _ASKED]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, data FROM vectors WHERE key IN ({marks})"  # noqa: S608
                found.update(self._file.execute(query, part).fetchall())
        return found

    def _put(self, made: dict[bytes, bytes]) -> None:
        with self._lock, transactions.write_transaction(self._file) as file:
            file.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", made.items())
