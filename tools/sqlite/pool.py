"""A database whose queries run in child processes, so that each of them can be ended."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core import errors
from qwenbelt.core.errors import QwenbeltError, ToolCancelled, ToolError, ToolRefused, ToolTimeout
from qwenbelt.core.processes.child_process import (
    ChildEnded,
    ChildProcess,
    ChildTooSlow,
    IdleChildren,
)
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.tools.operation import OperationCall
from qwenbelt.tools.sqlite.engine import MAX_ROWS, QUERY_SECONDS, Parameters, RowPage

_GRACE_SECONDS = 1.0  # for a query that should have stopped by itself
_START_SECONDS = 20.0
_MOST_WORKERS = 16
_IDLE_WORKERS = 4
_POLL_SECONDS = 0.05
_CHILD = "qwenbelt.tools.sqlite.worker"


@dataclass
class _Here:
    """What callers of one process share; a forked copy of the process starts with its own."""

    slots: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_MOST_WORKERS)
    )
    writing: threading.Lock = field(default_factory=threading.Lock)
    sparing: threading.Lock = field(default_factory=threading.Lock)


class DatabasePool:
    """A database as `Database` has it, for any number of threads.

    Args:
        path: the file; made when `write` is set and it is missing.
        write: whether it may be changed.
        seconds: the time one query or page may take.

    Raises:
        ConfigError: it is missing, or not a SQLite database.
    """

    def __init__(self, path: Path, *, write: bool = False, seconds: float = QUERY_SECONDS) -> None:
        self.path = path
        self.write_allowed = write
        self.seconds = seconds
        self._idle = IdleChildren(_IDLE_WORKERS)
        self._here = per_process(_Here)
        self._closed = False
        self._idle.give_back(self._new())

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        max_rows: int = MAX_ROWS,
        cursor: str | None = None,
        call: OperationCall | None = None,
    ) -> RowPage:
        """Returns a page of a SELECT's rows; see `Database.query`."""
        number, _, rest = (cursor or "").partition(".")
        arguments = {"sql": sql, "parameters": parameters, "max_rows": max_rows}
        if cursor is not None:
            if not number.isdigit():
                raise ToolError("That is no cursor of this tool.")
            arguments["cursor"] = rest
        used, found = self._ask("query", arguments, call, int(number or -1))
        page = RowPage(**found)
        if page.cursor is None:
            return page
        return RowPage(page.columns, page.rows, page.first, f"{used}.{page.cursor}")

    def change(
        self, sql: str, parameters: Parameters = (), *, call: OperationCall | None = None
    ) -> tuple[int, RowPage]:
        """Runs one statement that changes the database; see `Database.change`."""
        if not self.write_allowed:
            raise ToolRefused("The database is read-only.", fix="The person can allow writing.")
        with self._here().writing:
            arguments = {"sql": sql, "parameters": parameters}
            _, (affected, page) = self._ask("change", arguments, call)
        return affected, RowPage(**page)

    def tables(self) -> list[dict[str, Any]]:
        """Returns the tables and views, with their columns' names."""
        found: list[dict[str, Any]] = self._ask("tables", {})[1]
        return found

    def describe(self, table: str) -> dict[str, Any]:
        """Returns a table's columns, keys, indexes and the statement that made it."""
        found: dict[str, Any] = self._ask("describe", {"table": table})[1]
        return found

    def schema(self) -> str:
        """Returns the statements that made all tables, views, indexes and triggers."""
        return str(self._ask("schema", {})[1])

    def close(self) -> None:
        """Ends all processes that do nothing, and the others as they finish."""
        self._closed = True
        self._idle.close(for_good=True)

    def _ask(
        self,
        do: str,
        arguments: dict[str, Any],
        call: OperationCall | None = None,
        wanted: int = -1,
    ) -> tuple[int, Any]:
        call = call or OperationCall()
        with self._slot(call):
            worker = self._take(wanted)
            try:
                worker.send({"do": do, "with": arguments})
                reply = _receive_reply(worker, self.seconds, _GRACE_SECONDS, call)
            # after an unforeseen error it may still answer the old question: do not reuse it
            except BaseException as error:
                worker.stop()
                if isinstance(error, ChildEnded):
                    raise _out_of_memory() from None
                raise
            self._idle.give_back(worker)
        if "error" in reply:
            raise _error_of_reply(reply)
        return worker.number, reply["ok"]

    @contextlib.contextmanager
    def _slot(self, call: OperationCall) -> Any:
        end = time.monotonic() + self.seconds
        slots = self._here().slots
        while not slots.acquire(timeout=_POLL_SECONDS):
            call.check()
            if time.monotonic() > end:
                raise ToolError("Too many queries are running; try again later.")
        try:
            yield
        finally:
            slots.release()

    def _take(self, wanted: int) -> ChildProcess:
        # the process that still has the statement open, else the one used last
        found = self._idle.take(wanted)
        sparing = self._here().sparing
        if not len(self._idle) and not self._closed and sparing.acquire(blocking=False):
            threading.Thread(target=self._add_spare, args=(sparing,), daemon=True).start()
        return found or self._new()

    def _add_spare(self, sparing: threading.Lock) -> None:
        """Keeps a spare process ready while all others are busy."""
        try:
            self._idle.give_back(self._new())
        except QwenbeltError:
            pass  # the next caller that needs a process gets the error
        finally:
            sparing.release()

    def _new(self) -> ChildProcess:
        access = "write" if self.write_allowed else "read"
        options = (str(self.path.absolute()), access, str(self.seconds))
        worker = ChildProcess(_CHILD, options)
        try:
            first = _receive_reply(worker, _START_SECONDS, 0.0, OperationCall())
            if "error" in first:
                raise _error_of_reply(first)
        except BaseException as error:  # an interrupt, too, must leave no process behind
            worker.stop()
            if isinstance(error, ChildEnded):
                raise _out_of_memory() from None
            raise
        return worker

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # when __init__ has failed early
            self.close()


def _error_of_reply(reply: dict[str, Any]) -> QwenbeltError:
    kind = getattr(errors, str(reply["error"]), ToolError)
    error: QwenbeltError = kind(str(reply["message"]), fix=reply.get("fix"))
    return error


def _receive_reply(
    worker: ChildProcess, seconds: float, grace: float, call: OperationCall
) -> dict[str, Any]:
    """Waits for one reply.

    Raises:
        ToolTimeout: none came within `seconds` and some `grace`, for a query that stops by itself.
        ToolCancelled: it is no longer wanted.
        ChildEnded: the process has ended.
    """
    try:
        reply = worker.receive(seconds + grace, call.cancelled.is_set)
    except ChildTooSlow:
        raise ToolTimeout(f"The query ran longer than {seconds:g} s and was stopped.") from None
    if reply is None:
        raise ToolCancelled("The query was cancelled.")
    return reply


def _out_of_memory() -> ToolError:
    return ToolError("The query needed too much memory and was stopped.")
