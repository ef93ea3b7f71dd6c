"""The lanes of a reply's calls as HTML: one row a call, along one time axis."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from qwenbelt.apps.gui.drawing.cards import state_text
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import CallTiming, ModelCall, Timeline

_TICKS = (0.001, 0.002, 0.005)


def lanes_html(
    part: Timeline, now: float | None, language: str, links: Mapping[str, str] | None = None
) -> str:
    """Returns the diagram of one reply.

    Args:
        part: the reply's model call and its tool calls.
        now: the time up to which unfinished calls are drawn.
        language: "en" or "zh".
        links: the elements to which the lanes of calls lead, by the calls' ids.
    """
    begin, end = part.span(now)
    length = max(end - begin, 0.001)
    label = say(
        "lanes_label",
        language,
        calls=len(part.calls),
        parallel=part.most_parallel(now),
        seconds=duration_text(end - begin),
    )
    ticks = _ticks(length)
    grid = "".join(f'<i class="qb-grid" style="left:{left}"></i>' for left, _ in ticks[1:])
    asking = {call.turn for call in part.calls}
    rows = [
        (m.started, _model_row(m, begin, length, end, language, m.turn in asking))
        for m in part.models
    ]
    rows += [
        (
            call.sealed,
            _call_row(call, begin, length, end, language, (links or {}).get(call.call_id)),
        )
        for call in part.calls
    ]
    rows.sort(key=lambda row: row[0])  # lanes by time: a reply of the model, then what it asked for
    drawn = "".join(row for _, row in rows).replace("<!--grid-->", grid)
    return (
        f'<figure class="qb-lanes-figure" aria-label="{escape(label)}">'
        f"<figcaption>{escape(say('lanes', language))} <small>{escape(label)}</small></figcaption>"
        f'<div class="qb-lane-rows">{_axis(ticks)}{drawn}</div></figure>'
    )


def _percent(value: float, length: float) -> str:
    return f"{max(0.0, min(100.0, 100.0 * value / length)):.2f}%"


def _bar(kind: str, start: float, stop: float, length: float) -> str:
    left, width = _percent(start, length), _percent(stop - start, length)
    return f'<i class="qb-bar {kind}" style="left:{left};width:{width}"></i>'


def _row(
    name: str, bars: str, time: str, hint: str, kind: str = "", link: str | None = None
) -> str:
    tag = f'a href="#{escape(link)}"' if link else "div"
    return (
        f'<{tag} class="qb-lane {kind}" title="{escape(hint)}">'
        f'<span class="qb-lane-name">{escape(name)}</span>'
        f'<span class="qb-track"><!--grid-->{bars}</span>'
        f'<span class="qb-lane-time">{escape(time)}</span></{tag[:3].strip()}>'
    )


def _hint(name: str, start: float, stop: float, words: str) -> str:
    """Returns what is shown when the pointer rests on a lane."""
    return f"{name}: {duration_text(start)} – {duration_text(stop)}{words and ', '}{words}"


def _call_row(
    call: CallTiming, begin: float, length: float, end: float, language: str, link: str | None
) -> str:
    stop = call.finished if call.finished is not None else end
    begun = call.started if call.started is not None else stop
    bars = _bar("wait", call.sealed - begin, begun - begin, length)
    time = ""
    if call.started is not None:
        bars += _bar(call.state, begun - begin, stop - begin, length)
        time = duration_text(call.seconds(end))
    if call.state not in ("done", "running"):
        time = f"{time} {state_text(call, language)}".strip()
    words = call.arguments[:160] if call.state == "done" else state_text(call, language)
    hint = _hint(call.name[:60], begun - begin, stop - begin, words)
    return _row(call.name[:60], bars, time, hint, "", link)


def _model_row(
    model: ModelCall, begin: float, length: float, end: float, language: str, asks: bool
) -> str:
    stop = model.finished if model.finished is not None else end
    first = model.first_token if model.first_token is not None else stop
    bars = _bar("read", model.started - begin, first - begin, length)
    bars += _bar("write", first - begin, stop - begin, length)
    name = say("lane_asks" if asks else "lane_writes", language, turn=model.turn)
    words = say("lane_tokens", language, into=model.input_tokens, out=model.output_tokens)
    hint = _hint(name, model.started - begin, stop - begin, words if model.input_tokens else "")
    return _row(name, bars, duration_text(stop - model.started), hint, "qb-lane-model")


def _ticks(length: float) -> list[tuple[str, str]]:
    """Returns where the axis is marked, in percent, and with what."""
    step = _step(length / 5)
    count = int(length * 0.97 / step) + 1
    return [(_percent(n * step, length), _mark(n * step)) for n in range(count)]


def _mark(time: float) -> str:
    if not time:
        return "0"
    return f"{time * 1000:g} ms" if time < 0.1 else f"{time:g} s"


def _axis(ticks: list[tuple[str, str]]) -> str:
    marks = "".join(f'<i style="left:{left}">{word}</i>' for left, word in ticks)
    return (
        '<div class="qb-lane qb-axis" aria-hidden="true"><span class="qb-lane-name"></span>'
        f'<span class="qb-track">{marks}</span><span class="qb-lane-time"></span></div>'
    )


def _step(value: float) -> float:
    power = 1.0
    while True:
        for tick in _TICKS:
            if tick * power >= value:
                return tick * power
        power *= 10
