"""Draws a run as lanes of plain text, for failures and golden traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.errors import one_line
from qwenbelt.testing.checks.matchers import shown_value

if TYPE_CHECKING:
    from qwenbelt.testing.checks.trajectory import MadeCall, Trajectory

WIDTH = 32
_MOST = 40


def lanes(run: Trajectory) -> str:
    """Returns one line a call: name, arguments, a bar for when it ran, times, how it ended."""
    head = f"what ran ({len(run.calls)} calls in {run.turns} turns, ended with {run.reason!r}):"
    calls = run.calls[:_MOST]
    span = _time_span(calls)
    width = min(max((len(_call_label(call)) for call in calls), default=0), 44)
    lines = [head]
    turn = None
    for call in calls:
        if call.turn != turn:
            turn = call.turn
            lines.append(f" turn {turn}")
        label, bar, ending = _call_label(call), _call_bar(call, span), _call_ending(call, span)
        lines.append(f"  {label:<{width}} {bar} {ending}".rstrip())
    if len(run.calls) > _MOST:
        lines.append(f"  … and {len(run.calls) - _MOST} more")
    lines.append(f" answer: {shown_value(run.answer)}")
    if run.detail:
        lines.append(f" detail: {one_line(run.detail, 200)}")
    return "\n".join(lines)


def _call_label(call: MadeCall) -> str:
    return f"{call.name} {one_line(shown_value(call.arguments, 30), 30)}"


def _time_span(calls: list[MadeCall]) -> tuple[float, float] | None:
    begins = [call.started for call in calls if call.started is not None]
    ends = [call.finished for call in calls if call.finished is not None]
    if not begins or not ends:
        return None
    return min(begins), max(max(ends), min(begins) + 1e-6)


def _call_bar(call: MadeCall, span: tuple[float, float] | None) -> str:
    if span is None or call.started is None or call.finished is None:
        return "|" + " " * WIDTH + "|"
    begin, end = span
    scale = WIDTH / (end - begin)
    left = min(int((call.started - begin) * scale), WIDTH - 1)
    right = min(max(int((call.finished - begin) * scale), left + 1), WIDTH)
    return "|" + " " * left + "█" * (right - left) + " " * (WIDTH - right) + "|"


def _call_ending(call: MadeCall, span: tuple[float, float] | None) -> str:
    if call.finished is None:
        return "no result" if call.result is None else f"gave {shown_value(call.result, 60)}"
    if span is None or call.started is None:
        return f"{call.ending}: {shown_value(call.result, 60)}"
    times = f"{call.started - span[0]:.2f}-{call.finished - span[0]:.2f} s"
    return f"{times} {call.ending}: {shown_value(call.result, 60)}"
