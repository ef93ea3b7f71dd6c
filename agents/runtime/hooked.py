"""Where the hooks of an agent meet a run: requests, replies, calls and the answer."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.hooks import HookAnswer, HookCall, HookRequest, Hooks, Refuse
from qwenbelt.core.errors import ToolRefused

if TYPE_CHECKING:
    from qwenbelt.agents.models.deltas import ModelReply
    from qwenbelt.agents.models.endpoint_model import Request
    from qwenbelt.agents.runtime.outcome import CallOutcome


class RunRefused(Exception):
    """A hook ended the run; its text is shown to the person."""


async def hooked_request(hooks: Hooks, request: Request, turn: int) -> Request:
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


async def hooked_reply(hooks: Hooks, reply: ModelReply) -> None:
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


async def hooked_answer(hooks: Hooks, text: str) -> str:
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


async def hooked_call(hooks: Hooks, call: HookCall) -> HookCall | str:
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
    return changed if isinstance(changed, HookCall) else str(changed)


async def hooked_outcome(hooks: Hooks, call: HookCall, outcome: CallOutcome) -> CallOutcome:
    """Returns the outcome of a call as the hooks leave it."""
    shown = dataclasses.replace(outcome)
    changed: Any = await hooks.change("after_tool", shown, copy.deepcopy(call))
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
