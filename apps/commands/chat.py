"""`qwenbelt chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Any

import click

from qwenbelt.apps.agent_choice import AgentChoice, agent_options
from qwenbelt.apps.terminal_chat.session_choice import (
    chosen_session,
    last_session,
    session_options,
    store_place,
)


@click.command()
@agent_options
@session_options
@click.option("--continue", "go_on", is_flag=True, help="Go on with the last conversation.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[NAME|WORDS|FILE.json]",
    help="Go on with an earlier conversation: by name, from a list, or one saved as JSON.",
)
@click.option(
    "--durable",
    is_flag=True,
    help="Go on at once with an answer that was cut off, as by a kill; with --continue and others.",
)
def chat(
    session: str | None,
    store: str | None,
    go_on: bool,
    resume: str | None,
    durable: bool,
    **chosen: Any,
) -> None:
    """Chat in the terminal; /help in it lists the commands.

    Ctrl-C stops an answer and keeps what was said; Ctrl-D ends the chat. What is said is kept for
    --continue and --resume.
    """
    from rich.console import Console

    from qwenbelt.apps.export import load_conversation
    from qwenbelt.apps.terminal_chat.chat import Chat

    messages, kept = None, None
    if resume and resume.endswith(".json"):
        messages = load_conversation(resume)
    elif session:
        from qwenbelt.agents.sessions.session import Session

        kept = Session(store_place(store), session)
    elif go_on:
        kept = last_session(store_place(store))
    elif resume is not None:
        kept = chosen_session(store_place(store), resume)
    place = store_place(store) if kept is None and messages is None else None
    choice = AgentChoice.of_options(**chosen)
    console = Console(highlight=False)
    Chat(choice, console, messages, session=kept, store=place, durable=durable).run()
