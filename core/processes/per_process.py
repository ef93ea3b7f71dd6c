"""One object per process or thread: made at first use, never shared with a forked copy.

A fork copies objects but not their threads, and leaves pipes and sockets with two owners: a copied
pool of processes would kill or confuse its parent's. So each process gets its own, and the parent's
copy is left untouched in the child (not even collected, which would close what the parent uses).
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from qwenbelt.core.processes.watchdog import Watchdog

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Makes one object for each process and returns it when called.

    Args:
        make: makes the object.
        close: called with the object at the end of the process that made it.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], None] | None = None) -> None:
        self._make = make
        self._close = close
        self._made: dict[int, T] = {}
        # by process, since a fork may copy a lock that another thread holds and never gives back
        self._locks: dict[int, threading.Lock] = {}

    def __call__(self) -> T:
        """Returns the object of this process."""
        process = os.getpid()
        if process in self._made:
            return self._made[process]
        with self._locks.setdefault(process, threading.Lock()):
            if process not in self._made:
                self._made[process] = self._make()
                if self._close is not None:
                    atexit.register(self._at_exit, process)
            return self._made[process]

    def existing(self) -> T | None:
        """Returns this process's object if it has been made."""
        return self._made.get(os.getpid())

    def drop(self) -> T | None:
        """Returns this process's object without closing it; the next call makes a new one."""
        return self._made.pop(os.getpid(), None)

    def _at_exit(self, process: int) -> None:
        # a forked copy inherits this handler, too
        if process == os.getpid() and self._close is not None:
            made = self.drop()
            if made is not None:
                self._close(made)


def per_process(make: Callable[[], T], close: Callable[[T], None] | None = None) -> PerProcess[T]:
    """Returns a function that returns one object per process."""
    return PerProcess(make, close)


watchdog = per_process(Watchdog)  # of the children of this process


class _Threads(Generic[T]):
    def __init__(self) -> None:
        self.here = threading.local()
        self.all: list[T] = []
        self.lock = threading.Lock()


class PerThread(Generic[T]):
    """Makes one object, such as a connection, for each thread of each process.

    A forked copy of a process makes its own: a connection with two owners mixes up their answers
    (PostgreSQL) or loses locks (SQLite).

    Args:
        make: makes the object.
        close: closes it.
        is_usable: whether an object can still be used; another one is made where it cannot.
    """

    def __init__(
        self,
        make: Callable[[], T],
        close: Callable[[T], object],
        is_usable: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._make = make
        self._close = close
        self._is_usable = is_usable
        self._threads: PerProcess[_Threads[T]] = per_process(_Threads)

    def get(self) -> T:
        """Returns this thread's object."""
        threads = self._threads()
        found: T | None = getattr(threads.here, "made", None)
        if found is None or not self._is_usable(found):
            found = threads.here.made = self._make()
            with threads.lock:
                threads.all.append(found)
        return found

    def close(self) -> None:
        """Closes the objects of all threads of this process."""
        threads = self._threads()
        with threads.lock:
            for made in threads.all:
                self._close(made)
            threads.all.clear()
        threads.here = threading.local()
