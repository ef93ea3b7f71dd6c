"""How scenarios went over several trials: rates, times, costs; reports and comparisons."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file
from qwenbelt.testing.checks.trajectory import Trajectory
from qwenbelt.testing.trials.intervals import difference_interval, wilson_interval

VERSION = 1


@dataclass
class Trial:
    """One run of a scenario; `problem` is empty when it passed."""

    problem: str = ""
    seconds: float = 0.0
    turns: int = 0
    calls: int = 0
    tokens: int = 0
    cost: float | None = None

    @classmethod
    def of(cls, runs: Sequence[Trajectory], problem: str = "") -> Trial:
        """Returns the trial of one scenario with all its conversations."""
        costs = [run.cost for run in runs if run.cost is not None]
        return cls(
            problem=problem,
            seconds=sum(run.seconds for run in runs),
            turns=sum(run.turns for run in runs),
            calls=sum(len(run.calls) for run in runs),
            tokens=sum(run.input_tokens + run.output_tokens for run in runs),
            cost=sum(costs) if costs else None,
        )


@dataclass
class ScenarioTrials:
    """A scenario's trials on one endpoint.

    Attributes:
        scenario: the scenario's name.
        endpoint: the endpoint's spec, or "scripted".
        trials: the runs.
    """

    scenario: str
    endpoint: str
    trials: list[Trial] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """How many trials passed."""
        return sum(not trial.problem for trial in self.trials)

    @property
    def rate(self) -> float:
        """The share of trials that passed."""
        return self.passed / len(self.trials) if self.trials else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate."""
        return wilson_interval(self.passed, len(self.trials))

    @property
    def seconds(self) -> float:
        """The median of the trials' seconds."""
        return statistics.median(t.seconds for t in self.trials) if self.trials else 0.0

    @property
    def tokens(self) -> float:
        """The mean of the trials' tokens."""
        return statistics.fmean(t.tokens for t in self.trials) if self.trials else 0.0

    @property
    def cost(self) -> float | None:
        """What all trials cost together, when prices are known."""
        costs = [trial.cost for trial in self.trials if trial.cost is not None]
        return sum(costs) if costs else None

    def line(self) -> str:
        """Returns the outcome in one line."""
        low, high = self.interval
        cost = "" if self.cost is None else f", cost {self.cost:.4f}"
        return (
            f"{self.scenario} on {self.endpoint}: {self.passed}/{len(self.trials)} passed "
            f"({self.rate:.0%}, 95% {low:.0%}-{high:.0%}), median {self.seconds:.2f} s, "
            f"{self.tokens:.0f} tokens{cost}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the outcome ready for JSON."""
        low, high = self.interval
        return {**asdict(self), "passed": self.passed, "rate": self.rate, "interval": [low, high]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ScenarioTrials:
        """Reads what `to_dict` gave."""
        trials = [Trial(**trial) for trial in value["trials"]]
        return cls(str(value["scenario"]), str(value["endpoint"]), trials)


@dataclass(frozen=True)
class Comparison:
    """Two outcomes of a scenario: on two endpoints, or before and after a change."""

    before: ScenarioTrials
    now: ScenarioTrials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the change of the pass rate."""
        before = self.before
        return difference_interval(
            self.now.passed, len(self.now.trials), before.passed, len(before.trials)
        )

    @property
    def worse(self) -> bool:
        """Whether the pass rate fell by more than chance explains."""
        return self.interval[1] < 0

    def line(self) -> str:
        """Returns the comparison in one line."""
        low, high = self.interval
        verdict = "worse" if self.worse else "better" if low > 0 else "no clear difference"
        return (
            f"{self.now.scenario}: {self.before.rate:.0%} on {self.before.endpoint} -> "
            f"{self.now.rate:.0%} on {self.now.endpoint} (change 95% {low:+.0%} to {high:+.0%}: "
            f"{verdict}), median {self.before.seconds:.2f} -> {self.now.seconds:.2f} s, "
            f"{self.before.tokens:.0f} -> {self.now.tokens:.0f} tokens"
        )


def compare(before: Sequence[ScenarioTrials], now: Sequence[ScenarioTrials]) -> list[Comparison]:
    """Pairs outcomes of the same scenario: on the same endpoint if there is one, else on any."""
    out = []
    for outcome in now:
        same = [b for b in before if b.scenario == outcome.scenario]
        found = next((b for b in same if b.endpoint == outcome.endpoint), same[0] if same else None)
        if found is not None:
            out.append(Comparison(found, outcome))
    return out


def load_results(path: str | Path) -> list[ScenarioTrials]:
    """Reads outcomes from a file that `--qwenbelt-results` wrote.

    Raises:
        InputError: the file cannot be read as results.
    """
    file = input_file(path)
    try:
        value = loads_bounded(file.read_text(encoding="utf-8"))
        if value["version"] != VERSION:
            raise InputError(f"{path}: results of version {value['version']!r} are not known.")
        return [ScenarioTrials.from_dict(entry) for entry in value["outcomes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as results ({error}).") from error


def save_results(outcomes: Sequence[ScenarioTrials], path: str | Path) -> None:
    """Writes outcomes as JSON."""
    value = {"version": VERSION, "outcomes": [outcome.to_dict() for outcome in outcomes]}
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def finish_trials(
    entries: Sequence[dict[str, Any]],
    *,
    html_report: str | None = None,
    results: str | None = None,
    against: str | None = None,
) -> tuple[list[str], bool]:
    """Writes what is asked for; returns lines for people, and whether a scenario got worse."""
    outcomes = [ScenarioTrials.from_dict(entry) for entry in entries]
    repeated = any(len(outcome.trials) > 1 for outcome in outcomes)
    endpoints = list(dict.fromkeys(outcome.endpoint for outcome in outcomes))
    lines = [o.line() for o in outcomes] if repeated or endpoints != ["scripted"] else []
    comparisons: list[Comparison] = []
    if against:
        comparisons = compare(load_results(against), outcomes)
    elif len(endpoints) > 1:
        first = [o for o in outcomes if o.endpoint == endpoints[0]]
        comparisons = compare(first, [o for o in outcomes if o.endpoint != endpoints[0]])
    lines += [comparison.line() for comparison in comparisons]
    if results:
        save_results(outcomes, results)
    if html_report:
        from qwenbelt.testing.trials.html_report import outcomes_page

        write_text(html_report, outcomes_page(outcomes, comparisons))
    return lines, bool(against) and any(comparison.worse for comparison in comparisons)
