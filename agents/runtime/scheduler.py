"""Runs the calls of one reply at the physical limit.

The rules, in the order in which a call meets them (`_outcome`):
- A call begins when its arguments are complete (`seal`); what cannot be read fails alone.
- It waits for the results that it refers to (`_inputs`).
- Harmless calls start at once, the others when the whole reply is in (`_end_of_reply`).
- A policy or a person may have to agree; others are not held up meanwhile (`_approval`).
- Identical calls of an idempotent tool run once (`_shared`).
- It waits for its resources, in the order of sealing, and for a slot (`_place`).
- Whatever happens in it is its result and never another's (`_run`).
A broken reply leaves no effect (`discard`); a cancel ends everything within 100 ms (`cancel`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qwenbelt.agents.hooks import NO_HOOKS, HookCall
from qwenbelt.agents.models.deltas import ToolCall, WirePiece
from qwenbelt.agents.prompts import (
    BY_THE_USER,
    CANCELLED,
    CUT_OFF,
    INPUT_FAILED,
    NO_SUCH_RESULT,
    OUT_OF_TIME,
    REFUSED,
    UNKNOWN_TOOL,
    UNREADABLE_CALL,
)
from qwenbelt.agents.runtime.approvals.approval import (
    ApprovalPolicy,
    is_harmless,
    looks_at_labels,
    needs_nobody,
    policy_decision,
    policy_for,
    request_for,
    rule_for_call,
    rules_of,
)
from qwenbelt.agents.runtime.approvals.conversation_labels import ConversationLabels
from qwenbelt.agents.runtime.background import BackgroundCalls
from qwenbelt.agents.runtime.code.code_mode import CodeMode, NestedCalls, held_by
from qwenbelt.agents.runtime.code.early_calls import early_calls
from qwenbelt.agents.runtime.execution import STOP_GRACE, Execution
from qwenbelt.agents.runtime.hooked import RunHooks, hooked_call, hooked_outcome
from qwenbelt.agents.runtime.outcome import CallOutcome, failed_outcome, shaped_outcome
from qwenbelt.agents.runtime.resource_queue import Admission, Limits
from qwenbelt.agents.runtime.scheduled_call import ScheduledCall, moved_behind
from qwenbelt.agents.runtime.tool_arguments import (
    as_json,
    handed_to,
    read_arguments,
    reference_names,
    resolve_references,
    typed_arguments,
)
from qwenbelt.core.errors import ToolCancelled, ToolError, ToolRefused, ToolTimeout
from qwenbelt.core.events import (
    ApprovalAsked,
    Event,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    ToolWaiting,
)
from qwenbelt.core.language import Language
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.base import CheckedValues, Tool, ToolContext

monotonic = time.monotonic
_NAMED = 50  # tool names listed for a model that calls an unknown one


def same_call(call: ToolCall) -> ToolCall:
    """Returns the call."""
    return call


@dataclass(frozen=True)
class SchedulerContext:
    """What the scheduler needs to know of the run.

    Attributes:
        tools: the tools by name.
        allowed: calls of this reply that may be run.
        beyond: the message to the model about the calls beyond those.
        context: gives the context for a call.
        keywords: gives the keyword arguments for a tool's call.
        asked: gives a future that a person's answer will settle, by the call's id.
        keep_artifact: keeps a large result of a tool and returns its name.
        code: which tools code may call, or None.
        ahead: whether code's calls may be made while the model still writes it.
        count_nested: counts a call from code; returns why it may not run, or "".
        claim: counts a call of the reply at the runs above; returns why it may not run, or "".
        background: takes over calls of tools that work in the background.
        hooks: see each call and its outcome.
        unwrap: returns the call that a written one represents.
        labels: knows where the words of the conversation come from.
    """

    tools: Mapping[str, Any]
    limits: Limits
    policy: ApprovalPolicy
    language: Language
    allowed: int
    beyond: str
    emit: Callable[[Event], None]
    context: Callable[[ToolCall], ToolContext]
    keywords: Callable[[Any, ToolContext], dict[str, Any]]
    asked: Callable[[str], asyncio.Future[bool]]
    keep_artifact: Callable[[str, str], str]
    code: CodeMode | None = None
    ahead: bool = True
    count_nested: Callable[[], str] = lambda: ""
    claim: Callable[[], str] = lambda: ""
    background: BackgroundCalls | None = None
    hooks: RunHooks = field(default_factory=lambda: RunHooks(NO_HOOKS))
    unwrap: Callable[[ToolCall], ToolCall] = same_call
    labels: ConversationLabels = field(default_factory=ConversationLabels)


class Scheduler:
    """The calls of one reply."""

    def __init__(self, around: SchedulerContext) -> None:
        self._around = around
        behind = around.background
        self._admission = behind.admission if behind is not None else Admission(around.limits)
        self._jobs: list[ScheduledCall] = []
        self._first: dict[str, ScheduledCall] = {}
        self._ended = asyncio.Event()
        self._cut = False
        self._why_stopped = CANCELLED[around.language]
        self._early = early_calls(self, around)

    # -- the reply ----------------------------------------------------------------------------

    def seal(self, call: ToolCall) -> ScheduledCall:
        """Takes a call whose arguments are complete."""
        written, call = call, self._around.unwrap(call)
        job = ScheduledCall(call, monotonic(), self._around.context(call), written=written)
        self._around.emit(ToolCallReady(call.id, call.name, call.arguments, job.sealed))
        self._jobs.append(job)
        try:
            self._read(job)
        except Exception as error:  # of the model, or of a tool's own parse() or resources()
            job.error = error
        if self._early is not None and self._may_call(job):
            self._early.belongs_to(job)
        job.task = asyncio.ensure_future(self._run(job))
        return job

    def watch(self, piece: WirePiece) -> None:
        """Sees a piece of the reply before it is read, for the calls of code that is written."""
        if self._early is not None:
            self._early.feed(piece)

    def beside(self, emit: Callable[[Event], None]) -> Scheduler:
        """Returns a scheduler with the same queues, for calls ahead of the end of the reply."""
        other = Scheduler(replace(self._around, emit=emit, code=None))
        other._admission = self._admission
        other.release()
        return other

    def stand_in(self, call: ToolCall) -> ScheduledCall:
        """Returns what calls belong to until the call that makes them is known."""
        return ScheduledCall(call, monotonic(), self._around.context(call))

    def has_effects(self, cell: ScheduledCall | None) -> bool:
        """Returns whether a call before a cell of the reply may do more than read."""
        before = itertools.takewhile(lambda job: job is not cell, self._jobs)
        return any(not is_harmless(job.tool) for job in before)

    def nest(
        self, parent: ScheduledCall, call: ToolCall, tool: Any, values: dict[str, Any]
    ) -> ScheduledCall:
        """Takes a call that code of a running call makes; its outcome is its alone."""
        around = self._around
        job = ScheduledCall(
            call, monotonic(), around.context(call), tool=tool, values=values, parent=parent
        )
        told = (call.id, call.name, call.arguments, job.sealed, job.parent_id)
        around.emit(ToolCallReady(*told))
        try:
            self._read_nested(job)
        except Exception as error:  # of the code, or of a tool's own parse() or resources()
            job.error = error
        job.task = asyncio.ensure_future(self._run(job))
        return job

    def _read_nested(self, job: ScheduledCall) -> None:
        refusal = self._around.count_nested()
        if refusal:
            raise ToolRefused(refusal)
        self._check(job)
        job.key = ""  # code may mean it when it calls again
        if needs_nobody(job.tool, self._around.policy):
            self._enter(job)

    async def outcome_of(self, job: ScheduledCall) -> CallOutcome:
        """Waits for a call; one that waits no longer stops it."""
        if job.task is None:
            return self._stopped(job)
        try:
            await asyncio.wait({job.task})
        except asyncio.CancelledError:
            await self.stop([job])
            raise
        return _outcome_of(job)

    async def replace(self, call: ToolCall) -> None:
        """A call's arguments changed after it was sealed: what was started does not count."""
        old = next((job for job in self._jobs if job.written is call), None)
        if old is not None:
            self._jobs.remove(old)
            old.successor = self.seal(call)
            await self.stop([old])

    def release(self, *, cut: bool = False) -> None:
        """The reply has ended: everything may start, or nothing more when it was cut off."""
        self._cut = cut
        self._ended.set()

    async def results(self, seconds: float | None = None) -> dict[str, CallOutcome]:
        """Waits for all calls; returns their outcomes by their ids.

        What is not there after this many seconds is stopped.
        """
        tasks = [job.task for job in self._jobs if job.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            if late:
                self._why_stopped = OUT_OF_TIME[self._around.language]
                await self.cancel()
        if self._early is not None:
            await self._early.close()
        return self.outcomes()

    # -- the way of a call --------------------------------------------------------------------

    async def _run(self, job: ScheduledCall) -> CallOutcome:
        try:
            outcome = await self._outcome(job)
        except asyncio.CancelledError:
            outcome = self._stopped(job)
        except Exception as error:  # whatever happens in a call is its result
            stopped = isinstance(error, (ToolTimeout, ToolCancelled))
            shown = self._so_far(job) if stopped else ""
            outcome = failed_outcome(error, abandoned=_is_abandoned(job), so_far=shown)
        finally:
            self._leave(job)
        if job.has_started_other:
            self._report(job, outcome)  # hooks see what it comes to
            return outcome
        if self._around.hooks.has("after_tool") and not outcome.cancelled:
            outcome = await hooked_outcome(self._around.hooks, _hook_call(job), outcome)
        if job.successor is None:
            self._report(job, outcome)
        return outcome

    async def _outcome(self, job: ScheduledCall) -> CallOutcome:
        if job.error is not None:
            raise job.error
        if job.needs:
            await self._inputs(job)
        if job.parent is not None and job.parent.has_started_other:
            return await self._execute(job)  # the outer call has gone the way up to here
        if not is_harmless(job.tool) or self._goes_behind(job):
            await self._end_of_reply(job)
        if self._around.hooks.has("before_tool"):
            answered = await self._hooked(job)
            if answered is not None:
                return answered
        if not needs_nobody(job.tool, self._around.policy):
            await self._approval(job)
        outcome = await self._shared(job) if job.key else None
        if outcome is None:
            await self._place(job)
            outcome = await self._execute(job)
        return outcome

    def _read(self, job: ScheduledCall) -> None:
        around, call = self._around, job.call
        if len(self._jobs) > around.allowed:
            raise ToolError(around.beyond)
        refusal = around.claim()
        if refusal:
            raise ToolError(refusal)
        if not call.name:
            raise ToolError(UNREADABLE_CALL[around.language])
        job.tool = around.tools.get(call.name)
        if job.tool is None:
            names = ", ".join(list(around.tools)[:_NAMED])
            raise ToolError(UNKNOWN_TOOL[around.language].format(name=call.name, names=names))
        job.values = read_arguments(job.tool, call.arguments)
        job.needs = list(reference_names(job.values))
        if not job.needs:
            self._check(job)
            if needs_nobody(job.tool, around.policy):
                self._enter(job)  # places in the queues are taken in the order of sealing

    def _check(self, job: ScheduledCall) -> None:
        """Has the tool check the arguments, once all values are known."""
        tool = job.tool
        if not isinstance(tool, Tool):
            job.values = typed_arguments(tool, job.values)
            return
        values = job.values if isinstance(job.values, str) else CheckedValues(job.values)
        job.values, job.arguments = values, tool.parse(values)
        if isinstance(job.arguments, dict):
            # in the types of the schema, and not to be checked again by the tool's own `call`
            job.values = CheckedValues(job.arguments, job.arguments)
        if tool.idempotent:
            job.key = f"{tool.name} {json.dumps(job.values, sort_keys=True, default=str)}"

    async def _inputs(self, job: ScheduledCall) -> None:
        self._tell_waiting(job, "inputs")
        for name in job.needs:
            source = await self._source(name, job)
            while source.task is not None and not source.task.done():
                await asyncio.wait({source.task})
                source = source.successor or source
            if not _outcome_of(source).ok:
                text = INPUT_FAILED[self._around.language]
                raise ToolError(text.format(name=source.call.name))
        job.values = resolve_references(job.values, lambda name: self._text_of(name, job))
        self._check(job)

    async def _source(self, name: Any, job: ScheduledCall) -> ScheduledCall:
        """Returns the earlier call that a reference names; interleaved ones may be sealed later."""
        source = self._find(name, job)
        if source is None and not self._ended.is_set():
            await self._ended.wait()
            source = self._find(name, job)
        if source is None:
            raise ToolError(NO_SUCH_RESULT[self._around.language].format(name=name))
        return source

    def _find(self, name: Any, job: ScheduledCall) -> ScheduledCall | None:
        earlier = [j for j in self._jobs if j.call.position < job.call.position]
        if isinstance(name, int) and not isinstance(name, bool):
            return next((j for j in earlier if j.call.position == name - 1), None)
        by_id = next((j for j in earlier if j.call.id == name), None)
        named = [j for j in earlier if j.call.name == name]
        return by_id or max(named, key=lambda j: j.call.position, default=None)

    def _text_of(self, name: Any, job: ScheduledCall) -> str:
        source = self._find(name, job)
        return _outcome_of(source).full_text if source is not None else ""

    async def _end_of_reply(self, job: ScheduledCall) -> None:
        if not self._ended.is_set():
            self._tell_waiting(job, "end of the reply")
            await self._ended.wait()
        self._check_whole()

    def _check_whole(self) -> None:
        if self._cut:
            raise ToolError(CUT_OFF[self._around.language])

    async def _approval(self, job: ScheduledCall) -> None:
        around, tool = self._around, job.tool
        influence = None
        if looks_at_labels(tool, around.policy):
            rules = rules_of(policy_for(tool, around.policy))
            influence = around.labels.influence(tool, job.values, rules)
        request = request_for(tool, job.call.id, as_json(job.values), influence)
        policy = rule_for_call(policy_for(tool, around.policy), tool, job.values)
        verdict, by = await policy_decision(policy, request), ""
        if verdict == "ask":
            answer = around.asked(job.call.id)
            told = (job.call.id, job.call.name, request.arguments, request.reason, job.parent_id)
            around.emit(ApprovalAsked(*told))
            verdict = "allow" if await answer else "refuse"
            by = BY_THE_USER[self._around.language]
        if verdict == "refuse":
            text = REFUSED[self._around.language]
            raise ToolRefused(text.format(name=job.call.name, reason=by))

    async def _hooked(self, job: ScheduledCall) -> CallOutcome | None:
        """Lets the hooks change or refuse a call; returns the result that one of them gives."""
        call = _hook_call(job)
        found = await hooked_call(self._around.hooks, call)
        if isinstance(found, str):
            limit = self._around.limits.result_bytes
            return shaped_outcome(found, job.call.name, limit, self._around.keep_artifact)
        if found is not call:
            self._leave(job)  # its place in the queues was that of the arguments before
            job.values = found.arguments
            self._check(job)
        return None

    async def _shared(self, job: ScheduledCall) -> CallOutcome | None:
        """Returns the outcome of an identical call, if there is one that counts."""
        first = self._first.setdefault(job.key, job)
        if first is job or first.task is None:
            return None
        self._leave(job)  # it needs no resources of its own
        await asyncio.wait({first.task})
        if first.successor is not None:
            return None
        job.started = first.started
        return _outcome_of(first)

    def _enter(self, job: ScheduledCall) -> None:
        tool = job.tool
        reads, writes = tool.resources(job.arguments) if isinstance(tool, Tool) else ((), ())
        if job.parent is not None and held_by(job.parent) & {*reads, *writes}:
            raise ToolError(f"{tool.name} needs what the calling code itself holds.")
        job.ticket = self._admission.enter(
            job.call.name,
            set(reads),
            set(writes),
            weight=0 if self._may_call(job) else getattr(tool, "weight", 1),
            max_of_tool=getattr(tool, "max_concurrency", None),
            nested=job.parent is not None,
        )

    def _may_call(self, job: ScheduledCall) -> bool:
        """Returns whether a call's code may call tools, whose slots it must not take."""
        code = self._around.code
        return code is not None and job.parent is None and job.tool is code.interpreter

    async def _place(self, job: ScheduledCall) -> None:
        if job.ticket is None:
            self._enter(job)
        if job.ticket is not None:
            if self._admission.would_wait(job.ticket):
                self._tell_waiting(job, "resources")
            await self._admission.wait(job.ticket)
        self._check_whole()

    async def _execute(self, job: ScheduledCall) -> CallOutcome:
        around = self._around
        job.started = monotonic()
        around.emit(ToolStarted(job.call.id, job.call.name, job.started, job.parent_id))
        if around.background is not None and self._goes_behind(job):
            return around.background.start(job.call, self._run(moved_behind(job)))
        raw = handed_to(job.tool, job.values, job.call.arguments)
        keywords = around.keywords(job.tool, job.context)
        job.execution = Execution(job.tool, raw, job.arguments, keywords, job.context)
        own = getattr(job.tool, "timeout", None)
        limit = around.limits.call_seconds if own is None else own
        most = around.limits.result_bytes
        if job.parent is not None and not job.parent.has_started_other:
            result = await job.execution.run(limit)
            outcome = shaped_outcome(result, job.call.name, most, _keep_nothing)
            outcome.value = result, outcome.text
            return outcome
        nested = self._nested(job)
        try:
            result = await job.execution.run(limit)
        finally:
            if nested is not None:
                await nested.close()
        return shaped_outcome(result, job.call.name, most, around.keep_artifact)

    def _goes_behind(self, job: ScheduledCall) -> bool:
        """Returns whether a call goes on in the background; one that code waits for does not."""
        behind = self._around.background
        if behind is None or job.parent is not None:
            return False
        return bool(getattr(job.tool, "background", False)) or job.call.name in behind.names

    def _nested(self, job: ScheduledCall) -> NestedCalls | None:
        """Gives a call of the interpreter what its code calls tools with."""
        code = self._around.code
        if code is None or not self._may_call(job):
            return None
        nested = NestedCalls(self, job, code, self._around.limits, self._early)
        job.context.calls = nested
        return nested

    def _leave(self, job: ScheduledCall) -> None:
        if job.ticket is not None:
            self._admission.leave(job.ticket)
            job.ticket = None

    # -- ends ---------------------------------------------------------------------------------

    async def discard(self) -> None:
        """The reply broke: ends what was started for it and forgets it."""
        await self.cancel()
        self._jobs.clear()
        self._first.clear()

    async def cancel(self) -> None:
        """Ends every call; those that could not be stopped in time are reported as abandoned."""
        await self.stop(self._jobs)
        if self._early is not None:
            await self._early.close()

    async def stop(self, jobs: Iterable[ScheduledCall]) -> None:
        """Ends these calls and waits for that, not longer than they may take."""
        open_tasks = [job.task for job in jobs if job.task and not job.task.done()]
        for job in jobs:
            job.context.cancelled.set()
        for task in open_tasks:
            task.cancel()
        if open_tasks:
            await asyncio.wait(open_tasks, timeout=2 * STOP_GRACE)

    def outcomes(self) -> dict[str, CallOutcome]:
        """Returns the outcomes by call id as they are now; unfinished calls count as cancelled."""
        return {
            job.call.id: _outcome_of(job) if job.task and job.task.done() else self._stopped(job)
            for job in self._jobs
        }

    def calls(self) -> list[ToolCall]:
        """Returns the sealed calls in the order of the reply."""
        calls = (job.written or job.call for job in self._jobs)
        return sorted(calls, key=lambda call: call.position)

    def _stopped(self, job: ScheduledCall) -> CallOutcome:
        error = ToolCancelled(self._why_stopped)
        return failed_outcome(error, abandoned=_is_abandoned(job), so_far=self._so_far(job))

    def _so_far(self, job: ScheduledCall) -> str:
        """Returns what a stopped call had shown, within the limit of results."""
        try:
            text = job.context.so_far()
        except Exception:  # a tool's own function
            return ""
        shown, left_out = shorten_text(text, self._around.limits.result_bytes)
        return f"{shown}\n[{left_out} bytes left out]" if left_out else shown

    def _tell_waiting(self, job: ScheduledCall, reason: str) -> None:
        self._around.emit(ToolWaiting(job.call.id, job.call.name, reason, job.parent_id))

    def _report(self, job: ScheduledCall, outcome: CallOutcome) -> None:
        self._around.labels.saw(job.call.name, job.call.id, outcome.full_text or outcome.text)
        self._around.emit(
            ToolFinished(
                call_id=job.call.id,
                name=job.call.name,
                sealed=job.sealed,
                started=job.started,
                finished=monotonic(),
                ok=outcome.ok,
                cancelled=outcome.cancelled,
                result=outcome.text,
                items=outcome.items,
                artifacts=outcome.artifacts,
                abandoned=outcome.abandoned,
                status=outcome.status,
                error=outcome.error,
                parent=job.parent_id,
            )
        )


def _keep_nothing(name: str, text: str) -> str:
    """Large results of calls from code are values there; the model does not see them."""
    return ""


def _hook_call(job: ScheduledCall) -> HookCall:
    values = job.values if isinstance(job.values, dict) else {"input": job.values}
    return HookCall(job.call.id, job.call.name, values, job.parent_id)


def _is_abandoned(job: ScheduledCall) -> bool:
    return job.execution is not None and job.execution.abandoned


def _outcome_of(job: ScheduledCall) -> CallOutcome:
    """Returns the outcome of a job that has ended, or of what took its place."""
    while job.successor is not None:
        job = job.successor
    if job.task is None or not job.task.done() or job.task.cancelled():
        return failed_outcome(ToolCancelled("cancelled"))
    return job.task.result()
