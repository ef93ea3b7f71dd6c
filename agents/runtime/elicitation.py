"""What an MCP server asks of the person in the middle of a call, and who answers it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from qwenbelt.agents.hooks import Hooks
from qwenbelt.core.events import ElicitationAsked, Event
from qwenbelt.core.language import user_language
from qwenbelt.tools.base import Question

Values = Mapping[str, Any] | None
_WORDS = {
    "en": (
        "The MCP server {server} asks: {message}\n",
        "Open this page yourself if you trust it: {url}\nDone? [y/N] ",
        "{name}{about} (empty: leave out, Ctrl-D: decline): ",
    ),
    "zh": (
        "MCP 服务器 {server} 询问：{message}\n",
        "如果信任，请自行打开此页面：{url}\n完成了吗？[y/N] ",
        "{name}{about}（留空则不填，Ctrl-D 拒绝）：",
    ),
}


class Elicitor:
    """Puts servers' questions to the hooks, then to who reads the run's events.

    Args:
        emit: takes the event, on the run's loop.
        hooks: are asked first.
        heard: whether who reads the events can answer; not so in the run of a subagent.
    """

    def __init__(self, emit: Callable[[Event], None], hooks: Hooks, *, heard: bool) -> None:
        self._heard = heard
        self._emit = emit
        self._hooks = hooks
        self._waiting: dict[str, asyncio.Future[Values]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self, loop: asyncio.AbstractEventLoop, question: Question
    ) -> concurrent.futures.Future[Values]:
        """Returns what will hold the values, or None for a refusal; from any thread."""
        answer: concurrent.futures.Future[Values] = concurrent.futures.Future()

        def begin() -> None:
            task = loop.create_task(self._put(question, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop.call_soon_threadsafe(begin)
        return answer

    async def _put(self, question: Question, answer: concurrent.futures.Future[Values]) -> None:
        values: Values = None
        request_id = f"ask-{uuid.uuid4().hex[:12]}"
        event = ElicitationAsked(
            request_id,
            question.server,
            question.message,
            dict(question.schema),
            question.mode,
            question.url,
        )
        try:
            values = await self._hooks.first("on_elicitation", event)
            if values is None and self._heard:
                future: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
                self._waiting[request_id] = future
                self._emit(event)
                values = await future
        finally:
            self._waiting.pop(request_id, None)
            if not answer.done():
                answer.set_result(values)

    def answer(self, request_id: str, values: Values) -> None:
        """Settles a question, on the run's loop; None declines it."""
        future = self._waiting.get(request_id)
        if future is not None and not future.done():
            future.set_result(values)

    def close(self) -> None:
        """Declines what is still open."""
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_result(None)


def ask_values_in_terminal(event: ElicitationAsked) -> Values:
    """Asks the person at the terminal; declines where there is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    head, page, field = _WORDS[user_language()]
    _write(head.format(server=event.server, message=_plain(event.message)))
    if event.mode == "url":
        _write(page.format(url=_plain(event.url)))
        return {} if sys.stdin.readline().strip().lower() in ("y", "yes", "是", "好") else None
    values: dict[str, Any] = {}
    for name, schema in (event.schema.get("properties") or {}).items():
        about = " ".join(
            _plain(str(part))
            for part in (schema.get("title") or schema.get("description"), schema.get("enum"))
            if part
        )
        _write(field.format(name=_plain(name), about=f" - {about}" if about else ""))
        line = sys.stdin.readline()
        if not line:
            return None
        if line.strip():
            values[name] = _typed(line.strip(), schema)
        elif "default" in schema:
            values[name] = schema["default"]
    return values


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
    except ValueError:
        return text  # the check of the answer says what is wrong
    if kind == "boolean":
        return text.lower() in ("y", "yes", "true", "1", "是", "好")
    if kind == "array":
        return [part.strip() for part in text.split(",")]
    return text


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:2000]


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
