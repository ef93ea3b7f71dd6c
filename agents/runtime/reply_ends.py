"""How replies end, and what an endpoint has shown of its ways in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.codecs import SoFar
from qwenbelt.agents.models.deltas import CallDelta, Thought, WirePiece
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.runtime.budget import Ending

WHOLE = ("", "stop", "tool_calls")  # reasons for the end of a reply that is whole


def cut_ending(reason: str) -> Ending:
    """Returns the end of a run whose last reply is not whole, with the endpoint's own reason."""
    if reason == "length":
        return Ending("length", "the reply was cut off")
    if reason == "content_filter":
        return Ending("content_filter", "the endpoint's content filter stopped the reply")
    word = "".join(c if c.isalnum() or c in "_-" else "_" for c in reason)[:40]
    return Ending(word, f"the endpoint ended the reply with the reason {word}")


class EndpointWays:
    """How the endpoint tells calls and thoughts; once it is known, text is neither."""

    def __init__(self) -> None:
        self._native = self._thoughts_apart = False

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
        asked: Mapping[str, Any] = next((m for m in reversed(messages) if m["role"] == "user"), {})
        ids = (
            str((message.get("extra") or {}).get("function_id") or "")
            for message in messages[given:]
            if message.get("function_call")
        )
        used = frozenset(ids)
        return SoFar(
            native=self._native and form == "native",
            thoughts_apart=self._thoughts_apart,
            called=bool(used),
            question=text_of(asked.get("content")),
            ids=used,
        )
