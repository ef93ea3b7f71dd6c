"""Reads only the wanted part of a file: the first or last lines of a large one are cheap."""

from __future__ import annotations

import os
from typing import BinaryIO

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.filesystem.encoding import is_binary, is_wide

MAX_TEXT_BYTES = 64 * 1024 * 1024  # of one file that is decoded or edited
_BLOCK = 128 * 1024


class TooLarge(Exception):
    """The file has more bytes than are decoded."""


def wanted_bytes(
    descriptor: int, size: int, shown: str, *, head: int | None = None, tail: int | None = None
) -> bytes:
    r"""Returns a text file's bytes, or only those with its first or last lines.

    Lines end with `\n`. What is left out is whole lines, so no character is cut.

    Raises:
        TooLarge: all of it is wanted and it is too long.
        ToolError: it is not a text file.
    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        start = file.read(_BLOCK)
        if is_binary(start):
            raise ToolError(f"{shown} is not a text file; read_media_file gives it as it is.")
        if size > _BLOCK and not is_wide(start):
            if head is not None:
                return _first_lines(file, start, head)
            if tail is not None:
                return _last_lines(file, size, tail)
        if size > MAX_TEXT_BYTES:
            raise TooLarge
        return start + file.read(MAX_TEXT_BYTES)


def _first_lines(file: BinaryIO, start: bytes, count: int) -> bytes:
    parts, found, size = [start], start.count(b"\n"), len(start)
    while found < count and size < MAX_TEXT_BYTES and (block := file.read(_BLOCK)):
        parts.append(block)
        found += block.count(b"\n")
        size += len(block)
    raw = b"".join(parts)
    return raw[: raw.rfind(b"\n") + 1] if found >= count else raw


def _last_lines(file: BinaryIO, size: int, count: int) -> bytes:
    start, raw = size, b""
    while start and raw.count(b"\n") <= count and len(raw) < MAX_TEXT_BYTES:
        before = max(0, start - max(len(raw), _BLOCK))
        file.seek(before)
        raw = file.read(start - before) + raw
        start = before
    return raw[raw.find(b"\n") + 1 :] if start else raw


def lines_of(
    text: str, head: int | None, tail: int | None, start: int | None, count: int | None
) -> str:
    """Returns some lines of a text: the first, the last, or `count` from `start` (from 1)."""
    if head is None and tail is None and start is None and count is None:
        return text
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    if head is not None:
        chosen = lines[: max(head, 0)]
    elif tail is not None:
        chosen = lines[-tail:] if tail > 0 else []
    else:
        first = max((start or 1) - 1, 0)
        chosen = lines[first : first + max(count, 0)] if count is not None else lines[first:]
    return "\n".join(chosen)
