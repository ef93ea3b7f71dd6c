"""Threads that work ahead for a generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def reader_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Gives threads to a generator until it ends; one that is left in the middle waits for none.

    A generator that nobody reads to its end is ended by the collector, which comes by in any
    thread: in one of these too, and no thread can wait for itself.
    """
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    except GeneratorExit:
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:  # an interrupt too: what nobody waits for is not begun any more
        threads.shutdown(cancel_futures=True)
        raise
    threads.shutdown()
