"""Asks the person at the terminal whether a call may run."""

from __future__ import annotations

import json
import sys

import click

from qwenbelt.apps.conversation import Approver
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.apps.terminal_chat.interrupt import read_line
from qwenbelt.apps.terminal_chat.run_display import TerminalView
from qwenbelt.core.events import ApprovalAsked
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.terminal import terminal_text

_YES, _ALWAYS = {"y", "yes", "是", "好"}, {"a", "always", "总是"}
_STEP = {"s", "step", "这一步"}


def terminal_approver(view: TerminalView | None, allowed: set[str] | None = None) -> Approver:
    """Returns what answers `ApprovalAsked`; it refuses where there is no terminal.

    Args:
        view: what to take out of the way while the person is asked.
        allowed: the names of tools that need no more asking; "always" adds to it. For calls
            from code and of subagents one answer may count for all calls of a tool in that step.
    """
    allowed = set() if allowed is None else allowed
    steps = set[tuple[str, str]]()  # what made the calls, and the tool

    async def approve(event: ApprovalAsked) -> bool:
        step = (event.parent, event.name)
        if event.name in allowed or step in steps:
            return True
        name = terminal_text(event.name)
        if not sys.stdin.isatty() or not sys.stderr.isatty():
            echo(say("refused_quietly", name=name), err=True)
            return False
        if view is not None:
            view.pause()
        try:
            answer = await _ask_person(event)
        finally:
            if view is not None:
                view.resume()
        if answer in _ALWAYS:
            allowed.add(event.name)
        if answer in _STEP and event.parent:
            steps.add(step)
        return answer in _YES | _ALWAYS or step in steps

    return approve


async def _ask_person(event: ApprovalAsked) -> str:
    echo(click.style(terminal_text(event.name), bold=True), err=True)
    echo(readable_arguments(event.arguments), err=True)
    question = "allow_step" if event.parent else "allow"
    prompt = say(question, name=terminal_text(event.name), reason=terminal_text(event.reason))
    try:
        return (await read_line(prompt)).strip().lower()
    except EOFError:
        return ""


def readable_arguments(arguments: str, limit: int = 4000) -> str:
    """Returns the arguments of a call as a person reads them: one a line, texts as they are.

    A person decides by it, so a text that is too long says so.
    """
    try:
        values = loads_bounded(arguments)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return _indented(arguments, limit)
    lines = []
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        joint = "\n" if "\n" in text else " "
        lines.append(f"{name}:{joint}{text}")
    return _indented("\n".join(lines), limit)


def _indented(text: str, limit: int) -> str:
    text = terminal_text(text)
    if len(text) > limit:
        text = text[:limit] + "\n" + say("cut", left=len(text) - limit)
    return "\n".join(f"  {line}" for line in text.split("\n"))
