"""Hooks: small objects that look at a run, change it, or refuse.

    class Polite(Hook):
        def before_tool(self, call):
            if call.name == "sql_query" and "delete" in call.arguments["sql"].lower():
                return Refuse("Nothing is deleted here.")

    agent = FnCallAgent([...], hooks=[Polite()])

Every method is optional, plain or async. One that returns None leaves things as they are; a value
of the kind that it was given takes that one's place; `Refuse` ends the request, the call or the
answer with its reason. An error in a method, or a value of another kind, ends the run: a guard that
broke guards nothing. So does a method that has not come back when the run's budget of seconds is
used up. Plain methods run in a thread, one after another in a run, so that one that hangs holds up
neither the budget nor a cancel. Only `on_event`, which decides nothing, is passed over, with a line
in the log; a plain one sees the events in a thread of its own, in order, and holds up nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.events import Event


@dataclass(frozen=True)
class Refuse:
    """What a hook returns to refuse.

    Attributes:
        why: one line for the model, or for the person where an answer or a request is refused.
    """

    why: str


@dataclass
class HookRequest:
    """What goes out to the model: copies, so that changing them changes this request alone.

    Attributes:
        messages: the conversation in the chat completions form.
        tools: the declared tools.
        turn: counts from 1.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    turn: int = 1


@dataclass
class HookCall:
    """A call before it runs.

    Attributes:
        parent: the id of the call that made this one, or "".
    """

    id: str
    name: str
    arguments: dict[str, Any]
    parent: str = ""


@dataclass
class HookAnswer:
    """The final answer, before anybody counts on it."""

    text: str


class Hook:
    """The base of hooks; override what is needed."""

    def before_model(self, request: HookRequest) -> Any:
        """Sees each request; returns a changed one, `Refuse`, or None."""

    def after_model(self, reply: Any) -> Any:
        """Sees each reply (`text`, `thoughts`, `calls`); its text may be changed."""

    def before_tool(self, call: HookCall) -> Any:
        """Sees each call; returns a changed one, its result as a text, `Refuse`, or None."""

    def after_tool(self, call: HookCall, outcome: Any) -> Any:
        """Sees the outcome of each call (`text`, `ok`, `status`); returns a changed one."""

    def before_answer(self, answer: HookAnswer) -> Any:
        """Sees the final answer; returns a changed one, `Refuse`, or None."""

    def on_event(self, event: Event) -> Any:
        """Called with each event as it is reported; its return value is ignored."""

    def on_elicitation(self, request: Any) -> Any:
        """Answers what an MCP server asks: its values, or None to leave it to others."""


class TopicGuard(Hook):
    """Lets questions pass that a function allows.

    Args:
        allowed: whether the last question may be asked.
        why: the reason for the person otherwise.
    """

    def __init__(self, allowed: Callable[[str], bool], why: str) -> None:
        self._allowed = allowed
        self._why = why

    def before_model(self, request: HookRequest) -> Refuse | None:
        """Refuses the request when its last question is not allowed."""
        asked = [m for m in request.messages if m.get("role") == "user"]
        content = asked[-1].get("content") if asked else ""
        if isinstance(content, list):
            content = " ".join(str(part.get("text", "")) for part in content)
        return None if self._allowed(str(content)) else Refuse(self._why)


class Hooks:
    """The hooks of an agent, called one after another."""

    def __init__(self, hooks: Sequence[Any] = ()) -> None:
        self._all = [loaded_hook(hook) for hook in hooks]
        names = ("before_model", "after_model", "before_tool", "after_tool", "before_answer")
        self._by_name = {
            name: self._overriding(name) for name in (*names, "on_event", "on_elicitation")
        }

    def __bool__(self) -> bool:
        return bool(self._all)

    def has(self, name: str) -> bool:
        """Returns whether any hook overrides a method."""
        return bool(self._by_name[name])

    def _overriding(self, name: str) -> list[Callable[..., Any]]:
        found = []
        for hook in self._all:
            method = getattr(hook, name, None)
            own = getattr(type(hook), name, None)
            if method is not None and own is not getattr(Hook, name):
                found.append(method)
        return found

    def methods(self, name: str) -> list[tuple[str, Callable[..., Any]]]:
        """Returns the methods of a name that hooks override, each with its hook's name."""
        return [
            (type(getattr(method, "__self__", method)).__name__, method)
            for method in self._by_name[name]
        ]


NO_HOOKS = Hooks()


def loaded_hook(hook: Any) -> Any:
    """Returns a hook from itself, its class, or its name as "module:name".

    Raises:
        ConfigError: there is no such hook.
    """
    if isinstance(hook, str):
        module, _, name = hook.partition(":")
        try:
            hook = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"hooks: {hook!r} cannot be loaded ({one_line(error)}).",
                fix="Give the name as module:name.",
            ) from error
    hook = hook() if isinstance(hook, type) else hook
    methods = [name for name in vars(Hook) if not name.startswith("_")]
    if not any(callable(getattr(hook, name, None)) for name in methods):
        raise ConfigError(
            f"hooks: {hook!r} is no hook; it has none of its methods.",
            fix=f"A hook has one or more of: {', '.join(methods)}.",
        )
    return hook
