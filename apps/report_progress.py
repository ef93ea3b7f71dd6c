"""Shows the progress of a report on a terminal: what is read, which calls run, what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.errors import one_line
from qwenbelt.core.events import (
    Event,
    ModelStarted,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from qwenbelt.core.language import user_language

if TYPE_CHECKING:
    from rich.progress import TaskID

_WORDS = {
    "reading": ("reading", "读取"),
    "thinking": ("the model thinks", "模型思考中"),
    "writing": ("the model writes, {count} characters", "模型撰写中，{count} 字"),
    "retrying": ("the endpoint failed, trying again", "端点出错，正在重试"),
}


def _word(key: str, **values: object) -> str:
    return _WORDS[key][user_language() == "zh"].format(**values)


class ReportProgressView:
    """One bar for reading files, and a line for each running tool call; silent when piped.

    Args:
        shown: whether there is a terminal to show it on.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        if not shown:
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._main = self._bars.add_task(_word("reading"), total=None)
        self._calls: dict[str, int] = {}
        self._written = 0

    def __enter__(self) -> ReportProgressView:
        if self._shown:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown:
            self._bars.stop()

    def tell(self, text: str, fraction: float | None = None) -> None:
        """Takes progress outside the run of a model."""
        if self._shown:
            total = None if fraction is None else 1.0
            self._line(self._main, text, total, fraction or 0.0)

    def event(self, event: Event) -> None:
        """Takes an event of the run."""
        if not self._shown:
            return
        if isinstance(event, ModelStarted):
            self._written = 0
            self._line(self._main, _word("thinking"))
        elif isinstance(event, Retrying):
            self._line(self._main, _word("retrying"))
        elif isinstance(event, TextDelta):
            self._written += len(event.text)
            self._line(self._main, _word("writing", count=self._written))
        else:
            self._call(event)

    def _call(self, event: Event) -> None:
        if isinstance(event, ToolStarted):
            self._calls[event.call_id] = self._bars.add_task(f"  {event.name}", total=None)
        elif isinstance(event, ToolProgress) and event.call_id in self._calls:
            text = f"  {event.name} {event.text}"
            total = None if event.fraction is None else 1.0
            self._line(self._calls[event.call_id], text, total, event.fraction or 0.0)
        elif isinstance(event, ToolFinished) and event.call_id in self._calls:
            self._bars.remove_task(self._task(self._calls.pop(event.call_id)))

    def _line(
        self, task: int, text: str, total: float | None = None, completed: float = 0.0
    ) -> None:
        text = one_line(text, 70)
        self._bars.update(self._task(task), description=text, total=total, completed=completed)

    @staticmethod
    def _task(number: int) -> TaskID:
        from rich.progress import TaskID

        return TaskID(number)
