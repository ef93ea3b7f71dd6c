"""`qwenbelt batch`: many runs as durable workflows."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED, EXIT_OK
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.workflows.batch.job import BatchProgress


def _rate(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)", value)
    if not match or not int(match[1]) or not float(match[2]):
        raise click.BadParameter("has the form TASKS/SECONDS, for example 60/60")
    return int(match[1]), float(match[2])


@click.command()
@click.argument("tasks", required=False, metavar="TASKS.jsonl")
@click.option("--out", required=True, metavar="DIR", help="Folder for results and the database.")
@click.option("-e", "--endpoint", metavar="SPEC", help="Model, e.g. dashscope:qwen-plus.")
@click.option("-t", "--tool", "tools", multiple=True, metavar="NAME", help="A tool for `ask`.")
@click.option(
    "-a",
    "--agent",
    default="fncall",
    metavar="NAME",
    help="As in `run`; an agent's file for `ask`.",
)
@click.option("--system", metavar="TEXT", help="The system message of `ask`.")
@click.option("--think/--no-think", "thinking", default=None, help="The model's thoughts.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Of prompts.")
@click.option("--rules", metavar="FILE.yaml", help="Rules of `inspect`.")
@click.option("--labels", metavar="FILE.yaml", help="Labels of `label`.")
@click.option("--answer", metavar="SCHEMA.json", help="Answers of `ask` are JSON of this schema.")
@click.option("--in-flight", default=8, show_default=True, type=click.IntRange(1, 256))
@click.option("--limit", type=click.IntRange(1), help="In flight over all workers together.")
@click.option("--rate", callback=_rate, metavar="N/SECONDS", help="Tasks started in that time.")
@click.option("--db", metavar="URL", envvar="QWENBELT_BATCH_DB", help="postgresql://… to share.")
@click.option("--name", metavar="NAME", help="Names the batch in the database.")
@click.option("--retry", is_flag=True, help="Try the failed tasks again.")
@click.option("--dashscope-batch", is_flag=True, help="First requests at half the price, later.")
@click.option("--status", "order", flag_value="status", help="Tell how it stands.")
@click.option("--pause", "order", flag_value="pause", help="Start nothing new, on any worker.")
@click.option("--resume", "order", flag_value="resume", help="Go on; cancelled tasks wait again.")
@click.option("--cancel", "order", flag_value="cancel", help="Cancel what waits and what runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def batch(tasks: str | None, out: str, order: str | None, as_json: bool, **options: Any) -> int:
    """Run many tasks; killed and started again, it goes on where it was.

    A line of TASKS.jsonl is one of {"ask": "…", "files": […]}, {"report": "…", "files": […]},
    {"inspect": "IMAGE"}, {"label": "IMAGE"}, each with an optional "id". The results are in
    DIR/results.jsonl and DIR/summary.html.

    With --db, the same command on other machines (same tasks, same name of DIR or --name) adds
    workers to the batch. --status, --pause, --resume and --cancel need no TASKS.
    """
    if order is not None:
        _order_batch(order, out, as_json, options)
        if tasks is None or order != "resume":
            return EXIT_OK
    if tasks is None:
        raise click.UsageError("Missing argument 'TASKS.jsonl'.")
    return _run_batch(tasks, out, as_json, options)


def _run_batch(tasks: str, out: str, as_json: bool, options: dict[str, Any]) -> int:
    from qwenbelt.workflows.batch.job import batch as run_batch
    from qwenbelt.workflows.batch.strings import say
    from qwenbelt.workflows.batch.tasks import TaskOptions, read_tasks

    language = user_language()
    chosen = TaskOptions(
        endpoint=options["endpoint"],
        tools=list(options["tools"]),
        agent=options["agent"],
        system=options["system"],
        thinking=options["thinking"],
        language=options["language"],
        rules=_absolute(options["rules"]),
        labels=_absolute(options["labels"]),
        answer=_absolute(options["answer"]),
    )
    given = read_tasks(tasks, chosen)
    names = ("db", "name", "in_flight", "limit", "rate", "retry", "dashscope_batch")
    with _Line() as line:
        try:
            made = run_batch(
                given,
                out,
                language=language,
                tell=line.show,
                **{name: options[name] for name in names},
            )
        except KeyboardInterrupt:
            # a thread that waits for the model would hold up the end; its task is recovered
            echo(say("stopped", language), err=True)
            sys.stderr.flush()
            os._exit(130)
    counts = {
        "done": made.done,
        "failed": made.failed,
        "cancelled": made.cancelled,
        "total": made.total,
    }
    if as_json:
        shown = {**counts, "complete": made.complete, "results": str(made.results)}
        echo(terminal_json(json.dumps(shown, ensure_ascii=False)))
    else:
        if not made.complete:
            echo(say("paused", language))
        echo(say("ended", language, path=made.results, **counts))
    return EXIT_FAILED if made.failed else EXIT_OK


def _order_batch(order: str, out: str, as_json: bool, options: dict[str, Any]) -> None:
    from qwenbelt.workflows.batch.ledger import (
        CANCELLED,
        DONE,
        FAILED,
        RUNNING,
        WAITING,
        Ledger,
        locks_of,
        store_for,
    )
    from qwenbelt.workflows.batch.strings import say

    language = user_language()
    store = store_for(Path(out), options["db"], options["name"])
    ledger = Ledger(store)
    try:
        if order == "pause":
            ledger.pause()
        elif order == "resume":
            ledger.resume(options["in_flight"])
        cancelled = ledger.cancel() if order == "cancel" else 0
        with closing(locks_of(store, Path(out))) as locks:
            counts, paused = ledger.counts(locks), ledger.is_paused
    finally:
        ledger.close()
    names = {
        "done": DONE,
        "failed": FAILED,
        "running": RUNNING,
        "waiting": WAITING,
        "cancelled": CANCELLED,
    }
    table = {name: counts[status] for name, status in names.items()}
    if as_json:
        echo(terminal_json(json.dumps({**table, "paused": paused})))
        return
    if order == "cancel":
        echo(say("stopping", language, count=cancelled))
    elif order == "resume":
        echo(say("resumed", language))
    elif paused:
        echo(say("paused", language))
    echo(say("progress", language, **table))


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


class _Line:
    """The state of the batch, in one line that is written again; only in a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._written = False

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        if self._written:
            echo("", err=True)

    def show(self, progress: BatchProgress) -> None:
        """Writes the line."""
        if not self._live:
            return
        from qwenbelt.workflows.batch.strings import say

        language = user_language()
        counts = ("done", "failed", "running", "waiting")
        text = say("progress", language, **{n: getattr(progress, n) for n in counts})
        if progress.rate and progress.left is not None:
            text += say("pace", language, rate=progress.rate, left=_clock_time(progress.left))
        self._written = True
        click.echo(f"\r{text}\x1b[K", nl=False, err=True)


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
