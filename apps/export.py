"""A conversation as a file that people or programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.apps.strings import say
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.terminal import terminal_text

Messages = Sequence[Mapping[str, Any]]


def save_conversation(messages: Messages, path: str | Path) -> Path:
    """Writes a conversation as Markdown (`.md`) or as JSON messages (`.json`).

    Raises:
        InputError: the name has another ending, or the file cannot be written.
    """
    target = Path(path).expanduser()
    if target.suffix == ".md":
        write_text(target, as_markdown(messages))
    elif target.suffix == ".json":
        body = json.dumps({"messages": list(messages)}, ensure_ascii=False, indent=2)
        write_text(target, body + "\n")
    else:
        raise InputError(f"{target}: the name must end in .md or .json.")
    return target


def load_conversation(path: str | Path) -> list[dict[str, Any]]:
    """Reads a conversation that was saved as JSON.

    Raises:
        InputError: it cannot be read as one.
    """
    from qwenbelt.core.limits import input_file

    try:
        found = loads_bounded(input_file(path).read_text(encoding="utf-8"))
        messages = [dict(message) for message in found["messages"]]
        roles = {str(message["role"]) for message in messages}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a saved conversation ({error!r}).") from error
    if not roles <= {"system", "user", "assistant", "function"}:
        raise InputError(f"{path}: not a saved conversation (roles {sorted(roles)}).")
    return messages


def as_markdown(messages: Messages) -> str:
    """Returns a conversation as Markdown: questions, answers, and the calls between them."""
    whole = "\n\n".join(part for message in messages for part in _message_parts(message)) + "\n"
    return terminal_text(whole)  # it may be shown in a terminal


def _message_parts(message: Mapping[str, Any]) -> Iterator[str]:
    role, text = message["role"], message_text(message)
    if role == "user":
        yield f"## {say('user')}\n\n{text}"
    elif role == "function":
        yield _fenced(text)
    elif message.get("function_call"):
        call = message["function_call"]
        yield f"**{say('call', name=call['name'])}**"
        yield _fenced(call["arguments"], "json")
    elif role == "assistant" and text:
        yield f"## {say('assistant')}\n\n{text}"


def _fenced(text: str, language: str = "") -> str:
    longest = max((len(line) - len(line.lstrip("`")) for line in text.split("\n")), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def message_text(message: Mapping[str, Any]) -> str:
    """Returns the text of a message; attached files by their paths."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts = [(kind, value) for item in content for kind, value in item.items() if value]
    return "\n".join(value if kind == "text" else f"[{kind}: {value}]" for kind, value in parts)
