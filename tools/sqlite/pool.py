"""A database whose queries run in processes of their own, so that each of them can be ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from qwenbelt.core import errors
from qwenbelt.core.errors import QwenbeltError, ToolCancelled, ToolError, ToolRefused, ToolTimeout
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import clean_environment
from qwenbelt.core.watchdog import watchdog
from qwenbelt.tools.operation import OperationCall
from qwenbelt.tools.sqlite.engine import MAX_ROWS, QUERY_SECONDS, Parameters, RowPage

_GRACE_SECONDS = 1.0  # for a query that should have stopped by itself
_START_SECONDS = 20.0
_MOST_WORKERS = 16
_IDLE_WORKERS = 4
_POLL_SECONDS = 0.05
_START = (
    "import sys; sys.path[:] = sys.argv[4:]; from qwenbelt.tools.sqlite.worker import main; "
    "main(*sys.argv[1:4])"
)


class _Worker:
    """One process; used by one caller at a time."""

    def __init__(self, path: Path, write: bool, seconds: float) -> None:
        options = [str(path.absolute()), "write" if write else "read", str(seconds)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, *options, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            start_new_session=True,
            bufsize=0,
        )
        watchdog().add(self._process.pid)
        self._pending = b""

    def receive(self, seconds: float, call: OperationCall) -> dict[str, Any]:
        """Waits for one reply.

        Raises:
            ToolTimeout: none came in time.
            ToolCancelled: nobody wants it any more.
            ToolError: the process has ended.
        """
        output = self._process.stdout
        end = time.monotonic() + seconds
        parts = [self._pending]
        while output is not None:
            if call.cancelled.is_set():
                raise ToolCancelled("The query was cancelled.")
            left = end - time.monotonic()
            if left <= 0:
                raise ToolTimeout(f"The query ran longer than {seconds:g} s and was stopped.")
            if not select.select([output], [], [], min(left, _POLL_SECONDS))[0]:
                continue
            chunk = os.read(output.fileno(), 1 << 20)
            if not chunk:
                break
            line, found, rest = chunk.partition(b"\n")
            parts.append(line)
            if found:
                self._pending = rest
                reply: dict[str, Any] = loads_bounded(b"".join(parts))
                return reply
        raise ToolError("The query needed too much memory and was stopped.")

    def send(self, request: dict[str, Any]) -> None:
        """Sends one request."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def end(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.wait()
        watchdog().remove(self._process.pid)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


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
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MOST_WORKERS)
        self._writing = threading.Lock()
        self._idle: list[tuple[int, _Worker]] = []
        self._number = 0
        self._closed = False
        self._sparing = False
        self._give_back(self._new())

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
        with self._writing:
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
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, worker in idle:
            worker.end()

    def _ask(
        self,
        do: str,
        arguments: dict[str, Any],
        call: OperationCall | None = None,
        wanted: int = -1,
    ) -> tuple[int, Any]:
        call = call or OperationCall()
        with self._slot(call):
            number, worker = self._take(wanted)
            try:
                worker.send({"do": do, "with": arguments})
                reply = worker.receive(self.seconds + _GRACE_SECONDS, call)
            # after anything unforeseen it may still answer the old question: it must not go on
            except BaseException as error:
                worker.end()
                if isinstance(error, ToolTimeout):
                    limit = f"{self.seconds:g}"
                    raise ToolTimeout(
                        f"The query ran longer than {limit} s and was stopped."
                    ) from None
                raise
            self._give_back((number, worker))
        if "error" in reply:
            raise _error(reply)
        return number, reply["ok"]

    @contextlib.contextmanager
    def _slot(self, call: OperationCall) -> Any:
        end = time.monotonic() + self.seconds
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            call.check()
            if time.monotonic() > end:
                raise ToolError("Too many queries are running; try again later.")
        try:
            yield
        finally:
            self._slots.release()

    def _take(self, wanted: int) -> tuple[int, _Worker]:
        with self._lock:
            # the process that still has the statement open, else the one used last
            found = next((entry for entry in self._idle if entry[0] == wanted), None)
            if found is not None:
                self._idle.remove(found)
                return found
            found = self._idle.pop() if self._idle else None
            wanting = not self._idle and not self._sparing and not self._closed
            self._sparing = self._sparing or wanting
        if wanting:
            threading.Thread(target=self._add_spare, daemon=True).start()
        return found or self._new()

    def _add_spare(self) -> None:
        """Has a process ready for whoever comes while all others are at work."""
        try:
            self._give_back(self._new())
        except QwenbeltError:
            pass  # the next one who needs a process is told
        finally:
            with self._lock:
                self._sparing = False

    def _new(self) -> tuple[int, _Worker]:
        worker = _Worker(self.path, self.write_allowed, self.seconds)
        try:
            first = worker.receive(_START_SECONDS, OperationCall())
            if "error" in first:
                raise _error(first)
        except BaseException:  # an interrupt, too, must leave no process behind
            worker.end()
            raise
        with self._lock:
            self._number += 1
            return self._number, worker

    def _give_back(self, entry: tuple[int, _Worker]) -> None:
        with self._lock:
            self._idle.append(entry)
            most = 0 if self._closed else _IDLE_WORKERS
            dropped = [self._idle.pop(0) for _ in range(len(self._idle) - most)]
        for _, worker in dropped:
            worker.end()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # when __init__ has failed early
            self.close()


def _error(reply: dict[str, Any]) -> QwenbeltError:
    kind = getattr(errors, str(reply["error"]), ToolError)
    error: QwenbeltError = kind(str(reply["message"]), fix=reply.get("fix"))
    return error
