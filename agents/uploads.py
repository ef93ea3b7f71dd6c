"""Large local files of a conversation, placed where the endpoint can read them.

Small files go out inside the request. Larger ones stay `file://` in the history and are placed when
a request is made: DashScope takes an upload, which it keeps for 48 hours; every other endpoint gets
the file inline, up to a limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qwenbelt.agents.client import Connection
from qwenbelt.agents.dialects import Dialect
from qwenbelt.agents.pieces import JsonDict
from qwenbelt.agents.wire import FILE_SCHEME, data_url
from qwenbelt.core.limits import input_file

MAX_INLINE_BYTES = 20 * 1024 * 1024
_KEPT_SECONDS = 47 * 3600.0

Place = Callable[[str], str]
_uploads: dict[tuple[str, str, str, int], tuple[str, float]] = {}
_lock = threading.Lock()


def has_files(messages: Sequence[JsonDict]) -> bool:
    """Says whether parts of messages are files that are still to be placed."""
    return any(
        part["type"] != "text" and _holds_file(part)
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


def with_files(messages: Sequence[JsonDict], place: Place) -> list[JsonDict]:
    """Returns messages whose files have the URLs that `place` gives them."""
    out = []
    for message in messages:
        if has_files([message]):
            parts = message["content"]
            parts = [p if p["type"] == "text" else _placed(p, place) for p in parts]
            message = {**message, "content": parts}
        out.append(message)
    return out


def _holds_file(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(FILE_SCHEME)
    if isinstance(value, list):
        return any(_holds_file(entry) for entry in value)
    return isinstance(value, Mapping) and any(_holds_file(entry) for entry in value.values())


def _placed(value: Any, place: Place) -> Any:
    if isinstance(value, str):
        return place(value) if value.startswith(FILE_SCHEME) else value
    if isinstance(value, list):
        return [_placed(entry, place) for entry in value]
    if isinstance(value, Mapping):
        return {name: _placed(entry, place) for name, entry in value.items()}
    return value


def placer(dialect: Dialect, connection: Connection, model: str) -> Place:
    """Returns how an endpoint gets large files; what it returns may take minutes.

    It raises InputError for a file that is missing or over the endpoint's limit, and EndpointError
    when an upload fails.
    """
    if dialect.name == "dashscope":
        return partial(_uploaded, connection, model)
    return _inlined


def _inlined(file: str) -> str:
    return data_url(input_file(file.removeprefix(FILE_SCHEME), max_bytes=MAX_INLINE_BYTES))


def _uploaded(connection: Connection, model: str, file: str) -> str:
    """Uploads a file once for all requests while the service keeps it."""
    from qwenbelt.agents.dashscope_modes import DashScope

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
