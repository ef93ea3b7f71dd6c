"""A tool call as a trajectory knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.core.jsons import loads_bounded


@dataclass
class MadeCall:
    """A tool call that was made. Times are seconds of one monotonic clock.

    Attributes:
        call_id: its id.
        name: the tool.
        arguments: the arguments as a value; the text as it was when it is not JSON.
        turn: the number of the model's reply that made it, from 1.
        sealed: when its arguments were complete, or None when that is not known.
        started: when the tool began, or None when it never did, or that is not known.
        finished: when the tool ended, or None.
        ok: whether it ended well; None when that is not known.
        cancelled: whether it was stopped.
        status: how it ended, as in the event `tool_finished`; "" when that is not known.
        error: the name of the exception that code raised.
        parent: the id of the call that made it; "" for calls of the model itself.
        result: the text that the model got, or None when there was none.
        artifacts: files that it made.
    """

    call_id: str
    name: str
    arguments: Any = field(default_factory=dict)
    turn: int = 0
    sealed: float | None = None
    started: float | None = None
    finished: float | None = None
    ok: bool | None = None
    cancelled: bool = False
    status: str = ""
    error: str = ""
    parent: str = ""
    result: str | None = None
    artifacts: tuple[str, ...] = ()

    @property
    def ending(self) -> str:
        """How it ended, in a word or two: "ok", "raised KeyError", "cancelled"."""
        if self.status == "raised" and self.error:
            return f"raised {self.error}"
        old = "cancelled" if self.cancelled else "failed" if self.ok is False else "ok"
        return self.status or old  # traces of earlier versions have no status

    @property
    def ran(self) -> bool:
        """Whether it is known when the tool began and ended."""
        return self.started is not None and self.finished is not None


def value_of(text: Any) -> Any:
    """Returns the value of JSON text; the text itself when it is not JSON."""
    if not isinstance(text, str):
        return text
    try:
        return loads_bounded(text or "{}")
    except json.JSONDecodeError:
        return text
