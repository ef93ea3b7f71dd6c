"""The loop: ask the model, run its calls, until it answers or a budget ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.codecs import SoFar
from qwenbelt.agents.models.codecs.react import final_answer
from qwenbelt.agents.models.deltas import (
    Changed,
    Finish,
    ModelReply,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    Thought,
    Tokens,
)
from qwenbelt.agents.models.endpoint_model import Request
from qwenbelt.agents.models.refusals import check_reason
from qwenbelt.agents.models.repetition import without_repetition
from qwenbelt.agents.models.retrying import ReplyAttempts
from qwenbelt.agents.models.tool_pictures import rule_of
from qwenbelt.agents.prompts import LAST_CALL, LOOPING, REPEATED
from qwenbelt.agents.runtime.approvals.approval import looks_at_labels
from qwenbelt.agents.runtime.approvals.conversation_labels import ConversationLabels
from qwenbelt.agents.runtime.artifacts import ArtifactStore, artifact_reader
from qwenbelt.agents.runtime.background import BackgroundCalls, add_lost
from qwenbelt.agents.runtime.budget import Ending, Spending
from qwenbelt.agents.runtime.context_window import Window, summarizer
from qwenbelt.agents.runtime.elicitation import Elicitor
from qwenbelt.agents.runtime.history import History, unanswered_calls
from qwenbelt.agents.runtime.hooked import (
    RunHooks,
    RunRefused,
    hooked_answer,
    hooked_reply,
    hooked_request,
)
from qwenbelt.agents.runtime.leading import Lead
from qwenbelt.agents.runtime.outcome import CallOutcome
from qwenbelt.agents.runtime.parent_run import ParentRun
from qwenbelt.agents.runtime.prefixes import PrefixWatch
from qwenbelt.agents.runtime.reply_ends import WHOLE, EndpointWays, ending_of, in_time
from qwenbelt.agents.runtime.reply_telling import ReplyTelling
from qwenbelt.agents.runtime.scheduler import Scheduler, SchedulerContext, same_call
from qwenbelt.agents.runtime.tool_arguments import with_references
from qwenbelt.agents.runtime.tool_context import context_of, keywords_of
from qwenbelt.agents.runtime.typed_answer import WHOLE_OR_CUT, TypedAnswer, not_made, typed_answer
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.events import (
    Event,
    MessageSent,
    ModelFinished,
    ModelStarted,
    Notice,
    Retrying,
    ThinkingDelta,
    ToolFinished,
    Usage,
)

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import RunConfig


@dataclass
class _Incoming:
    """A reply while it arrives, and the scheduler that runs its calls."""

    reply: ModelReply
    scheduler: Scheduler
    text: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def close(self) -> None:
        text = "".join(self.text)
        self.reply.text = without_repetition(text) if self.reply.endless else text
        self.reply.thoughts = "".join(self.thoughts)


class AgentLoop:
    """The loop of one run.

    Args:
        plan: what the run needs.
        emit: takes each event.
        asked: gives a future for a person's answer about a call.
    """

    def __init__(
        self,
        plan: RunConfig,
        emit: Callable[[Event], None],
        asked: Callable[[str], asyncio.Future[bool]],
    ) -> None:
        self.plan = plan
        self._emit = emit
        self._asked = asked
        self._turn = self._unusable = 0
        self._farewell: Ending | None = None
        self._sent: list[str] = []  # by the person, while the run goes on
        self._parting = LAST_CALL[plan.language]
        self._history: History | None = None
        above = plan.parent.spending if plan.parent is not None else None
        self._spending = Spending(plan.budget, plan.model.url, plan.model.name, above)
        self._hooks = RunHooks(plan.hooks, self._spending.seconds_left)
        self.elicitor = Elicitor(emit, self._hooks, heard=plan.parent is None)
        self._own_artifacts = plan.artifacts is None
        self._artifacts = plan.artifacts or ArtifactStore(plan.folder)
        self._tools = dict(plan.tools)
        self._lead = Lead(plan.model, self._tools, plan.language)
        self._labels = ConversationLabels(
            lambda: self.history.messages[: self.history.given],
            self._tools,
            plan.untrusted,
            keeps=any(looks_at_labels(tool, plan.policy) for tool in plan.tools.values()),
        )
        self._declared: list[dict[str, Any]] = []
        self._prefix, self._repeated = PrefixWatch(emit, plan.language), 0.0
        self._stale = False  # whether tools have changed since they were declared
        self._window = Window(plan.max_input_tokens, plan.language, self._artifacts.keep)
        self._incoming: _Incoming | None = None
        self._ways, self._telling = EndpointWays(), ReplyTelling(emit, plan.hooks)
        self._answer_text: str | None = None
        depth = plan.parent.depth + 1 if plan.parent is not None else 0
        self._as_parent = ParentRun(emit, asked, self._spending, plan.policy, depth)
        self.typed = typed_answer(plan, emit)
        self._replying = self.typed or plan.model
        self._background = BackgroundCalls(plan.limits, plan.language, plan.background)

    @property
    def history(self) -> History:
        """The conversation; made at the first use, after the plan's `prepare`."""
        if self._history is None:
            model = self.plan.model
            self._history = History(
                self.plan.messages, model.codec, self.plan.language, rule_of(model)
            )
        return self._history

    async def converse(self) -> Ending:
        """Runs until there is an answer; returns why the run ended."""
        await self._resume()
        while True:
            self._turn += 1
            last = self._farewell or self._spending.last_call()
            try:
                incoming = await self._ask(last)
                reply = incoming.reply
                await hooked_reply(self._hooks, reply)
                if reply.calls and last is None:
                    self._telling.release(reply.text)
                outcomes = await self._outcomes(incoming)
                ending = self._ending(reply, outcomes, last)
                if last is None and self._goes_on(ending) and await self._news(ending):
                    ending = None
                if ending is not None:
                    if not any(message["role"] == "assistant" for message in self.added()[-1:]):
                        self.history.add(reply, outcomes)  # an end without text is reported
                    return await self._ended(ending, reply.text)
                self._telling.release(reply.text)
            except EndpointError:
                if self._farewell is None:
                    raise
                return self._farewell  # the loop was ended; only the final reply is missing
            except RunRefused as refusal:
                await self._discard()
                self._replace_answer(str(refusal))
                self._telling.say(str(refusal))
                return Ending(refusal.reason, str(refusal))

    def send(self, text: str) -> None:
        """Takes a message of the person, for the next request."""
        self._sent.append(text)

    def _goes_on(self, ending: Ending | None) -> bool:
        """Says whether news still find a request to go with."""
        typed = self.typed is not None and self.typed.is_there and not self._background.is_working
        return not typed and (ending is None or ending.reason == "answer")

    async def _news(self, ending: Ending | None) -> bool:
        """Adds what came meanwhile from the background and the person; says whether it did."""
        wait, left = ending is not None, self._spending.seconds_left()
        news = await self._background.news(self.history, self.plan.recorder, wait=wait, left=left)
        if self.typed is not None:
            self.typed.is_there = self.typed.is_there and not news
        sent, self._sent = self._sent, []
        for text in sent:
            self.history.say(text)
            self._emit(MessageSent(text))
        return news or bool(sent)

    async def _ended(self, ending: Ending, told: str) -> Ending:
        """What is left to do once there is an answer."""
        if self.typed is not None and self.typed.is_there:
            await asyncio.to_thread(self.typed.verify, self.plan.files)
        if self._hooks.has("before_answer"):
            try:
                changed = await hooked_answer(self._hooks, self.answer())
            except BaseException:  # of any kind: what no hook has let pass is not told
                self._replace_answer("")
                raise
            if changed != self.answer():
                self._replace_answer(changed)
                told = changed
        self._telling.release(told)
        if ending.reason == "answer" and (more := self._lead.after_answer(self.history)):
            self._replace_answer(self.answer() + more)
            self._telling.say(more)
        return ending

    def _replace_answer(self, text: str) -> None:
        """Puts a text in the place of the answer, in what is kept of the conversation too."""
        self._answer_text = text
        last = self.history.messages[-1] if self.added() else None
        if last is not None and last["role"] == "assistant" and not last.get("function_call"):
            self.history.messages[-1] = {**last, "content": text}
        else:
            self.history.messages.append({"role": "assistant", "content": text})

    async def _outcomes(self, incoming: _Incoming) -> list[CallOutcome]:
        """Runs the calls of a reply to their ends, and adds it to the history with them."""
        reply, scheduler = incoming.reply, incoming.scheduler
        recorder = self.plan.recorder
        if recorder is not None and reply.calls:
            await recorder.reply(reply)
        scheduler.release(cut=reply.finish_reason not in WHOLE)
        found = await scheduler.results(self._spending.seconds_left())
        if recorder is not None:
            await recorder.settled()
        said = (self.typed, self.plan.language)
        outcomes = [found.get(call.id) or not_made(call, *said) for call in reply.calls]
        self._incoming = None
        if reply.calls or reply.text.strip():
            self.history.add(reply, outcomes)
        self._spending.tool_calls += len(reply.calls)
        self._hooks.check()
        return outcomes

    async def _resume(self) -> None:
        """Makes the calls of a turn that was broken off before they had results."""
        if self.plan.recorder is None:
            return
        calls = unanswered_calls(self.plan.messages)
        if not calls:
            add_lost(self.history)
            return
        self._declare()
        scheduler = self._scheduler(None)
        self._incoming = _Incoming(ModelReply(calls=calls), scheduler)
        for call in calls:
            scheduler.seal(call)
        scheduler.release()
        found = await scheduler.results(self._spending.seconds_left())
        self._incoming = None
        await self.plan.recorder.settled()
        self._spending.tool_calls += len(calls)
        self.history.answer(calls, [found[call.id] for call in calls])

    def _ending(
        self, reply: ModelReply, outcomes: Sequence[CallOutcome], last: Ending | None
    ) -> Ending | None:
        if not reply.calls:
            return self._answered(reply, last)
        if last is not None:
            return last
        name, times = self._spending.repeated(reply.calls, outcomes)
        if times:
            words = {"name": name, "times": times}
            self._farewell = Ending("loop", REPEATED[self.plan.language].format(**words))
            self._parting = LOOPING[self.plan.language].format(**words)
        elif said := self._lead.after_results(self.history):
            self.history.instruct(said)
        return None

    def _answered(self, reply: ModelReply, last: Ending | None) -> Ending | None:
        if self.typed is not None and reply.text.strip() and reply.finish_reason in WHOLE_OR_CUT:
            return self._typed_answer(self.typed, reply, last)
        if last is not None and (last.reason != "model_calls" or not reply.text.strip()):
            return last
        instead = "" if last else self._lead.instead(self.history)
        ending = ending_of(reply, self._unusable, self.plan.language, instead)
        if isinstance(ending, Ending):
            return ending
        self._unusable += 1
        self.history.instruct(ending)
        return None

    def _typed_answer(
        self, typed: TypedAnswer, reply: ModelReply, last: Ending | None
    ) -> Ending | None:
        react = self.plan.model.codec.form == "react"
        text = final_answer(reply.text) if react else reply.text
        fault = typed.settle(text, reply.finish_reason, last=last is not None)
        if fault is None:
            return Ending("answer")
        self.history.instruct(typed.form.repair(fault, self.plan.language))
        return None

    # -- one model call -----------------------------------------------------------------------

    async def _ask(self, last: Ending | None) -> _Incoming:
        if last is not None and self._turn > 1:
            self.history.instruct(self._parting)
        self._spending.model_calls += 1
        attempts = ReplyAttempts(self.plan.model, self._shorten, self._adapted, self._waiting)
        while True:
            await self._fit()  # each time: the next model of a chain may take less
            request = await hooked_request(self._hooks, self._request(last), self._turn)
            try:
                return await self._receive(request, self._scheduler(last))
            except EndpointError as error:
                told = await self._discard()
                if not await attempts.again(error, request) and told:
                    self._emit(Retrying(self._turn, 0, 0.0, str(error)))  # what was shown is void

    async def _discard(self) -> bool:
        """Abandons a reply; returns whether any of it was reported."""
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return False
        await incoming.scheduler.discard()
        return bool(incoming.text or incoming.thoughts or incoming.reply.calls)

    async def _shorten(self, error: EndpointError) -> bool:
        self._window.narrow(error, self.history, self._declared)
        return await self._fit()

    def _adapted(self, change: str) -> None:
        model = self.plan.model
        self.history.use(model.codec, rule_of(model))
        self._spending.use(model.url, model.name)
        self._window.use(model)
        self._emit(Notice(change))

    def _waiting(self, attempt: int, delay: float, error: EndpointError) -> None:
        self._emit(Retrying(self._turn, attempt, delay, str(error)))

    async def _fit(self) -> bool:
        """Keeps the conversation inside the window; returns whether something had to go."""
        plan = self.plan
        if plan.tools_settled is not None:
            await plan.tools_settled()
        self._follow_tools()
        self._declare()
        sum_up = summarizer(plan.model, plan.language, self._count) if plan.summarize else None
        compacted = await self._window.fit(self.history, self._declared, sum_up)
        if compacted is not None:
            self._declare()
            self._emit(compacted)
        return compacted is not None

    def _request(self, last: Ending | None) -> Request:
        plan, history = self.plan, self.history
        tools, extra = self._declared, plan.extra
        choice = "auto" if last is None else "none"
        if self.typed is not None:
            extra = {**extra, **self.typed.fields(tools=bool(tools))}
            choice = self.typed.choice(tools, last=last is not None)
            if self.typed.repairing and self.typed.structured:
                tools = []  # servers take a schema for the reply or tools, not both
        encoded = history.encoded()
        self._repeated = self._prefix.repeated(tools, history.wire, encoded)
        return Request(
            messages=history.wire,
            tools=tools,
            choice=choice,
            language=plan.language,
            extra=extra,
            encoded=encoded,
        )

    async def _receive(self, request: Request, scheduler: Scheduler) -> _Incoming:
        """Reads one reply while it streams, starting calls as they are sealed."""
        reader = self.plan.model.codec.reader(self._declared, self._so_far())
        if self.plan.recorder is not None:
            self.plan.recorder.begin_reply()
        reply = ModelReply(calls=reader.calls)
        incoming = self._incoming = _Incoming(reply, scheduler)
        started = time.monotonic()
        self._emit(ModelStarted(self._turn, started))
        try:
            async with aclosing(in_time(self._replying.pieces(request), self._spending)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    self._ways.note(piece)
                    self._telling.note(piece, self._turn)
                    if isinstance(piece, Finish):
                        reply.finish_reason, reply.endless = piece.reason, piece.endless
                    elif isinstance(piece, Tokens):
                        reply.tokens = piece
                    elif reply.first_token is None:
                        reply.first_token = time.monotonic()
                    scheduler.watch(piece)
                    for part in reader.feed(piece):
                        await self._take(part, incoming)
            check_reason(reply.finish_reason)
            for part in reader.finish(reply.finish_reason):
                await self._take(part, incoming)
            await self._found_elsewhere(incoming, may_call=request.choice != "none")
        finally:
            incoming.close()
        reason = reply.finish_reason or "stop"
        finished = ModelFinished(self._turn, started, reply.first_token, time.monotonic(), reason)
        self._telling.finished(finished)
        if reply.tokens is not None:
            self._window.learn(reply.tokens)
            self._count(reply.tokens)
        return incoming

    async def _found_elsewhere(self, incoming: _Incoming, *, may_call: bool) -> None:
        """Takes an answer from a call or from thoughts, and a call from a block of code.

        Parsers of vLLM and SGLang take all for thoughts where the template opens none (R1, Qwen3).
        """
        reply, typed = incoming.reply, self.typed
        if typed is not None and (answer := typed.called(reply.calls)):
            incoming.text[:] = []  # words before the call are no part of it
            await self._take(Text(answer), incoming)
        thought = "".join(incoming.thoughts)
        if thought and not (incoming.text or reply.calls) and self.plan.model.thinks_not:
            await self._take(Text(thought), incoming)
        incoming.close()
        if self._lead.is_echo(reply.text, self.history):
            incoming.text.clear()  # a notice of ours is no answer
        call = self._lead.code_call(reply, self.history, told=self._unusable > 0)
        if call is not None and may_call:
            reply.calls.append(call)
            await self._take(Sealed(call), incoming)

    def _so_far(self) -> SoFar:
        history = self.history
        return self._ways.so_far(history.messages, history.given, self.plan.model.codec.form)

    async def _take(self, part: ReplyPiece, incoming: _Incoming) -> None:
        if isinstance(part, Text):
            incoming.text.append(part.text)
            self._telling.text(part.text)
            if self.typed is not None and not self._telling.holds:
                self.typed.show(incoming.text, self._emit)
        elif isinstance(part, Thought):
            incoming.thoughts.append(part.text)
            self._emit(ThinkingDelta(part.text))
        elif isinstance(part, Sealed | Changed) and self.typed and self.typed.takes(part.call):
            pass  # the answer, see TypedAnswer.called
        elif isinstance(part, Sealed):
            if part.call.name not in self._tools:
                self._follow_tools()
            incoming.scheduler.seal(part.call)
        elif isinstance(part, Relabel):
            self._telling.relabelled("".join(incoming.text))
            incoming.thoughts += incoming.text
            incoming.text.clear()
            if not incoming.reply.calls:
                await incoming.scheduler.discard()  # what was started for calls among thoughts
        elif isinstance(part, Changed):
            await incoming.scheduler.replace(part.call)

    def _count(self, tokens: Tokens) -> None:
        cost = self._spending.add_tokens(tokens)
        counts = (tokens.input, tokens.output, tokens.cached, tokens.reasoning)
        more = (cost, self.currency, tokens.written, self._repeated)
        self._emit(Usage(self._turn, *counts, *more))

    # -- tools --------------------------------------------------------------------------------

    def _follow_tools(self) -> None:
        """Takes in tools that a server has added or changed; what it dropped stays declared."""
        if self.plan.current_tools is None:
            return
        current = self.plan.current_tools()
        changed = {name: t for name, t in current.items() if self._tools.get(name) is not t}
        self._tools.update(changed)
        if changed and (reader := self._tools.pop("read_artifact", None)) is not None:
            self._tools["read_artifact"] = reader  # last, as the next run will have it
        self._stale = self._stale or bool(changed)
        if self._stale and self.plan.deferred is not None:
            self.plan.deferred.over(current)

    def _declare(self) -> None:
        """Declares the tools, `read_artifact` among them from the start, so that prefixes stay.

        Where tools are searched it is called as those are; where there is the interpreter alone,
        from code.
        """
        plan = self.plan
        early = bool(self._tools) and plan.deferred is None
        code = plan.code if len(plan.tools) == 1 else None
        held, add = (code.tools, code.add) if code else (self._tools, self._tools.__setitem__)
        if (early or self._artifacts.names) and "read_artifact" not in held:
            reader = artifact_reader(self._artifacts, plan.limits.result_bytes)
            add("read_artifact", reader)
            if plan.deferred is not None:
                plan.deferred.add("read_artifact", reader)
        elif self._declared and not self._stale:
            return
        self._stale = False
        self._declared = self.plan.declared(self._tools)
        if self.plan.dependent_calls:
            self._declared = [with_references(d, self.plan.language) for d in self._declared]
        if self.typed is not None:
            self._declared = self.typed.declared(self._declared)

    def _scheduler(self, last: Ending | None) -> Scheduler:
        plan = self.plan
        allowed = self._spending.allowed(plan.limits.reply_calls, last, plan.language)
        asks = self.elicitor
        return Scheduler(
            SchedulerContext(
                tools=self._tools,
                limits=plan.limits,
                policy=plan.policy,
                language=plan.language,
                allowed=allowed[0],
                beyond=allowed[1],
                emit=self._emit_call,
                context=lambda call: context_of(plan, call, self._emit, self._as_parent, asks),
                keywords=lambda tool, made: keywords_of(plan, self.history, tool, made),
                asked=self._asked,
                keep_artifact=self._artifacts.keep,
                labels=self._labels,
                code=plan.code,
                ahead=plan.budget.tool_calls is None,
                count_nested=self._count_nested,
                claim=lambda: self._spending.claim(plan.language),
                background=self._background,
                hooks=self._hooks,
                unwrap=plan.deferred.unwrapped if plan.deferred is not None else same_call,
            )
        )

    def _emit_call(self, event: Event) -> None:
        recorder = self.plan.recorder
        if recorder is not None and isinstance(event, ToolFinished) and not event.parent:
            recorder.result(event)
        self._emit(event)

    def _count_nested(self) -> str:
        """Counts a call from code; returns why the budget does not allow it, or ""."""
        incoming = self._incoming
        others = len(incoming.scheduler.calls()) if incoming is not None else 0
        return self._spending.count_nested(others, self.plan.language)

    # -- ends ---------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Ends what runs and completes the history with cancelled results."""
        await self._background.stop()
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        scheduler = incoming.scheduler
        try:
            await scheduler.cancel()
        finally:
            text = "" if self._telling.holds else incoming.reply.text  # no hook has seen it
            reply = ModelReply(text, incoming.reply.thoughts, scheduler.calls())
            if reply.text.strip() or reply.calls:
                outcomes = scheduler.outcomes()
                self.history.add(reply, [outcomes[call.id] for call in reply.calls])

    def given(self) -> list[dict[str, Any]]:
        """Returns the messages that the run was given."""
        return self.history.messages[: self.history.given]

    def added(self) -> list[dict[str, Any]]:
        """Returns the messages that the run has added."""
        return self._history.added() if self._history is not None else []

    def answer(self) -> str:
        """Returns the text of the last reply that has one, or what hooks put in its place."""
        if self._answer_text is not None:
            return self._answer_text
        for message in reversed(self.added()):
            if message["role"] == "assistant" and message["content"]:
                text = str(message["content"])
                return final_answer(text) if self.plan.model.codec.form == "react" else text
        return ""

    @property
    def cost(self) -> float | None:
        """Money for the run so far; None when no price is known."""
        return self._spending.cost

    @property
    def currency(self) -> str:
        """The cost's currency, "" when it is not known."""
        return self._spending.price.currency if self._spending.price is not None else ""

    def close(self) -> None:
        """Releases what the run kept."""
        self.elicitor.close()
        if self._own_artifacts:
            self._artifacts.close()
