"""Detects when the arguments of a streamed call are complete.

A JSON value delimits itself: when a scanner of braces, brackets and strings returns to depth
zero, nothing that follows can belong to it. Every character is looked at once.
"""

from __future__ import annotations

import re

_STRUCTURE = re.compile(r'["{}\[\]]')
_STRING = re.compile(r'["\\]')


class JsonSeal:
    """A scanner fed with pieces of text, in linear time at any length.

    Attributes:
        end: the offset just after the first complete object, array or string; None before that.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_seen", "end")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._seen = 0
        self.end: int | None = None

    def feed(self, piece: str) -> bool:
        """Takes the next piece; returns whether a complete value has been seen."""
        position = 0
        while self.end is None and position < len(piece):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            found = (_STRING if self._in_string else _STRUCTURE).search(piece, position)
            if found is None:
                break
            position = found.end()
            self._step(found.group(), self._seen + position)
        self._seen += len(piece)
        return self.end is not None

    @property
    def unclosed(self) -> int:
        """In how many braces and brackets the string stands that is still open; 0 for none."""
        return self._depth if self._in_string else 0

    def _step(self, character: str, offset: int) -> None:
        if character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = not self._in_string
            if not self._in_string and self._depth == 0:
                self.end = offset
        elif character in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            if self._depth <= 0:
                self.end = offset
