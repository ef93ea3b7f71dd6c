"""Draws the lanes of a run in a terminal: one line a call, along one time axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from qwenbelt.apps.strings import duration_text, say, state_text
from qwenbelt.apps.timeline import CallTiming, ModelCall, Timeline
from qwenbelt.core.terminal import terminal_text

_STEPS = (1, 2, 5)
_STYLES = {
    "done": "green",
    "raised": "red",
    "failed": "red",
    "refused": "yellow",
    "cancelled": "yellow",
    "timeout": "red",
    "running": "cyan",
}
_MARKS = {
    "raised": "!",
    "failed": "✗",
    "refused": "⊘",
    "cancelled": "⊘",
    "timeout": "⊘",
    "running": "…",
    "waiting": "…",
    "asked": "?",
}


@dataclass(frozen=True)
class Ink:
    """The characters that draw the bars."""

    run: str = "█"
    wait: str = "·"
    read: str = "░"
    write: str = "▒"
    marks: bool = True


BLOCKS = Ink()
ASCII = Ink("#", ".", "-", "=", marks=False)


def ink_for(encoding: str | None) -> Ink:
    """Returns characters that an output of this encoding can show."""
    try:
        "█·░▒✗⊘…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


class _Axis:
    """Maps times to columns."""

    def __init__(self, begin: float, end: float, columns: int) -> None:
        self.begin, self.columns = begin, max(8, columns)
        self.length = max(end - begin, 1e-6)

    def column(self, time: float) -> int:
        share = (time - self.begin) / self.length
        return max(0, min(self.columns, math.floor(share * self.columns + 0.5)))

    def bar(self, parts: list[tuple[float, float, str, str]]) -> Text:
        """Returns a bar of (from, to, character, style); what has happened is at least one wide."""
        cells = [(" ", "")] * self.columns
        for start, end, character, style in parts:
            left = min(self.column(start), self.columns - 1)
            for index in range(left, max(left + 1, self.column(end))):
                cells[index] = (character, style)
        bar = Text()
        for (character, style), same in itertools.groupby(cells):
            bar.append(character * len(list(same)), style)
        return bar

    def ticks(self) -> Text:
        """Returns the line of numbers above the bars."""
        step = _nice_step(self.length / max(2, self.columns // 9))
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        line = [" "] * (self.columns + 12)
        taken = -1
        for number in range(math.floor(self.length / step) + 1):
            word = f"{number * step:.{digits}f}" + ("" if number else " s")
            at = self.column(self.begin + number * step)
            if at > taken and at + len(word) <= self.columns + 2:
                line[at : at + len(word)] = word
                taken = at + len(word)
        return Text("".join(line).rstrip(), "dim")


def _nice_step(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next((s * power for s in _STEPS if s * power >= value * 0.999), 10 * power)


def draw_lanes(
    timeline: Timeline, width: int, *, now: float | None = None, ink: Ink = BLOCKS
) -> Iterator[Text]:
    """Yields the lines of the diagram.

    Args:
        timeline: what happened.
        width: columns of the terminal.
        now: the time up to which unfinished calls are drawn; the last known time when None.
        ink: the characters to draw with.
    """
    begin, end = timeline.span(now)
    if not timeline.models and not timeline.calls:
        yield Text(say("no_events"))
        return
    labels = [terminal_text(c.name) for c in timeline.calls] + [_label(m) for m in timeline.models]
    left = min(max(cell_len(label) for label in labels), max(8, width // 4))
    axis = _Axis(begin, end, width - left - 22)
    yield Text(" " * (left + 1)).append_text(axis.ticks())
    for row in _lane_rows(timeline):
        if isinstance(row, CallTiming):
            yield _call_line(row, axis, left, end, ink)
        else:
            yield _model_line(row, axis, left, end, ink)


def lanes_legend(ink: Ink = BLOCKS) -> Text:
    """Returns what the characters mean."""
    line = say("legend", run=ink.run, wait=ink.wait, read=ink.read, write=ink.write)
    return Text(line, "dim")


def _label(model: ModelCall) -> str:
    return f"{say('model')} {model.turn}"


def _lane_rows(timeline: Timeline) -> list[CallTiming | ModelCall]:
    """Returns model calls and tool calls, each model call just above the calls it wrote."""
    rows: list[tuple[float, int, CallTiming | ModelCall]] = []
    rows += [(m.started, 0, m) for m in timeline.models]
    rows += [(c.sealed, 1, c) for c in timeline.calls]
    return [row for _, _, row in sorted(rows, key=lambda entry: entry[:2])]


def _call_line(call: CallTiming, axis: _Axis, left: int, end: float, ink: Ink) -> Text:
    style = _STYLES.get(call.state, "magenta")
    stop = call.finished if call.finished is not None else end
    begun = call.started if call.started is not None else stop
    parts = [(call.sealed, begun, ink.wait, "dim")] if begun > call.sealed else []
    if call.started is not None:
        parts.append((call.started, stop, ink.run, style))
    line = Text(_fitted_to_columns(terminal_text(call.name), left) + " ").append_text(
        axis.bar(parts)
    )
    if call.started is not None:
        line.append(f" {duration_text(call.seconds(end))}")
    if call.state != "done":
        mark = _MARKS[call.state] + " " if ink.marks else ""
        line.append(f" {mark}{state_text(call.state, terminal_text(call.error))}", style)
    return line


def _model_line(model: ModelCall, axis: _Axis, left: int, end: float, ink: Ink) -> Text:
    stop = model.finished if model.finished is not None else end
    first = model.first_token if model.first_token is not None else stop
    parts = [(model.started, first, ink.read, "blue")]
    if stop > first:
        parts.append((first, stop, ink.write, "blue"))
    line = Text(_fitted_to_columns(_label(model), left) + " ", "dim").append_text(axis.bar(parts))
    line.append(f" {duration_text(stop - model.started)}", "dim")
    if model.repeated:
        line.append(f" {say('repeated', share=round(100 * model.repeated))}", "dim")
    if model.cached_tokens:
        line.append(f" {say('cached', share=round(100 * model.cached))}", "dim")
    return line


def _fitted_to_columns(word: str, columns: int) -> str:
    if cell_len(word) > columns:
        return set_cell_size(word, columns - 1) + "…"
    return set_cell_size(word, columns)
