"""Messages in OpenAI's chat form, read as qwen-agent's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.core.errors import InputError

_TEXTS = ("text", "input_text", "output_text", "refusal")
_MEDIA = {
    "image_url": "image",
    "input_image": "image",
    "video_url": "video",
    "video": "video",
    "audio_url": "audio",
}


def from_openai(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns messages as qwen-agent's; those that are already are not changed.

    `tool_calls` become a message each with a `function_call`, a message of the role `tool` the
    result of the call that its `tool_call_id` names, and parts with a `type` qwen-agent's items.

    Raises:
        InputError: a part has a type that is not understood.
    """
    names: dict[str, str] = {}
    out: list[dict[str, Any]] = []
    for message in messages:
        out += _read_message(dict(message), names)
    return out


def _read_message(message: dict[str, Any], names: dict[str, str]) -> Iterator[dict[str, Any]]:
    calls = message.pop("tool_calls", None)
    message["content"] = _message_content(message.get("content"))
    if message.get("role") == "developer":
        message["role"] = "system"
    if message.get("role") == "tool":
        identity = str(message.pop("tool_call_id", "") or "")
        name = message.get("name") or names.get(identity) or "tool"
        extra = {**(message.get("extra") or {}), "function_id": identity}
        yield {**message, "role": "function", "name": name, "extra": extra}
        return
    if message.get("function_call") is None:
        message.pop("function_call", None)
    if not isinstance(calls, Sequence) or not calls:
        yield message
        return
    if message["content"]:
        yield message
    for call in calls:
        function = call.get("function") or {}
        identity, name = str(call.get("id") or ""), str(function.get("name") or "")
        names[identity] = name
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments or {}, ensure_ascii=False)
        yield {
            "role": "assistant",
            "content": "",
            "function_call": {"name": name, "arguments": arguments},
            "extra": {"function_id": identity},
        }


def _message_content(content: Any) -> Any:
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    return [
        _content_item(part)
        if isinstance(part, Mapping) and isinstance(part.get("type"), str)
        else part
        for part in content
    ]


def _content_item(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind in _TEXTS:
        return {"text": str(part.get("text", part.get(kind, "")))}
    if kind in _MEDIA:
        value = part.get("image_url" if kind == "input_image" else kind)
        if isinstance(value, Mapping):
            value = value.get("url")
        return {_MEDIA[kind]: value}
    if kind == "input_audio":
        audio = part.get("input_audio") or {}
        return {"audio": {"data": audio.get("data", ""), "format": audio.get("format", "wav")}}
    if kind == "file" and isinstance(part.get("file"), str):
        return {"file": part["file"]}
    own = {key: value for key, value in part.items() if key != "type"}
    if set(own) & {"text", "image", "audio", "video"}:
        return own  # qwen-agent's item with a type beside it
    raise InputError(f"Parts of messages of the type {kind!r} are not understood.")
