"""Calls that go on as tasks, on the server's side (`io.modelcontextprotocol/tasks`).

A client that understands tasks gets one at once for a tool that takes long, and looks at it until
it is over: no connection has to last for as long as an agent works. State is in this process.
"""

from __future__ import annotations

import datetime
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qwenbelt.core.errors import one_line
from qwenbelt.tools.operation import OperationCall

_KEPT_SECONDS = 3600.0  # that a result waits for its client
_MOST_KEPT = 200
_MOST_RUNNING = 16  # of one client
_POLL_MS = 500
Work = Callable[[OperationCall], dict[str, Any]]


@dataclass
class _Task:
    id: str
    owner: str
    call: OperationCall
    created: str
    updated: str
    status: str = "working"
    message: str = ""
    result: dict[str, Any] | None = None
    ended: float = 0.0


class TaskBook:
    """The tasks of a service's clients; each sees its own only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, _Task] = OrderedDict()

    def begin(self, call: OperationCall, work: Work) -> dict[str, Any] | None:
        """Begins a task for a call; None if the client has too many."""
        own = OperationCall(language=call.language, client=call.client, may_write=call.may_write)
        now = _now()
        task = _Task(secrets.token_urlsafe(16), call.client, own, now, now)
        own.report = lambda text, fraction=None: self._tell(task, text)
        with self._lock:
            self._sweep()
            running = [t for t in self._tasks.values() if t.owner == call.client and not t.ended]
            if len(running) >= _MOST_RUNNING:
                return None
            self._tasks[task.id] = task
        threading.Thread(target=self._run, args=(task, work), daemon=True).start()
        return {**self._told(task), "resultType": "task"}

    def look(self, owner: str, number: str) -> dict[str, Any] | None:
        """Returns a task as it is now, with its result once there is one; None if there is none."""
        task = self._task(owner, number)
        if task is None:
            return None
        with self._lock:
            told = self._told(task)
            return told if task.result is None else {**told, "result": task.result}

    def cancel(self, owner: str, number: str) -> bool:
        """Cancels a task; returns whether there is one."""
        task = self._task(owner, number)
        if task is None:
            return False
        task.call.cancelled.set()
        with self._lock:
            if not task.ended:
                task.status, task.updated, task.ended = "cancelled", _now(), time.monotonic()
        return True

    def busy(self) -> bool:
        """Returns whether one is running."""
        with self._lock:
            return any(not task.ended for task in self._tasks.values())

    def _task(self, owner: str, number: str) -> _Task | None:
        with self._lock:
            task = self._tasks.get(number)
        return task if task is not None and task.owner == owner else None

    def _run(self, task: _Task, work: Work) -> None:
        result = work(task.call)  # it raises nothing: its errors are results
        with self._lock:
            if not task.ended:  # nobody wants the result of one that was cancelled
                task.status, task.result = "completed", result
                task.updated, task.ended = _now(), time.monotonic()

    def _tell(self, task: _Task, text: str) -> None:
        with self._lock:
            task.message, task.updated = one_line(text, 300), _now()

    def _told(self, task: _Task) -> dict[str, Any]:
        times = {"createdAt": task.created, "lastUpdatedAt": task.updated}
        told = {"taskId": task.id, "status": task.status, **times}
        if task.message and not task.ended:
            told["statusMessage"] = task.message
        return {**told, "ttlMs": int(_KEPT_SECONDS * 1000), "pollIntervalMs": _POLL_MS}

    def _sweep(self) -> None:
        now = time.monotonic()
        ended = [t for t in self._tasks.values() if t.ended]
        surplus = len(ended) - _MOST_KEPT
        for place, task in enumerate(ended):
            if place < surplus or now - task.ended > _KEPT_SECONDS:
                del self._tasks[task.id]


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
