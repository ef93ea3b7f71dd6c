"""Local files of a conversation, placed where and as the endpoint can read them.

Small files go out inside the request. Larger ones stay `file://` in the history and are placed when
a request is made: DashScope takes an upload, which it keeps for 48 hours; every other endpoint gets
the file inline, up to a limit. Sound goes as a data URL to DashScope and as base64 alone elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qwenbelt.agents.models.client import ModelConnection
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.dialects import Dialect
from qwenbelt.agents.models.encoding import FILE_SCHEME, data_url
from qwenbelt.core.limits import input_file

MAX_INLINE_BYTES = 20 * 1024 * 1024
_KEPT_SECONDS = 47 * 3600.0

Place = Callable[[str], str]
_uploads: dict[tuple[str, str, str, int], tuple[str, float]] = {}
_lock = threading.Lock()


def needs_placing(messages: Sequence[JsonDict], dialect: Dialect) -> bool:
    """Says whether a message has parts that this endpoint does not take as they are."""
    for message in messages:  # a plain loop: it looks at each message of each request
        content = message.get("content")
        if not isinstance(content, list):
            continue
        for part in content:
            if part["type"] != "text" and (_holds_file(part) or _is_sound_url(part, dialect)):
                return True
    return False


def placed_files(
    messages: Sequence[JsonDict], dialect: Dialect, connection: ModelConnection, model: str
) -> list[JsonDict]:
    """Returns messages with all files where the endpoint can read them; may take minutes.

    Raises:
        InputError: a file is missing or over the endpoint's limit.
        EndpointError: an upload failed.
    """
    uploads = dialect.name == "dashscope"
    place: Place = partial(_uploaded_file, connection, model) if uploads else _inlined_file
    out = []
    for message in messages:
        if needs_placing([message], dialect):
            parts = [_placed_part(part, dialect, place) for part in message["content"]]
            message = {**message, "content": parts}
        out.append(message)
    return out


def _placed_part(part: JsonDict, dialect: Dialect, place: Place) -> JsonDict:
    if part["type"] == "text":
        return part
    made: JsonDict = _with_urls(part, place)
    if _is_sound_url(made, dialect):
        sound = made["input_audio"]
        made["input_audio"] = {**sound, "data": sound["data"].partition(",")[2]}
    return made


def _is_sound_url(part: JsonDict, dialect: Dialect) -> bool:
    """Says whether sound is a data URL where the endpoint wants its base64 alone."""
    data = part["input_audio"].get("data") if part["type"] == "input_audio" else None
    return isinstance(data, str) and data.startswith("data:") and not dialect.sound_urls


def _holds_file(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(FILE_SCHEME)
    if isinstance(value, list):
        return any(_holds_file(entry) for entry in value)
    return isinstance(value, Mapping) and any(_holds_file(entry) for entry in value.values())


def _with_urls(value: Any, place: Place) -> Any:
    if isinstance(value, str):
        return place(value) if value.startswith(FILE_SCHEME) else value
    if isinstance(value, list):
        return [_with_urls(entry, place) for entry in value]
    if isinstance(value, Mapping):
        return {name: _with_urls(entry, place) for name, entry in value.items()}
    return value


def _inlined_file(file: str) -> str:
    return data_url(input_file(file.removeprefix(FILE_SCHEME), max_bytes=MAX_INLINE_BYTES))


def _uploaded_file(connection: ModelConnection, model: str, file: str) -> str:
    """Uploads a file once for all requests while the service keeps it."""
    from qwenbelt.agents.models.dashscope import DashScope

    path = Path(file.removeprefix(FILE_SCHEME))
    changed = input_file(path).stat().st_mtime_ns
    key = (connection.url, model, str(path), changed)
    with _lock:
        url, until = _uploads.get(key, ("", 0.0))
    if not url or until < time.monotonic():
        url = DashScope(connection.key, connection.url).upload_media(path, model)
        with _lock:
            _uploads[key] = (url, time.monotonic() + _KEPT_SECONDS)
    return url
