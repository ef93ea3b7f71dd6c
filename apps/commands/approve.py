"""`qwenbelt approve`: answers what durable runs wait for."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.core.terminal import terminal_json, terminal_text

if TYPE_CHECKING:
    from qwenbelt.agents.sessions.approvals import WaitingApproval


@click.command()
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--call", metavar="ID", help="Only this call; all that wait in the run else.")
@click.option("--refuse", is_flag=True, help="The calls may not run.")
@click.option(
    "--store", metavar="PLACE", help="Where the runs are kept: a SQLite file or postgresql://..."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def approve(
    run: str | None, call: str | None, refuse: bool, store: str | None, as_json: bool
) -> None:
    """Allow the calls that a durable run waits for; without RUN, list what waits.

    The run need not have a process: started again by the same command, it goes on.
    """
    from qwenbelt.agents.sessions.approvals import answer_approval, waiting_approvals
    from qwenbelt.apps.terminal_chat.session_choice import store_place

    place = store_place(store, "runs.sqlite")
    if run is None:
        waiting = waiting_approvals(place)
        if as_json:
            rows = [dataclasses.asdict(one) for one in waiting]
            echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))
        elif not waiting:
            echo(say("nothing_waits"), err=True)
        else:
            _list(waiting)
        return
    count = answer_approval(place, run, call, allowed=not refuse)
    if as_json:
        echo(json.dumps({"run": run, "answered": count, "allowed": not refuse}))
    else:
        word = "approval_refused" if refuse else "approval_given"
        echo(say(word, run=terminal_text(run), count=count))


def _list(waiting: list[WaitingApproval]) -> None:
    from qwenbelt.apps.terminal_chat.approver import readable_arguments

    for one in waiting:
        asked = datetime.fromtimestamp(one.asked).strftime("%Y-%m-%d %H:%M")
        head = f"{terminal_text(one.run)}  {terminal_text(one.name)}  ({terminal_text(one.call)})"
        echo(click.style(head, bold=True) + f"  {asked}")
        if one.reason:
            echo(f"  {terminal_text(one.reason)}")
        echo(readable_arguments(one.arguments))
