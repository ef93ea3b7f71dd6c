"""`batch()`: many tasks as durable workflows, from a list to a folder of results."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core.files import output_folder, replacing_file
from qwenbelt.core.language import Language
from qwenbelt.workflows.batch.engine import Worker
from qwenbelt.workflows.batch.ledger import (
    CANCELLED,
    DONE,
    FAILED,
    Ledger,
    drop_replaced,
    store_for,
)
from qwenbelt.workflows.batch.liveness import Unreachable
from qwenbelt.workflows.batch.summary import Summary, write_summary
from qwenbelt.workflows.batch.tasks import Task, TaskOptions, read_tasks


@dataclass(frozen=True)
class BatchProgress:
    """The state of a batch.

    Attributes:
        rate: tasks finished a minute since this worker began, by all workers; None at first.
        left: seconds until the end at this rate; None when it is not known.
    """

    total: int
    done: int
    failed: int
    running: int
    waiting: int
    rate: float | None = None
    left: float | None = None


@dataclass(frozen=True)
class Batch:
    """A batch that was worked on.

    Attributes:
        complete: every task has ended; False when the batch is paused.
    """

    folder: Path
    total: int
    done: int
    failed: int
    cancelled: int
    complete: bool

    @property
    def results(self) -> Path:
        """The results, one JSON object a line, in the order of the tasks."""
        return self.folder / "results.jsonl"


def batch(
    tasks: str | os.PathLike[str] | Sequence[Task],
    out: str | os.PathLike[str],
    *,
    options: TaskOptions | None = None,
    db: str | None = None,
    name: str | None = None,
    in_flight: int = 8,
    limit: int | None = None,
    rate: tuple[int, float] | None = None,
    retry: bool = False,
    dashscope_batch: bool = False,
    language: Language = "en",
    tell: Callable[[BatchProgress], None] = lambda progress: None,
) -> Batch:
    """Runs tasks as durable workflows; called again, it resumes where it was.

    Every task is done once, also when several processes or machines work on the same batch. A
    model call whose answer was received is not made again.

    Args:
        tasks: a JSONL file, or tasks as `read_tasks` returns them.
        out: the folder for `results.jsonl`, `summary.html`, the tasks' files, and the database.
        options: how the tasks are run, where they do not say so themselves.
        db: a PostgreSQL URL, so that other machines can join; a SQLite file in `out` by default.
        name: names the batch in the database; the folder's name by default.
        in_flight: tasks at the same time in this process, for each endpoint.
        limit: the same over all processes together.
        rate: at most this many tasks started in this many seconds, for each endpoint.
        retry: try the failed tasks again.
        dashscope_batch: get the replies to the tasks' first requests by DashScope's Batch API,
            which is slower (up to 24 hours) and half the price.
        language: of the summary page.
        tell: called with the state of the batch, repeatedly.

    Raises:
        InputError: the tasks cannot be read, or the folder cannot be written.
        ConfigError: the database cannot be used, or was away for longer than a minute, or the
            `durable` extra is missing.
    """
    given = list(
        read_tasks(Path(tasks), options) if isinstance(tasks, (str, os.PathLike)) else tasks
    )
    folder = output_folder(out)
    store = store_for(folder, db, name)
    drop_replaced(store, folder, given)
    with Worker(store, folder, in_flight=in_flight, limit=limit, rate=rate) as worker:
        ledger = worker.ledger
        if dashscope_batch:
            from qwenbelt.workflows.batch.ahead import replies_ahead

            left = {task.id for task in given} - {line["id"] for line in ledger.results(given)}
            worker.ahead = replies_ahead([t for t in given if t.id in left], folder)
        worker.submit(given)
        if retry:
            ledger.retry()
        meter = _RateMeter(ledger, {store.workflow_id(task) for task in given}, tell)
        try:
            complete = worker.wait(meter.told)
        except Unreachable:
            raise  # the database is gone, and with it what is to be written
        except BaseException:  # all, interrupts too, are raised again: what is done can be read
            write_results(ledger, given, folder, language)
            raise
        counts = write_results(ledger, given, folder, language)
        # another worker may have been given the same tasks in another form meanwhile
        complete = complete and counts.total() == len(given)
    return Batch(folder, len(given), counts[DONE], counts[FAILED], counts[CANCELLED], complete)


def write_results(
    ledger: Ledger, tasks: Sequence[Task], folder: Path, language: Language
) -> Counter[str]:
    """Writes `results.jsonl` and `summary.html`; returns how many tasks ended how."""
    summary = Summary(len(tasks))
    with replacing_file(folder / "results.jsonl") as file:
        for line in ledger.results(tasks):
            summary.add(line)
            text = json.dumps(line, ensure_ascii=False)
            file.write(f"{text}\n".encode("utf-8", "replace"))
    write_summary(folder / "summary.html", summary, language)
    ended = {DONE: summary.done, FAILED: summary.failed, CANCELLED: summary.cancelled}
    return Counter(ended)


class _RateMeter:
    """Turns what the worker reports into progress with rates."""

    def __init__(
        self, ledger: Ledger, ids: set[str], tell: Callable[[BatchProgress], None]
    ) -> None:
        self._tell = tell
        self._ledger = ledger
        self._total = len(ids)
        self._began = time.monotonic()
        self._first: int | None = None

    def told(self, running: int, waiting: int) -> None:
        """Reports the state of the batch."""
        counts = self._ledger.counts()
        done, failed = counts[DONE], counts[FAILED]
        ended = done + failed
        if self._first is None:
            self._first = ended
        passed = time.monotonic() - self._began
        made = ended - self._first
        rate = 60 * made / passed if made and passed > 0 else None
        left = 60 * (running + waiting) / rate if rate else None
        self._tell(BatchProgress(self._total, done, failed, running, waiting, rate, left))
