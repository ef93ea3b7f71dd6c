"""Replies in the form of OpenAI's responses, as far as texts go."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from qwenbelt.apps.serve.activity import Kind, Told

_TOLD_BACK = (
    *("instructions", "metadata", "max_output_tokens", "reasoning"),
    *("temperature", "text", "top_p", "background", "previous_response_id", "store"),
    "conversation",
)
_WHOLE = ("stop", "approval")  # one that asks has said all that it can


class ResponseForm:
    """One reply, whole or as a stream: an item of thoughts, if there are any, and a message.

    Args:
        model: the name that the client asked for.
        asked: the request; clients (LangChain's parser of typed answers) read it in the reply.
        identity: the reply's id; a new one by default.
    """

    def __init__(self, model: str, asked: Mapping[str, Any], identity: str = "") -> None:
        self._id = identity or f"resp_{uuid.uuid4().hex}"
        self._base = {
            "id": self._id,
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "text": {"format": {"type": "text"}},
            **{key: asked[key] for key in _TOLD_BACK if asked.get(key) is not None},
        }
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._open: Kind | None = None
        self._text: list[str] = []

    def _event(self, kind: str, **fields: Any) -> str:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        return {**self._base, "status": status, "output": self._items, "error": None, **fields}

    @property
    def id(self) -> str:
        """The reply's id."""
        return self._id

    def open(self, status: str) -> dict[str, Any]:
        """Returns the reply as long as nothing of it is there."""
        return self._response(status)

    def begin(self) -> str:
        """Returns the first events of the stream."""
        created = self._event("response.created", response=self._response("in_progress"))
        return created + self._event("response.in_progress", response=self._response("in_progress"))

    def piece(self, kind: Kind, text: str) -> str:
        """Returns the events of a piece; another kind than before begins a new item."""
        lines = ""
        if kind != self._open:
            lines = self._close() + self._begin_item(kind)
        self._text.append(text)
        at = {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1}
        if kind == "text":
            return lines + self._event(
                "response.output_text.delta", **at, content_index=0, delta=text, logprobs=[]
            )
        return lines + self._event(
            "response.reasoning_summary_text.delta", **at, summary_index=0, delta=text
        )

    def _begin_item(self, kind: Kind) -> str:
        self._open, self._text = kind, []
        if kind == "text":
            item = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
            part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
            name, place = "response.content_part.added", {"content_index": 0}
        else:
            item = {"type": "reasoning", "summary": []}
            part = {"type": "summary_text", "text": ""}
            name, place = "response.reasoning_summary_part.added", {"summary_index": 0}
        item["id"] = f"{'msg' if kind == 'text' else 'rs'}_{uuid.uuid4().hex}"
        self._items.append(item)
        index = len(self._items) - 1
        added = self._event("response.output_item.added", output_index=index, item=dict(item))
        return added + self._event(name, item_id=item["id"], output_index=index, part=part, **place)

    def _close(self) -> str:
        """Returns the events that end the open item."""
        if self._open is None:
            return ""
        item, index, text = self._items[-1], len(self._items) - 1, "".join(self._text)
        at = {"item_id": item["id"], "output_index": index}
        if self._open == "text":
            part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
            item.update(status="completed", content=[part])
            lines = self._event(
                "response.output_text.done", **at, content_index=0, text=text, logprobs=[]
            )
            lines += self._event("response.content_part.done", **at, content_index=0, part=part)
        else:
            part = {"type": "summary_text", "text": text}
            item["summary"] = [part]
            lines = self._event(
                "response.reasoning_summary_text.done", **at, summary_index=0, text=text
            )
            lines += self._event(
                "response.reasoning_summary_part.done", **at, summary_index=0, part=part
            )
        self._open = None
        return lines + self._event("response.output_item.done", output_index=index, item=dict(item))

    def _ask(self, told: Told) -> str:
        """Returns the events of items that ask for approvals."""
        lines = ""
        for item in told.asked.values() if told.reason == "approval" else ():
            if item not in self._items:
                self._items.append(item)
                index = len(self._items) - 1
                for kind in ("added", "done"):
                    lines += self._event(
                        f"response.output_item.{kind}", output_index=index, item=dict(item)
                    )
        return lines

    def end(self, told: Told) -> str:
        """Returns the last events of the stream."""
        lines = self._close() + self._ask(told)
        whole = self.whole(told)
        kind = "response.completed" if told.reason in _WHOLE else "response.incomplete"
        return lines + self._event(kind, response=whole)

    def failure(self, error: dict[str, Any]) -> str:
        """Returns the last event of a stream that failed."""
        told = {"code": error.get("code") or "server_error", "message": error["message"]}
        return self._close() + self._event(
            "response.failed", response={**self._response("failed"), "error": told}
        )

    def whole(self, told: Told) -> dict[str, Any]:
        """Returns the reply as one object."""
        self._close()
        self._ask(told)
        counts = {
            "input_tokens": told.input_tokens,
            "input_tokens_details": {"cached_tokens": told.cached_tokens},
            "output_tokens": told.output_tokens,
            "output_tokens_details": {"reasoning_tokens": told.reasoning_tokens},
            "total_tokens": told.input_tokens + told.output_tokens,
        }
        if told.reason in _WHOLE:
            return self._response("completed", usage=counts)
        filtered = told.reason == "content_filter"
        details = {"reason": "content_filter" if filtered else "max_output_tokens"}
        return self._response("incomplete", usage=counts, incomplete_details=details)
