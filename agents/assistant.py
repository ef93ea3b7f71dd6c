"""`Assistant`: qwen-agent's, with our document search in the place of `Memory`'s."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from qwen_agent.agents import Assistant as StockAssistant

from qwenbelt.agents.fncall import FnCallAgent
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.prompts import KNOWLEDGE, KNOWLEDGE_NOTE
from qwenbelt.agents.runtime.run import Run
from qwenbelt.core.language import Language


class Assistant(FnCallAgent, StockAssistant):  # type: ignore[misc]
    """A function-calling agent that first looks the question up in the conversation's files.

    Files come by `files=` or in messages, as in qwen-agent. `knowledge=` of a run replaces the
    search. `rag_cfg` may hold `top_k` (default 6).
    """

    def _start(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], **options: Any) -> Run:
        language: Language = "zh" if kwargs.get("lang") == "zh" else "en"
        knowledge = str(kwargs.pop("knowledge", "") or "")
        run = super()._start(messages, kwargs, **options)
        plan = run.plan
        if knowledge:
            plan.untrusted.append(knowledge)
            plan.messages = add_knowledge(plan.messages, knowledge, language)
        elif plan.file_list:
            top_k = int(self.mem.rag_cfg.get("top_k", 6))
            question = _question(plan.messages)

            async def prepare() -> None:
                found = await asyncio.to_thread(look_up, question, plan.files, top_k)
                if found:
                    plan.untrusted.append(found)
                    plan.messages = add_knowledge(plan.messages, found, language)

            plan.prepare = prepare
        return run


def look_up(question: str, files: Any, top_k: int) -> str:
    """Returns the passages of the files that fit the question, with their pages."""
    from qwenbelt.tools.base import ToolContext, result_items, result_text
    from qwenbelt.tools.registry import tool_class

    if not question.strip():
        return ""
    search = tool_class("document_search")()
    context = ToolContext(files=files)
    arguments = {"query": question[:2000], "top_k": top_k}
    return result_text(result_items(search.call(arguments, context=context)))


def add_knowledge(
    messages: Sequence[dict[str, Any]], knowledge: str, language: Language
) -> list[dict[str, Any]]:
    """Returns the messages with knowledge in the system message, marked as data."""
    text = KNOWLEDGE[language].format(note=KNOWLEDGE_NOTE[language], knowledge=knowledge)
    first = messages[0] if messages else None
    if first is not None and first["role"] == "system":
        joined = {**first, "content": f"{text_of(first['content'])}\n\n{text}"}
        return [joined, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _question(messages: Sequence[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return " ".join(str(item.get("text") or "") for item in map(_fields, content))
    return ""


def _fields(item: Any) -> dict[str, Any]:
    return dict(item) if isinstance(item, dict) else dict(item.model_dump())
