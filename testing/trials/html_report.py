"""The outcome of scenarios as one HTML page without scripts or outside files."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwenbelt.testing.trials.outcomes import Comparison, ScenarioTrials


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #1b1f24;
  background: #fff; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d8dee4;
  vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; background: #f6f8fa; padding: .6rem; overflow-x: auto; }
.bad { color: #b42318; font-weight: 600; } .good { color: #13795b; font-weight: 600; }
svg { display: block; }
@media (prefers-color-scheme: dark) { body { background: #14171a; color: #e6e8ea; }
  pre { background: #1e2329; } th, td { border-color: #343a41; } }
"""


def outcomes_page(
    outcomes: Sequence[ScenarioTrials], comparisons: Sequence[Comparison] = ()
) -> str:
    """Returns the page: a table of pass rates, comparisons, and what failed."""
    rows = "".join(_outcome_row(outcome) for outcome in outcomes)
    heads = "".join(
        f'<th class="{kind}">{name}</th>'
        for name, kind in (
            *(("Scenario", ""), ("Endpoint", ""), ("Passed", "n"), ("Rate, 95%", "")),
            *(("Seconds", "n"), ("Turns", "n"), ("Calls", "n"), ("Tokens", "n"), ("Cost", "n")),
        )
    )
    compared = ""
    if comparisons:
        lines = "".join(
            f'<li class="{"bad" if c.worse else ""}">{escape(c.line())}</li>' for c in comparisons
        )
        compared = f"<h2>Compared</h2><ul>{lines}</ul>"
    failures = "".join(_failures_html(outcome) for outcome in outcomes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Scenarios</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><h1>Scenarios</h1>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"{compared}{'<h2>What failed</h2>' + failures if failures else ''}</body></html>\n"
    )


def _outcome_row(outcome: ScenarioTrials) -> str:
    count = len(outcome.trials) or 1
    kind = "good" if outcome.rate == 1 else "bad"
    cost = "" if outcome.cost is None else f"{outcome.cost:.4f}"
    numbers = (
        f"{outcome.seconds:.2f}",
        f"{sum(t.turns for t in outcome.trials) / count:.1f}",
        f"{sum(t.calls for t in outcome.trials) / count:.1f}",
        f"{outcome.tokens:.0f}",
        cost,
    )
    return (
        f"<tr><td>{escape(outcome.scenario)}</td><td>{escape(outcome.endpoint)}</td>"
        f'<td class="n {kind}">{outcome.passed}/{len(outcome.trials)}</td>'
        f"<td>{_rate_bar(outcome)}</td>"
        + "".join(f'<td class="n">{n}</td>' for n in numbers)
        + "</tr>"
    )


def _rate_bar(outcome: ScenarioTrials) -> str:
    low, high = outcome.interval
    label = f"{outcome.rate:.0%} ({low:.0%} to {high:.0%})"
    return (
        f'<svg width="180" height="14" role="img" aria-label="{label}">'
        '<rect y="5" width="180" height="4" fill="#8884"/>'
        f'<rect x="{low * 180:.1f}" y="3" width="{max((high - low) * 180, 1):.1f}" height="8" '
        'fill="#2f6feb88"/>'
        f'<rect x="{max(outcome.rate * 180 - 1.5, 0):.1f}" width="3" height="14" fill="#2f6feb"/>'
        f"</svg>{label}"
    )


def _failures_html(outcome: ScenarioTrials) -> str:
    problems: dict[str, int] = {}
    for trial in outcome.trials:
        if trial.problem:
            problems[trial.problem] = problems.get(trial.problem, 0) + 1
    if not problems:
        return ""
    blocks = "".join(
        f"<p>{count} of {len(outcome.trials)} trials:</p><pre>{escape(problem)}</pre>"
        for problem, count in sorted(problems.items(), key=lambda entry: -entry[1])[:5]
    )
    title = f"{escape(outcome.scenario)} on {escape(outcome.endpoint)}"
    return f"<details open><summary>{title}</summary>{blocks}</details>"
