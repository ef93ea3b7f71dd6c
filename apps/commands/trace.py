"""`qwenbelt trace show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import duration_text, say
from qwenbelt.apps.timeline import CallTiming, ModelCall, Timeline
from qwenbelt.core.errors import InputError
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json


@click.command()
@click.argument("file", type=click.Path())
@click.option("--turn", type=click.IntRange(min=1), help="Show one reply of the model only.")
@click.option("--width", type=click.IntRange(min=40), help="Columns; the terminal's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the times as JSON.")
@click.option("--html", type=click.Path(), metavar="OUT.html", help="Write a page to read offline.")
@click.option("--compare", type=click.Path(), metavar="FILE", help="Another trace, beside it.")
def show(
    file: str,
    turn: int | None,
    width: int | None,
    as_json: bool,
    html: str | None,
    compare: str | None,
) -> None:
    """Draw the lanes of a run: what ran side by side, and for how long.

    FILE is the trace.jsonl of a run, a report or a chat.
    """
    from qwenbelt.core.limits import input_file
    from qwenbelt.core.trace import read_trace

    records = read_trace(input_file(file))
    other = read_trace(input_file(compare)) if compare else None
    try:
        timeline = Timeline(records)
        if html is not None:
            _write_page(records, Path(file), html, (other, compare) if other and compare else None)
            return
        if other is not None:
            _print_compared((records, file), (other, compare or ""), as_json)
            return
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        name = file if compare is None else f"{file}, {compare}"
        raise InputError(f"{name}: not a trace of a run ({error!r} in an event).") from error
    if turn is not None:
        timeline = timeline.turn(turn)
    if as_json:
        echo(terminal_json(json.dumps(as_dict(timeline), ensure_ascii=False, indent=2)))
    else:
        print_lanes(timeline, width)


_Records = list[dict[str, Any]]


def _print_compared(one: tuple[_Records, str], two: tuple[_Records, str], as_json: bool) -> None:
    """Prints the figures of two traces, one line each."""
    from qwenbelt.apps.gui.panes.turn_times import turn_times

    language = user_language()
    facts = [turn_times(records, language)["facts"] for records, _ in (one, two)]
    if as_json:
        both = [as_dict(Timeline(records)) for records, _ in (one, two)]
        echo(terminal_json(json.dumps(both, ensure_ascii=False, indent=2)))
        return
    for name, value in facts[0].items():
        echo(f"{name}: {value} → {facts[1][name]}")


def _write_page(
    records: _Records, file: Path, out: str, other: tuple[_Records, str] | None
) -> None:
    from qwenbelt.apps.trace_page import trace_page
    from qwenbelt.core.files import write_text

    title = f"{file.resolve().parent.name}/{file.name}"
    write_text(out, trace_page(records, title, user_language(), file.parent, other))
    echo(out)


def print_lanes(timeline: Timeline, width: int | None = None) -> None:
    """Prints a summary and the lanes, coloured when stdout is a terminal."""
    from rich.console import Console

    from qwenbelt.apps.lanes import draw_lanes, ink_for, lanes_legend

    console = Console(width=width, highlight=False, soft_wrap=True)
    ink = ink_for(sys.stdout.encoding)
    console.print(summary(timeline), markup=False)
    for line in draw_lanes(timeline, console.width, ink=ink):
        console.print(line)
    if timeline.calls or timeline.models:
        console.print(lanes_legend(ink))


def summary(timeline: Timeline) -> str:
    """Returns one line on how much a run did and took."""
    begin, end = timeline.span()
    line = say(
        "summary",
        models=len(timeline.models),
        calls=len(timeline.calls),
        seconds=duration_text(end - begin),
        parallel=timeline.most_parallel(),
    )
    into, out = timeline.tokens
    return f"{line}; {say('tokens', into=into, out=out)}" if into or out else line


def as_dict(timeline: Timeline) -> dict[str, Any]:
    """Returns the times of a run, in seconds from its beginning."""
    begin, end = timeline.span()
    into, out = timeline.tokens

    def since(time: float | None) -> float | None:
        return None if time is None else round(time - begin, 6)

    def model(entry: ModelCall) -> dict[str, Any]:
        names = ("started", "first_token", "finished")
        times = {name: since(getattr(entry, name)) for name in names}
        counts = ("input_tokens", "output_tokens", "cached_tokens", "repeated")
        return {"turn": entry.turn, **times, **{name: getattr(entry, name) for name in counts}}

    def call(entry: CallTiming) -> dict[str, Any]:
        times = {name: since(getattr(entry, name)) for name in ("sealed", "started", "finished")}
        known = {"call_id": entry.call_id, "name": entry.name, "turn": entry.turn}
        return {
            **known,
            **times,
            "state": entry.state,
            "error": entry.error,
            "artifacts": entry.artifacts,
        }

    return {
        "seconds": since(end),
        "most_parallel": timeline.most_parallel(),
        "input_tokens": into,
        "output_tokens": out,
        "model_calls": [model(entry) for entry in timeline.models],
        "tool_calls": [call(entry) for entry in timeline.calls],
    }
