"""The guards for size and time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from qwenbelt.core.errors import InputError

MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
MAX_RESULT_BYTES = 64 * 1024  # what one tool result may put into the conversation


def input_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Path:
    """Returns the path of a readable, regular, non-empty file within the size limit.

    Raises:
        InputError: one line naming the file and what is wrong with it.
    """
    file = Path(path).expanduser()
    try:
        info = file.stat()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no such file, or it cannot be reached.") from error
    if stat.S_ISDIR(info.st_mode):
        raise InputError(f"{file}: is a folder; give a file.")
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{file}: is not a regular file.")
    if info.st_size == 0:
        raise InputError(f"{file}: the file is empty.")
    if info.st_size > max_bytes:
        size, most = _shown_size(info.st_size), _shown_size(max_bytes)
        raise InputError(f"{file}: {size} is over the limit of {most}.")
    if not os.access(file, os.R_OK):
        raise InputError(f"{file}: no permission to read it.")
    return file


def _shown_size(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def shorten_text(text: str, max_bytes: int = MAX_RESULT_BYTES) -> tuple[str, int]:
    """Returns the head and tail of `text` within `max_bytes` of UTF-8, and the bytes left out."""
    if len(text) * 4 <= max_bytes:
        return text, 0
    raw = text.encode("utf-8", "replace")
    if len(raw) <= max_bytes:
        return text, 0
    tail = max_bytes // 4
    head = max_bytes - tail
    left_out = len(raw) - head - tail
    start = raw[:head].decode("utf-8", "ignore")
    end = raw[-tail:].decode("utf-8", "ignore") if tail else ""
    return f"{start}\n… [{left_out} bytes left out] …\n{end}", left_out
