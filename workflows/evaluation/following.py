"""Follows an attempt's runs: its calls, its text, and what it cost."""

from __future__ import annotations

from typing import Any

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.events import Done, ElicitationAsked, ModelStarted, ToolCallReady, Usage
from qwenbelt.workflows.evaluation.cases import EvalRecord


class AttemptMeter:
    """Counts what an attempt costs."""

    def __init__(self) -> None:
        self.requests = self.input = self.output = 0
        self.cost: float | None = None
        self.currency = ""

    def take(self, usage: Usage) -> None:
        """Counts the tokens and the money of a request."""
        self.input += usage.input_tokens
        self.output += usage.output_tokens
        if usage.cost is not None:
            self.cost = (self.cost or 0.0) + usage.cost
            self.currency = usage.currency

    def counts(self) -> dict[str, Any]:
        """Returns the counts as a record has them."""
        return {
            "requests": self.requests,
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cost": self.cost,
            "currency": self.currency,
        }


async def follow_run(run: Any, meter: AttemptMeter) -> EvalRecord:
    """Follows a run to its end; an end without an answer is an answer that fails."""
    calls: list[dict[str, Any]] = []
    done: Done | None = None
    async for event in run:
        if isinstance(event, ModelStarted):
            meter.requests += 1
        elif isinstance(event, Usage):
            meter.take(event)
        elif isinstance(event, ToolCallReady):
            calls.append({"name": event.name, "arguments": event.arguments})
        elif isinstance(event, ElicitationAsked):
            run.answer(event.request_id, None)  # no person is there to answer
        elif isinstance(event, Done):
            done = event
    if done is None:
        raise QwenbeltError("The run was cancelled.")
    ended = "" if done.reason == "answer" else done.detail or done.reason
    said = list(done.messages)
    return {"answer": done.text, "calls": calls, "ended": ended, "history": said}
