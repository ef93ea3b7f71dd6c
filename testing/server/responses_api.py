"""The scripted endpoint's Responses API: the same turns, asked for and sent in its form.

The rules are those of OpenAI's API reference; what Model Studio ignores is refused here as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.errors import did_you_mean
from qwenbelt.testing.scenarios.scenario import Timing
from qwenbelt.testing.server.reply_sender import Sender

_FIELDS = set(
    """
    model input instructions tools tool_choice parallel_tool_calls stream temperature top_p text
    reasoning max_output_tokens max_tool_calls metadata previous_response_id store truncation user
    include service_tier prompt_cache_key safety_identifier conversation enable_thinking
    thinking_budget top_k background seed
    """.split()
)
_BUILTIN = {"web_search", "web_extractor", "code_interpreter", "file_search", "mcp"}
_PARTS = {
    "input_text": {"type", "text"},
    "output_text": {"type", "text", "annotations", "logprobs"},
    "input_image": {"type", "image_url", "detail", "file_id"},
    "input_file": {"type", "filename", "file_data", "file_url", "file_id"},
    "input_audio": {"type", "input_audio"},
}
_SAME = (*("model", "stream", "temperature", "top_p", "parallel_tool_calls", "metadata"), "user")


class KeptResponses:
    """The conversations behind the replies that were sent, by their ids."""

    def __init__(self) -> None:
        self._messages: dict[str, list[dict[str, Any]]] = {}

    def keep(self, response: str, messages: list[dict[str, Any]]) -> None:
        """Remembers a conversation with its reply."""
        self._messages[response] = messages

    def before(self, body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Returns the messages that a body continues; None when they are not known."""
        response = body.get("previous_response_id")
        return [] if response is None else self._messages.get(str(response))


def faults_of(body: Mapping[str, Any]) -> list[str]:
    """Returns what is wrong with a body of this API, one line each."""
    return [*_field_faults(body), *_tool_faults(body), *_input_faults(body.get("input"))]


def _field_faults(body: Mapping[str, Any]) -> Iterator[str]:
    for name in body:
        if name not in _FIELDS:
            yield f"unknown parameter: {name}.{did_you_mean(name, _FIELDS)}"
    most = body.get("max_output_tokens")
    if most is not None and not (isinstance(most, int) and most >= 1):
        yield f"`max_output_tokens` must be a whole number above 0, not {shown_value(most)}"
    for name in ("text", "reasoning"):
        if not isinstance(body.get(name, {}), dict):
            yield f"`{name}` must be an object, not {shown_value(body[name])}"


def _tool_faults(body: Mapping[str, Any]) -> Iterator[str]:
    for place, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind == "function":
            if "function" in tool or not tool.get("name"):
                yield f"tools[{place}]: name, description and parameters stand beside `type` here"
        elif kind not in _BUILTIN:
            yield f"tools[{place}]: unknown type {shown_value(kind)}"


def _input_faults(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        return
    if not isinstance(given, list) or not given:
        yield "`input` must be a text or a list with at least one item"
        return
    for place, item in enumerate(given):
        yield from (f"input[{place}]: {why}" for why in _item_faults(item))


def _item_faults(item: Any) -> Iterator[str]:
    if not isinstance(item, dict):
        yield "must be an object"
    elif item.get("type") == "function_call":
        if not isinstance(item.get("arguments"), str) or not item.get("name"):
            yield "a call needs `name` and `arguments` as a text"
    elif item.get("type") == "function_call_output":
        if not item.get("call_id") or not isinstance(item.get("output"), (str, list)):
            yield "a result needs `call_id` and `output`"
    elif item.get("type") in (None, "message"):
        yield from _message_faults(item)
    elif item.get("type") != "reasoning":
        yield f"unknown type {shown_value(item.get('type'))}"


def _message_faults(item: Mapping[str, Any]) -> Iterator[str]:
    if item.get("role") not in ("system", "developer", "user", "assistant"):
        yield f"unknown role {shown_value(item.get('role'))}"
    extra = set(item) - {"type", "role", "content", "id", "status"}
    if extra:
        yield f"unknown key {sorted(extra)[0]!r}"
    content = item.get("content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        yield "`content` must be a text or a list of parts"
        return
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        known = _PARTS.get(str(kind))
        if known is None:
            yield f"a part of unknown type {shown_value(kind)}"
        elif set(part) - known:
            yield f"a part {kind} with the unknown key {sorted(set(part) - known)[0]!r}"
        elif kind == "input_image" and not isinstance(part.get("image_url", ""), str):
            yield "`image_url` must be a text here"


def as_chat(body: Mapping[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a body in the form of chat completions, which scenarios are written for."""
    out: dict[str, Any] = {key: body[key] for key in _SAME if key in body}
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages = [*before]
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    for item in items or ():
        _add_item(messages, item)
    out["messages"] = messages
    functions = [t for t in body.get("tools") or () if t.get("type") == "function"]
    if functions:
        out["tools"] = [
            {"type": "function", "function": {k: v for k, v in t.items() if k != "type"}}
            for t in functions
        ]
    choice = body.get("tool_choice")
    if choice is not None and functions:
        named = isinstance(choice, dict)
        out["tool_choice"] = (
            {"type": "function", "function": {"name": choice.get("name")}} if named else choice
        )
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        inner = {key: value for key, value in form.items() if key != "type"}
        out["response_format"] = {"type": "json_schema", "json_schema": inner}
    if body.get("max_output_tokens"):
        out["max_tokens"] = body["max_output_tokens"]
    return out


def _add_item(messages: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    kind = item.get("type")
    if kind == "function_call":
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": None})
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        output = item["output"]
        text = output if isinstance(output, str) else _message_content(output)
        messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": text})
    elif kind in (None, "message"):
        messages.append({"role": item["role"], "content": _message_content(item["content"])})


def _message_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_content_part(part) for part in content]


def _content_part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part["text"]}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url", "")}}
    return dict(part)


class ResponseSender(Sender):
    """Sends one reply in the form of this API."""

    def response_id(self) -> str:
        """The id of the reply."""
        return f"resp_{self.exchange.request.number}"

    def _event(self, kind: str, **fields: Any) -> str:
        self._number = getattr(self, "_number", -1) + 1
        body = {"type": kind, "sequence_number": self._number, **fields}
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.response_id(),
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "model": self.frame["model"],
            "output": output,
            "error": None,
            "incomplete_details": None,
        }

    def _output(self) -> list[dict[str, Any]]:
        """Returns the whole reply's items."""
        message = self.exchange.reply or {}
        out: list[dict[str, Any]] = []
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        if thoughts:
            summary = [{"type": "summary_text", "text": thoughts}]
            out.append({"type": "reasoning", "id": "rs_1", "summary": summary})
        if message.get("content"):
            part = {"type": "output_text", "text": message["content"], "annotations": []}
            fields = {"role": "assistant", "status": "completed", "content": [part]}
            out.append({"type": "message", "id": "msg_1", **fields})
        for call in message.get("tool_calls") or ():
            function = call["function"]
            fields = {"name": function["name"], "arguments": function["arguments"] or ""}
            item = {"type": "function_call", "id": f"fc_{call['id']}", "call_id": call["id"]}
            out.append({**item, "status": "completed", **fields})
        return out

    def _final(self) -> dict[str, Any]:
        usage = self._usage()
        counts = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage.get("prompt_tokens_details") or {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": usage.get("completion_tokens_details")
            or {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }
        reason = self.reply.finish_reason
        if reason in ("stop", "tool_calls"):
            return {**self._response("completed", self._output()), "usage": counts}
        why = "content_filter" if reason == "content_filter" else "max_output_tokens"
        cut = {"incomplete_details": {"reason": why}, "usage": counts}
        return {**self._response("incomplete", self._output()), **cut}

    async def whole(self, timing: Timing) -> None:
        """Sends the reply as one JSON object."""
        now = self.exchange.first_byte = time.monotonic()
        self.exchange.sealed = [now] * len(self.reply.calls)
        self._finish(now)
        self.connection.send_json(200, self._final())

    def _events(self, deltas: Sequence[Mapping[str, Any]], finish: str | None = None) -> str:
        out = ""
        for delta in deltas:
            if "role" in delta:
                started = self._response("in_progress", [])
                out += self._event("response.created", response=started)
                out += self._event("response.in_progress", response=started)
                self._open: tuple[str, int] | None = None
                self._last = -1
                continue
            calls = delta.get("tool_calls")
            out += self._call_events(calls[0]) if calls else self._text_events(delta)
        return out

    def _text_events(self, delta: Mapping[str, Any]) -> str:
        kind = "message" if "content" in delta else "reasoning"
        out = ""
        if self._open is None or self._open[0] != kind:
            item = {"type": kind, "id": f"{kind}_{self._last + 2}"}
            out += self._begin(kind, item)
        at = {"output_index": self._last, "item_id": f"{kind}_{self._last + 1}"}
        piece = next(iter(delta.values()))
        if kind == "message":
            place = {**at, "content_index": 0}
            return out + self._event("response.output_text.delta", **place, delta=piece)
        place = {**at, "summary_index": 0}
        return out + self._event("response.reasoning_summary_text.delta", **place, delta=piece)

    def _begin(self, kind: str, item: Mapping[str, Any]) -> str:
        self._last += 1
        self._open = (kind, self._last)
        added = {**item, "status": "in_progress"}
        return self._event("response.output_item.added", output_index=self._last, item=added)

    def _call_events(self, call: Mapping[str, Any]) -> str:
        function, out = call["function"], ""
        if "name" in function:
            item = {"type": "function_call", "id": f"fc_{call.get('id')}", "arguments": ""}
            out = self._begin("call", {**item, "call_id": call.get("id"), "name": function["name"]})
        at = {"output_index": self._last, "item_id": f"fc_{self._last}"}
        piece = function.get("arguments")
        if piece:
            out += self._event("response.function_call_arguments.delta", **at, delta=piece)
        return out

    def _ending(self) -> str:
        if self.fault.error_in_stream:
            message = self.fault.message or "The scenario breaks this stream."
            return self._event("error", code=self.fault.code or "server_error", message=message)
        final, out = self._final(), ""
        for place, item in enumerate(final["output"]):
            out += self._event("response.output_item.done", output_index=place, item=item)
        kind = "response.completed" if final["status"] == "completed" else "response.incomplete"
        return out if self.fault.no_done else out + self._event(kind, response=final)
