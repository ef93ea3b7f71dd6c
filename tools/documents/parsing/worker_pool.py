"""Reading documents in other processes: several at once, limited in time, free to crash."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.processes.child_process import (
    ChildEnded,
    ChildProcess,
    ChildTooSlow,
    IdleChildren,
)
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.core.processes.reader_threads import reader_threads
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.notes import noted

RANGE = 16  # pages that one process reads at a time
OPEN_SECONDS = 30.0
PAGE_SECONDS = 20.0  # a page that takes longer is left out, and later ones get a quarter of it
LEAST_SECONDS = 1.0
_SLACK = 4.0  # times as long by the clock where a busy machine leaves the reader less than that
MAX_STUCK = 8  # pages that may fail their reader; what comes after them is left out
MAX_PROCESSES = 4
_CHILD = "qwenbelt.tools.documents.parsing.worker"


class _Stuck(Exception):
    """A process died or did not answer in time.

    Attributes:
        slow: whether it lived and was waited for.
        starved: whether that is the machine's fault, which is busy, and not the document's.
    """

    def __init__(self, *, slow: bool = False, starved: bool = False) -> None:
        super().__init__()
        self.slow = slow
        self.starved = starved


class _Left(Exception):
    """Nobody waits for the pages any more."""


class _Patience:
    """How long the pages of one file are waited for: less and less, so that a hostile one ends.

    Attributes:
        left: whether nobody waits for them any more.
    """

    def __init__(self) -> None:
        self.left = False
        self._lock = threading.Lock()
        self._stuck = self._slow = 0

    @property
    def seconds(self) -> float:
        return max(PAGE_SECONDS * 0.25**self._slow, LEAST_SECONDS)

    @property
    def is_over(self) -> bool:
        return self._stuck >= MAX_STUCK

    def spend(self, stuck: _Stuck) -> None:
        with self._lock:
            self._stuck += 1
            self._slow += stuck.slow


class Workers:
    """A few reading processes, started when needed and kept for the next document.

    Args:
        processes: how many at most; by default as many as there are processors, up to 4.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.size = processes or min(os.cpu_count() or 1, MAX_PROCESSES)
        self._idle = IdleChildren(self.size)

    @contextlib.contextmanager
    def _one(self) -> Iterator[ChildProcess]:
        """Lends a process; one that is stuck is stopped and not used again."""
        process = self._idle.take() or ChildProcess(_CHILD, (), {"OPENBLAS_NUM_THREADS": "1"})
        try:
            yield process
        except InputError:
            self._idle.give_back(process)
            raise
        except BaseException:  # whatever ended it, a cancel too: answers may still be to come
            process.stop()
            raise
        else:
            self._idle.give_back(process)

    def close(self) -> None:
        """Stops the processes that are idle."""
        self._idle.close()

    def open(self, file: Path, password: str | None, *, layout: bool) -> dict[str, Any]:
        """Returns kind, pages, title and outline of a document.

        Raises:
            InputError: it cannot be opened.
        """
        request = {"do": "open", "path": str(file), "password": password, "layout": layout}
        try:
            with self._one() as process:
                (facts,) = _answers(process, request, OPEN_SECONDS)
                return facts
        except _Stuck as stuck:
            if stuck.slow:
                raise InputError(
                    f"{file}: could not be opened in time.",
                    fix="Try again when the machine is less busy.",
                ) from None
            raise InputError(f"{file}: cannot be read; it makes its reader fail.") from None

    def attachment(self, file: Path, name: str, password: str | None) -> bytes:
        """Returns the bytes of a file that is attached to a document.

        Raises:
            InputError: there is none of that name, or it cannot be taken out.
        """
        request = {"do": "attachment", "path": str(file), "name": name, "password": password}
        try:
            with self._one() as process:
                (answer,) = _answers(process, request, OPEN_SECONDS)
                return base64.b64decode(answer["data"])
        except _Stuck as stuck:
            if stuck.slow:
                raise InputError(
                    f"{file}/{name}: could not be read in time.",
                    fix="Try again when the machine is less busy.",
                ) from None
            raise InputError(f"{file}/{name}: makes its reader fail.") from None

    def read(
        self,
        file: Path,
        numbers: Iterable[int],
        password: str | None,
        *,
        layout: bool,
        size: int = RANGE,
        pictures: bool = False,
    ) -> Iterator[Page]:
        """Yields pages as they are done; what cannot be read comes empty, with a note.

        Args:
            file: the document.
            numbers: pages from 1.
            password: opens an encrypted file.
            layout: see `pdf.read_pages`.
            size: how many pages one process reads at a time; 0 for all.
            pictures: scans and figures come as pictures for a model, not read by OCR.

        Raises:
            InputError: the document cannot be opened, or the machine is too busy to read it.
        """
        wanted = list(numbers)
        size = size or max(len(wanted), 1)
        ranges = [wanted[n : n + size] for n in range(0, len(wanted), size)]
        base: dict[str, Any] = {
            "do": "read",
            "path": str(file),
            "password": password,
            "layout": layout,
        }
        base["pictures"] = pictures
        patience = _Patience()
        with reader_threads(self.size) as threads:
            waiting: set[Future[list[Page]]] = set()
            try:
                while ranges or waiting:
                    while ranges and len(waiting) < self.size + 1:
                        waiting.add(threads.submit(self._read_range, base, ranges.pop(0), patience))
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            finally:
                patience.left = True

    def _read_range(
        self, base: dict[str, Any], numbers: list[int], patience: _Patience
    ) -> list[Page]:
        pages: list[Page] = []
        while len(pages) < len(numbers):
            number = numbers[len(pages)]
            if patience.is_over:
                note = noted(f"Left out: {MAX_STUCK} other pages make their reader fail.")
                pages.append(Page(number, notes=[note]))
                continue
            try:
                self._read_some({**base, "pages": numbers[len(pages) :]}, pages, patience)
            except _Stuck as stuck:
                if stuck.starved:  # an index would keep the page as empty for good
                    raise InputError(
                        f"{base['path']}: could not be read in time.",
                        fix="Try again when the machine is less busy.",
                    ) from None
                number = numbers[len(pages)]
                pages.append(Page(number, notes=[noted("Left out: it makes its reader fail.")]))
                patience.spend(stuck)
        return pages

    def _read_some(self, request: dict[str, Any], pages: list[Page], patience: _Patience) -> None:
        from qwenbelt.tools.documents.parsing.worker import decode

        with self._one() as process:
            for answer in _answers(process, request, patience.seconds):
                if "page" in answer:
                    pages.append(decode(answer["page"], answer.get("pictures")))
                    if patience.left:  # Ctrl-C waits for this page and not for fifteen more
                        raise _Left


def _answers(
    process: ChildProcess, request: dict[str, Any], seconds: float
) -> Iterator[dict[str, Any]]:
    """Sends a request and yields answers, each of which may take some seconds.

    Raises:
        InputError: the document cannot be read.
        _Stuck: the process died or is too slow; it must not be used again.
    """
    try:
        process.send(request)
        while True:
            answer = process.receive(seconds, slack=_SLACK) or {}
            if "error" in answer:
                raise InputError(answer["error"], fix=answer.get("fix"))
            yield answer
            if "page" not in answer:
                return
    except ChildTooSlow as late:
        raise _Stuck(slow=True, starved=late.starved) from None
    except ChildEnded:
        raise _Stuck from None


shared_workers = per_process(Workers, Workers.close)  # of all indexes of this process
