"""Reports a reply's text: as it comes, or after the hooks that may change it have seen it."""

from __future__ import annotations

from collections.abc import Callable

from qwenbelt.agents.hooks import Hooks
from qwenbelt.agents.models.deltas import BuiltinUse, WirePiece
from qwenbelt.core.events import (
    BuiltinTool,
    Event,
    ModelFinished,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
)


class ReplyTelling:
    """Reports the text of replies, one after another.

    Attributes:
        holds: whether hooks may still change or refuse a text, so that it is not reported before.
    """

    def __init__(self, emit: Callable[[Event], None], hooks: Hooks) -> None:
        self._emit = emit
        self.holds = hooks.has("after_model") or hooks.has("before_answer")
        self._finished: ModelFinished | None = None

    def note(self, piece: WirePiece, turn: int) -> None:
        """Reports the use of a tool of the endpoint."""
        if isinstance(piece, BuiltinUse):
            self._emit(BuiltinTool(turn, piece.name, piece.detail, piece.sources))

    def text(self, piece: str) -> None:
        """Takes a piece as it comes."""
        if not self.holds:
            self._emit(TextDelta(piece))

    def relabelled(self, text: str) -> None:
        """Takes that the text so far is thoughts."""
        if not self.holds:
            self._emit(TextRelabelled())
        elif text:
            self._emit(ThinkingDelta(text))

    def finished(self, event: ModelFinished) -> None:
        """Takes the end of a reply."""
        self._finished = event
        if not self.holds:
            self._end()

    def release(self, text: str) -> None:
        """Reports the text of the last reply, which the hooks have seen; once."""
        if self._finished is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Reports a text, held or of a hook, as the end of the last reply."""
        if text:
            self._emit(TextDelta(text))
        self._end()

    def _end(self) -> None:
        event, self._finished = self._finished, None
        if event is not None:
            self._emit(event)
