"""Many questions to a model at once, on the agents' scheduler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from qwenbelt.agents.runtime.code.call_many import call_all
from qwenbelt.core.errors import LimitExceeded
from qwenbelt.core.events import Event, ToolFinished
from qwenbelt.core.language import Language
from qwenbelt.tools.base import Tool, ToolResult
from qwenbelt.workflows.longdoc.parts import tokens_in

SECONDS = 600.0  # for one part
REPLY_TOKENS = 500  # that an answer may take, for the budget


@dataclass
class TokenMeter:
    """Asks the model and counts tokens; threads share it.

    Attributes:
        model: a qwen-agent chat model.
        budget: tokens that may be sent and received in all, roughly.
        spent: what was.
    """

    model: Any
    budget: int
    spent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, prompt: str) -> str:
        """Returns the answer to a prompt.

        Raises:
            EndpointError: the model could not be asked.
            LimitExceeded: the budget does not allow it.
        """
        return self.tell([("user", prompt)])

    def tell(self, messages: Sequence[tuple[str, str]]) -> str:
        """Returns the answer to messages, each a role and its words; errors as in `ask`."""
        sent = sum(tokens_in(text) for _, text in messages)
        with self.lock:
            if self.spent + sent > self.budget:
                raise LimitExceeded(f"The budget of {self.budget} tokens is used up.")
            self.spent += sent
        said = [{"role": role, "content": text} for role, text in messages]
        reply = self.model.chat(said, stream=False)
        text = "".join(str(message.get("content") or "") for message in reply).strip()
        with self.lock:
            self.spent += tokens_in(text)
        return text


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
