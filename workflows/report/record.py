"""What is kept of a run's events for its report: calls, pictures, the answer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core.errors import one_line
from qwenbelt.core.events import (
    Done,
    Event,
    ModelStarted,
    RunStarted,
    ToolCallReady,
    ToolFinished,
)
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.workflows.report.document import ReportStep
from qwenbelt.workflows.report.figures import Picture, is_picture

LONGEST_SUMMARY, LONGEST_VALUE = 130, 60
DRAWING_TOOLS = ("plot", "code_interpreter")


@dataclass
class RunRecord:
    """Takes in the events of one run.

    Attributes:
        pictures: what the drawing tools made, by file name.
        answer: the final text.
        reason: why the run ended.
        detail: one line about a reason other than "answer".
        model: the model's name.
        model_calls: requests to the model.
        begun: when the first request went out, on the machine's monotonic clock.
        ended: when the run was over.
        results: what the tools returned, as the model saw it.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    answer: str = ""
    reason: str = ""
    detail: str = ""
    model: str = ""
    model_calls: int = 0
    begun: float = 0.0
    ended: float = 0.0
    results: list[str] = field(default_factory=list)
    _arguments: dict[str, str] = field(default_factory=dict)
    _steps: list[ReportStep] = field(default_factory=list)

    @property
    def steps(self) -> list[ReportStep]:
        """The tool calls, in the order in which they began."""
        return sorted(self._steps, key=lambda step: step.started)

    @property
    def side_by_side(self) -> int:
        """The most tool calls that ran at the same time."""
        edges = [(step.started, 1) for step in self._steps]
        edges += [(step.finished, -1) for step in self._steps]
        running = most = 0
        for _, change in sorted(edges):
            running += change
            most = max(most, running)
        return most

    def take(self, event: Event) -> None:
        """Takes in the next event."""
        if isinstance(event, RunStarted):
            self.model = event.model
        elif isinstance(event, ModelStarted):
            self.begun = self.begun or event.started
            self.model_calls += 1
        elif isinstance(event, ToolCallReady):
            self._arguments[event.call_id] = event.arguments
        elif isinstance(event, ToolFinished):
            self._finished(event)
        elif isinstance(event, Done):
            self.answer, self.reason, self.detail = event.text, event.reason, event.detail
            self.ended = time.monotonic()

    def _finished(self, event: ToolFinished) -> None:
        arguments = self._arguments.get(event.call_id, "")
        started = event.started if event.started is not None else event.finished
        step = ReportStep(
            name=event.name,
            arguments=summarised(arguments),
            started=started - self.begun,
            finished=event.finished - self.begun,
            ok=event.ok,
        )
        self._steps.append(step)
        ran = event.ok or event.status in ("raised", "timeout")  # what it showed before counts
        if ran:
            self.results.append(event.result)
        if not ran or event.name not in DRAWING_TOOLS:
            return
        for item in event.items:
            path = Path(item.value)
            if item.kind == "image" and is_picture(path):
                drawn = event.name == "plot"
                caption = _title(arguments) if drawn else ""
                self.pictures[path.name] = Picture(path, caption, meant=drawn)


def summarised(arguments: str) -> str:
    """Returns the arguments of a call as people read them: `name: value; name: value`."""
    try:
        values = loads_bounded(arguments or "{}")
    except ValueError:
        return one_line(arguments, LONGEST_SUMMARY)
    if not isinstance(values, dict):
        return one_line(arguments, LONGEST_SUMMARY)
    parts = [f"{name}: {one_line(_shown(value), LONGEST_VALUE)}" for name, value in values.items()]
    return one_line("; ".join(parts), LONGEST_SUMMARY)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _title(arguments: str) -> str:
    try:
        value = loads_bounded(arguments)
    except ValueError:
        return ""
    title = value.get("title") if isinstance(value, dict) else None
    return one_line(title, 200) if isinstance(title, str) else ""
