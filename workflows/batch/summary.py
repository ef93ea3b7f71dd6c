"""The summary page of a batch: counts, pace, tokens, and the failures with their reasons."""

from __future__ import annotations

import html
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.files import write_text
from qwenbelt.core.language import Language
from qwenbelt.core.translation import in_language
from qwenbelt.workflows.batch.strings import say

_SHOWN = 200
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
color:#1a1a1a;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top;
overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{display:flex;height:1rem;border-radius:.3rem;overflow:hidden;background:#e4e4e4}
.done{background:#2b7a3d}.failed{background:#b3261e}.cancelled{background:#8a6d00}"""


@dataclass
class Summary:
    """What the results of a batch come to.

    Args:
        total: how many tasks there are.
    """

    total: int
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    cost: float = 0.0
    currency: str = ""
    seconds: list[float] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    first: float | None = None
    last: float | None = None

    def add(self, line: Mapping[str, Any]) -> None:
        """Counts a line of the results."""
        self.kinds[str(line["job"])] += 1
        if line["ok"]:
            self.done += 1
        elif line["error"] == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
            if len(self.failures) < _SHOWN:
                self.failures.append((str(line["id"]), str(line["error"])))
        result = line.get("result")
        if isinstance(result, Mapping):
            for place, name in enumerate(("input_tokens", "output_tokens")):
                self.tokens[place] += int(result.get(name) or 0)
            self.cost += float(result.get("cost") or 0.0)
            self.currency = str(result.get("currency") or self.currency)
        if "started" in line:
            started, took = float(line["started"]), float(line["seconds"])
            self.seconds.append(took)
            self.first = started if self.first is None else min(self.first, started)
            self.last = max(self.last or 0.0, started + took)

    @property
    def span(self) -> float:
        """Seconds from the first start to the last end."""
        return (self.last or 0.0) - (self.first or 0.0)


def write_summary(path: Path, summary: Summary, language: Language) -> None:
    """Writes the page; it needs nothing but itself."""
    ended = summary.done + summary.failed + summary.cancelled
    rows: list[tuple[str, object]] = [
        ("tasks", summary.total),
        ("done", summary.done),
        ("failed", summary.failed),
        ("cancelled", summary.cancelled),
        ("waiting", summary.total - ended),
    ]
    if summary.seconds:
        pace = 60 * len(summary.seconds) / summary.span if summary.span else 0
        rows += [
            ("span", f"{summary.span:.1f} s"),
            ("rate", f"{pace:.1f}"),
            ("median", f"{statistics.median(summary.seconds):.2f}"),
        ]
    if any(summary.tokens):
        rows.append(("tokens", f"{summary.tokens[0]:,} / {summary.tokens[1]:,}"))
    if summary.cost:
        rows.append(("cost", f"{summary.cost:.4f} {summary.currency}"))
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(summary.kinds.items()))
    rows.append(("kind", kinds or "-"))
    write_text(path, _summary_page(summary, rows, language))


def _summary_page(summary: Summary, rows: list[tuple[str, object]], language: Language) -> str:
    title = say("title", language)
    lang = "zh-CN" if language == "zh" else "en"
    table = "".join(
        f'<tr><th>{say(name, language)}</th><td class="n">{html.escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return (
        f'<!doctype html><html lang="{lang}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>{_progress_bar(summary)}<table>{table}</table>"
        f"{_failures_html(summary, language)}</html>\n"
    )


def _progress_bar(summary: Summary) -> str:
    shares = {"done": summary.done, "failed": summary.failed, "cancelled": summary.cancelled}
    total = max(1, summary.total)
    parts = "".join(
        f'<div class="{name}" style="width:{100 * count / total:.2f}%"></div>'
        for name, count in shares.items()
    )
    return f'<div class="bar">{parts}</div>'


def _failures_html(summary: Summary, language: Language) -> str:
    if not summary.failures:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(reason)}</td></tr>"
        for name, error in summary.failures
        for reason in [in_language(error, language)]
    )
    hidden = summary.failed - len(summary.failures)
    more = f"<p>{say('more', language, count=hidden)}</p>" if hidden > 0 else ""
    head = f"<tr><th>{say('task', language)}</th><th>{say('error', language)}</th></tr>"
    return f"<h2>{say('failures', language)}</h2><table>{head}{rows}</table>{more}"
