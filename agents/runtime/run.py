"""The public handle of an agent's run: an async iterator of its events."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qwenbelt.agents import telemetry
from qwenbelt.agents.hooks import NO_HOOKS, Hooks
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model
from qwenbelt.agents.runtime.approvals.approval import ApprovalPolicy
from qwenbelt.agents.runtime.artifacts import ArtifactStore
from qwenbelt.agents.runtime.budget import Budget, Ending
from qwenbelt.agents.runtime.code.code_mode import CodeMode
from qwenbelt.agents.runtime.deferred_tools import DeferredTools
from qwenbelt.agents.runtime.event_watch import EventWatch
from qwenbelt.agents.runtime.kept_views import KeptViews
from qwenbelt.agents.runtime.loop import AgentLoop
from qwenbelt.agents.runtime.parent_run import ParentRun
from qwenbelt.agents.runtime.resource_queue import Limits
from qwenbelt.agents.runtime.tool_arguments import tool_declaration
from qwenbelt.core.errors import ConfigError, InputError, QwenbeltError, one_line
from qwenbelt.core.events import ApprovalAsked, Done, Event, RunStarted
from qwenbelt.core.language import Language
from qwenbelt.core.trace import TraceWriter

if TYPE_CHECKING:
    from qwenbelt.agents.answers.typed import AnswerForm
    from qwenbelt.agents.sessions.approvals import RunApprovals
    from qwenbelt.agents.sessions.session import TurnRecorder


@dataclass
class RunConfig:
    """What a run needs: the model, the tools, the messages, and its bounds.

    Attributes:
        tools: the tools by name.
        current_tools: gives the tools as they are now, where they may change during the run.
        tools_settled: waits a moment for changes that have been announced.
        keywords: further keyword arguments for every tool call.
        extra: further generation settings for every request.
        prepare: awaited before the first request; may change `messages`.
        artifacts: keeps large results; a store of the run's own when None.
        dependent_calls: whether the model learns that calls may use each other's results.
        summarize: whether what leaves the model's window is summed up by the model.
        answer: the form of a typed answer.
        untrusted: parts of the messages that were put in from documents, by no person.
        hooks: look at the run, change it, or refuse.
        parent: the run inside of whose call this one runs.
        deferred: which tools are found by a search instead of being declared.
        recorder: keeps the turn of a session while the run goes on.
        views: remembers what was sent, for the next turn of the same conversation.
        background: names of tools whose calls the model does not wait for.
    """

    agent: str
    model: Model
    tools: Mapping[str, Any]
    messages: Sequence[Any]
    language: Language = "en"
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    policy: ApprovalPolicy = "auto"
    session: str = "default"
    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    max_input_tokens: int | None = None
    trace: TraceWriter | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    file_list: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[], Awaitable[None]] | None = None
    artifacts: ArtifactStore | None = None
    dependent_calls: bool = False
    summarize: bool = False
    code: CodeMode | None = None
    current_tools: Callable[[], Mapping[str, Any]] | None = None
    tools_settled: Callable[[], Awaitable[None]] | None = None
    answer: AnswerForm | None = None
    untrusted: list[str] = field(default_factory=list)
    hooks: Hooks = NO_HOOKS
    parent: ParentRun | None = None
    recorder: TurnRecorder | None = None
    deferred: DeferredTools | None = None
    views: KeptViews | None = None
    background: Sequence[str] = ()

    def declared(self, tools: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns what the model reads about tools."""
        code = self.code
        return [
            code.declaration(self.language)
            if code is not None and tool is code.interpreter
            else tool_declaration(tool)
            for name, tool in tools.items()
            if self.deferred is None or not self.deferred.is_deferred(name)
        ]


_SEEN_SECONDS = 1.0  # a run's end waits so long for plain `on_event` methods


class Channel:
    """What a run's reader and its driver share.

    It does not refer to the `Run`, so that a run that its reader has dropped is collected, and
    stopped, while its driver still goes on.
    """

    def __init__(
        self, trace: TraceWriter | None, hooks: Hooks, approvals: RunApprovals | None = None
    ) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.error: BaseException | None = None
        self._trace = trace
        self._spans = telemetry.observer()
        seeing = [method for _, method in hooks.methods("on_event")]
        self._watch = EventWatch(seeing) if seeing else None
        self._answers: dict[str, asyncio.Future[bool]] = {}
        self._approvals = approvals  # of a durable run: other processes may answer
        self._closed = False

    def emit(self, event: Event) -> None:
        """Reports an event; what comes after the end, from tools left behind, is dropped."""
        if self._closed:
            return
        if self._approvals is not None and isinstance(event, ApprovalAsked):
            self._approvals.asked(event, self._answers[event.call_id], self._tell)
        else:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self._closed:
            return
        if self._trace is not None:
            self._trace.write(event)
        if self._spans is not None:
            self._spans.see(event)
        if self._watch is not None:
            self._watch.see(event)
        self.events.put_nowait(event)

    def open(self, plan: RunConfig) -> None:
        """Begins to report the run to telemetry, in the task that drives it."""
        if self._spans is not None:
            self._spans.open(plan.agent, plan.model.name, plan.model.url)

    def asked(self, call_id: str) -> asyncio.Future[bool]:
        """Returns the future that a person's answer settles."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[call_id] = future
        return future

    def answer(self, call_id: str, allowed: bool) -> None:
        """Settles what was asked about a call."""
        future = self._answers.pop(call_id, None)
        if future is not None and not future.done():
            future.set_result(allowed)

    def close(self, last: Event) -> None:
        """Reports the last event."""
        self.emit(last)
        self._closed = True
        if self._trace is not None:
            self._trace.flush()
        if self._watch is not None:  # who looks on has seen all when the run is over
            self._watch.then(lambda: self.events.put_nowait(None), _SEEN_SECONDS)
        else:
            self.events.put_nowait(None)


class Run(AsyncGenerator[Event, None]):
    """A run of an agent: an async generator of events that can be cancelled and answered.

    Closing it, dropping it, or cancelling the task that reads it ends what runs within 100 ms and
    leaves a valid history in `messages`. A slow reader holds up nothing.
    """

    def __init__(self, plan: RunConfig) -> None:
        self._driver: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.plan = plan
        self.id = uuid.uuid4().hex[:12]
        approvals = plan.recorder.approvals if plan.recorder is not None else None
        self._channel = Channel(plan.trace, plan.hooks, approvals)
        self._body = AgentLoop(plan, self._channel.emit, self._channel.asked)  # may refuse the plan
        self._ending = False
        self._over = False

    # -- the async generator ------------------------------------------------------------------

    def __aiter__(self) -> Run:
        return self

    async def __anext__(self) -> Event:
        return await self.asend(None)

    async def asend(self, value: None) -> Event:
        """Returns the next event.

        Raises:
            QwenbeltError: the run failed; raised after its `Done`.
        """
        if self._over:
            raise StopAsyncIteration
        if self._driver is None:
            self._start()
        try:
            event = await self._channel.events.get()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if event is not None:
            return event
        self._over = True
        if self._channel.error is not None:
            raise self._channel.error
        raise StopAsyncIteration

    async def athrow(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Event:
        """Ends the run and raises the given error."""
        await self.aclose()
        if isinstance(typ, BaseException):
            raise typ
        raise val if isinstance(val, BaseException) else typ()

    async def aclose(self) -> None:
        """Ends the run: tools are stopped, the history gets their cancelled results."""
        self._over = True
        self._end()
        if self._driver is not None and not self._driver.done():
            await asyncio.wait({self._driver})

    def __del__(self) -> None:
        driver, loop = self._driver, self._loop
        if driver is not None and loop is not None and not (driver.done() or loop.is_closed()):
            loop.call_soon_threadsafe(driver.cancel)

    # -- for people and front ends -----------------------------------------------------------------

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that this run has added so far, as qwen-agent message dicts."""
        return self._body.added()

    @property
    def value(self) -> Any:
        """The typed answer, checked; None before the end and without a form."""
        return self._body.typed.value if self._body.typed is not None else None

    @property
    def has_value(self) -> bool:
        """Whether a typed answer has come."""
        return self._body.typed is not None and self._body.typed.is_there

    def shown_before(self) -> list[str]:
        """Returns the texts that the model was given before this run's first reply."""
        return [text_of(message.get("content")) for message in self._body.given()]

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self._over or (self._driver is not None and self._driver.done())

    def cancel(self) -> None:
        """Ends the run; it still reports `Done` with the reason "cancelled". From any thread."""
        if self._loop is None:
            self._ending = True
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def send(self, text: str) -> None:
        """Says more in the middle of the run; from any thread.

        It is taken up after the calls that run now, or in place of the end when the answer is
        there already; an event `MessageSent` reports when.

        Raises:
            InputError: the run has ended.
        """
        if self.is_over:
            raise InputError("The run has ended.", fix="Ask again with its messages.")
        if self._loop is None:
            self._body.send(text)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._body.send, text)

    def approve(self, call_id: str, allowed: bool = True) -> None:
        """Answers an `ApprovalAsked` event; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._channel.answer, call_id, allowed)

    def answer(self, request_id: str, values: Mapping[str, Any] | None) -> None:
        """Answers an `ElicitationAsked` event, None declines; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._body.elicitor.answer, request_id, values)

    # -- the driver ---------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError(
                "Agents run on asyncio, and no asyncio loop runs here.",
                fix="From trio, use `await trio.to_thread.run_sync(agent.ask, question)`.",
            ) from None
        driver = _drive_run(self.id, self.plan, self._body, self._channel, cancelled=self._ending)
        self._driver = asyncio.ensure_future(driver)

    def _end(self) -> None:
        """Cancels the driver, once: a second cancel would break into its tidying up."""
        if self._driver is not None and not self._ending:
            self._driver.cancel()
        self._ending = True


async def _drive_run(
    run_id: str, plan: RunConfig, body: AgentLoop, channel: Channel, *, cancelled: bool
) -> None:
    ending = Ending("cancelled")
    try:
        if not cancelled:
            channel.open(plan)
            seen = plan.messages
            if plan.views is not None:
                plan.messages = plan.views.restored(seen, plan.untrusted)
            if plan.prepare is not None:
                await plan.prepare()
            if plan.views is not None:
                plan.views.keep(seen, plan.messages, plan.untrusted)
            model, names = plan.model, tuple(plan.tools)
            told = plan.declared(plan.tools)
            given = body.given()
            channel.emit(RunStarted(run_id, plan.agent, model.name, model.url, names, given, told))
            ending = await body.converse()
            if plan.views is not None:
                plan.views.keep([*seen, *body.added()], body.history.sent(), plan.untrusted)
    except asyncio.CancelledError:
        ending = Ending("cancelled")
    except BaseException as error:  # raised again where the run is read
        channel.error = error
        known = isinstance(error, QwenbeltError)
        detail = str(error) if known else one_line(f"{type(error).__name__}: {error}")
        ending = Ending("error", detail)
    try:
        await body.stop()
        if plan.recorder is not None:
            await plan.recorder.end(body.added(), ending.reason)
    finally:
        body.close()
        channel.close(
            Done(
                ending.reason,
                body.answer(),
                ending.detail,
                body.added(),
                body.typed.plain if body.typed is not None else None,
                body.cost,
                body.currency,
            )
        )
