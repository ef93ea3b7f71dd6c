"""`Assistant`: qwen-agent's, with our document search in the place of `Memory`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwen_agent.agents import Assistant as StockAssistant

from qwenbelt.agents.evidence import beside_question, last_question, text_of_message
from qwenbelt.agents.fncall import FnCallAgent
from qwenbelt.agents.prompts import KNOWLEDGE, KNOWLEDGE_NOTE, QUESTION
from qwenbelt.agents.runtime.run import Run
from qwenbelt.core.language import Language


class Assistant(FnCallAgent, StockAssistant):  # type: ignore[misc]
    """A function-calling agent that first looks the question up in the conversation's files.

    Files come by `files=` or in messages, as in qwen-agent. `knowledge=` of a run replaces the
    search. `rag_cfg` may hold `max_ref_token`, how much of the files is shown at first.
    """

    evidence_first = True

    def _start(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], **options: Any) -> Run:
        knowledge = str(kwargs.pop("knowledge", "") or "")
        if not knowledge:
            return super()._start(messages, kwargs, **options)
        language: Language = "zh" if kwargs.get("lang") == "zh" else "en"
        run = super()._start(messages, kwargs, **options)

        async def prepare() -> None:
            run.plan.untrusted.append(knowledge)
            run.plan.messages = add_knowledge(run.plan.messages, knowledge, language)

        run.plan.prepare = prepare
        return run


def add_knowledge(
    messages: Sequence[dict[str, Any]], knowledge: str, language: Language
) -> list[dict[str, Any]]:
    """Returns the messages with knowledge before the last question, marked as data."""
    text = KNOWLEDGE[language].format(note=KNOWLEDGE_NOTE[language], knowledge=knowledge)
    place = last_question(messages)
    if place is None:
        return [*messages, {"role": "user", "content": text}]
    label = QUESTION[language]
    return beside_question(messages, place, f"{text}\n\n{label}{text_of_message(messages[place])}")
