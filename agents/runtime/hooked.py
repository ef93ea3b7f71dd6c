"""Where the hooks of an agent meet a run: requests, replies, calls and the answer."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.hooks import HookAnswer, HookCall, HookRequest, Hooks, Refuse
from qwenbelt.agents.runtime.outcome import CallOutcome, failed_outcome
from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.errors import ConfigError, ToolCancelled, ToolRefused

if TYPE_CHECKING:
    from qwenbelt.agents.models.deltas import ModelReply
    from qwenbelt.agents.models.endpoint_model import Request


_FAREWELL_SECONDS = 5.0  # for the hooks of the reply that is asked for after the budget's end


class RunRefused(Exception):
    """A hook ended the run; its text is shown to the person."""

    reason = "refused"


class HookLate(RunRefused):
    """A hook had not come back when the run's budget of seconds was used up."""

    reason = "seconds"


class RunHooks:
    """The hooks of an agent in one of its runs, called one after another.

    Args:
        hooks: of the agent.
        left: returns the seconds that the run's budget still allows; None for any number.
    """

    def __init__(self, hooks: Hooks, left: Callable[[], float | None] = lambda: None) -> None:
        self._hooks = hooks
        self._left = left
        self._fault: Exception | None = None
        self._thread = asyncio.Lock()  # hooks are written for one thread

    def has(self, name: str) -> bool:
        """Returns whether any hook overrides a method."""
        return self._hooks.has(name)

    def check(self) -> None:
        """Ends the run if a hook has broken in a call, whose failure alone would not end it.

        Raises:
            Exception: what broke it.
        """
        if self._fault is not None:
            raise self._fault

    async def change(self, name: str, value: Any, *before: Any) -> Any:
        """Returns the value as the hooks leave it, or the `Refuse` of the first that refuses.

        None says that no hook returned anything: then the value that was shown, perhaps a copy,
        does not count.

        Args:
            name: of the method.
            value: its last argument.
            *before: the arguments before that.

        Raises:
            HookLate: a hook did not come back in time.
            ConfigError: a hook returned a value of another kind.
        """
        last = None
        for owner, method in self._hooks.methods(name):
            changed = await self._called(owner, name, method, *before, value)
            if isinstance(changed, Refuse):
                return changed
            if changed is not None:
                last = value = changed
        return last

    async def first(self, name: str, *arguments: Any) -> Any:
        """Returns the answer of the first hook that has one, or None.

        Raises:
            HookLate: a hook did not come back in time.
            ConfigError: a hook returned a value of another kind.
        """
        for owner, method in self._hooks.methods(name):
            found = await self._called(owner, name, method, *arguments)
            if found is not None:
                return found
        return None

    async def _called(self, owner: str, name: str, method: Callable[..., Any], *given: Any) -> Any:
        self.check()
        try:
            found = await self._in_time(owner, name, self._work(method, given))
            if found is not None and not _fits(name, found):
                raise ConfigError(
                    f"hooks: {owner}.{name} returned {type(found).__name__}.",
                    fix=f"Return {_KINDS[name]} or None.",
                )
        except Exception as error:  # of the person's own code; `check` ends the run by it
            self._fault = self._fault or error
            raise
        return found

    async def _in_time(self, owner: str, name: str, work: Any) -> Any:
        line = (
            f"The hook {owner} had not come back from {name} when the run's budget of seconds "
            "was used up. Who wrote the hook must see why, or give the run more seconds."
        )
        task = asyncio.ensure_future(work)
        left = self._left()
        try:
            done, _ = await asyncio.wait({task}, timeout=_FAREWELL_SECONDS if left == 0 else left)
        except asyncio.CancelledError:
            left = self._left()
            if left is not None and left < 0.01:  # the call's own end at the budget was first
                self._fault = self._fault or HookLate(line)
            raise
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_retrieve)
        if not done:
            raise HookLate(line)
        return task.result()

    async def _work(self, method: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(method):
            return await method(*given)
        async with self._thread:
            found = await shared_pool().submit(lambda: method(*given))
        return await found if inspect.isawaitable(found) else found


_KINDS = {
    "before_model": "the request that it was given, Refuse(why)",
    "after_model": "the reply that it was given, Refuse(why)",
    "before_tool": "the call that it was given, the result as a str, Refuse(why)",
    "after_tool": "the outcome that it was given, the result as a str, Refuse(why)",
    "before_answer": "the answer that it was given, Refuse(why)",
    "on_elicitation": "the values as a dict",
}


def _fits(name: str, found: Any) -> bool:
    """Returns whether a hook's method may return a value."""
    if name == "on_elicitation":
        return isinstance(found, Mapping)
    if isinstance(found, Refuse):
        return isinstance(found.why, str)
    if name == "before_model":
        return _has(found, messages=list, tools=(list, tuple))
    if name == "before_tool":
        return isinstance(found, str) or (
            isinstance(found, HookCall) and isinstance(found.arguments, dict)
        )
    if name == "after_tool":
        return isinstance(found, str) or (
            isinstance(found, CallOutcome) and isinstance(found.text, str)
        )
    return _has(found, text=str)


def _has(found: Any, **kinds: Any) -> bool:
    return all(isinstance(getattr(found, name, None), kind) for name, kind in kinds.items())


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Retrieves the error of a hook that was left behind, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()


async def hooked_request(hooks: RunHooks, request: Request, turn: int) -> Request:
    """Returns a request as the hooks leave it.

    Raises:
        RunRefused: a hook refused it.
    """
    if not hooks.has("before_model"):
        return request
    shown = HookRequest(copy.deepcopy(request.messages), copy.deepcopy(list(request.tools)), turn)
    changed = await hooks.change("before_model", shown)
    if isinstance(changed, Refuse):
        raise RunRefused(changed.why)
    if changed is None:
        return request
    return dataclasses.replace(request, messages=changed.messages, tools=changed.tools, encoded={})


async def hooked_reply(hooks: RunHooks, reply: ModelReply) -> None:
    """Lets the hooks change the text of a reply.

    Raises:
        RunRefused: a hook refused it.
    """
    if not hooks.has("after_model"):
        return
    changed = await hooks.change("after_model", reply)
    if isinstance(changed, Refuse):
        raise RunRefused(changed.why)
    if changed is not None:
        reply.text = str(changed.text)


async def hooked_answer(hooks: RunHooks, text: str) -> str:
    """Returns the final answer as the hooks leave it.

    Raises:
        RunRefused: a hook refused it.
    """
    if not hooks.has("before_answer"):
        return text
    changed = await hooks.change("before_answer", HookAnswer(text))
    if isinstance(changed, Refuse):
        raise RunRefused(changed.why)
    return text if changed is None else str(changed.text)


async def hooked_call(hooks: RunHooks, call: HookCall) -> HookCall | str:
    """Returns a call as the hooks leave it, or the result that one of them gives.

    Raises:
        ToolRefused: a hook refused it.
    """
    shown = copy.deepcopy(call)
    changed = await hooks.change("before_tool", shown)
    if isinstance(changed, Refuse):
        raise ToolRefused(changed.why)
    if changed is None:
        return call
    return changed  # type: ignore[no-any-return]


async def hooked_outcome(hooks: RunHooks, call: HookCall, outcome: CallOutcome) -> CallOutcome:
    """Returns the outcome of a call as the hooks leave it; without its text where one broke."""
    shown = dataclasses.replace(outcome)
    try:
        changed: Any = await hooks.change("after_tool", shown, copy.deepcopy(call))
    except asyncio.CancelledError:
        return failed_outcome(ToolCancelled("cancelled"))  # no hook has seen what it came to
    except Exception as error:  # it ends the run once the calls of the reply have ended
        return failed_outcome(error)
    if changed is None:
        return outcome
    if isinstance(changed, Refuse):
        return dataclasses.replace(
            outcome, text=changed.why, full_text=changed.why, items=(), status="refused"
        )
    if isinstance(changed, str):
        return dataclasses.replace(outcome, text=changed, full_text=changed)
    if changed.text != outcome.text:
        changed.full_text = changed.text
    return changed  # type: ignore[no-any-return]
