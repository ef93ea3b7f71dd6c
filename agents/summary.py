"""Has the model write notes on what leaves its window."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from qwenbelt.agents.models.deltas import Relabel, Text, Tokens
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.notices import SUMMARY_REQUEST
from qwenbelt.agents.runtime.context_window import TOKENS_PER_BYTE
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.language import Language
from qwenbelt.core.limits import shorten

_WORDS = 400
_SHARE = 0.5  # of the window, for the text that is summed up
_RESULT_BYTES = 2000  # of one result in that text


def summarizer(
    model: Model, language: Language, count: Callable[[Tokens], None]
) -> Callable[[Sequence[dict[str, Any]], int], Awaitable[str]]:
    """Returns a function that sums messages up within a window of so many tokens.

    It returns "" when the endpoint fails: then the messages are left out without notes.

    Args:
        model: writes the notes.
        language: of the instruction.
        count: takes the tokens that it cost.
    """

    async def sum_up(messages: Sequence[dict[str, Any]], max_tokens: int) -> str:
        most = int(max_tokens * _SHARE / TOKENS_PER_BYTE)
        text, _ = shorten(transcript(messages), most)
        prompt = SUMMARY_REQUEST[language].format(words=_WORDS, transcript=text)
        request = Request([{"role": "user", "content": prompt}], language=language)
        try:
            return await _answer(model, request, count)
        except EndpointError:
            return ""

    return sum_up


async def _answer(model: Model, request: Request, count: Callable[[Tokens], None]) -> str:
    reader = model.codec.reader(())
    text: list[str] = []
    reason = ""
    async with aclosing(model.pieces(request)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if isinstance(piece, Tokens):
                count(piece)
            for part in reader.feed(piece):
                if isinstance(part, Relabel):
                    text.clear()
                elif isinstance(part, Text):
                    text.append(part.text)
    text += [part.text for part in reader.finish(reason) if isinstance(part, Text)]
    return "".join(text).strip()


def transcript(messages: Sequence[dict[str, Any]]) -> str:
    """Returns messages as plain text, long results shortened."""
    lines = []
    for message in messages:
        text = text_of(message.get("content"))
        call = message.get("function_call")
        if message["role"] == "function":
            text, _ = shorten(text, _RESULT_BYTES)
            lines.append(f"result of {message.get('name')}: {text}")
        elif text:
            lines.append(f"{message['role']}: {text}")
        if call:
            lines.append(f"call of {call['name']}: {call['arguments']}")
    return "\n".join(lines)
