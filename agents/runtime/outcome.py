"""What became of a call, in the form that goes to the model and to people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.events import Item
from qwenbelt.core.limits import shorten
from qwenbelt.core.secrets import scrub
from qwenbelt.tools.base import result_items, result_text

log = logging.getLogger(__name__)


class Failure(str):
    """The text of a failed call, where the contract allows only a text to be returned."""


@dataclass(slots=True)
class CallOutcome:
    """The end of a call.

    Attributes:
        text: what the model sees.
        full_text: the same without the cap on its size.
        artifacts: paths of pictures and files that the call made.
    """

    ok: bool
    text: str
    full_text: str
    items: tuple[Item, ...] = ()
    artifacts: tuple[str, ...] = ()
    cancelled: bool = False
    abandoned: bool = False


def shaped(
    result: object, name: str, max_bytes: int, keep: Callable[[str, str], str]
) -> CallOutcome:
    """Returns the outcome of a tool's result; text over the cap is kept as an artifact."""
    items = result_items(result)
    full = result_text(items)
    text, left_out = shorten(full, max_bytes)
    if left_out:
        artifact = keep(name, full)
        where = f"; read more with read_artifact {artifact!r}" if artifact else ""
        text = f"{text}\n[{left_out} bytes left out{where}]"
    artifacts = tuple(item.value for item in items if item.kind != "text")
    ok = not isinstance(result, Failure)
    return CallOutcome(ok, text, full, items if not left_out else (Item("text", text),), artifacts)


def failed(error: BaseException, *, abandoned: bool = False) -> CallOutcome:
    """Returns the outcome of an error: one line for the model, the traceback to the log only."""
    if isinstance(error, QwenbeltError):
        text = one_line(error)
    else:
        log.info("a tool raised", exc_info=error)
        text = one_line(f"{type(error).__name__}: {error}")
    line = scrub(f"Error: {text}")
    return CallOutcome(False, line, line, (Item("text", line),), (), abandoned=abandoned)
