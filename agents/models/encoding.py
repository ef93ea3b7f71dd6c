"""Writes all that is sent to a model; `decoding` reads what comes back.

qwen-agent messages become the chat completions form, with every call answered exactly once.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.agents.models.codecs import Codec
from qwenbelt.agents.models.deltas import CallResult, JsonDict, ModelReply, ToolCall
from qwenbelt.agents.models.tool_pictures import PictureRule, images_of
from qwenbelt.agents.prompts import CANCELLED, EMPTY_RESULT
from qwenbelt.core.errors import InputError
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file

FILE_SCHEME = "file://"
# more than DashScope takes inline, which is 10 MB of base64; see `uploads` for what is larger
SMALL_BYTES = 7 * 1024 * 1024
MAX_FILE_BYTES = 1024 * 1024 * 1024
_SOUNDS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "amr", "3gp", "webm")
Messages = Iterable[Mapping[str, Any]]


def to_wire(
    messages: Messages,
    codec: Codec,
    language: Language = "en",
    pictures: PictureRule | None = None,
) -> list[JsonDict]:
    """Returns qwen-agent messages (dicts) in the chat completions form of a codec.

    Pictures of tools are sent by the rule `pictures`, if there is one. A call without a result is
    answered as cancelled; a result without a call becomes user text.

    Raises:
        InputError: a picture or sound of a message is missing or too large.
    """
    out: list[JsonDict] = []
    turn = _Turn(codec, language, pictures)
    for message in messages:
        role = message["role"]
        if role == "assistant":
            if turn.results or (turn.calls and not message.get("function_call")):
                out += turn.flush()
            turn.add_reply(message)
        elif role in ("function", "tool"):
            orphan = turn.add_result(message)
            if orphan is not None:
                out += turn.flush()
                out.append({"role": "user", "content": orphan})
        else:
            out += turn.flush()
            out.append({"role": role, "content": wire_content(message["content"])})
    return out + turn.flush()


class _Turn:
    """Collects one assistant turn: its text, its calls and their results."""

    def __init__(self, codec: Codec, language: Language, pictures: PictureRule | None) -> None:
        self._codec = codec
        self._language = language
        self._pictures = pictures
        self._used: set[str] = set()
        self._clear()

    def _clear(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[ToolCall] = []
        self.given: list[str] = []
        self.results: dict[str, CallResult] = {}

    def add_reply(self, message: Mapping[str, Any]) -> None:
        text = text_of(message.get("content"))
        if text:
            self.texts.append(text)
        thoughts = text_of(message.get("reasoning_content"))
        if thoughts:
            self.thoughts.append(thoughts)
        call = message.get("function_call")
        if call:
            given = str((message.get("extra") or {}).get("function_id") or "")
            identity = given
            if not given or given in self._used:
                # the same each time this conversation is written, so that its bytes stay
                told = f"{len(self._used)} {call['name']} {call['arguments']}"
                identity = f"call_{hashlib.sha256(told.encode()).hexdigest()[:16]}"
            self._used.add(identity)
            self.given.append(given)
            self.calls.append(ToolCall(len(self.calls), identity, call["name"], call["arguments"]))

    def add_result(self, message: Mapping[str, Any]) -> str | None:
        """Pairs a result with its call; returns its text when there is none."""
        given = str((message.get("extra") or {}).get("function_id") or "")
        text = text_of(message.get("content"))
        open_calls = [
            (call, named)
            for call, named in zip(self.calls, self.given, strict=True)
            if call.id not in self.results
        ]
        name = str(message.get("name") or "")
        exact = (call for call, named in open_calls if given and named == given)
        alike = (call for call, _ in open_calls if call.name == name)
        found = next(exact, None) or next(alike, None)
        if found is None:
            return f"{name}: {text}" if name else text
        self.results[found.id] = CallResult(
            found.id,
            found.name,
            text or EMPTY_RESULT[self._language],
            images_of(message.get("content")),
        )
        return None

    def flush(self) -> list[JsonDict]:
        if not self.texts and not self.calls:
            return []
        reply = ModelReply("\n".join(self.texts), "\n".join(self.thoughts), self.calls)
        out = [self._codec.reply_message(reply)]
        if self.calls:
            missing = CANCELLED[self._language]
            results = [
                self.results.get(call.id) or CallResult(call.id, call.name, missing)
                for call in self.calls
            ]
            out += result_messages(self._codec, results, self._pictures, self._language)
        self._clear()
        return out


def result_messages(
    codec: Codec,
    results: Sequence[CallResult],
    pictures: PictureRule | None,
    language: Language,
) -> list[JsonDict]:
    """Returns the results of a reply's calls in a codec's form, with their pictures."""
    messages = codec.result_messages(results)
    return pictures.place(messages, results, language) if pictures is not None else messages


def text_of(content: object) -> str:
    """Returns the text of a message's content; other items appear as their names."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = []
    for item in content if isinstance(content, Sequence) else ():
        kind, value = _content_item(item)
        parts.append(value if kind == "text" else f"[{kind}: {_file_name(value)}]")
    return "\n".join(parts)


def _content_item(item: Any) -> tuple[str, Any]:
    fields = item if isinstance(item, Mapping) else item.model_dump()
    for kind in ("text", "image", "file", "audio", "video"):
        if fields.get(kind) is not None:
            return kind, fields[kind]
    return "text", ""


def _file_name(value: object) -> str:
    text = str(value)
    if text.startswith("data:"):
        return text[: text.find(",")]
    return text.replace("\\", "/").rsplit("/", 1)[-1]


def wire_content(content: Any) -> str | list[JsonDict]:
    """Returns a message's content as text, or as typed parts when it has pictures or sound."""
    if isinstance(content, str):
        return content
    parts: list[JsonDict] = []
    for item in content or []:
        kind, value = _content_item(item)
        parts.append(_content_part(kind, value))
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _content_part(kind: str, value: Any) -> JsonDict:
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "file":
        return {"type": "text", "text": f"(file: {_file_name(value)})"}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": inline_url(value)}}
    if kind == "audio":
        return {"type": "input_audio", "input_audio": _audio_part(value)}
    if isinstance(value, (list, tuple)):
        return {"type": "video", "video": [inline_url(frame) for frame in value]}
    return {"type": "video_url", "video_url": {"url": inline_url(value)}}


def _audio_part(value: Any) -> JsonDict:
    if isinstance(value, Mapping):
        return dict(value)
    ending = value.split("?")[0].rsplit(".", 1)[-1].lower()
    kind = ending if ending in _SOUNDS else "wav"
    return {"data": inline_url(value), "format": kind}


def inline_url(value: str) -> str:
    """Returns a URL for a request: http and data URLs as they are, small files as data.

    Larger files become `file://` URLs, which `uploads` places when the endpoint is known.

    Raises:
        InputError: the file is missing, empty or too large for any endpoint.
    """
    if value.startswith(("http://", "https://", "data:", "oss://")):
        return value
    path = input_file(value.removeprefix(FILE_SCHEME), max_bytes=MAX_FILE_BYTES)
    if path.stat().st_size > SMALL_BYTES:
        return f"{FILE_SCHEME}{path.resolve()}"
    return data_url(path)


def data_url(path: Path) -> str:
    """Returns a file as a data URL.

    Raises:
        InputError: it cannot be read.
    """
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    return f"data:{kind};base64,{data}"
