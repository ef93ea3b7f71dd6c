"""`qwenbelt trace export`: training data from the traces of runs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.core.terminal import terminal_json

if TYPE_CHECKING:
    from qwenbelt.testing import Scenario
    from qwenbelt.workflows.training import Scorer, TrainingExample


@click.command()
@click.argument("traces", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(("openai", "sharegpt", "dpo")), required=True)
@click.option("-o", "--out", type=click.Path(), help="The file to write; standard output if none.")
@click.option(
    "--then",
    type=click.Path(),
    multiple=True,
    help="Keep runs that pass this scenario's checks; of several, the one that asks the question.",
)
@click.option("--all", "everything", is_flag=True, help="Keep runs that did not end in an answer.")
@click.option("--score", metavar="MODULE:FUNCTION", help="Your own scorer for preference pairs.")
def export(
    traces: tuple[str, ...],
    form: Any,
    out: str | None,
    then: tuple[str, ...],
    everything: bool,
    score: str | None,
) -> None:
    """Make training data of runs: TRACES are trace files, or folders that hold some.

    Keys are masked, doubles left out. `dpo` pairs the best and the worst run of each task.
    """
    from qwenbelt.core.files import write_text
    from qwenbelt.testing import load_scenario
    from qwenbelt.workflows.training import default_score, rows

    tests = [load_scenario(path) for path in then]
    examples = [example for file in trace_files(traces) if (example := passing_run(file, tests))]
    if not everything and form != "dpo":
        examples = [example for example in examples if example.reason == "answer"]
    found = rows(examples, form, imported_scorer(score) if score else default_score)
    text = "".join(terminal_json(json.dumps(row, ensure_ascii=False)) + "\n" for row in found)
    if out is None:
        echo(text, nl=False)
        return
    write_text(out, text)
    echo(say("exported", rows=len(found), runs=len(examples), file=out), err=True)


def trace_files(traces: tuple[str, ...]) -> Iterator[Path]:
    """Returns the trace files; of a folder all below it that are named `*.jsonl`."""
    for name in traces:
        path = Path(name)
        if not path.exists():
            raise InputError(f"{name}: no such file or folder.")
        inside = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{name}: holds no trace (*.jsonl).")
        yield from inside


def passing_run(file: Path, tests: Sequence[Scenario]) -> TrainingExample | None:
    """Returns a run, or None when it fails the scenarios' checks.

    One scenario is for every run; of several, those that ask the run's question, and a run that
    none of them asks for has passed nothing.
    """
    from qwenbelt.core.trace import read_trace
    from qwenbelt.workflows.training import example_of

    records = read_trace(file)
    try:
        example = example_of(records)
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: {error}") from error
    if not tests:
        return example
    from qwenbelt.testing import CheckFailed, Trajectory
    from qwenbelt.testing.checks.yaml_checks import checks_of

    run = Trajectory.from_records(records)
    meant = tests if len(tests) == 1 else [t for t in tests if t.say == example.question]
    try:
        for test in meant:
            run.check(*checks_of(test.then))
    except CheckFailed:
        return None
    return example if meant else None


def imported_scorer(place: str) -> Scorer:
    """Imports a function that gives a run's worth.

    Raises:
        ConfigError: there is no such function.
    """
    module, _, name = place.partition(":")
    try:
        found: Scorer = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"The scorer {place!r} cannot be imported ({error}).") from error
    return found
