"""Temporary files of writes that a kill has cut off: how they are told, and swept up.

A file is taken away only if it has our form of name, is a plain file of this user without a second
name, was not written to for a minute, and is locked by nobody: a write that is going on holds a
lock on its temporary file, which the system gives up when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterable

try:
    import fcntl
except ImportError:  # Windows has none: nothing is swept up there
    fcntl = None  # type: ignore[assignment]

_NAME = re.compile(r"\.qwenbelt-[0-9a-f]{16}\.tmp", re.ASCII)
_REST = 60.0  # seconds that a leftover is old
_MOST = 100_000  # entries that a sweep looks at
_LONGEST = 20.0  # seconds that it takes


def temporary_name() -> str:
    """Returns a name for a file that takes another one when it is whole.

    No part of the final name is in it: with it this one could be longer than a name may be.
    """
    return f".qwenbelt-{secrets.token_hex(8)}.tmp"


def hold(number: int) -> None:
    """Marks an open temporary file as being written, until it is closed or we end."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # file systems without locks: it is young enough
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(folders: Iterable[str], *, deep: bool = True) -> int:
    """Removes leftovers in folders and, if `deep`, below them; returns how many.

    Links are not followed. A very large tree is swept in part only.
    """
    if fcntl is None or not hasattr(os, "fwalk"):
        return 0
    removed, seen, end = 0, 0, time.monotonic() + _LONGEST
    for folder in folders:
        with contextlib.suppress(OSError):  # it is gone, or not ours to look at
            for _, below, names, number in os.fwalk(folder):
                removed += sum(_remove(number, n) for n in names if _NAME.fullmatch(n))
                seen += len(names) + 1
                if seen > _MOST or time.monotonic() > end:
                    return removed
                if not deep:
                    below.clear()
    return removed


def sweep_soon(folders: Iterable[str], *, deep: bool = True) -> None:
    """Sweeps in the background."""
    chosen = list(folders)
    threading.Thread(target=lambda: sweep(chosen, deep=deep), daemon=True).start()


def _remove(folder: int, name: str) -> bool:
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        facts = os.fstat(number)
        ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
        if not ours or facts.st_nlink != 1 or time.time() - facts.st_mtime < _REST:
            return False
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    except OSError:  # somebody writes it, or it is gone
        return False
    finally:
        os.close(number)
    return True
