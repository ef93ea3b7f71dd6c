"""The outcome of a call, in the form for the model and for people."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qwenbelt.core.errors import (
    QwenbeltError,
    ToolCancelled,
    ToolRefused,
    ToolTimeout,
    one_line,
)
from qwenbelt.core.events import CallStatus, Item
from qwenbelt.core.limits import shorten_text
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.tools.base import Ended, result_items, result_text

log = logging.getLogger(__name__)


class Failure(str):
    """The text of a failed call, where the contract allows only a text to be returned."""

    status: CallStatus = "failed"

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Returns the failure that an error is."""
        outcome = failed_outcome(error)
        text = cls(outcome.text)
        text.status = outcome.status
        return text


# of calls that were made and came to nothing; unlike refused ones they may be made again
FAILED: frozenset[CallStatus] = frozenset({"raised", "failed", "timeout"})


@dataclass(slots=True)
class CallOutcome:
    """The end of a call.

    Attributes:
        text: what the model sees.
        full_text: the same without the cap on its size.
        artifacts: paths of pictures and files that the call made.
        status: how it ended, as in `ToolFinished`.
        error: the name of the exception that code raised.
        value: what the tool returned, with the text that it has, for calls from code.
    """

    text: str
    full_text: str
    items: tuple[Item, ...] = ()
    artifacts: tuple[str, ...] = ()
    abandoned: bool = False
    status: CallStatus = "ok"
    error: str = ""
    value: tuple[Any, str] | None = None

    @property
    def ok(self) -> bool:
        """Whether the call did what was asked."""
        return self.status == "ok"

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped by the user or by the end of the run."""
        return self.status == "cancelled"


def shaped_outcome(
    result: object, name: str, max_bytes: int, keep: Callable[[str, str], str]
) -> CallOutcome:
    """Returns the outcome of a tool's result; text over the cap is kept as an artifact."""
    items = result_items(result)
    full = result_text(items)
    text, left_out = shorten_text(full, max_bytes)
    if left_out:
        artifact = keep(name, full)
        where = f"; read more with read_artifact {artifact!r}" if artifact else ""
        text = f"{text}\n[{left_out} bytes left out{where}]"
    artifacts = tuple(item.value for item in items if item.kind != "text")
    shown = items if not left_out else (Item("text", text),)
    status: CallStatus = result.status if isinstance(result, (Failure, Ended)) else "ok"
    error = result.error if isinstance(result, Ended) else ""
    return CallOutcome(text, full, shown, artifacts, status=status, error=error)


def failed_outcome(
    error: BaseException, *, abandoned: bool = False, so_far: str = ""
) -> CallOutcome:
    """Returns the outcome of an error: one line for the model, the traceback to the log only.

    Args:
        error: the error.
        abandoned: whether a thread was left behind.
        so_far: what the call had shown before; it is below the line.
    """
    if isinstance(error, QwenbeltError):
        text = one_line(error)
    else:
        log.info("a tool raised", exc_info=error)
        text = one_line(f"{type(error).__name__}: {error}")
    line = mask_secrets(f"Error: {text}")
    if so_far.strip():
        line = f"{line}\n{so_far.rstrip()}"
    status = _status_of(error)
    return CallOutcome(line, line, (Item("text", line),), abandoned=abandoned, status=status)


def _status_of(error: BaseException) -> CallStatus:
    if isinstance(error, ToolRefused):
        return "refused"
    if isinstance(error, (ToolCancelled, asyncio.CancelledError)):
        return "cancelled"
    return "timeout" if isinstance(error, ToolTimeout) else "failed"
