"""Replies that find no end: small models fall into writing the same words over and over.

No server ends such a reply before its limit, which may be the whole window: minutes of a local
machine, all of it paid for elsewhere.
"""

from __future__ import annotations

from qwenbelt.agents.models.deltas import CallDelta, Text, Thought, WirePiece

_PROBE = 24  # characters at the end whose last occurrence before tells the period
_TIMES = 5  # how often the same must be repeated, whatever its length
WORDS = 500  # characters of repeated words: no end will come
SIGNS = 4000  # of repeated signs: rulers, empty cells and rows of zeros may be meant
_DISTINCT = 4  # characters from which a repeated part counts as words
_LOOK_EVERY = 250
SMALL_MODELS = ("llamacpp", "ollama", "local")  # dialects


def repeated_part(text: str, size: int) -> str:
    """Returns the part that a text repeats at its end, or "".

    Args:
        text: what was written so far.
        size: characters in all that must be repetition.
    """
    probe = text[-_PROBE:]
    before = text.rfind(probe, 0, len(text) - 1)
    if before < 0 or len(probe) < _PROBE:
        return ""
    period = len(text) - len(probe) - before
    needed = max(size, _TIMES * period)
    tail = text[-needed:]
    whole = len(tail) == needed and tail[period:] == tail[:-period]
    return text[-period:] if whole else ""


def without_repetition(text: str) -> str:
    """Returns a text that repeats itself at its end with the repeated part twice."""
    part = repeated_part(text, WORDS)
    if not part:
        return text
    end = len(text)
    while text.endswith(part, 0, end):
        end -= len(part)
    return f"{text[:end]}{part}{part} …"


class EndlessReply:
    """Looks for repetition in a reply while it arrives."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._new = 0

    def grew(self, piece: WirePiece) -> bool:
        """Takes a piece; returns whether the reply only repeats itself by now."""
        kind = type(piece)
        if kind is CallDelta:
            new = piece.arguments  # type: ignore[union-attr]
        elif kind is Text or kind is Thought:
            new = piece.text  # type: ignore[union-attr]
        else:
            return False
        self._parts.append(new)
        self._new += len(new)
        if self._new < _LOOK_EVERY:
            return False
        self._new = 0
        text = "".join(self._parts)[-2 * SIGNS :]
        self._parts = [text]
        part = repeated_part(text, WORDS)
        return bool(part) and (len(set(part)) >= _DISTINCT or bool(repeated_part(text, SIGNS)))
