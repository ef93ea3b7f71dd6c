"""What a tool gets besides its arguments: its context, and qwen-agent's keywords."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.elicitation import Elicitor
from qwenbelt.agents.runtime.history import History
from qwenbelt.agents.runtime.parent_run import ParentRun
from qwenbelt.core.events import AppOffered, Event, ToolProgress
from qwenbelt.tools.base import Question, Tool, ToolContext

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import RunConfig


def context_of(
    plan: RunConfig,
    call: ToolCall,
    emit: Callable[[Event], None],
    parent: ParentRun,
    elicitor: Elicitor,
) -> ToolContext:
    """Returns the context of a call; what it reports becomes events until it is cancelled."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        if not context.cancelled.is_set() and not loop.is_closed():
            loop.call_soon_threadsafe(emit, event)

    def report(text: str = "", fraction: float | None = None) -> None:
        tell(ToolProgress(call.id, call.name, text, fraction))

    def printed(text: str) -> None:
        tell(ToolProgress(call.id, call.name, text, output=True))

    context = ToolContext(
        session=plan.session,
        folder=plan.folder,
        files=plan.files,
        report=report,
        on_output=printed,
        language=plan.language,
        call_id=call.id,
        parent=parent,
        kept_turn=plan.recorder.turn_name if plan.recorder is not None else "",
    )

    def elicit(question: Question) -> concurrent.futures.Future[Mapping[str, Any] | None]:
        def settled(_: object) -> None:
            context.resting -= 1

        context.resting += 1
        answer = elicitor.ask(loop, question)
        answer.add_done_callback(settled)
        return answer

    context.elicit = elicit
    context.show_app = lambda server, file: tell(AppOffered(call.id, server, file))
    return context


def keywords_of(
    plan: RunConfig, history: History, tool: Any, context: ToolContext
) -> dict[str, Any]:
    """Returns the keywords of a call: ours get the context, stock tools qwen-agent's messages."""
    keywords = dict(plan.keywords)
    if isinstance(tool, Tool):
        keywords["context"] = context
    stock = getattr(tool, "wants_message_objects", not isinstance(tool, Tool))
    keywords["messages"] = history.objects() if stock else list(history.messages)
    if getattr(tool, "file_access", False):
        keywords["files"] = list(plan.file_list)
    return keywords
