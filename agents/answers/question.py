"""A question with files as a message."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.limits import input_file

_KINDS = {"image": "image", "audio": "audio", "video": "video"}


def user_message(text: str, files: Sequence[str | Path] = ()) -> dict[str, Any]:
    """Returns a user's message with files attached, each as the kind that its suffix names.

    Raises:
        InputError: a file cannot be read.
    """
    if not text.strip() and not files:
        raise InputError("The question is empty.")
    if not files:
        return {"role": "user", "content": text}
    content: list[dict[str, str]] = [{"text": text}]
    for file in files:
        path = input_file(file).resolve()
        content.append({file_kind(path): str(path)})
    return {"role": "user", "content": content}


def file_kind(path: str | Path) -> str:
    """Returns "image", "audio", "video" or "file" by a file's name."""
    kind = (mimetypes.guess_type(str(path))[0] or "").partition("/")[0]
    return _KINDS.get(kind, "file")
