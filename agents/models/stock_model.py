"""qwen-agent's own chat models on our loop, for an llm dict that names their `model_type`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.deltas import CallDelta, Finish, Text, Thought, WirePiece
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Request
from qwenbelt.core.errors import EndpointError, one_line


class StockModel:
    """Drives a `BaseChatModel` of qwen-agent: its growing lists become pieces.

    Args:
        llm: the chat model object.
        form: "react" when calls are written as text, else native.
    """

    def __init__(self, llm: Any, form: str | None = None) -> None:
        self._llm = llm
        self.name = str(getattr(llm, "model", "") or type(llm).__name__)
        self.url = f"qwen-agent:{getattr(llm, 'model_type', '') or type(llm).__name__}"
        self.codec = codec_for(form if form == "react" else "native")
        self.thinks_not = self.is_led = False
        self.max_retries = 0  # it retries by itself

    def adapt(self, error: EndpointError, request: Request) -> str:
        """Nothing can be changed about how a stock model writes its requests."""
        return ""

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Runs the model's `chat` in a thread and yields what is new in each list."""
        found: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def tell(value: Any) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(found.put_nowait, value)

        def work() -> None:
            try:
                for reply in self._chat(request):
                    if stopped.is_set():
                        return
                    tell(list(reply))
                tell(None)
            except Exception as error:  # whatever a chat model raises is an endpoint's failure
                tell(EndpointError(one_line(error)))

        threading.Thread(target=work, name="qwenbelt-stock-model", daemon=True).start()
        seen = _Seen()
        try:
            while True:
                value = await found.get()
                if value is None:
                    break
                if isinstance(value, EndpointError):
                    raise value
                for piece in seen.new(value):
                    yield piece
        finally:
            stopped.set()
        yield Finish("tool_calls" if seen.calls else "stop")

    def _chat(self, request: Request) -> Iterator[list[Any]]:
        settings = {**request.extra, "lang": request.language}
        messages = list(request.messages)
        functions: list[dict[str, Any]] | None = list(request.tools)
        if self.codec.form == "react":
            self.codec.offer(messages, request.tools, request.choice, request.language)
            settings["stop"] = list(self.codec.stop)
            functions = None
        if request.choice == "none":
            functions = None
        chat: Iterator[list[Any]] = self._llm.chat(
            messages=_from_wire(messages),
            functions=functions or None,
            stream=True,
            extra_generate_cfg=settings,
        )
        return chat


class _Seen:
    """What has been passed on of the growing lists."""

    def __init__(self) -> None:
        self._text: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self.calls: dict[int, int] = {}

    def new(self, reply: list[Any]) -> Iterator[WirePiece]:
        for place, message in enumerate(reply):
            thoughts = text_of(message.get("reasoning_content"))
            yield from self._grown(self._thoughts, place, thoughts, Thought)
            yield from self._grown(self._text, place, text_of(message.get("content")), Text)
            call = message.get("function_call")
            if call:
                yield from self._call(place, message, call)

    def _grown(self, seen: dict[int, int], place: int, text: str, kind: Any) -> Iterator[WirePiece]:
        start = seen.get(place, 0)
        if len(text) > start:
            seen[place] = len(text)
            yield kind(text[start:])

    def _call(self, place: int, message: Any, call: Any) -> Iterator[WirePiece]:
        arguments = call["arguments"] if isinstance(call["arguments"], str) else ""
        start = self.calls.get(place)
        identity = str((message.get("extra") or {}).get("function_id") or "")
        if start is None:
            self.calls[place] = len(arguments)
            yield CallDelta(place, identity, call["name"], arguments)
        elif len(arguments) > start:
            self.calls[place] = len(arguments)
            yield CallDelta(place, "", "", arguments[start:])


def _from_wire(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns chat completions messages in qwen-agent's form."""
    out: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message["role"] == "tool":
            identity = message["tool_call_id"]
            out.append(
                {
                    "role": "function",
                    "name": names.get(identity, ""),
                    "content": message["content"],
                    "extra": {"function_id": identity},
                }
            )
            continue
        if message.get("content") or not message.get("tool_calls"):
            content = _content_from_wire(message.get("content") or "")
            out.append({"role": message["role"], "content": content})
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
            out.append(
                {
                    "role": "assistant",
                    "content": "",
                    "function_call": dict(call["function"]),
                    "extra": {"function_id": call["id"]},
                }
            )
    return out


def _content_from_wire(content: Any) -> Any:
    if isinstance(content, str):
        return content
    items: list[dict[str, Any]] = []
    for part in content:
        if part["type"] == "image_url":
            items.append({"image": part["image_url"]["url"]})
        else:
            items.append({"text": part.get("text", "")})
    return items
