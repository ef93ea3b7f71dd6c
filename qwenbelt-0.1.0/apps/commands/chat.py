"""`qwenbelt chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Any

import click

from qwenbelt.apps.agent_choice import AgentChoice, agent_options


@click.command()
@agent_options
@click.option("--resume", metavar="FILE.json", help="Go on with a conversation saved as JSON.")
def chat(resume: str | None, **chosen: Any) -> None:
    """Chat in the terminal; /help in it lists the commands.

    Ctrl-C stops an answer and keeps what was said; Ctrl-D ends the chat.
    """
    from rich.console import Console

    from qwenbelt.apps.chat import Chat
    from qwenbelt.apps.export import load

    messages = load(resume) if resume else None
    Chat(AgentChoice(**chosen), Console(highlight=False), messages).run()
