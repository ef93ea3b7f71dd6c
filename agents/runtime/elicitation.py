"""Questions of an MCP server to the person in the middle of a call, and their answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from qwenbelt.agents.runtime.hooked import RunHooks
from qwenbelt.core.events import ElicitationAnswered, ElicitationAsked, Event
from qwenbelt.core.language import user_language
from qwenbelt.tools.base import Question
from qwenbelt.tools.mcp.forms import FormField, form_faults, form_fields, form_values

log = logging.getLogger(__name__)
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

    def __init__(self, emit: Callable[[Event], None], hooks: RunHooks, *, heard: bool) -> None:
        self._heard = heard
        self._emit = emit
        self._hooks = hooks
        self._waiting: dict[str, tuple[str, asyncio.Future[Values]]] = {}
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
                self._waiting[request_id] = (question.server, future)
                loop = asyncio.get_running_loop()
                answer.add_done_callback(
                    lambda _: loop.call_soon_threadsafe(self._gone, request_id)
                )
                self._emit(event)
                values = await future
        except Exception:  # of a hook; it ends the run once the call has ended
            log.info("a hook's on_elicitation failed", exc_info=True)
        finally:
            if not answer.done():
                answer.set_result(values)

    def answer(self, request_id: str, values: Values) -> None:
        """Settles a question, on the run's loop; None declines it. The first answer holds."""
        self._settle(request_id, values, "decline" if values is None else "accept")

    def _gone(self, request_id: str) -> None:
        """Takes a question back whose call no longer waits for the answer."""
        self._settle(request_id, None, "cancel")

    def _settle(self, request_id: str, values: Values, action: str) -> None:
        server, future = self._waiting.pop(request_id, ("", None))
        if future is not None and not future.done():
            future.set_result(values)
            self._emit(ElicitationAnswered(request_id, server, action))

    def close(self) -> None:
        """Declines what is still open."""
        while self._waiting:
            _, (_, future) = self._waiting.popitem()
            if not future.done():
                future.set_result(None)
        for task in self._tasks:
            task.cancel()  # a hook that has not come back


def ask_values_in_terminal(event: ElicitationAsked) -> Values:
    """Asks the person at the terminal; declines where there is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    head, page, _ = _WORDS[user_language()]
    _write_line(head.format(server=event.server, message=_plain(event.message)))
    if event.mode == "url":
        _write_line(page.format(url=_plain(event.url)))
        line = sys.stdin.readline().strip()
        pasted = next((one.name for one in form_fields(event.schema)), "")
        if pasted and "://" in line:  # a login whose page cannot come back to this machine
            return {pasted: line}
        return {} if line.lower() in ("y", "yes", "是", "好") else None
    given: dict[str, Any] = {}
    for one in form_fields(event.schema):
        while True:
            _write_line(_question_for_field(one))
            line = sys.stdin.readline()
            if not line:
                return None
            values = {**given, **({one.name: line.strip()} if line.strip() else {})}
            found = form_values(values, event.schema)
            fault = form_faults(found, event.schema, user_language()).get(one.name)
            if fault is None:
                given = values
                break
            _write_line(f"  {_plain(fault)}\n")
    return form_values(given, event.schema)


def _question_for_field(one: FormField) -> str:
    """Returns the question for one field, with its options numbered."""
    notes = [_plain(one.description)] if one.description else []
    if one.kind == "boolean":
        notes.append("y/n")
    if one.format:
        notes.append(one.format)
    if one.least is not None or one.most is not None:
        low, high = (f"{b:g}" if b is not None else "" for b in (one.least, one.most))
        notes.append(f"{low}…{high}")
    if one.default is not None:
        notes.append(f"[{_plain(str(one.default))}]")
    if one.required:
        notes.append("*")
    lines = [f"  {n}. {_plain(title)}\n" for n, (_, title) in enumerate(one.options, 1)]
    field = _WORDS[user_language()][2]
    about = f" - {' '.join(notes)}" if notes else ""
    return "".join(lines) + field.format(name=_plain(one.title), about=about)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:2000]


def _write_line(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
