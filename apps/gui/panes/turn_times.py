"""Where the time, the tokens and the money of a turn went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwenbelt.apps.gui.panes.lanes_html import lanes_html
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import ModelCall, Timeline

_MOST_STEPS = 12  # of the path that are named


def turn_times(records: Sequence[Mapping[str, Any]], language: str) -> dict[str, Any]:
    """Returns lanes, words and figures of a turn: `html`, `words`, `path`, `facts`."""
    timeline = Timeline(records)
    begin, end = timeline.span()
    longest = max(timeline.calls, key=lambda call: call.seconds(end), default=None)
    model = sum((m.finished or end) - m.started for m in timeline.models)
    into, out = timeline.tokens
    name, took = ("", 0.0) if longest is None else (longest.name, longest.seconds(end))
    words = say(
        "trace_words" if name else "trace_model",
        language,
        total=duration_text(end - begin),
        model=duration_text(model),
        name=name,
        took=duration_text(took),
        into=into,
        out=out,
    )
    return {
        "html": lanes_html(timeline, None, language),
        "words": words,
        "path": _path_words(timeline, language),
        "facts": _facts(timeline, end - begin, model, language),
    }


def critical_path(timeline: Timeline) -> list[tuple[str, float]]:
    """Returns what the end waited for, first to last: names ("" for the model) and seconds.

    Of the calls that a reply waited for, the one that ended last counts; what ran beside it could
    have been slower without the end coming later.
    """
    end = timeline.span()[1]
    spans: list[tuple[float, float, str]] = [
        (model.started, model.finished or end, "") for model in timeline.models
    ]
    spans += [
        (call.started, call.finished if call.finished is not None else end, call.name)
        for call in timeline.calls
        if call.started is not None and not call.parent
    ]
    path: list[tuple[str, float]] = []
    until = end
    while spans:
        # a call may begin while the model still writes; of other calls it waits for the end
        before = [span for span in spans if span[0] < until and (not span[2] or span[1] <= until)]
        if not before:
            break
        start, stop, name = max(before, key=lambda span: (min(span[1], until), -span[0]))
        path.append((name, max(0.0, min(stop, until) - start)))
        until = start
        spans = [span for span in before if span[0] < start]
    return path[::-1]


def _path_words(timeline: Timeline, language: str) -> str:
    path = critical_path(timeline)
    if not path:
        return ""
    steps = [f"{name or say('model_step', language)} {duration_text(took)}" for name, took in path]
    if len(steps) > _MOST_STEPS:
        steps = [*steps[: _MOST_STEPS // 2], "…", *steps[-_MOST_STEPS // 2 :]]
    calls = [call for call in timeline.calls if call.started is not None and not call.parent]
    waited = sum(1 for name, _ in path if name)
    total = duration_text(sum(took for _, took in path))
    key = "path_words" if len(calls) > waited else "path_alone"
    return say(key, language, steps=" → ".join(steps), total=total, beside=len(calls) - waited)


def _facts(timeline: Timeline, total: float, model: float, language: str) -> dict[str, str]:
    """Returns the figures by which two turns are compared, as texts, in order."""
    into, out = timeline.tokens
    cached = sum(m.cached_tokens for m in timeline.models)
    tools = sum(call.seconds(call.finished or 0.0) for call in timeline.calls if not call.parent)
    failed = sum(call.state in ("failed", "raised", "timeout") for call in timeline.calls)
    told = {
        "fact_total": duration_text(total),
        "fact_model": duration_text(model),
        "fact_first": _first_word(timeline.models),
        "fact_tools": duration_text(tools),
        "fact_calls": str(len(timeline.calls)),
        "fact_failed": str(failed),
        "fact_into": str(into),
        "fact_cached": f"{cached} ({cached / into:.0%})" if into else "0",
        "fact_out": str(out),
        "fact_cost": f"{timeline.cost:.4g} {timeline.currency}" if timeline.cost else "–",
    }
    return {say(key, language): value for key, value in told.items()}


def _first_word(models: Sequence[ModelCall]) -> str:
    first = next((m for m in models if m.first_token is not None), None)
    if first is None or first.first_token is None:
        return "–"
    return duration_text(first.first_token - models[0].started)
