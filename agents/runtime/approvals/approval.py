"""Whether a call may run: the policies, and the question to the person at the terminal."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from qwenbelt.agents.prompts import NOBODY_TO_ASK, REFUSED
from qwenbelt.agents.runtime.approvals.approval_rules import ApprovalRules, checked_rules
from qwenbelt.agents.runtime.approvals.provenance import Influence
from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.errors import ConfigError, ToolRefused, one_line
from qwenbelt.core.language import user_language

Verdict = Literal["allow", "refuse", "ask"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that a policy is asked about, with what its tool declares.

    Attributes:
        arguments: JSON text: as the model wrote it, results that it refers to filled in.
        contained: whether its effects stay inside the conversation's own folder.
        influence: what untrusted text may have chosen in it; looked for by "untrusted" only.
    """

    call_id: str
    name: str
    arguments: str
    read_only: bool
    destructive: bool
    open_world: bool
    contained: bool = False
    influence: Influence | None = None

    @property
    def reason(self) -> str:
        """Why a person is asked, in a few words and the words that made the agent want it."""
        why = "destructive" if self.destructive else "not read-only"
        if self.influence is None:
            return "reaches outside" if self.read_only else why
        found = self.influence
        if found.label is None:
            return f"{why}; {found.argument} {found.value!r} stands in nothing that you said"
        told = f"{why}; {found.argument} {found.value!r} comes from a {found.label.origin}"
        return f"{told} ({found.label.name}): {found.quote!r}"


PolicyFunction = Callable[[ApprovalRequest], "bool | Awaitable[bool | None] | None"]
PolicyWord = Literal["ask", "auto", "never", "untrusted"]


@dataclass(frozen=True)
class RuledPolicy:
    """Rules, and the word for calls that they say nothing of."""

    rules: ApprovalRules
    otherwise: PolicyWord


ApprovalPolicy = PolicyWord | PolicyFunction | RuledPolicy
_WORDS = ("ask", "auto", "never", "untrusted")


def checked_policy(policy: object) -> ApprovalPolicy:
    """Returns the policy if it is one.

    Args:
        policy: a word, a function of an `ApprovalRequest`, or rules: `{"allow": [patterns],
            "ask": [...], "never": [...], "otherwise": word}`; "untrusted" is the word that is meant
            when it is left out.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(policy, RuledPolicy) or callable(policy):
        return policy
    if isinstance(policy, str) and policy in _WORDS:
        return cast(PolicyWord, policy)
    if isinstance(policy, Mapping):
        otherwise = checked_policy(policy.get("otherwise", "untrusted"))
        table = {key: value for key, value in policy.items() if key != "otherwise"}
        if isinstance(otherwise, str):
            return RuledPolicy(checked_rules(table), otherwise)
    raise ConfigError(
        f"The approval policy must be ask, auto, never, untrusted, rules or a function, "
        f"not {policy!r}."
    )


def policy_for(tool: Any, policy: ApprovalPolicy) -> ApprovalPolicy:
    """Returns what applies to a tool: the `approve` of its own configuration, else the run's."""
    own = getattr(tool, "approve", None)
    return policy if own is None else checked_policy(own)


def needs_nobody(tool: Any, policy: ApprovalPolicy) -> bool:
    """Returns whether calls of a tool may run without asking; only a function has a say in all."""
    applies = policy_for(tool, policy)
    if applies == "auto":
        return True
    if isinstance(applies, RuledPolicy) or callable(applies):
        return False
    return stays_inside(tool) if applies == "untrusted" else is_harmless(tool)


def stays_inside(tool: Any) -> bool:
    """Whether calls of a tool neither reach outside nor change anything but their folder."""
    if getattr(tool, "contained", False) is True:
        return True
    return is_harmless(tool) and not getattr(tool, "open_world", False)


def looks_at_labels(tool: Any, policy: ApprovalPolicy) -> bool:
    """Returns whether the policy for a tool asks where a call's values come from."""
    applies = policy_for(tool, policy)
    return applies == "untrusted" or (
        isinstance(applies, RuledPolicy) and applies.otherwise == "untrusted"
    )


def rules_of(policy: ApprovalPolicy) -> ApprovalRules | None:
    """Returns the rules of a policy that has some."""
    return policy.rules if isinstance(policy, RuledPolicy) else None


def is_harmless(tool: Any) -> bool:
    """Returns whether a tool declares no side effect; stock tools declare nothing and so do not."""
    return bool(getattr(tool, "read_only", False))


def request_for(
    tool: Any, call_id: str, arguments: str, influence: Influence | None = None
) -> ApprovalRequest:
    """Returns the request for a call, with the flags of its tool."""
    flags = {
        name: bool(getattr(tool, name, False))
        for name in ("read_only", "destructive", "open_world", "contained")
    }
    return ApprovalRequest(call_id, tool.name, arguments, influence=influence, **flags)


def rule_for_call(policy: ApprovalPolicy, tool: Any, values: Any) -> PolicyWord | PolicyFunction:
    """Returns the policy for a call: the rules that match its tool and values."""
    if not isinstance(policy, RuledPolicy):
        return policy
    words: dict[str, PolicyFunction] = {
        "allow": lambda request: True,
        "ask": lambda request: None,
        "never": lambda request: False,
    }
    found = policy.rules.of(tool, str(tool.name), values)
    return policy.otherwise if found is None else words[found]


async def policy_decision(policy: PolicyWord | PolicyFunction, request: ApprovalRequest) -> Verdict:
    """Returns the policy's decision on a call.

    "auto" allows everything. "ask" asks a person about every call that is not read-only. "never"
    refuses those. "untrusted" asks about calls that have effects or reach outside when untrusted
    text may have chosen what they aim at. A function returns True, False, or None to ask; a sync
    one runs in a thread, so it may wait for a person and holds up no other call.

    Raises:
        ToolRefused: the function failed; what cannot be decided is not run.
    """
    if callable(policy):
        return await _ask_approver(policy, request)
    if policy == "untrusted":
        inside = request.contained or (request.read_only and not request.open_world)
        return "allow" if inside or request.influence is None else "ask"
    if policy == "auto" or request.read_only:
        return "allow"
    return "ask" if policy == "ask" else "refuse"


async def _ask_approver(policy: PolicyFunction, request: ApprovalRequest) -> Verdict:
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
    what = _WHAT[user_language()]["destructive" if request.destructive else "effect"]
    return answer_in_terminal(request.name, request.arguments, what)


def answer_in_terminal(name: str, arguments: str, what: str) -> bool:
    """Asks about one call.

    Raises:
        ToolRefused: there is nobody at the terminal.
    """
    language = user_language()
    if sys.stdin is None or not sys.stdin.isatty():
        text = REFUSED[language]
        raise ToolRefused(text.format(name=name, reason=NOBODY_TO_ASK[language]))
    shown = {
        key: "".join(c if c.isprintable() else "?" for c in one_line(value, 2000))
        for key, value in {"name": name, "arguments": arguments, "what": what}.items()
    }  # no escape sequences, no second line that looks like a question of ours
    with _lock:
        sys.stderr.write(_QUESTION[language].format(**shown))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes", "是", "好")
