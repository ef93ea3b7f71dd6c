"""How replies end, and the habits that an endpoint has shown in a run."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio

from qwenbelt.agents.models.codecs import SoFar
from qwenbelt.agents.models.deltas import CallDelta, Finish, ModelReply, Thought, WirePiece
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.prompts import EMPTY_REPLY, ENDLESS_REPLY
from qwenbelt.agents.runtime.budget import Ending, Spending
from qwenbelt.core.language import Language

WHOLE = ("", "stop", "tool_calls")  # reasons for the end of a reply that is whole
# the numbers of passages and not a word beside them: no answer (Qwen2.5-Coder 1.5B on filings)
_ONLY_NUMBERS = re.compile(r"(?:[\s,;.]*\[\d{1,3}\])+[\s.]*")
_OUT_OF_TIME = "out_of_time"
MAX_UNUSABLE = 2  # replies without an answer that are asked for again


def in_time(pieces: AsyncIterator[WirePiece], spending: Spending) -> AsyncIterator[WirePiece]:
    """Returns the pieces of a reply, cut off when the run has no time left for one."""
    return pieces if spending.reply_seconds() is None else _in_time(pieces, spending)


async def _in_time(
    pieces: AsyncIterator[WirePiece], spending: Spending
) -> AsyncGenerator[WirePiece, None]:
    async with aclosing(pieces):  # type: ignore[type-var]
        while True:
            with anyio.move_on_after(max(spending.reply_seconds() or 0.0, 0.0)) as moved_on:
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            if moved_on.cancelled_caught:
                yield Finish(_OUT_OF_TIME)
                return
            yield piece


def cut_ending(reason: str) -> Ending:
    """Returns the end of a run whose last reply is not whole, with the endpoint's own reason."""
    if reason == "length":
        return Ending("length", "the reply was cut off")
    if reason == "content_filter":
        return Ending("content_filter", "the endpoint's content filter stopped the reply")
    if reason == _OUT_OF_TIME:
        return Ending("seconds", "the time of the run has passed in the middle of a reply")
    word = "".join(c if c.isalnum() or c in "_-" else "_" for c in reason)[:40]
    return Ending(word, f"the endpoint ended the reply with the reason {word}")


def ending_of(
    reply: ModelReply, unusable: int, language: Language, instead: str = ""
) -> Ending | str:
    """Returns the end of a run by a reply without calls, or what the model is told to write again.

    Args:
        reply: the reply.
        unusable: how many such replies the run had that were no answer.
        language: of what the model is told.
        instead: what it is told when it should have called a tool first, once where it answers.
    """
    again = unusable < MAX_UNUSABLE
    if reply.endless:
        ending = Ending("length", "the model repeated the same words without end")
        return ENDLESS_REPLY[language] if again else ending
    if reply.finish_reason not in WHOLE:
        return cut_ending(reply.finish_reason)
    if reply.text.strip() and (unusable or not _ONLY_NUMBERS.fullmatch(reply.text)):
        return instead if instead and not unusable else Ending("answer")
    empty = Ending("answer", "the model's reply was empty")
    return (instead or EMPTY_REPLY[language]) if again else empty


class EndpointWays:
    """How the endpoint marks calls and thoughts; once known, text is neither."""

    def __init__(self) -> None:
        self._native = self._thoughts_apart = False
        self._seen = 0  # messages that were looked at
        self._asked: Mapping[str, Any] = {}
        self._ids: set[str] = set()

    def note(self, piece: WirePiece) -> None:
        """Looks at a piece of a reply."""
        if isinstance(piece, CallDelta):
            self._native = True
        elif isinstance(piece, Thought):
            self._thoughts_apart = True

    def so_far(self, messages: Sequence[Mapping[str, Any]], given: int, form: str) -> SoFar:
        """Returns what a reader of the next reply has to know.

        Args:
            messages: of the conversation.
            given: how many of them the run was given.
            form: of the calls.
        """
        if len(messages) < self._seen:  # it was made shorter; ids stay used
            self._seen = 0
        for place in range(self._seen, len(messages)):  # only new ones: a run may be long
            message = messages[place]
            if message["role"] == "user":
                self._asked = message
            elif place >= given and message.get("function_call"):
                self._ids.add(str((message.get("extra") or {}).get("function_id") or ""))
        self._seen = len(messages)
        used = frozenset(self._ids)
        return SoFar(
            native=self._native and form == "native",
            thoughts_apart=self._thoughts_apart,
            called=bool(used),
            question=text_of(self._asked.get("content")),
            ids=used,
        )
