"""Requests in OpenAI's forms, as qwen-agent messages; files that come with them are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.agents.answers.question import file_kind
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_MESSAGES = 2000
_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass
class Inbox:
    """Keeps the files of one request in a folder."""

    folder: Path
    count: int = 0

    def keep(self, data: bytes, name: str) -> Path:
        """Writes a file under a harmless name.

        Raises:
            InputError: it is too large or empty.
        """
        if not data or len(data) > MAX_FILE_BYTES:
            raise InputError(f"{name}: files must have 1 byte to {MAX_FILE_BYTES // 2**20} MB.")
        self.count += 1
        plain = re.sub(r"[^\w.-]", "_", Path(name.replace("\\", "/")).name)[-80:].lstrip(".")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / (plain or f"file-{self.count}")
        if os.path.lexists(path) and not _holds(path, data):  # another one: named by what it holds
            path = self.folder / f"{hashlib.sha256(data).hexdigest()[:12]}-{path.name}"
        if not _holds(path, data):
            write_bytes(path, data)
        return path


def _holds(path: Path, data: bytes) -> bool:
    """Whether a plain file holds just these bytes; code of earlier turns may have put others."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != len(data):
        return False
    return path.read_bytes() == data


def chat_messages(body: Mapping[str, Any], inbox: Inbox) -> list[dict[str, Any]]:
    """Returns the messages of a chat completions request.

    Raises:
        InputError: a message has another form, or one of its files cannot be used.
    """
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise InputError("`messages` must be a list with at least one message.")
    if len(given) > MAX_MESSAGES:
        raise InputError(f"`messages` has more than {MAX_MESSAGES} entries.")
    if body.get("tools") or body.get("functions"):
        raise InputError(
            "This server is an agent with tools of its own; `tools` of a client are not called."
        )
    if body.get("n", 1) != 1:
        raise InputError("`n` must be 1: an agent acts once.")
    found = [_read_message(entry, number, inbox) for number, entry in enumerate(given)]
    messages = [message for message in found if message is not None]
    if not messages or messages[-1]["role"] != "user":
        raise InputError("The last message must be of the user.")
    return messages


def _read_message(entry: Any, number: int, inbox: Inbox) -> dict[str, Any] | None:
    if not isinstance(entry, Mapping) or entry.get("role") not in (*_ROLES, "tool", "function"):
        raise InputError(f"messages[{number}] has no known role.")
    if entry["role"] in ("tool", "function"):
        return None  # of tools that ran at the client; the answer that followed has what matters
    role, content = _ROLES[entry["role"]], entry.get("content")
    if isinstance(content, list):
        content = _read_parts(content, f"messages[{number}]", inbox)
    elif not isinstance(content, str):
        content = ""
    if role != "user" and isinstance(content, list):
        content = "\n".join(part["text"] for part in content if "text" in part)
    return {"role": role, "content": content} if content or role == "user" else None


def _read_parts(content: Sequence[Any], where: str, inbox: Inbox) -> list[dict[str, str]]:
    parts = []
    for part in content:
        if not isinstance(part, Mapping):
            raise InputError(f"{where}: a part of the content is not an object.")
        parts.append(_read_part(part, where, inbox))
    return parts


def _read_part(part: Mapping[str, Any], where: str, inbox: Inbox) -> dict[str, str]:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return {"text": str(part.get("text", ""))}
    if kind in ("image_url", "input_image"):
        given = part.get("image_url", "")
        url = given.get("url", "") if isinstance(given, Mapping) else given
        return {"image": str(_fetched_file(str(url), "image", inbox))}
    if kind == "input_audio":
        audio = part.get("input_audio") or {}
        name = f"audio.{audio.get('format', 'wav')}"
        return {"audio": str(inbox.keep(_decoded_data(str(audio.get("data", "")), name), name))}
    if kind in ("file", "input_file"):
        return _read_file_part(part.get("file") if kind == "file" else part, where, inbox)
    raise InputError(f"{where}: parts of type {kind!r} are not understood.")


def _read_file_part(given: Any, where: str, inbox: Inbox) -> dict[str, str]:
    file = given if isinstance(given, Mapping) else {}
    name = str(file.get("filename") or "file")
    data = file.get("file_data") or file.get("file_url")
    if not isinstance(data, str):
        raise InputError(
            f"{where}: a file needs `file_data` or `file_url`; ids are not known here."
        )
    path = _fetched_file(data, name, inbox)
    return {file_kind(path): str(path)}


def _fetched_file(url: str, name: str, inbox: Inbox) -> Path:
    """Returns the file behind a data URL or a public address.

    Raises:
        InputError: it cannot be had.
        ToolRefused: the address is not public.
    """
    match = _DATA_URL.fullmatch(url)
    if match:
        if "." not in name:
            name += mimetypes.guess_extension(match["type"]) or ".bin"
        return inbox.keep(_decoded_data(match["data"], name), name)
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{name}: neither a data URL nor an http(s) address.")
    from qwenbelt.tools.web.download import download_url

    found = download_url(url, max_bytes=MAX_FILE_BYTES)
    last = Path(urlsplit(found.url).path).name or name
    if "." not in last:
        last += mimetypes.guess_extension(found.media_type) or ".bin"
    return inbox.keep(found.data, last)


def _decoded_data(data: str, name: str) -> bytes:
    if len(data) > MAX_FILE_BYTES * 4 // 3 + 8:
        raise InputError(f"{name}: larger than {MAX_FILE_BYTES // 2**20} MB.")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise InputError(f"{name}: not valid base64.") from error


def input_items(body: Mapping[str, Any]) -> list[Any]:
    """Returns the items of a responses request.

    Raises:
        InputError: there are none.
    """
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise InputError("`input` must be a text or a list of messages.")
    return given


def response_messages(body: Mapping[str, Any], inbox: Inbox) -> list[dict[str, Any]]:
    """Returns the messages of a responses request (`input`, `instructions`).

    Raises:
        InputError: see `chat_messages`.
    """
    for key in ("previous_response_id", "conversation"):
        if body.get(key):
            raise InputError(
                f"`{key}` is not known here; send the messages so far.",
                fix=f"With --store, this server keeps replies, and `{key}` works.",
            )
    given = input_items(body)
    said = [item for item in given if isinstance(item, Mapping) and item.get("role")]
    if body.get("instructions"):
        said.insert(0, {"role": "system", "content": str(body["instructions"])})
    return chat_messages({"messages": said, "tools": body.get("tools")}, inbox)
