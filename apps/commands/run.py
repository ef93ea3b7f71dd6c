"""`qwenbelt run`: one question."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.agent_choice import AgentChoice, agent_options
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error, say
from qwenbelt.apps.terminal_chat.session_choice import session_options, store_place
from qwenbelt.core.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.apps.terminal_chat.run_display import TerminalView
    from qwenbelt.core.events import Done, Event


@click.command()
@click.argument("question", required=False)
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Attach a file.")
@agent_options
@click.option("--events", is_flag=True, help="Print every event as a line of JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer and its times as JSON.")
@click.option("--trace", metavar="FILE", help="Write the run's trace (JSON lines) to FILE.")
@click.option("--answer", metavar="SCHEMA.json", help="The answer is JSON of this schema.")
@session_options
@click.option(
    "--durable", is_flag=True, help="Keep the run: the same command goes on where it was ended."
)
@click.option("--run-id", metavar="ID", help="The durable run's id; made of the question else.")
def run(
    question: str | None,
    files: tuple[str, ...],
    events: bool,
    as_json: bool,
    trace: str | None,
    answer: str | None,
    session: str | None,
    store: str | None,
    durable: bool,
    run_id: str | None,
    **chosen: Any,
) -> int:
    """Ask an agent one question.

    What is piped in is read too: it is the question, or follows it.
    """
    from qwenbelt.agents.answers.typed import answer_schema
    from qwenbelt.apps.agent_choice import make_agent, trusted_tools
    from qwenbelt.apps.answers import doubt_about
    from qwenbelt.apps.conversation import ChatConversation, Follower
    from qwenbelt.apps.terminal_chat.approver import terminal_approver
    from qwenbelt.apps.terminal_chat.interrupt import InterruptibleLoop
    from qwenbelt.core.trace import TraceWriter

    choice = AgentChoice.of_options(**chosen)
    text = _question_text(question, choice)
    output = _Output(events, as_json, typed=answer is not None, durable=durable or bool(run_id))
    options: dict[str, Any] = {} if answer is None else {"answer": answer_schema(answer)}
    kept = None
    if durable or run_id:
        if session:
            raise click.UsageError(say("session_or_durable"))
        options |= {"durable": store_place(store, "runs.sqlite"), "run_id": run_id}
    elif session:
        from qwenbelt.agents.sessions.session import Session

        kept = Session(store_place(store), session)
    agent = make_agent(choice)
    agent.evidence_first = True
    question_run = ChatConversation(agent, session=kept, **options).ask(text, files)
    with contextlib.ExitStack() as stack:
        sinks, view = [output.take], None
        if output.live:
            view = stack.enter_context(_event_printer())
            sinks = [view.feed]
        if trace:
            sinks.append(stack.enter_context(TraceWriter(trace)).write)
        approver = terminal_approver(view, trusted_tools(agent))
        nobody = not (sys.stdin.isatty() and sys.stderr.isatty())
        waits = nobody and "durable" in options  # a person answers with `qwenbelt approve`
        follower = Follower(question_run, sinks, None if waits else approver)
        loop = stack.enter_context(InterruptibleLoop())
        done = loop.run(follower.follow(), follower.stop)
    output.end(done)
    if done.reason == "answer":
        ends = [
            str((message.get("extra") or {}).get("status", "ok"))
            for message in done.messages
            if message["role"] == "function"
        ]
        if doubt := doubt_about(done.text, files, ends, user_language()):
            echo(doubt, err=True)
    codes = {"answer": EXIT_OK, "cancelled": EXIT_INTERRUPTED}
    return codes.get(done.reason, EXIT_FAILED)


def _event_printer() -> TerminalView:
    from rich.console import Console

    from qwenbelt.apps.terminal_chat.run_display import TerminalView

    return TerminalView(Console(highlight=False))


class _Output:
    """Where the events of the run go."""

    def __init__(self, events: bool, as_json: bool, *, typed: bool, durable: bool) -> None:
        self.events, self.as_json, self.typed, self.durable = events, as_json, typed, durable
        self.live = sys.stdout.isatty() and not events and not as_json and not typed
        self.lines: list[dict[str, Any]] = []
        self.made: dict[str, None] = {}  # paths of what tools made

    def take(self, event: Event) -> None:
        """Prints an event, or keeps it for the JSON summary."""
        from qwenbelt.core.events import ToolFinished
        from qwenbelt.core.secrets import mask_secrets

        if isinstance(event, ToolFinished):
            paths = (item.value for item in event.items if item.kind != "text")
            self.made |= {p: None for p in paths if not p.startswith(("data:", "http:", "https:"))}
        record = event.to_dict()
        if self.as_json and record["event"] not in ("text", "thinking"):
            self.lines.append(record)
        if self.events:
            line = json.dumps({"t": time.monotonic(), **record}, ensure_ascii=False, default=str)
            echo(terminal_json(mask_secrets(line)))

    def end(self, done: Done) -> None:
        """Prints the answer, unless it was shown while it came."""
        from qwenbelt.apps.commands.trace import as_dict
        from qwenbelt.apps.timeline import Timeline

        if self.as_json:
            known = {"answer": done.text, "reason": done.reason, "detail": done.detail}
            if self.typed:
                known["value"] = done.value
            summary = {**known, **as_dict(Timeline(self.lines)), "messages": done.messages}
            echo(terminal_json(json.dumps(summary, ensure_ascii=False, indent=2, default=str)))
        elif self.typed and not self.events:
            echo(terminal_json(json.dumps(done.value, ensure_ascii=False, indent=2)))
        elif not self.events and not self.live:
            echo(done.text)
            if self.made:
                echo(say("made_files", paths=", ".join(self.made)), err=True)
        if done.reason == "cancelled":
            echo(say("interrupted_durable" if self.durable else "interrupted"), err=True)
        elif done.reason != "answer" and not self.live:
            echo(say("stopped", detail=explain_error(done.detail or done.reason)), err=True)


def _question_text(given: str | None, choice: AgentChoice) -> str:
    piped = _piped_input() if given != "-" else sys.stdin.read()
    parts = [part for part in (given if given != "-" else None, piped) if part and part.strip()]
    if not parts and (choice.endpoint or "").startswith("scripted:"):
        from qwenbelt.testing import load_scenario

        parts = [load_scenario((choice.endpoint or "").partition(":")[2]).say or ""]
    if not "".join(parts).strip():
        raise click.UsageError(say("no_question"))
    return "\n\n".join(parts)


def _piped_input() -> str:
    """Returns what is piped or redirected in; anything else is not waited for."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return ""
    return sys.stdin.read() if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ""
