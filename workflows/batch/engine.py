"""A worker of a batch: DBOS runs its tasks as durable workflows.

DBOS keeps one instance a process, so one worker runs at a time in a process.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.deltas import JsonDict, WirePiece
from qwenbelt.core.errors import ConfigError, InputError, QwenbeltError, one_line
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.transactions import use_write_ahead_log
from qwenbelt.workflows.batch.dbos_engine import engine_module
from qwenbelt.workflows.batch.durable import Steps
from qwenbelt.workflows.batch.jobs import run_task
from qwenbelt.workflows.batch.ledger import RUNNING, BatchStore, Ledger, locks_of
from qwenbelt.workflows.batch.liveness import (
    Liveness,
    Unreachable,
    unreachable_database,
)
from qwenbelt.workflows.batch.tasks import Task, task_of

if TYPE_CHECKING:
    from typing_extensions import Self

# workflows are recovered only by a worker of the same version: change it with the steps' meaning
VERSION = 1
POLL_SECONDS = 0.1  # how often a worker looks for tasks to start
WATCH_SECONDS = 0.5
OUTAGE_SECONDS = 60.0  # how long a database may be away before the worker ends
_WATCH_SHARE = 20  # watching takes at most a twentieth of the time


class TaskFailed(QwenbeltError):
    """A task failed; the message is kept as its result."""


class _Stopped(BaseException):
    """Leaves a workflow without an outcome, so that it is recovered later."""


def _refuse(*arguments: object) -> None:
    raise ConfigError("The worker was closed.")


_current: Worker | None = None


@functools.cache
def _workflow() -> Callable[[dict[str, Any]], Any]:
    """Returns the workflow function, registered with the engine once."""
    engine = engine_module().DBOS

    def qwenbelt_task(table: dict[str, Any]) -> dict[str, Any]:
        if _current is None:
            raise _Stopped
        return _current.do(table)

    register = engine.workflow(name="qwenbelt.task", max_recovery_attempts=None)
    registered: Callable[[dict[str, Any]], Any] = register(qwenbelt_task)
    return registered


def write_ahead(file: str) -> None:
    """Lets readers and a writer work side by side, and a commit wait for the disk once."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection:
            use_write_ahead_log(connection)
    except sqlite3.Error as error:
        raise InputError(f"{file}: cannot be used ({error}).") from error


def _forget_closed_streams() -> None:
    """Takes handlers whose stream was closed from the engine's log, which it flushes at a start.

    It writes to what `sys.stderr` was when it first began, as in a notebook or a test.
    """
    log = logging.getLogger("dbos")
    for handler in list(log.handlers):
        if getattr(getattr(handler, "stream", None), "closed", False):
            log.removeHandler(handler)


_NOT_STARTED = "The worker was not started; use it in a `with` block."


class Worker:
    """Does the tasks of a batch until none is left; use it in a `with` statement.

    Args:
        store: where the batch is kept.
        out: the folder for the tasks' files.
        in_flight: tasks that this worker does at the same time, for each endpoint.
        limit: the same over all workers together; None for no such limit.
        rate: at most this many tasks are started in this many seconds, for each endpoint.

    Attributes:
        ahead: gives replies that were got in another way; see `workflows.batch.ahead`.

    Raises:
        ConfigError: the database cannot be used, or the `durable` extra is missing.
    """

    def __init__(
        self,
        store: BatchStore,
        out: Path,
        *,
        in_flight: int = 8,
        limit: int | None = None,
        rate: tuple[int, float] | None = None,
    ) -> None:
        self.store = store
        self.out = out
        self.in_flight = in_flight
        self._limit = limit
        self._rate = rate
        self._steps: set[Steps] = set()  # of the tasks that run
        self._connections: Any = None
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._closing = False
        self.ahead: Callable[[JsonDict], Sequence[WirePiece] | None] | None = None
        self._liveness: Liveness | None = None
        self._ledger: Ledger | None = None

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        global _current
        if _current is not None:
            raise ConfigError("This process is already working on a batch.")
        self._liveness = locks_of(self.store, self.out)
        self._liveness.hold(self.name)
        _current = self
        try:
            self._launch()
        except BaseException:  # an interrupt, too, must give the locks back
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _launch(self) -> None:
        module = engine_module()
        from sqlalchemy.exc import SQLAlchemyError

        _workflow()
        config = {
            "name": self.store.name,
            "system_database_url": self.store.url,
            # the engine wants it to be one application's own
            "application_version": f"{self.store.name}.{VERSION}",
            "executor_id": self.name,
            # JSON and not pickle: who can write to the database gets no code run here
            "serializer": module.DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",
            "enable_otlp": False,
            "use_listen_notify": False,
        }
        if not self.store.is_postgres:
            write_ahead(self.store.url.removeprefix("sqlite:///"))
        _forget_closed_streams()
        try:
            engine = module.DBOS(config=config)
            module.DBOS.launch()
            self._connections = engine._sys_db.engine
        except SQLAlchemyError as error:
            raise unreachable_database(error) from error
        self._ledger = Ledger(self.store)

    def close(self) -> None:
        """Stops working; what runs is left as it is and recovered by the next worker."""
        global _current
        self._closing = True
        for steps in list(self._steps):
            steps.stop()
        if self._connections is not None:
            # an engine thread that waits for a database that is gone would keep the program alive
            from sqlalchemy import event

            event.listen(self._connections, "do_connect", _refuse)
        with contextlib.suppress(ConfigError):
            engine_module().DBOS.destroy()
        if self._ledger is not None:
            self._ledger.close()
        if self._liveness is not None:
            self._liveness.close()
        _current = None

    # -- work ---------------------------------------------------------------------------------

    def do(self, table: dict[str, Any]) -> dict[str, Any]:
        """Does one task inside its workflow; returns its result and when it was done."""
        steps = Steps(engine_module().DBOS)
        steps.ahead = self.ahead
        started = time.time()
        self._steps.add(steps)
        try:
            if self._closing:
                raise _Stopped
            result = run_task(task_of(table), self.out, steps)
        except QwenbeltError as error:
            self._check(steps)
            raise TaskFailed(mask_secrets(str(error))) from None
        except Exception as error:  # whatever goes wrong in a task is that task's failure
            self._check(steps)
            raise TaskFailed(mask_secrets(one_line(f"{type(error).__name__}: {error}"))) from None
        finally:
            self._steps.discard(steps)
        self._check(steps)
        seconds = round(time.time() - started, 3)
        return {"result": result, "started": round(started, 3), "seconds": seconds}

    def _check(self, steps: Steps) -> None:
        """Leaves the workflow as the engine wants it, when its end is not the task's own."""
        if steps.ended is not None:
            raise steps.ended
        if self._closing:
            raise _Stopped

    def submit(self, tasks: Sequence[Task]) -> int:
        """Puts tasks into their queues; those that are known are left alone. Returns how many."""
        module = engine_module()
        queues = {self.store.queue(task) for task in tasks}
        for queue in sorted(queues):
            self._register(queue)
        known = self.ledger.known()
        new = [task for task in tasks if self.store.workflow_id(task) not in known]
        for task in new:
            with module.SetWorkflowID(self.store.workflow_id(task)):
                module.DBOS.enqueue_workflow(self.store.queue(task), _workflow(), task.to_dict())
        return len(new)

    def _register(self, name: str) -> None:
        engine = engine_module().DBOS
        known = engine.retrieve_queue(name)
        if known is not None and known.worker_concurrency == 0:
            return  # paused: continued by --resume
        engine.register_queue(
            name,
            worker_concurrency=min(self.in_flight, self._limit or self.in_flight),
            global_concurrency=self._limit,
            limiter={"limit": self._rate[0], "period": self._rate[1]} if self._rate else None,
            polling_interval_sec=POLL_SECONDS,
            on_conflict="always_update",
        )

    def wait(self, tell: Callable[[int, int], None] = lambda running, waiting: None) -> bool:
        """Waits until no task waits or runs; False when the batch was paused meanwhile.

        Args:
            tell: called with how many tasks run and how many wait, repeatedly.

        Raises:
            ConfigError: the database was away for more than `OUTAGE_SECONDS`.
        """
        from sqlalchemy.exc import DBAPIError

        answered = time.monotonic()
        while True:
            started = time.monotonic()
            try:
                outcome = self._look(tell)
                answered = time.monotonic()
            except (DBAPIError, Unreachable) as error:
                outcome = None  # the engine, too, waits for its database to come back
                if time.monotonic() - answered > OUTAGE_SECONDS:
                    raise unreachable_database(error) from error
            if outcome is not None:
                return outcome
            took = time.monotonic() - started
            time.sleep(max(WATCH_SECONDS, _WATCH_SHARE * took))

    def _look(self, tell: Callable[[int, int], None]) -> bool | None:
        """Returns whether all is done, or False when paused; None while there is work."""
        self.liveness.keep()
        states = self.ledger.open_tasks()
        running = [state for state in states if state.status == RUNNING]
        tell(len(running), len(states) - len(running))
        if not states:
            return True
        if not running and self.ledger.is_paused:
            return False
        self._recover({str(state.executor_id) for state in running})
        return None

    def _recover(self, workers: set[str]) -> None:
        """Lets what dead workers were doing wait again."""
        dead = [w for w in workers if w != self.name and self.liveness.is_dead(w)]
        if dead:
            engine_module().DBOS._recover_pending_workflows(dead)

    @property
    def ledger(self) -> Ledger:
        """What the database holds of the batch.

        Raises:
            ConfigError: the worker was not started.
        """
        if self._ledger is None:
            raise ConfigError(_NOT_STARTED)
        return self._ledger

    @property
    def liveness(self) -> Liveness:
        """Who is alive.

        Raises:
            ConfigError: the worker was not started.
        """
        if self._liveness is None:
            raise ConfigError(_NOT_STARTED)
        return self._liveness
