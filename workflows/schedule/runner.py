"""Runs the schedules of a store: each command in its own process, as a durable workflow.

What was running when this program was killed is run again at its next start, with the same run
id: `run` goes on where it was, `report`, `research` and `batch` by what is in their folders.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.files import output_folder
from qwenbelt.core.processes.per_process import watchdog
from qwenbelt.workflows.batch.dbos_engine import engine_module
from qwenbelt.workflows.batch.liveness import (
    FileLocks,
    Liveness,
    PostgresLocks,
    unreachable_database,
)
from qwenbelt.workflows.schedule.book import APPLICATION, VERSION, WORKFLOW, local_zone, store_url

POLL_SECONDS = 2.0  # until a new schedule is seen
TRIES = 10  # starts of a run that kills its runner
_STOP_SECONDS = 10.0  # for a command to end when it is asked to
_RUNNER = "runner"

Tell = Callable[[str, str, str], None]  # the schedule's name, what happens, the log


class _LeftOpen(BaseException):
    """Leaves a run without an outcome, so that it goes on at the next start."""


_current: ScheduleRunner | None = None


@functools.cache
def _workflow() -> Callable[..., Any]:
    """Returns the workflow function, registered with the engine once."""

    def scheduled(at: datetime, context: dict[str, Any]) -> dict[str, Any]:
        if _current is None:
            raise _LeftOpen
        return _current.run(at, context)

    register = engine_module().DBOS.workflow(name=WORKFLOW, max_recovery_attempts=TRIES)
    registered: Callable[..., Any] = register(scheduled)
    return registered


class ScheduleRunner:
    """Runs schedules between `start` and `close`; one at a time for a store.

    Args:
        place: a SQLite file or `postgresql://…`; a file in the workspace by default.
        logs: the folder for what the commands print.
        tell: called from other threads when a command begins and ends.
    """

    def __init__(
        self, place: str | None, logs: Path, tell: Tell = lambda name, what, log: None
    ) -> None:
        self.url = store_url(place)
        self._logs = output_folder(logs)
        self._tell = tell
        self._closing = threading.Event()
        self._running: set[str] = set()
        self._mutex = threading.Lock()
        self._lock: Liveness | None = None

    def start(self) -> None:
        """Begins to run what is due.

        Raises:
            ConfigError: another process runs them, or the database cannot be used.
        """
        global _current
        from sqlalchemy.exc import SQLAlchemyError

        self._lock = self._only_one()
        _current = self
        _workflow()
        module = engine_module()
        config = {
            "name": APPLICATION,
            "system_database_url": self.url,
            "application_version": VERSION,
            "executor_id": _RUNNER,
            "serializer": module.DBOSPortableJSONSerializer(),
            "log_level": "CRITICAL",
            "enable_otlp": False,
            "use_listen_notify": False,
            "scheduler_polling_interval_sec": POLL_SECONDS,
        }
        try:
            module.DBOS(config=config)
            module.DBOS.launch()
        except SQLAlchemyError as error:
            self.close()
            raise unreachable_database(error) from error

    def close(self) -> None:
        """Ends the commands that run; they go on at the next start."""
        global _current
        self._closing.set()
        engine_module().DBOS.destroy()
        if self._lock is not None:
            self._lock.close()
        _current = None

    def keep(self) -> None:
        """Holds the store's lock again after its server was away; call it now and then."""
        if self._lock is not None:
            self._lock.keep()

    def _only_one(self) -> Liveness:
        lock: Liveness
        if self.url.startswith("sqlite"):
            file = Path(self.url.removeprefix("sqlite:///"))
            lock = FileLocks(file.with_name(f"{file.name}.locks"))
            held = not lock.is_dead(_RUNNER)
        else:
            lock = PostgresLocks(self.url, APPLICATION)
            held = not _free(lock)
        if held:
            lock.close()
            raise ConfigError(
                "Another process runs the schedules of this store.",
                fix="Stop it first, or give another --store.",
            )
        lock.hold(_RUNNER)
        return lock

    def run(self, at: datetime, context: dict[str, Any]) -> dict[str, Any]:
        """Runs a command to its end; returns its exit code and where its output is."""
        name = str(context["name"])
        with self._mutex:
            if name in self._running:  # the one before takes longer than the time between
                self._tell(name, "skipped", "")
                return {"status": "skipped", "exit": None, "log": None}
            self._running.add(name)
        try:
            return self._in_process(name, at, context)
        finally:
            with self._mutex:
                self._running.discard(name)

    def _in_process(self, name: str, at: datetime, context: dict[str, Any]) -> dict[str, Any]:
        stamp = at.astimezone(ZoneInfo(local_zone())).strftime("%Y-%m-%dT%H-%M-%S")
        log = output_folder(self._logs / name) / f"{stamp}.txt"
        words = _durable([str(word) for word in context["words"]], f"{name}-{stamp}")
        self._tell(name, "begins", str(log))
        try:
            code = self._wait(words, str(context["folder"]), log)
        except OSError as error:  # its folder is gone
            log.write_text(f"{error}\n", encoding="utf-8")
            code = 1
        status = "done" if code == 0 else "failed"
        self._tell(name, f"{status} ({code})", str(log))
        return {"status": status, "exit": code, "log": str(log)}

    def _wait(self, words: list[str], folder: str, log: Path) -> int:
        command = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", *words]
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,  # nobody is there to answer
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=os.name == "posix",
            )
        watchdog().add(process.pid)  # killed with this program, and run again, it would run twice
        try:
            return self._until_closing(process)
        finally:
            watchdog().remove(process.pid)

    def _until_closing(self, process: subprocess.Popen[bytes]) -> int:
        while not self._closing.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(0.2)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise _LeftOpen


def _free(lock: PostgresLocks) -> bool:
    """Returns whether no session holds the runner's lock; asked twice, as it wants a while."""
    from qwenbelt.workflows.batch.liveness import GRACE_SECONDS

    if lock.is_dead(_RUNNER):
        return True
    threading.Event().wait(GRACE_SECONDS + 0.1)
    return lock.is_dead(_RUNNER)


def _durable(words: list[str], run_id: str) -> list[str]:
    """Makes `run` resumable; the other commands resume from what is in their folders."""
    own = {"--session", "--durable", "--run-id"}
    if words[0] != "run" or own & {word.partition("=")[0] for word in words}:
        return words
    return [words[0], "--durable", "--run-id", run_id, *words[1:]]
