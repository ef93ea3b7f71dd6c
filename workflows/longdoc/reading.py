"""Many questions to a model at once, on the agents' scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from qwenbelt.agents.runtime.code.call_many import call_all
from qwenbelt.core.events import Event, ToolFinished
from qwenbelt.core.language import Language
from qwenbelt.tools.base import Tool, ToolResult

SECONDS = 600.0  # for one part


class _PageNumber(BaseModel):
    number: int


class _ReadPart(Tool):
    """Asks the model one of the prompts, by its number."""

    name = "read_part"
    description = "Reads one part of a long document."
    Arguments = _PageNumber
    read_only = True
    timeout = SECONDS

    def __init__(self, ask: Callable[[str], str], prompts: Sequence[str]) -> None:
        super().__init__()
        self._ask, self._prompts = ask, prompts

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Returns the model's answer."""
        arguments: _PageNumber = self.parse(params)
        return self._ask(self._prompts[arguments.number])


class PartFailed(Exception):
    """One of the prompts got no answer; the message gives the reason."""


def ask_all(
    ask: Callable[[str], str],
    prompts: Sequence[str],
    *,
    concurrency: int,
    language: Language,
    progress: Callable[[int, int], None] = lambda done, prompts: None,
) -> list[str | PartFailed]:
    """Asks a model many prompts side by side; one that fails does not hold up the others.

    Args:
        ask: returns the model's answer to a prompt.
        prompts: what to ask.
        concurrency: requests at the same time.
        language: of notes about calls that fail.
        progress: called with how many prompts are answered or failed, of how many.

    Returns:
        the answers in the order of the prompts; a failed one as `PartFailed`.
    """
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        if isinstance(event, ToolFinished):
            done += 1
            progress(done, len(prompts))

    made = asyncio.run(
        call_all(
            _ReadPart(ask, prompts),
            [{"number": number} for number in range(len(prompts))],
            in_flight=concurrency,
            language=language,
            listener=listen,
        )
    )
    return [outcome.text if outcome.ok else PartFailed(outcome.text) for outcome in made]
