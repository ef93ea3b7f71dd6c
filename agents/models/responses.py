"""The Responses API as another way to write the same requests: chat bodies in, chat chunks out.

Sources: OpenAI's API reference, Model Studio's page "OpenAI compatible - Responses" (which also
names the header of the session cache), and vLLM's `/v1/responses`.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from qwenbelt.agents.models.client import ModelConnection, open_reply
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.core.errors import ConfigError, EndpointError, one_line

PATH = "/responses"
SESSION_HEADER = ("x-dashscope-session-cache", "enable")
BUILTIN = "builtin_tools"  # of generate_cfg: tools that run at the endpoint
APIS = ("chat", "responses")
# no field in the Responses API, or in another place there
_LEFT_OUT = {"messages", "stream_options", "stop", "n", "tools", "tool_choice", "response_format"}
_RENAMED = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
_KEPT_REPLIES = 1024  # a chat for a team has some hundred conversations
_QUERIES = ("query", "code", "url", "urls", "goal", "queries", "name", "arguments")


def responses_body(body: Mapping[str, Any], builtin: Sequence[JsonDict] = ()) -> JsonDict:
    """Returns a chat completions body in the form of the Responses API.

    Args:
        body: the chat body.
        builtin: tools of the endpoint, each with its `type`.
    """
    out: JsonDict = {_RENAMED.get(k, k): v for k, v in body.items() if k not in _LEFT_OUT}
    out["input"] = [item for message in body["messages"] for item in _message_items(message)]
    effort = out.pop("reasoning_effort", None)
    if effort is not None:
        out["reasoning"] = {"effort": effort}
    tools = [_tool_entry(tool["function"]) for tool in body.get("tools") or ()]
    tools += builtin
    if tools:
        out["tools"] = tools
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        choice = {"type": "function", "name": choice["function"]["name"]}
    if choice is not None:
        out["tool_choice"] = choice
    if body.get("response_format"):
        out["text"] = {"format": _text_format(body["response_format"])}
    return out


def _tool_entry(function: Mapping[str, Any]) -> JsonDict:
    # without `strict` OpenAI rewrites the schema so that each argument is required
    return {"type": "function", "strict": False, **function}


def _builtin_tool(tool: Any) -> JsonDict:
    if isinstance(tool, str) and tool:
        return {"type": tool}
    if isinstance(tool, Mapping) and isinstance(tool.get("type"), str):
        return dict(tool)
    raise ConfigError(
        f"A tool of the endpoint must be a name or an object with a `type`, not {tool!r}.",
        fix='For example: builtin_tools=["web_search", "code_interpreter"].',
    )


def _text_format(given: Mapping[str, Any]) -> JsonDict:
    inner = given.get("json_schema")
    return {"type": given.get("type"), **(inner if isinstance(inner, Mapping) else {})}


def _message_items(message: Mapping[str, Any]) -> list[JsonDict]:
    """Returns the items of one chat message."""
    role, content = message["role"], message.get("content")
    if role == "tool":
        output = content if isinstance(content, str) else _content_parts(content, role)
        return [{"type": "function_call_output", "call_id": _message_id(message), "output": output}]
    items: list[JsonDict] = []
    if content or role != "assistant":
        parts = content if isinstance(content, str) else _content_parts(content, role)
        items.append({"role": role, "content": parts})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        fields = {"name": function["name"], "arguments": function.get("arguments") or "{}"}
        items.append({"type": "function_call", "call_id": call["id"], **fields})
    return items


def _message_id(message: Mapping[str, Any]) -> str:
    return str(message.get("tool_call_id") or "")


def _content_parts(content: Any, role: str) -> list[JsonDict]:
    return [_content_part(part, role) for part in content or ()]


def _content_part(part: Mapping[str, Any], role: str) -> JsonDict:
    kind = part.get("type")
    if kind == "text":
        side = "output_text" if role == "assistant" else "input_text"
        return {"type": side, "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"]
        detail = {"detail": image["detail"]} if image.get("detail") else {}
        return {"type": "input_image", "image_url": image["url"], **detail}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    return dict(part)  # sound and video, as DashScope and vLLM name them


@dataclass(frozen=True)
class _Kept:
    response: str
    text: str
    calls: tuple[str, ...]


class KeptReplies:
    """What the endpoint still stores: a request that continues it sends only what is new.

    A reply is known by the items that led to it; the next request must begin with them and with
    the reply itself, else everything is sent.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Kept] = OrderedDict()

    def shortened(self, body: JsonDict) -> JsonDict:
        """Returns the body with `previous_response_id` in place of what the endpoint holds."""
        items = body["input"]
        for place, mark in reversed(list(enumerate(_beginning_digests(items), 1))):
            kept = self._known.get(mark)
            end = _after_reply(items, place, kept) if kept is not None else None
            if kept is not None and end is not None and end < len(items):
                return {**body, "input": items[end:], "previous_response_id": kept.response}
        return body

    def keep(self, items: Sequence[JsonDict], reply: Mapping[str, Any]) -> None:
        """Remembers the whole reply to a whole list of items."""
        output = [item for item in reply.get("output") or () if isinstance(item, Mapping)]
        calls = tuple(str(i.get("call_id")) for i in output if i.get("type") == "function_call")
        mark = _beginning_digests(items)[-1]
        self._known[mark] = _Kept(str(reply.get("id") or ""), _text_of(output), calls)
        while len(self._known) > _KEPT_REPLIES:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Drops everything: the endpoint no longer knows a reply."""
        self._known.clear()


def _beginning_digests(items: Sequence[JsonDict]) -> list[bytes]:
    """Returns a digest of each beginning of the items."""
    digest, out = hashlib.sha256(), []
    for item in items:
        digest.update(json.dumps(item, ensure_ascii=False, sort_keys=True).encode() + b"\n")
        out.append(digest.digest())
    return out


def _after_reply(items: Sequence[JsonDict], place: int, kept: _Kept) -> int | None:
    """Returns where the items continue after a stored reply; None when they differ from it."""
    end, text, calls = place, "", []
    while end < len(items):
        item = items[end]
        if item.get("role") == "assistant":
            content = item["content"]
            text += content if isinstance(content, str) else "".join(p["text"] for p in content)
        elif item.get("type") == "function_call":
            calls.append(item["call_id"])
        else:
            break
        end += 1
    same = text.strip() == kept.text.strip() and tuple(calls) == kept.calls
    return end if kept.response and same else None


def _text_of(output: Sequence[Mapping[str, Any]]) -> str:
    messages = [item for item in output if item.get("type") == "message"]
    parts = [part for item in messages for part in item.get("content") or ()]
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)


class ResponseEvents:
    """Turns the events of one reply, or the reply as one object, into chat chunks.

    Attributes:
        reply: the whole reply as the endpoint closed it, or None before that.
    """

    def __init__(self) -> None:
        self.reply: JsonDict | None = None
        self._calls: dict[Any, int] = {}
        self._told: set[Any] = set()  # items whose text or arguments came in pieces
        self._called = False

    async def chunks(self, events: AsyncIterator[JsonDict]) -> AsyncIterator[JsonDict]:
        """Yields the chunks of a stream."""
        async for event in events:
            for chunk in self.read(event):
                yield chunk

    def read(self, event: JsonDict) -> list[JsonDict]:
        """Returns the chunks of one event."""
        kind = str(event.get("type") or "")
        if event.get("error") or kind == "error":
            return [{"error": event.get("error") or event}]
        if event.get("object") == "response" and not kind:
            return self._whole(event)
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            return self._piece(event, {"content": event.get("delta")})
        if kind.startswith("response.reasoning") and kind.endswith(".delta"):
            return self._piece(event, {"reasoning_content": event.get("delta")})
        if kind == "response.function_call_arguments.delta":
            return self._arguments(event)
        if kind == "response.output_item.added":
            return self._begun(event)
        if kind == "response.output_item.done":
            return self._item(event.get("item"), event.get("output_index"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            return self._end(event.get("response"))
        return []

    def _piece(self, event: Mapping[str, Any], delta: JsonDict) -> list[JsonDict]:
        self._told.add(event.get("output_index"))
        return [_delta_chunk(delta)]

    def _begun(self, event: Mapping[str, Any]) -> list[JsonDict]:
        item, place = event.get("item"), event.get("output_index")
        if not isinstance(item, Mapping) or item.get("type") != "function_call":
            return []
        return [self._call(place, item, str(item.get("arguments") or ""))]

    def _call(self, place: Any, item: Mapping[str, Any], arguments: str) -> JsonDict:
        self._called = True
        number = self._calls.setdefault(place, len(self._calls))
        function = {"name": item.get("name"), "arguments": arguments}
        identity = item.get("call_id") or item.get("id")
        if arguments:
            self._told.add(place)
        call = {"index": number, "id": identity, "type": "function", "function": function}
        return _delta_chunk({"tool_calls": [call]})

    def _arguments(self, event: Mapping[str, Any]) -> list[JsonDict]:
        place = event.get("output_index")
        self._told.add(place)
        number = self._calls.setdefault(place, len(self._calls))
        function = {"arguments": event.get("delta") or ""}
        return [_delta_chunk({"tool_calls": [{"index": number, "function": function}]})]

    def _item(self, item: Any, place: Any) -> list[JsonDict]:
        """Reads a complete item; what was already streamed is not reported again."""
        if not isinstance(item, Mapping):
            return []
        kind = item.get("type")
        if kind == "function_call":
            if place in self._told:
                return []
            return [self._call(place, item, str(item.get("arguments") or "{}"))]
        if kind in ("message", "reasoning"):
            out = [] if place in self._told else _item_texts(item, str(kind))
            return [*out, *_cited_pages(item)]
        if kind is not None and kind.endswith("_call"):
            used = {"name": kind.removesuffix("_call"), "detail": _item_detail(item)}
            return [{"builtin_tool": {**used, "sources": _search_sources(item)}}]
        return []

    def _whole(self, reply: JsonDict) -> list[JsonDict]:
        out = []
        for place, item in enumerate(reply.get("output") or ()):
            out += self._item(item, place)
        return out + self._end(reply)

    def _end(self, reply: Any) -> list[JsonDict]:
        if not isinstance(reply, Mapping):
            return [{"error": "The reply ended without a `response`."}]
        if reply.get("status") == "failed" or reply.get("error"):
            return [{"error": reply.get("error") or "The reply failed."}]
        self.reply = dict(reply)
        why = (reply.get("incomplete_details") or {}).get("reason")
        cut = "content_filter" if why == "content_filter" else "length"
        reason = ("tool_calls" if self._called else "stop") if not why else cut
        last = _delta_chunk({}, reason)
        if isinstance(reply.get("usage"), Mapping):
            last["usage"] = _token_usage(reply["usage"])
        return [last, {"done": True}]


def _delta_chunk(delta: JsonDict, reason: str | None = None) -> JsonDict:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def _item_texts(item: Mapping[str, Any], kind: str) -> list[JsonDict]:
    name = "content" if kind == "message" else "reasoning_content"
    parts = item.get("content") or item.get("summary") or ()
    texts = [str(part.get("text") or part.get("refusal") or "") for part in parts]
    return [_delta_chunk({name: text}) for text in texts if text]


def _cited_pages(item: Mapping[str, Any]) -> list[JsonDict]:
    """Returns the pages that an answer's marks name, as a use of the search that found them."""
    marks = [m for part in item.get("content") or () for m in part.get("annotations") or ()]
    urls = [str(m["url"]) for m in marks if m.get("type") == "url_citation" and m.get("url")]
    if not urls:
        return []
    used = {"name": "url_citation", "detail": "", "sources": list(dict.fromkeys(urls))}
    return [{"builtin_tool": used}]


def _item_detail(item: Mapping[str, Any]) -> str:
    action = item.get("action") if isinstance(item.get("action"), Mapping) else {}
    for source in (action, item):
        for name in _QUERIES:
            if source and source.get(name):
                value = source[name]
                return one_line(value if isinstance(value, str) else json.dumps(value), 300)
    return ""


def _search_sources(item: Mapping[str, Any]) -> list[str]:
    action = item.get("action") if isinstance(item.get("action"), Mapping) else {}
    found = (action or {}).get("sources") or item.get("sources") or item.get("results") or ()
    urls = [s if isinstance(s, str) else s.get("url") or s.get("filename") for s in found]
    return [str(url) for url in dict.fromkeys(urls) if url]


def _token_usage(usage: Mapping[str, Any]) -> JsonDict:
    out = dict(usage)
    out["prompt_tokens_details"] = usage.get("input_tokens_details") or {}
    out["completion_tokens_details"] = usage.get("output_tokens_details") or {}
    return out


# by endpoint and model: the next turn of a conversation is another run, with a model of its own
_kept: dict[tuple[ModelConnection, str], KeptReplies] = {}


class ResponsesApi:
    """Sends chat bodies by the Responses API.

    Args:
        builtin: tools that run at the endpoint, as `generate_cfg` names them.
        keeps: whether the endpoint bills a conversation that it holds for less (DashScope's session
            cache): then a request that continues names the reply before it and sends what is new.
    """

    def __init__(self, builtin: Sequence[Any], *, keeps: bool) -> None:
        self._builtin = [_builtin_tool(tool) for tool in builtin]
        self._keeps = keeps

    def placed(self, connection: ModelConnection) -> ModelConnection:
        """Returns the connection to the API's own path."""
        headers = (*connection.headers, SESSION_HEADER) if self._keeps else connection.headers
        return replace(connection, path=PATH, headers=headers)

    @asynccontextmanager
    async def open(
        self, connection: ModelConnection, body: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[JsonDict]]:
        """Sends a chat body; gives the reply's chat chunks, as `client.open_reply` does.

        Raises:
            EndpointError: see there.
        """
        whole = responses_body(body, self._builtin)
        kept, sent = None, whole
        if self._keeps:
            kept = _kept.setdefault((connection, str(body.get("model"))), KeptReplies())
            sent = kept.shortened(whole)
        else:
            whole.setdefault("store", False)  # else OpenAI keeps replies for 30 days
        reader = ResponseEvents()
        async with AsyncExitStack() as stack:
            try:
                events = await stack.enter_async_context(open_reply(connection, _encoded(sent)))
            except EndpointError as error:
                if kept is None or sent is whole or error.status not in (400, 404):
                    raise
                kept.forget()  # the reply before this one is no longer held there
                events = await stack.enter_async_context(open_reply(connection, _encoded(whole)))
            yield reader.chunks(events)
        if kept is not None and reader.reply is not None:
            kept.keep(whole["input"], reader.reply)


def _encoded(body: JsonDict) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
