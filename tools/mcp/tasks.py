"""Long calls as tasks (extension `io.modelcontextprotocol/tasks` of 2026-07-28).

A server may answer a call with a task instead of a result. It is polled until it ends; its progress
is the call's, its questions go to the person, cancelling the call cancels it. A task outlives the
connection: after a reconnect, and in a run that is gone on with, it is found again by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mcp_types as types
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import REQUEST_TIMEOUT
from pydantic import ConfigDict, Field

from qwenbelt.core.errors import ToolError, ToolTimeout, one_line
from qwenbelt.core.files import write_text
from qwenbelt.core.settings import cache_folder
from qwenbelt.tools.mcp import http
from qwenbelt.tools.mcp.strings import say

EXTENSION = "io.modelcontextprotocol/tasks"
_SHORTEST, _LONGEST = 0.05, 10.0  # seconds between two looks
_NOTE_SECONDS = 24 * 3600.0
_CANCEL_SECONDS = 5.0
_UNASKED_SECONDS = 3600.0
_UNKNOWN = re.compile(
    r"task\b.*\b(not found|unknown|expired|not exist)|(unknown|no such) task", re.I
)
_OLDER = "2025-11-25"
_OVER = ("completed", "failed", "cancelled")
Ask = Callable[[Any, Any], Awaitable[types.ElicitResult]]


@dataclass
class HeldTask:
    """The task of one call, for as long as the call is not over.

    Attributes:
        id: the task's id on the server, or "".
        older: whether it is one of 2025-11-25, whose results are fetched by themselves.
        limit: seconds that it may take.
        report: takes progress.
        rests: told whether the call's own limit rests, because a task has its own.
        note: where the id is kept for a run that is gone on with, or None.
    """

    limit: float
    report: Callable[..., None] = lambda *_: None
    rests: Callable[[bool], None] = lambda _: None
    language: Literal["en", "zh"] = "en"
    note: Path | None = None
    id: str = ""
    older: bool = False
    ends: float = 0.0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, task_id: str) -> None:
        """Takes in the task that a server has made of the call."""
        self.id = task_id
        self.ends = self.ends or time.monotonic() + self.limit
        if self.note is not None:
            with contextlib.suppress(OSError):
                self.note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                told = {"id": task_id, "older": self.older, "time": time.time()}
                write_text(self.note, json.dumps(told))

    def recall(self) -> None:
        """Finds the task of the same call in a run that was cut off."""
        if self.note is None or self.id:
            return
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self.note.read_bytes())
            if 0 <= time.time() - float(kept["time"]) < _NOTE_SECONDS:
                self.older = bool(kept.get("older"))
                self.begin(str(kept["id"]))

    def forget(self) -> None:
        """The call is over: nothing is to be found again."""
        self.id = ""
        if self.note is not None:
            with contextlib.suppress(OSError):
                self.note.unlink()


def note_path(server: str, tool: str, arguments: Mapping[str, Any], call: str) -> Path | None:
    """Returns where the task of a call of a kept run is noted; None where nothing is kept."""
    folder = cache_folder()
    if folder is None or not call:
        return None
    place = json.dumps([server, tool, arguments, call], sort_keys=True, default=str)
    return folder / "mcp" / "tasks" / f"{hashlib.sha256(place.encode()).hexdigest()[:40]}.json"


class _TaskResult(types.Result):
    model_config = ConfigDict(populate_by_name=True)

    task_id: str = Field(alias="taskId")
    status: str
    status_message: str | None = Field(default=None, alias="statusMessage")
    poll_ms: float | None = Field(default=None, alias="pollIntervalMs")


class CreatedTask(_TaskResult):
    """The answer to a call that goes on as a task."""

    result_type: Literal["task"] = Field(alias="resultType")


class TaskState(_TaskResult):
    """What `tasks/get` tells."""

    result_type: str = Field(default="complete", alias="resultType")
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    input_requests: dict[str, Any] | None = Field(default=None, alias="inputRequests")


class _TaskParams(types.RequestParams):
    model_config = ConfigDict(populate_by_name=True)

    task_id: str = Field(serialization_alias="taskId")


class _UpdateParams(_TaskParams):
    input_responses: dict[str, Any] = Field(serialization_alias="inputResponses")


class _GetTask(types.Request[_TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: _TaskParams


class _UpdateTask(types.Request[_UpdateParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    params: _UpdateParams


class _CancelTask(types.Request[_TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: _TaskParams


class TasksExtension(ClientExtension):
    """Tells servers that we know tasks, and turns a task into the result of its call.

    Args:
        ask: answers a question of the server.
        seconds: within which each look at a task must be answered.
    """

    identifier = EXTENSION

    def __init__(self, ask: Ask, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds

    def claims(self) -> list[ResultClaim[Any]]:
        """The one shape of a result that is ours."""
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve)]

    async def _resolve(self, created: CreatedTask, around: ClaimContext) -> types.CallToolResult:
        attempt = http.current.get()
        held = HeldTask(_UNASKED_SECONDS)
        if attempt is not None and attempt.held is not None:
            held = attempt.held
        held.begin(created.task_id)
        return await self.follow(around.session, held, created.poll_ms)

    async def call(
        self, session: ClientSession, name: str, arguments: dict[str, Any], held: HeldTask
    ) -> types.CallToolResult:
        """Makes a call that the server takes as a task only, in the form of 2025-11-25."""
        task = types.TaskMetadata(ttl=int(held.limit * 1000))
        params = types.CallToolRequestParams(name=name, arguments=arguments, task=task)
        created = await session.send_request(
            types.CallToolRequest(params=params),
            types.CreateTaskResult,
            request_read_timeout_seconds=self._seconds,
        )
        held.older = True
        held.begin(created.task.task_id)
        return await self.follow(session, held, created.task.poll_interval)

    async def follow(
        self, session: ClientSession, held: HeldTask, poll_ms: float | None = None
    ) -> types.CallToolResult:
        """Returns the result of a task when it has ended.

        Raises:
            ToolTimeout: it took longer than a task may; it was cancelled.
            ToolError: it failed, or was cancelled by the server.
        """
        held.rests(True)
        try:
            return await self._followed(session, held, poll_ms)
        except asyncio.CancelledError:
            attempt = http.current.get()
            if attempt is None or not attempt.ended.is_set():  # else only the connection is lost
                # the person or the run no longer wants it: the server is told, not waited for
                _tell_cancelled(session, held.id)
                held.forget()
            raise
        except MCPError as error:
            if not _is_unknown_task(error):
                raise
            held.forget()
            raise ToolError("The server no longer knows the task; it may have run.") from error
        finally:
            held.rests(False)

    async def _followed(
        self, session: ClientSession, held: HeldTask, poll_ms: float | None
    ) -> types.CallToolResult:
        pause = _SHORTEST
        while True:
            left = held.ends - time.monotonic()
            if left <= 0:
                _tell_cancelled(session, held.id)
                held.forget()
                raise ToolTimeout(f"The task took longer than {held.limit:g} s and was cancelled.")
            state = await self._look(session, held)
            held.heard.set()
            over = state.status in _OVER
            if held.older and (over or state.status == "input_required"):
                # its questions come while the result is waited for
                params = types.GetTaskPayloadRequestParams(task_id=held.id)
                result = await session.send_request(
                    types.GetTaskPayloadRequest(params=params), types.CallToolResult
                )
                held.forget()
                return result
            if over:
                held.forget()
                return _ended(state)
            held.report(one_line(state.status_message or say("task_runs", held.language), 300))
            if state.status == "input_required" and state.input_requests:
                await self._answer(session, held.id, state.input_requests)
                pause = _SHORTEST
                continue
            most = min(max((state.poll_ms or poll_ms or 1000.0) / 1000, _SHORTEST), _LONGEST)
            pause = min(pause * 2, most)
            await asyncio.sleep(min(pause, max(left, 0)))

    async def _look(self, session: ClientSession, held: HeldTask) -> TaskState:
        request: Any = _GetTask(params=_TaskParams(task_id=held.id))
        if not held.older:
            return await session.send_request(
                request, TaskState, request_read_timeout_seconds=self._seconds
            )
        request = types.GetTaskRequest(params=types.GetTaskRequestParams(task_id=held.id))
        told = await session.send_request(
            request, types.GetTaskResult, request_read_timeout_seconds=self._seconds
        )
        return TaskState(
            task_id=told.task_id,
            status=told.status,
            status_message=told.status_message,
            poll_ms=told.poll_interval,
        )

    async def _answer(
        self, session: ClientSession, task_id: str, requests: Mapping[str, Any]
    ) -> None:
        answers: dict[str, Any] = {}
        for key, request in requests.items():
            if not isinstance(request, Mapping) or request.get("method") != "elicitation/create":
                answers[key] = {"action": "decline"}  # sampling and roots, which we do not have
                continue
            asked = types.ElicitRequest.model_validate(request)
            found = await self._ask(None, asked.params)
            answers[key] = found.model_dump(mode="json", by_alias=True, exclude_none=True)
        update = _UpdateParams(task_id=task_id, input_responses=answers)
        await session.send_request(
            _UpdateTask(params=update), types.Result, request_read_timeout_seconds=self._seconds
        )


def _ended(state: TaskState) -> types.CallToolResult:
    if state.status == "completed":
        return types.CallToolResult.model_validate(state.result or {})
    if state.status == "cancelled":
        raise ToolError(one_line(state.status_message or "The server cancelled the task.", 1000))
    error = state.error or {}
    said = error.get("message") or state.status_message or "the task failed"
    raise ToolError(one_line(str(said), 2000))


def needs_task(entry: types.Tool, version: str) -> bool:
    """Returns whether a tool of 2025-11-25 can be called as a task only."""
    execution = entry.execution
    return version == _OLDER and execution is not None and execution.task_support == "required"


_telling: set[asyncio.Task[None]] = set()


def _tell_cancelled(session: ClientSession, task_id: str) -> None:
    async def tell() -> None:
        with contextlib.suppress(Exception):  # it may have ended, and so may the server
            await session.send_request(
                _CancelTask(params=_TaskParams(task_id=task_id)),
                types.Result,
                request_read_timeout_seconds=_CANCEL_SECONDS,
            )

    task = asyncio.create_task(tell())
    _telling.add(task)
    task.add_done_callback(_telling.discard)


def _is_unknown_task(error: MCPError) -> bool:
    """Returns whether a server answers that it has no such task (any more)."""
    return error.code != REQUEST_TIMEOUT and _UNKNOWN.search(error.message) is not None
