"""Whether a call may run: the policies, and the question to the person at the terminal."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from qwenbelt.agents.prompts import NOBODY_TO_ASK, REFUSED
from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.errors import ConfigError, ToolRefused, one_line
from qwenbelt.core.language import user_language

Verdict = Literal["allow", "refuse", "ask"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that a policy is asked about, with what its tool declares.

    Attributes:
        arguments: JSON text: as the model wrote it, results that it refers to filled in.
    """

    call_id: str
    name: str
    arguments: str
    read_only: bool
    destructive: bool
    open_world: bool


PolicyFunction = Callable[[ApprovalRequest], "bool | Awaitable[bool | None] | None"]
ApprovalPolicy = Literal["ask", "auto", "never"] | PolicyFunction


def checked_policy(policy: object) -> ApprovalPolicy:
    """Returns the policy if it is one.

    Raises:
        ConfigError: it is neither a known word nor a function.
    """
    if callable(policy):
        return policy
    if policy in ("ask", "auto", "never"):
        return cast(ApprovalPolicy, policy)
    raise ConfigError(
        f"The approval policy must be ask, auto, never or a function, not {policy!r}."
    )


def policy_for(tool: Any, policy: ApprovalPolicy) -> ApprovalPolicy:
    """Returns what applies to a tool: the `approve` of its own configuration, else the run's."""
    own = getattr(tool, "approve", None)
    return policy if own is None else checked_policy(own)


def needs_nobody(tool: Any, policy: ApprovalPolicy) -> bool:
    """Says whether calls of a tool may run without asking; only a function has a say in all."""
    applies = policy_for(tool, policy)
    return applies == "auto" or (not callable(applies) and is_harmless(tool))


def is_harmless(tool: Any) -> bool:
    """Says whether a tool declares no side effect; stock tools declare nothing and so do not."""
    return bool(getattr(tool, "read_only", False))


def request_for(tool: Any, call_id: str, arguments: str) -> ApprovalRequest:
    """Returns the request for a call, with the flags of its tool."""
    flags = {
        name: bool(getattr(tool, name, False))
        for name in ("read_only", "destructive", "open_world")
    }
    return ApprovalRequest(call_id, tool.name, arguments, **flags)


async def decide(policy: ApprovalPolicy, request: ApprovalRequest) -> Verdict:
    """Returns what the policy says of a call.

    "auto" allows everything. "ask" asks a person about every call that is not read-only. "never"
    refuses those. A function returns True, False, or None to ask; a sync one runs in a thread, so
    it may wait for a person and holds up no other call.

    Raises:
        ToolRefused: the function failed; what cannot be decided is not run.
    """
    if callable(policy):
        return await _asked(policy, request)
    if policy == "auto" or request.read_only:
        return "allow"
    return "ask" if policy == "ask" else "refuse"


async def _asked(policy: PolicyFunction, request: ApprovalRequest) -> Verdict:
    try:
        if inspect.iscoroutinefunction(policy):
            answer = await policy(request)
        else:
            answer = await shared_pool().submit(lambda: policy(request))
            if inspect.isawaitable(answer):
                answer = await answer
    except ToolRefused:
        raise
    except Exception as error:  # a person's function may raise anything
        reason = one_line(f"{type(error).__name__}: {error}")
        raise ToolRefused(
            f"Not run: whether it is allowed could not be decided ({reason})."
        ) from error
    return "ask" if answer is None else ("allow" if answer else "refuse")


_QUESTION = {
    "en": "{name} ({what}) wants to run with {arguments}\nAllow it? [y/N] ",
    "zh": "{name}（{what}）请求以 {arguments} 运行\n允许吗？[y/N] ",
}
_WHAT = {
    "en": {"destructive": "may delete or overwrite", "effect": "has effects"},
    "zh": {"destructive": "可能删除或覆盖", "effect": "有副作用"},
}
_lock = threading.Lock()  # one question at a time


def ask_in_terminal(request: ApprovalRequest) -> bool:
    """Allows read-only calls; asks about the others.

    Raises:
        ToolRefused: there is nobody at the terminal.
    """
    if request.read_only:
        return True
    language = user_language()
    if sys.stdin is None or not sys.stdin.isatty():
        text = REFUSED[language]
        raise ToolRefused(text.format(name=request.name, reason=NOBODY_TO_ASK[language]))
    what = _WHAT[language]["destructive" if request.destructive else "effect"]
    shown = one_line(request.arguments, 2000)
    arguments = "".join(c if c.isprintable() else "?" for c in shown)  # no escape sequences
    with _lock:
        question = _QUESTION[language]
        sys.stderr.write(question.format(name=request.name, what=what, arguments=arguments))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes", "是", "好")
