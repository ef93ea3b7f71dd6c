"""Tab in the chat: what can stand behind a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qwenbelt.core.errors import QwenbeltError

if TYPE_CHECKING:
    from qwenbelt.apps.terminal_chat.chat import Chat

_FIXED = {
    "/think": ("on", "off"),
    "/approve": ("untrusted", "ask", "auto", "never"),
}
_MOST = 200


def argument_words(chat: Chat, line: str) -> list[str]:
    """Returns what can stand in place of the last word of a command's line.

    Args:
        chat: the chat; its tools are offered.
        line: what is typed, up to the cursor.
    """
    name, *before, last = line.split(" ")
    offers: dict[str, Callable[[], Iterable[str]]] = {
        "/file": lambda: _files(last),
        "/save": lambda: _files(last),
        "/export": lambda: _files(last),
        "/model": _endpoints,
        "/resume": chat.session_names,
        "/tools": lambda: chat.tool_names() if before else ("on", "off"),
    }
    try:
        words = _FIXED[name] if name in _FIXED else offers.get(name, tuple)()
        return [word for word in dict.fromkeys(words) if word.startswith(last)][:_MOST]
    except (OSError, QwenbeltError):
        return []


def _files(begun: str) -> list[str]:
    """Returns the files that begin so; folders end in a slash, so that Tab goes on in them."""
    folder, name = os.path.split(begun)
    with os.scandir(os.path.expanduser(folder) or ".") as entries:
        found = [
            os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
            for entry in entries
            if entry.name.startswith(name) and (name.startswith(".") or entry.name[0] != ".")
        ]
    return sorted(found)


def _endpoints() -> Iterable[str]:
    from qwenbelt.apps.completion import endpoints

    return endpoints()
