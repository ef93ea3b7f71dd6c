"""`qwenbelt schedule`: commands that run by the clock."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.core.terminal import terminal_json, terminal_text

if TYPE_CHECKING:
    from qwenbelt.workflows.schedule.book import Scheduled

_STORE = click.option(
    "--store",
    metavar="PLACE",
    envvar="QWENBELT_SCHEDULE_STORE",
    help="A SQLite file or postgresql://…; one in the workspace.",
)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--name", metavar="NAME", help="Its name; the command's by default.")
@click.option("--timezone", "zone", metavar="ZONE", help="E.g. Asia/Shanghai; this machine's.")
@click.option("--catch-up", is_flag=True, help="Run later what was missed while nothing ran.")
@_STORE
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("when", metavar="WHEN")
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED)
def add(
    when: str, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any
) -> None:
    """Schedule a command.

    For example: qwenbelt schedule "every Monday 8:00" run "What is new?" -f news.pdf

    WHEN is, for example, "every day 8:00", "every 15 minutes", "monthly on the 1st 7:30", or a cron
    expression. COMMAND is any command that ends, with its options. It runs in this folder, while
    `qwenbelt schedule start` runs.
    """
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        _show([book.add(when, words, **options)], as_json)


@click.command("list")
@_STORE
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_schedules(store: str | None, as_json: bool) -> None:
    """List schedules: when each runs next, and how it went last time."""
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        _show(book.list(), as_json)


def _show(entries: list[Scheduled], as_json: bool) -> None:
    if as_json:
        rows = [entry.to_dict() for entry in entries]
        echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))
        return
    if not entries:
        echo(say("no_schedules"), err=True)
    for entry in entries:
        following = f"{entry.following:%Y-%m-%d %H:%M}" if entry.following else say("paused")
        echo(f"{entry.name}  {terminal_text(entry.when)}  ({entry.cron}, {entry.zone})")
        echo(f"  {say('runs_next')}: {following}")
        if entry.last:
            code = "" if entry.last["exit"] is None else f" ({entry.last['exit']})"
            status = say(f"schedule_{entry.last['status']}")
            where = f"  {entry.last['log']}" if entry.last["log"] else ""
            echo(f"  {say('ran_last')}: {entry.last['at'][:16]}  {status}{code}{where}")
        echo(f"  qwenbelt {terminal_text(' '.join(_quoted(word) for word in entry.words))}")


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


@click.command()
@click.argument("name")
@_STORE
def remove(name: str, store: str | None) -> None:
    """Remove a schedule; what runs goes on."""
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        book.remove(name)
    echo(say("schedule_removed", name=name))


@click.command()
@click.argument("name")
@_STORE
def pause(name: str, store: str | None) -> None:
    """Leave a schedule out until it is resumed."""
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        book.pause(name)
        _show([book.get(name)], False)


@click.command()
@click.argument("name")
@_STORE
def resume(name: str, store: str | None) -> None:
    """Go on with a schedule that was paused."""
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        book.pause(name, False)
        _show([book.get(name)], False)


@click.command()
@click.argument("name")
@_STORE
def now(name: str, store: str | None) -> None:
    """Run a schedule once now, in the `qwenbelt schedule start` that runs or comes next."""
    from qwenbelt.workflows.schedule.book import ScheduleBook

    with ScheduleBook(store) as book:
        book.run_now(name)
    echo(say("schedule_now", name=name))


@click.command()
@_STORE
@click.option("--logs", metavar="DIR", help="For what commands print; in the workspace.")
def start(store: str | None, logs: str | None) -> None:
    """Run what is due until this is stopped (Ctrl-C); what is cut off goes on at the next start."""
    from qwenbelt.core.settings import load_settings
    from qwenbelt.workflows.schedule.runner import ScheduleRunner

    folder = Path(logs) if logs else load_settings().workspace / "schedules"

    def tell(name: str, what: str, log: str) -> None:
        echo(f"{name}: {say(f'schedule_{what.split()[0]}')}{what.partition(' ')[2]}  {log}")

    stopped = threading.Event()
    runner = ScheduleRunner(store, folder, tell)
    runner.start()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    try:
        echo(say("schedules_run", folder=folder))
        while not stopped.wait(0.5):
            runner.keep()
    except KeyboardInterrupt:
        pass
    finally:
        runner.close()
    echo(say("schedules_stopped"))
