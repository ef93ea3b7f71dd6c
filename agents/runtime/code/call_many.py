"""Calls of one tool with many arguments, side by side, by the scheduler and without a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.outcome import CallOutcome
from qwenbelt.agents.runtime.resource_queue import Limits
from qwenbelt.agents.runtime.scheduler import Scheduler, SchedulerContext
from qwenbelt.core.events import Event
from qwenbelt.core.language import Language
from qwenbelt.tools.base import Tool, ToolContext

RESULT_BYTES = 1 << 20


async def call_all(
    tool: Tool,
    arguments: Sequence[Mapping[str, Any]],
    *,
    in_flight: int,
    language: Language,
    listener: Callable[[Event], None] = lambda event: None,
) -> list[CallOutcome]:
    """Returns the outcome of each call, in order; one that fails does not hold up the others.

    Args:
        tool: what is called; no approval is asked for.
        arguments: of each call.
        in_flight: calls at the same time.
        language: of notes about calls that fail.
        listener: called for each call that begins and ends.
    """
    count = len(arguments)
    scheduler = Scheduler(
        SchedulerContext(
            tools={tool.name: tool},
            limits=Limits(in_flight=in_flight, reply_calls=count, result_bytes=RESULT_BYTES),
            policy="auto",
            language=language,
            allowed=count,
            beyond="",
            emit=listener,
            context=lambda call: ToolContext(call_id=call.id, language=language),
            keywords=lambda tool, context: {"context": context},
            asked=lambda _: asyncio.get_running_loop().create_future(),
            keep_artifact=lambda tool, text: "",
        )
    )
    names = [f"{tool.name}-{number}" for number in range(count)]
    for number, given in enumerate(arguments):
        text = json.dumps(given, ensure_ascii=False)
        scheduler.seal(ToolCall(number, names[number], tool.name, text, complete=True))
    scheduler.release()
    outcomes = await scheduler.results()
    return [outcomes[name] for name in names]
