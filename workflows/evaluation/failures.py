"""Attempts that failed as scenarios: the model's replies are played back, tools run for real."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import output_folder, write_text
from qwenbelt.workflows.batch.jobs import task_folder
from qwenbelt.workflows.evaluation.outcome import EvalOutcome


def save_failures(outcome: EvalOutcome, folder: Path, out: Path) -> int:
    """Writes a scenario for each failed attempt that left a trace; returns how many.

    Args:
        outcome: the graded attempts.
        folder: the evaluation's folder.
        out: where the scenarios go.
    """
    from qwenbelt.testing import Trajectory
    from qwenbelt.testing.scenarios.from_trace import scenario_text

    made = 0
    for row in outcome.rows:
        name = f"{row.id}#{row.trial}"
        trace = task_folder(folder, name) / "trace.jsonl"
        if row.passed or not trace.is_file():
            continue
        try:
            text = scenario_text(Trajectory.from_trace(trace), name=name)
        except InputError:
            continue  # a run without a reply
        output_folder(out)
        write_text(out / f"{trace.parent.name}.yaml", f"# It failed: {row.detail}\n{text}")
        made += 1
    return made
