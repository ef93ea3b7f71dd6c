"""Where in its Markdown a mark is: at the beginning of a line, in code, in a quotation.

A tag that is quoted, mentioned or shown in a fence is text; models that explain tool calling write
such text. This is the one rule for all forms that are read from text.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})([^`]*)")
_HEAD = 80  # characters of a line that are kept: enough for its fence
_LOOK_AHEAD = 200  # characters in which inline code must close
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」", "『": "』"}


class Place:
    """Follows text as it is shown; linear at any length of lines."""

    __slots__ = ("_fence", "_head", "_ticks", "last")

    def __init__(self) -> None:
        self._fence = ""
        self._head = ""
        self._ticks = 0
        self.last = ""

    def take(self, text: str) -> None:
        """Takes the next text."""
        if not text:
            return
        self.last = text[-1]
        first, *others = text.split("\n")
        self._go_on(first)
        for line in others:
            self._end_line()
            self._go_on(line)

    def fresh(self) -> None:
        """What follows counts as the beginning of a line: a call or thoughts have just ended."""
        self._head, self._ticks, self.last = "", 0, ""

    def _go_on(self, text: str) -> None:
        if len(self._head) < _HEAD:
            self._head += text[: _HEAD - len(self._head)]
        self._ticks += text.count("`")

    def _end_line(self) -> None:
        found = _FENCE.fullmatch(self._head)
        if found and not self._fence:
            self._fence = found.group(1)
        elif found and found.group(1).startswith(self._fence) and not found.group(2).strip():
            self._fence = ""
        self._head, self._ticks = "", 0

    @property
    def in_fence(self) -> bool:
        """Whether this is inside a fenced block of code."""
        return bool(self._fence)

    @property
    def begins_line(self) -> bool:
        """Whether a line begins here, outside fenced code; white space may be before it."""
        return not self._fence and not self._head.strip()

    @property
    def adjoins_text(self) -> bool:
        """Whether words end right here, as before a tag that should have had a line of its own.

        In prose a tag that is mentioned has a space, a quotation mark or a bracket before it.
        """
        quoted = self._head.lstrip().startswith(">")
        ends_words = bool(self.last) and (self.last.isalnum() or self.last in ".!?。！？…~")
        return ends_words and not (self._fence or quoted or self._ticks % 2)

    def is_mentioned(self, after: str, final: bool) -> bool | None:
        """Returns whether a mark here is only mentioned; None while what follows may decide it.

        Args:
            after: the text behind the mark, so far.
            final: whether no more follows.
        """
        if self._head.lstrip().startswith(">"):
            return True
        if self._ticks % 2:
            line, ended, _ = after[:_LOOK_AHEAD].partition("\n")
            if "`" in line:
                return True
            return False if ended or final or len(after) >= _LOOK_AHEAD else None
        if self.last in _QUOTES and self._head.strip():
            if not after and not final:
                return None
            return after.startswith(_QUOTES[self.last])
        return False
