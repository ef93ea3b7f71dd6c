"""Two evaluations of the same cases, compared in pairs."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.testing.trials.intervals import Z95
from qwenbelt.workflows.evaluation.outcome import EvalOutcome, read_outcome

CHANCE = 0.05  # a difference less likely than this by chance is reported as one


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """What became of the cases that two evaluations share.

    Attributes:
        shared: how many cases both have.
        before, now: the scores on these.
        better, worse: cases that went better and worse.
        p: how likely so uneven a split is by chance; the exact sign test, which with one trial is
            McNemar's.
        interval: the 95 % interval of the difference.
    """

    shared: int
    before: float
    now: float
    better: tuple[str, ...]
    worse: tuple[str, ...]
    p: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """One of "better", "worse", "no clear difference"."""
        if self.p >= CHANCE:
            return "no clear difference"
        return "better" if len(self.better) > len(self.worse) else "worse"

    def line(self) -> str:
        """Returns the comparison in one line."""
        low, high = self.interval
        cases = "shared case" if self.shared == 1 else "shared cases"
        return (
            f"{self.shared} {cases}: {self.before:.3f} -> {self.now:.3f} "
            f"(change 95% {low:+.3f} to {high:+.3f}); {len(self.better)} better, "
            f"{len(self.worse)} worse, p = {self.p:.3g}: {self.verdict}"
        )

    def to_dict(self) -> dict[str, object]:
        """Returns the entry of `report.json`."""
        return {
            "shared": self.shared,
            "before": round(self.before, 6),
            "now": round(self.now, 6),
            "interval": [round(end, 6) for end in self.interval],
            "better": list(self.better),
            "worse": list(self.worse),
            "p": self.p,
            "verdict": self.verdict,
        }


def compare_runs(
    before: str | Path | EvalOutcome, now: str | Path | EvalOutcome
) -> PairedComparison:
    """Compares two evaluations case by case.

    Args:
        before: the earlier one, or its folder.
        now: the later one, or its folder.

    Raises:
        InputError: they share no case, or a folder holds no evaluation.
    """
    one = before if isinstance(before, EvalOutcome) else read_outcome(before)
    two = now if isinstance(now, EvalOutcome) else read_outcome(now)
    first, second = _rates(one), _rates(two)
    shared = [name for name in first if name in second]
    if not shared:
        raise InputError("The two evaluations share no case.")
    changes = {name: second[name] - first[name] for name in shared}
    better = tuple(name for name, change in changes.items() if change > 0)
    worse = tuple(name for name, change in changes.items() if change < 0)
    count = len(shared)
    mean = sum(changes.values()) / count
    spread = sum((change - mean) ** 2 for change in changes.values()) / max(1, count - 1)
    half = Z95 * (spread / count) ** 0.5
    return PairedComparison(
        count,
        sum(first[name] for name in shared) / count,
        sum(second[name] for name in shared) / count,
        better,
        worse,
        sign_test(len(better), len(worse)),
        (mean - half, mean + half),
    )


def sign_test(better: int, worse: int) -> float:
    """Returns the two-sided exact p of a split, were each side as likely."""
    total = better + worse
    tail = sum(comb(total, count) for count in range(min(better, worse) + 1))
    return float(min(1.0, 2 * tail / 2**total))


def _rates(outcome: EvalOutcome) -> dict[str, float]:
    return {
        name: sum(row.passed for row in rows) / len(rows) for name, rows in outcome.cases.items()
    }


__all__ = ["CHANCE", "PairedComparison", "compare_runs", "sign_test"]
