"""Replies in the form of OpenAI's chat completions."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from qwenbelt.apps.serve.activity import Kind, Told

DONE = "data: [DONE]\n\n"
_FIELDS: dict[Kind, str] = {"text": "content", "thought": "reasoning_content"}


class ChatForm:
    """One reply, whole or as a stream.

    Args:
        model: the name that the client asked for.
        with_usage: whether the stream ends with the counts of tokens.

    Attributes:
        id: the reply's id.
    """

    def __init__(self, model: str, with_usage: bool) -> None:
        self._with_usage = with_usage
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._base = {
            "id": self.id,
            "created": int(time.time()),
            "model": model,
        }
        self._parts: dict[Kind, list[str]] = {"text": [], "thought": []}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {**self._base, "object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    def begin(self) -> str:
        """Returns the first lines of the stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, kind: Kind, text: str) -> str:
        """Returns the lines of a piece, and keeps it for the whole reply."""
        self._parts[kind].append(text)
        return self._chunk({_FIELDS[kind]: text})

    def end(self, told: Told) -> str:
        """Returns the last lines of the stream."""
        lines = self._chunk({}, told.reason)
        if self._with_usage:
            body = {**self._base, "object": "chat.completion.chunk", "choices": []}
            body["usage"] = usage(told)
            lines += f"data: {json.dumps(body)}\n\n"
        return lines + DONE

    def failure(self, error: dict[str, Any]) -> str:
        """Returns the last lines of a stream that failed."""
        return f"data: {json.dumps({'error': error}, ensure_ascii=False)}\n\n" + DONE

    def whole(self, told: Told) -> dict[str, Any]:
        """Returns the reply as one object."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._parts["text"])}
        if self._parts["thought"]:
            message["reasoning_content"] = "".join(self._parts["thought"])
        choice = {"index": 0, "message": message, "finish_reason": told.reason}
        body = {**self._base, "object": "chat.completion", "choices": [choice]}
        return {**body, "usage": usage(told)}


def usage(told: Told) -> dict[str, Any]:
    """Returns the counts of tokens of all model calls of the run."""
    return {
        "prompt_tokens": told.input_tokens,
        "completion_tokens": told.output_tokens,
        "total_tokens": told.input_tokens + told.output_tokens,
        "prompt_tokens_details": {"cached_tokens": told.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": told.reasoning_tokens},
    }
