"""Chooses the stored conversation or durable run that a command continues."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.core.errors import InputError
from qwenbelt.core.terminal import terminal_text

if TYPE_CHECKING:
    from qwenbelt.agents.sessions.session import KnownSession, Session

Face = TypeVar("Face", bound=Callable[..., Any])
_LISTED = 20


def session_options(function: Face) -> Face:
    """Adds the options of stored conversations."""
    options = [
        click.option("--session", metavar="NAME", help="Keep the conversation under this name."),
        click.option(
            "--store",
            metavar="PLACE",
            help="Where conversations and runs are kept: a SQLite file or postgresql://...",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def store_place(given: str | None, name: str = "chats.db") -> str:
    """Returns where conversations are kept; a file's folder is made."""
    from qwenbelt.core.settings import load_settings

    place = given or str(load_settings().workspace / name)
    if "://" not in place:
        Path(place).expanduser().parent.mkdir(parents=True, exist_ok=True)
        place = str(Path(place).expanduser())
    return place


def last_session(place: str) -> Session:
    """Returns the session that was used last.

    Raises:
        InputError: there is none.
    """
    from qwenbelt.agents.sessions.session import Session, known_sessions

    known = known_sessions(place)
    if not known:
        raise InputError("No conversation is kept yet.")
    return Session(place, known[0].name)


def chosen_session(place: str, query: str = "") -> Session:
    """Returns the session of a name, or the one that the person picks from a list.

    Raises:
        InputError: none fits.
    """
    from qwenbelt.agents.sessions.session import Session, known_sessions

    known = known_sessions(place)
    if any(one.name == query for one in known):
        return Session(place, query)
    while True:
        found = known_sessions(place, query)
        if not found:
            raise InputError(f"No conversation is kept that fits {query!r}.")
        if len(found) == 1 and query:
            return Session(place, found[0].name)
        for number, one in enumerate(found[:_LISTED], 1):
            echo(_session_line(number, one), err=True)
        echo(say("which_session"), err=True)
        picked = sys.stdin.readline()
        if not picked.strip():
            raise InputError("No conversation was chosen.")
        query = picked.strip()
        if query.isdecimal() and 1 <= int(query) <= min(len(found), _LISTED):
            return Session(place, found[int(query) - 1].name)


def _session_line(number: int, one: KnownSession) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used)) if one.used else "-"
    return f"{number:>3}  {when}  {one.turns:>3}  {terminal_text(f'{one.name}  {one.begins}')}"
