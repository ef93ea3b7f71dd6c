"""The result of an evaluation: the score with its interval, by group, and what it cost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_text
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.trials.intervals import wilson_interval
from qwenbelt.workflows.evaluation.report_page import evaluation_page

if TYPE_CHECKING:
    from qwenbelt.workflows.evaluation.comparing import PairedComparison

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class EvalTrial:
    """One graded attempt."""

    id: str
    trial: int
    passed: bool
    detail: str = ""
    group: str = ""
    requests: int = 0
    tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns the row of `report.json`."""
        return {
            "id": self.id,
            "trial": self.trial,
            "passed": self.passed,
            "detail": self.detail,
            "group": self.group,
            "requests": self.requests,
            "tokens": self.tokens,
            "cost": self.cost,
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class EvalOutcome:
    """The outcome of an evaluation.

    Attributes:
        name: of the set.
        source: where its data and scorer come from.
        endpoint: who answered.
        trials: attempts at each case.
        rows: the graded attempts.
        currency: of the costs.
        complete: whether all attempts have ended.
    """

    name: str
    source: str
    endpoint: str
    trials: int
    rows: list[EvalTrial] = field(default_factory=list)
    currency: str = ""
    complete: bool = True
    setting: dict[str, Any] = field(default_factory=dict)

    @property
    def cases(self) -> dict[str, list[EvalTrial]]:
        """The attempts by case."""
        found: dict[str, list[EvalTrial]] = {}
        for row in self.rows:
            found.setdefault(row.id, []).append(row)
        return found

    @property
    def score(self) -> float:
        """The share of attempts that passed."""
        return sum(row.passed for row in self.rows) / len(self.rows) if self.rows else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the score; attempts at one case are not independent, cases are."""
        return _interval(self.rows)

    @property
    def pass_hat(self) -> dict[int, float]:
        """By k the chance that k attempts at a case all pass (pass^k of tau-bench)."""
        found = {}
        for k in range(1, self.trials + 1):
            shares = [
                comb(sum(r.passed for r in rows), k) / comb(len(rows), k)
                for rows in self.cases.values()
                if len(rows) >= k
            ]
            found[k] = statistics.fmean(shares) if shares else 0.0
        return found

    @property
    def cost(self) -> float | None:
        """What it cost together; None when no price is known."""
        costs = [row.cost for row in self.rows if row.cost is not None]
        return sum(costs) if costs else None

    def groups(self) -> dict[str, list[EvalTrial]]:
        """The attempts by group; empty where there are no groups."""
        found: dict[str, list[EvalTrial]] = {}
        for row in self.rows:
            if row.group:
                found.setdefault(row.group, []).append(row)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of `report.json`."""
        return {
            "name": self.name,
            "source": self.source,
            "endpoint": self.endpoint,
            "setting": self.setting,
            "n": len(self.cases),
            "trials": self.trials,
            "complete": self.complete,
            "score": round(self.score, 6),
            "interval": [round(end, 6) for end in self.interval],
            "pass_hat_k": {str(k): round(value, 6) for k, value in self.pass_hat.items()},
            "cost": self.cost,
            "currency": self.currency,
            "tokens": sum(row.tokens for row in self.rows),
            "requests": sum(row.requests for row in self.rows),
            "seconds": round(sum(row.seconds for row in self.rows), 3),
            "groups": {
                name: {
                    "n": len({row.id for row in rows}),
                    "score": round(sum(row.passed for row in rows) / len(rows), 6),
                    "interval": [round(end, 6) for end in _interval(rows)],
                }
                for name, rows in self.groups().items()
            },
            "rows": [row.to_dict() for row in self.rows],
        }

    def write(self, folder: Path, compared: PairedComparison | None = None) -> None:
        """Writes `report.json` and `report.html` into a folder, and a comparison with them."""
        value = self.to_dict()
        if compared is not None:
            value["comparison"] = compared.to_dict()
        text = json.dumps(value, ensure_ascii=False, indent=1)
        write_text(folder / REPORT, text + "\n")
        write_text(folder / PAGE, evaluation_page(self, compared))

    def line(self) -> str:
        """Returns the outcome in one line."""
        low, high = self.interval
        many = f", {self.trials} trials, pass^{self.trials} {self.pass_hat[self.trials]:.3f}"
        cost = "" if self.cost is None else f", {self.cost:.4f} {self.currency}".rstrip()
        return (
            f"{self.name}: {self.score:.3f} of {len(self.cases)} "
            f"(95% {low:.3f}-{high:.3f}){many if self.trials > 1 else ''}; "
            f"{sum(r.requests for r in self.rows)} requests, "
            f"{sum(r.tokens for r in self.rows)} tokens{cost}"
        )


def _interval(rows: Sequence[EvalTrial]) -> tuple[float, float]:
    cases: dict[str, list[bool]] = {}
    for row in rows:
        cases.setdefault(row.id, []).append(row.passed)
    passed = sum((sum(found) / len(found) for found in cases.values()), 0.0)
    return wilson_interval(passed, len(cases))


def read_outcome(folder: str | Path) -> EvalOutcome:
    """Reads an evaluation's outcome from its folder.

    Raises:
        InputError: there is none.
    """
    path = Path(folder).expanduser()
    path = path / REPORT if path.is_dir() else path
    try:
        found = loads_bounded(path.read_text(encoding="utf-8"))
        rows = [EvalTrial(**row) for row in found["rows"]]
        names = ("name", "source", "endpoint", "trials", "currency", "complete")
        known = {name: found[name] for name in names}
        return EvalOutcome(rows=rows, setting=dict(found.get("setting") or {}), **known)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not an evaluation's report ({error}).") from None


__all__ = ["EvalOutcome", "EvalTrial", "read_outcome"]
