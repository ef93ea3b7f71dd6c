"""Cuts a growing Markdown text into finished blocks, so that showing it costs linear time."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FENCE_INSIDE = re.compile(r"[ \t]+(`{3,}|~{3,})")  # of an item's code
_ITEM = re.compile(r" {0,3}([-*+]|\d{1,9}[.)])[ \t]")


class MarkdownStream:
    """Takes pieces of a text and gives back its blocks as they become complete.

    A block ends at an empty line outside a code fence, or with the fence itself; a list continues
    over empty lines as long as items or indented lines follow.

    Attributes:
        rest: the part that is not complete yet.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._tail = ""
        self._fence = self._inner = ""

    @property
    def rest(self) -> str:
        """The open block as far as it has come."""
        return "".join(self._lines) + self._tail

    @property
    def in_code(self) -> bool:
        """Whether a code fence is open, its first line complete."""
        return bool(self._fence)

    def feed(self, piece: str) -> list[str]:
        """Takes the next piece; returns the blocks that it completes."""
        if "\n" not in piece:
            self._tail += piece
            return []
        *lines, tail = (self._tail + piece).split("\n")
        self._tail = tail
        blocks = [self._line(line + "\n") for line in lines]
        return [block for block in blocks if block]

    def finish(self) -> str:
        """Returns what is left and starts again."""
        rest = self.rest
        self._lines, self._tail, self._fence, self._inner = [], "", "", ""
        return rest

    def _line(self, line: str) -> str:
        fence = _FENCE.match(line)
        if self._fence:
            self._lines.append(line)
            mark = fence.group(1) if fence else ""
            closed = mark.startswith(self._fence) and line.strip() == mark
            return self._complete() if closed else ""
        in_list = bool(self._lines) and _ITEM.match(self._lines[0]) is not None
        if in_list and self._belongs_to_item_code(line):
            self._lines.append(line)
            return ""
        if fence:
            before = self._complete()
            self._fence = fence.group(1)
            self._lines.append(line)
            return before
        if not line.strip() and not in_list:
            return self._complete()
        gap = in_list and not self._lines[-1].strip()
        ends = gap and line.strip() and not line.startswith((" ", "\t")) and not _ITEM.match(line)
        before = self._complete() if ends else ""
        self._lines.append(line)
        return before

    def _belongs_to_item_code(self, line: str) -> bool:
        """Returns whether a line of a list is code of an item; keeps whether its fence is open."""
        if not self._inner:
            opening = _FENCE_INSIDE.match(line)
            self._inner = opening.group(1) if opening else ""
            return opening is not None
        if line.strip() and not line.startswith((" ", "\t")):  # the item ends, and its code
            self._inner = ""
            return False
        mark = line.strip()
        if mark.startswith(self._inner) and not mark.strip(self._inner[0]):
            self._inner = ""
        return True

    def _complete(self) -> str:
        block = "".join(self._lines)
        self._lines, self._fence, self._inner = [], "", ""
        return block
