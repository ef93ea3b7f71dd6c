"""Model calls and tool calls as durable steps of the workflow that they belong to.

A reply is recorded as a whole, and only then passed on: a run that is killed and started again
reads its earlier replies from the database and asks the model only for what it had not got. The
steps that a reply's tool calls may need are numbered when the reply is known, so that calls which
run side by side find their own record again. Tools that work in a kernel are run again, because
their state died with the process; all others give their recorded result.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from qwenbelt.agents import Assistant, FnCallAgent, ReActChat
from qwenbelt.agents.chat_model import QwenbeltChat
from qwenbelt.agents.models.deltas import (
    CallDelta,
    Finish,
    JsonDict,
    Text,
    Thought,
    Tokens,
    WirePiece,
)
from qwenbelt.agents.models.endpoint_model import EndpointModel, Model, Request
from qwenbelt.agents.models.wrapped_model import WrappedModel
from qwenbelt.agents.runtime.outcome import Failure
from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.errors import EndpointError, ToolError
from qwenbelt.tools.base import Tool, loads_arguments, result_items

MODEL_STEP = "model"
STOPPED = "The worker stopped."
_PIECES: dict[str, type[WirePiece]] = {
    kind.__name__: kind for kind in (Text, Thought, CallDelta, Finish, Tokens)
}


class Steps:
    """The durable steps of one workflow; make it inside the workflow.

    Args:
        engine: the class `DBOS`.

    Attributes:
        ahead: gives the pieces of a reply that was got in another way, by the request's body.
        ended: what the engine raised to end this workflow, for example because it was cancelled;
            an agent makes an ordinary failure of it on the way.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._context = contextvars.copy_context()
        self._reserved: dict[str, list[Any]] = {}
        self._waiting: set[asyncio.Future[Any]] = set()
        self._stopped = False
        self.ended: BaseException | None = None
        self.ahead: Callable[[JsonDict], Sequence[WirePiece] | None] | None = None

    async def reply(self, function: Callable[[], Any]) -> Any:
        """Runs a model call as a step in a thread, or returns what was recorded for it.

        Raises:
            EndpointError: the worker stopped meanwhile.
        """
        waiting = shared_pool().submit(lambda: self.run(MODEL_STEP, function))
        self._waiting.add(waiting)
        try:
            if self._stopped:
                self._end(waiting)
            return await waiting
        finally:
            self._waiting.discard(waiting)

    def stop(self) -> None:
        """Ends the waits for replies, so that the workflow's thread is free; from any thread."""
        self._stopped = True
        for waiting in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                waiting.get_loop().call_soon_threadsafe(self._end, waiting)

    def _end(self, waiting: asyncio.Future[Any]) -> None:
        if not waiting.done():
            waiting.set_exception(EndpointError(STOPPED, retryable=False))

    def run(self, name: str, function: Callable[[], Any]) -> Any:
        """Runs a step, or returns what was recorded for it. Call it in a thread."""
        return self._inside(lambda: self._engine.run_step({"name": name}, function))

    def reserve(self, calls: Sequence[tuple[str, str]]) -> None:
        """Numbers the steps of a reply's tool calls, given as names and arguments."""
        self._reserved.clear()
        for name, arguments in calls:
            key = _key(name, arguments)
            self._reserved.setdefault(key, []).append(self._inside(self._engine.reserve_step))

    def run_reserved(self, name: str, arguments: str, function: Callable[[], Any]) -> Any:
        """Runs a tool's call as its reserved step; an unannounced call just runs."""
        waiting = self._reserved.get(_key(name, arguments))
        if not waiting:
            return function()
        step = waiting.pop(0)
        return self._inside(lambda: step.run({"name": name}, function))

    def _inside(self, function: Callable[[], Any]) -> Any:
        try:
            return self._context.copy().run(function)
        except Exception:
            raise  # an ordinary failure of the step
        # the engine ends a workflow by an exception beside `Exception`, whose classes are its own
        except BaseException as error:
            self.ended = error
            raise


class DurableModel(WrappedModel):
    """A model whose replies are recorded."""

    def __init__(self, inner: Model, steps: Steps) -> None:
        super().__init__(inner)
        self._steps = steps

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Sends a request, records the reply, and yields its pieces.

        Raises:
            EndpointError: the endpoint failed, now or when the reply was recorded.
        """
        loop = asyncio.get_running_loop()

        def ask() -> dict[str, Any]:
            return asyncio.run_coroutine_threadsafe(self._ask(request), loop).result()

        reply = await self._steps.reply(ask)
        if "error" in reply:
            raise EndpointError(**reply["error"])
        pieces = [_piece(entry) for entry in reply["pieces"]]
        self._steps.reserve(self._calls(pieces, request))
        for piece in pieces:
            yield piece

    async def _ask(self, request: Request) -> dict[str, Any]:
        """Returns the reply, or the endpoint's failure: both are what a later run must see."""
        found: list[WirePiece] = []
        known = self._ahead(request)
        try:
            if known is not None:
                found.extend(known)
            else:
                async for piece in self._inner.pieces(request):
                    found.append(piece)
        except EndpointError as error:
            return {"error": _failure(error)}
        return {"pieces": [[type(p).__name__, dataclasses.asdict(p)] for p in _merged(found)]}

    def _ahead(self, request: Request) -> Sequence[WirePiece] | None:
        if self._steps.ahead is None or not isinstance(self._inner, EndpointModel):
            return None
        return self._steps.ahead(self._inner.body(request))

    def _calls(self, pieces: Sequence[WirePiece], request: Request) -> list[tuple[str, str]]:
        reader = self._inner.codec.reader(request.tools)
        reason = ""
        for piece in pieces:
            reason = piece.reason if isinstance(piece, Finish) else reason
            reader.feed(piece)
        reader.finish(reason)
        return [(call.name, call.arguments) for call in reader.calls]


class DurableChat(QwenbeltChat):
    """A chat model for agents inside a workflow."""

    def __init__(self, cfg: Mapping[str, Any], steps: Steps) -> None:
        super().__init__(cfg)
        self.steps = steps

    def loop_model(self, form: str | None) -> Model:
        """Returns the model with its replies recorded."""
        return DurableModel(super().loop_model(form), self.steps)


class _Recording:
    """For agents: tool calls are steps of the workflow as well."""

    steps: Steps
    function_map: dict[str, Any]

    def _call_tool(self, tool_name: str, tool_args: Any = "{}", **kwargs: Any) -> Any:
        text = tool_args if isinstance(tool_args, str) else json.dumps(tool_args)

        def run() -> Any:
            return super(_Recording, self)._call_tool(  # type: ignore[misc]
                tool_name, tool_args, **kwargs
            )

        tool = self.function_map.get(tool_name)
        if tool is None or _has_state(tool, text):
            return run()
        kept: list[Any] = []

        def recorded() -> dict[str, Any]:
            kept.append(run())
            return _outcome(kept[0])

        outcome = self.steps.run_reserved(tool_name, text, recorded)
        if kept:
            return kept[0]
        if "again" in outcome:
            return run()
        return Failure(outcome["failed"]) if "failed" in outcome else outcome["text"]


class DurableAgent(_Recording, FnCallAgent):
    """`FnCallAgent` inside a workflow."""


class DurableReAct(_Recording, ReActChat):
    """`ReActChat` inside a workflow."""


class DurableAssistant(_Recording, Assistant):
    """`Assistant` inside a workflow."""


def _has_state(tool: Any, arguments: str) -> bool:
    if not isinstance(tool, Tool):
        return bool(tool.name == "code_interpreter")
    try:
        _, writes = tool.resources(tool.parse(arguments))
    except ToolError:
        return True  # it only reports what is wrong with its arguments
    return any(name.startswith("kernel:") for name in writes)


def _outcome(result: Any) -> dict[str, Any]:
    """Returns a result as it is recorded; what is not text is made again when it is needed."""
    if isinstance(result, Failure):
        return {"failed": str(result)}
    items = result_items(result)
    if any(item.kind != "text" for item in items):
        return {"again": True}
    return {"text": "\n".join(item.value for item in items)}


def _key(name: str, arguments: str) -> str:
    try:
        values: Any = loads_arguments(arguments)
    except ToolError:
        values = arguments
    return json.dumps([name, values], sort_keys=True, ensure_ascii=False, default=str)


def _merged(pieces: Sequence[WirePiece]) -> list[WirePiece]:
    """Joins what was streamed in small pieces; the record of a long answer is one text."""
    merged: list[WirePiece] = []
    runs: list[list[str]] = []
    for piece in pieces:
        if not isinstance(piece, (Text, Thought)):
            merged.append(piece)
            runs.append([])
        elif merged and type(merged[-1]) is type(piece):
            runs[-1].append(piece.text)
        else:
            merged.append(piece)
            runs.append([piece.text])
    return [
        type(piece)(_writable("".join(texts))) if isinstance(piece, (Text, Thought)) else piece
        for piece, texts in zip(merged, runs, strict=True)
    ]


def _writable(text: str) -> str:
    """Returns the text without what no database takes (half of a surrogate pair)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _piece(entry: Sequence[Any]) -> WirePiece:
    name, values = entry
    return _PIECES[name](**values)


def _failure(error: EndpointError) -> dict[str, Any]:
    return {
        "message": error.message,
        "fix": error.fix,
        "status": error.status,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "code": error.code,
    }
