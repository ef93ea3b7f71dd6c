"""Files that this process writes and code of a model may not: traces and document indexes.

They may be in the folder that a session's code works in. Who opens one says so here; who carries
files out of a sandbox asks.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

# files that SQLite puts beside a database
_BESIDE = ("", "-journal", "-wal", "-shm")
_kept: Counter[str] = Counter()
_lock = threading.Lock()


def keep_file_closed(path: str | os.PathLike[str]) -> None:
    """Says that a file, and what SQLite puts beside it, is written by this process alone."""
    with _lock:
        _kept[os.path.realpath(path)] += 1


def let_go(path: str | os.PathLike[str]) -> None:
    """Takes back one `keep_file_closed`."""
    with _lock:
        name = os.path.realpath(path)
        _kept[name] -= 1
        if _kept[name] <= 0:
            del _kept[name]


def is_kept(path: str) -> bool:
    """Returns whether a real path is such a file."""
    with _lock:
        return any(path.endswith(end) and path[: len(path) - len(end)] in _kept for end in _BESIDE)
