"""Checks on all calls of a run at once: strict, unordered, subset, superset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwenbelt.testing.checks.checks import Step, call_text, nearest_call, tool
from qwenbelt.testing.checks.trajectory import MadeCall, Trajectory

MODES = ("strict", "unordered", "subset", "superset")


@dataclass(frozen=True)
class Calls:
    """A check on all calls.

    Attributes:
        steps: the calls that are looked for.
        mode: "strict": these and in this order; "unordered": these in any order; "subset": the run
            made no others; "superset": the run made these, perhaps among others.
    """

    steps: tuple[Step, ...]
    mode: str = "strict"

    def failures(self, run: Trajectory) -> list[str]:
        """Returns which call is wrong first, or which are missing or too many."""
        if self.mode == "strict":
            return _strict_order(self.steps, run)
        left, missing = _unmatched(self.steps, run.calls)
        out = []
        if self.mode != "subset":
            out += [f"{step} was not called.{nearest_call(step, run)}" for step in missing]
        if self.mode != "superset":
            out += [f"{call_text(call)} was not expected." for call in left]
        return out


def calls(*steps: str | Step, mode: str = "strict") -> Calls:
    """Checks all calls of a run; see `Calls` for the modes."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    return Calls(tuple(tool(step) if isinstance(step, str) else step for step in steps), mode)


def _strict_order(steps: Sequence[Step], run: Trajectory) -> list[str]:
    for number, (step, call) in enumerate(zip(steps, run.calls, strict=False), 1):
        reason = step.why_not(call)
        if reason:
            return [f"call {number} should be {step}, but {reason}: {call_text(call)}."]
    if len(run.calls) < len(steps):
        step = steps[len(run.calls)]
        near = nearest_call(step, run)
        return [f"call {len(run.calls) + 1} should be {step}, and there is none.{near}"]
    extra = run.calls[len(steps) :]
    return [f"{call_text(call)} was not expected: call {len(steps) + 1}." for call in extra[:1]]


def _unmatched(
    steps: Sequence[Step], made: Sequence[MadeCall]
) -> tuple[list[MadeCall], list[Step]]:
    """Returns the calls without a step and the steps without a call, matching as many as can be."""
    owner: dict[int, int] = {}

    def give(index: int, tried: set[int]) -> bool:
        for at, call in enumerate(made):
            if at in tried or steps[index].why_not(call) is not None:
                continue
            tried.add(at)
            if at not in owner or give(owner[at], tried):
                owner[at] = index
                return True
        return False

    missing = [step for index, step in enumerate(steps) if not give(index, set())]
    return [call for at, call in enumerate(made) if at not in owner], missing
