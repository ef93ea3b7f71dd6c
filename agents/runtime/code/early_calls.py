"""Starts the calls of a cell of code while the model still writes it.

What was chosen, and why: only calls of tools that read are made ahead, on this side, by the run's
own scheduler; nothing of the cell itself runs before the reply has ended whole. So a reply that is
broken, tried again or cut leaves no effect, with no state to be taken back. (A forked copy of the
kernel for the eager part would have to make its threads and sockets anew, and what it did would
have to be merged with the session.) The cell's own call takes a result that is there, or under way,
when it calls with the same arguments; what it does not take is stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.deltas import CallDelta, Text, Thought, ToolCall, WirePiece
from qwenbelt.agents.runtime.approvals.approval import is_harmless, needs_nobody
from qwenbelt.agents.runtime.code.code_mode import CodeMode, held_by
from qwenbelt.agents.runtime.code.early_code import EarlyCode
from qwenbelt.core.events import Event
from qwenbelt.tools.code_interpreter.tools_module import binder, plain

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.scheduled_call import ScheduledCall
    from qwenbelt.agents.runtime.scheduler import Scheduler, SchedulerContext

_MOST = 200  # calls ahead of one reply
_JSON_CODE = r'"code"\s*:\s*"'
# where the code begins in each form of call
_NATIVE = re.compile(r"\A\s*\{\s*" + _JSON_CODE)
_IN_TEXT = (
    r"<tool_call>\s*\{\s*\"name\"\s*:\s*\"NAME\"\s*,\s*\"(?:arguments|parameters)\"\s*:\s*\{\s*"
    + _JSON_CODE
    + r"|(?:\A|\n)Action:[ \t]*NAME[ \t]*\nAction Input:\s*\{\s*"
    + _JSON_CODE
    + r"|<function=NAME>\s*(?P<tag><parameter=code>\n?)"
)
_ESCAPE = re.compile(r'\\(?:u(?P<hex>[0-9a-fA-F]{4})|(?P<char>["\\/bfnrt]))')
_CHARACTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_TAG_END = "</parameter>"
_LONG_ENOUGH = 64  # for a tag that comes in pieces


def in_text(name: str) -> re.Pattern[str]:
    """Returns where the code of a call of that tool begins, in the forms of calls in text."""
    return re.compile(_IN_TEXT.replace("NAME", re.escape(name)))


class CodeText:
    """The code in a call, or in a text that holds a call, as it arrives.

    Attributes:
        code: what is there of it.
        whole: whether it has ended.
    """

    def __init__(self, begins: re.Pattern[str]) -> None:
        self.code = ""
        self.whole = False
        self._begins = begins
        self._text = ""
        self._at = 0
        self._kind = ""

    def feed(self, piece: str) -> bool:
        """Takes the next text; returns whether there is more code."""
        if self.whole:
            return False
        self._text += piece
        if not self._kind:
            found = self._begins.search(self._text)
            if found is None:
                return False
            self._at = found.end()
            self._kind = "tag" if found.groupdict().get("tag") else "json"
        before = len(self.code), self.whole
        self._read_json() if self._kind == "json" else self._read_tag()
        return (len(self.code), self.whole) != before

    def _read_json(self) -> None:
        pieces = []
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == '"':
                self.whole = True
                break
            if character != "\\":
                pieces.append(character)
                self._at += 1
                continue
            found = _ESCAPE.match(self._text, self._at)
            if found is None:
                break  # the rest of the escape is not here yet
            coded, plainly = found.group("hex"), found.group("char")
            pieces.append(chr(int(coded, 16)) if coded else _CHARACTERS.get(plainly, plainly))
            self._at = found.end()
        self.code += "".join(pieces)

    def _read_tag(self) -> None:
        end = self._text.find(_TAG_END, self._at)
        self.whole = end >= 0
        stop = end if end >= 0 else max(self._at, len(self._text) - len(_TAG_END))
        self.code = (self.code + self._text[self._at : stop]).removeprefix("\n")
        self._at = stop


class EarlyCalls:
    """The calls that were made ahead for the first cell of a reply.

    Args:
        scheduler: the scheduler of the reply; a second one, with the same queues, makes the calls.
        code: which tools code may call.
    """

    def __init__(self, scheduler: Scheduler, around: SchedulerContext, code: CodeMode) -> None:
        self._around = around
        self._code = code
        self._entries = {entry["name"]: entry for entry in code.functions}
        self._native: dict[Any, CodeText] = {}
        self._names: dict[Any, str] = {}
        self._last: Any = None
        self._text = CodeText(in_text(code.interpreter.name))
        self._thinks = ""
        self._thinking = False
        self._first: CodeText | None = None
        self._early = EarlyCode(n for n, tool in code.tools.items() if self._may(tool))
        self._scheduler = scheduler
        self._apart = scheduler.beside(self._emit)
        self._held: list[Event] = []
        self._parent = self._apart.stand_in(
            ToolCall(0, f"early_{id(self):x}", code.interpreter.name)
        )
        self._cell: ScheduledCall | None = None
        self._jobs: dict[str, list[ScheduledCall]] = defaultdict(list)
        self._numbers = itertools.count(1)
        self._made = 0

    def _may(self, tool: Any) -> bool:
        return is_harmless(tool) and needs_nobody(tool, self._around.policy)

    def feed(self, piece: WirePiece) -> None:
        """Takes the next piece of the reply."""
        source = self._source(piece)
        if source is None or (self._first is not None and source is not self._first):
            return
        self._first = source
        for name, args, keywords in self._early.read(source.code, whole=source.whole):
            self._start(name, args, keywords)

    def _source(self, piece: WirePiece) -> CodeText | None:
        """Returns the code that has grown by a piece."""
        if isinstance(piece, CallDelta):
            key = piece.index if piece.index is not None else piece.id or self._last
            if piece.starts or key not in self._native:
                self._native[key], self._names[key] = CodeText(_NATIVE), ""
            self._last = key
            self._names[key] += piece.name if self._names[key] != piece.name else ""
            grown = self._native[key].feed(piece.arguments or "")
            ours = self._names[key] == self._code.interpreter.name
            return self._native[key] if grown and ours else None
        if isinstance(piece, Text) and not isinstance(piece, Thought):
            self._thinks = (self._thinks + piece.text)[-_LONG_ENOUGH:]
            if self._in_thoughts(piece.text):
                return None
            return self._text if self._text.feed(piece.text) else None
        return None

    def _in_thoughts(self, text: str) -> bool:
        opened, closed = self._thinks.rfind("<think>"), self._thinks.rfind("</think>")
        self._thinking = opened > closed if max(opened, closed) >= 0 else self._thinking
        return self._thinking

    # -- calls --------------------------------------------------------------------------------

    def _start(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        most = min(_MOST, self._around.limits.nested_calls)
        if self._made >= most or self._cell is not None or self._scheduler.has_effects(None):
            return
        try:
            values = binder(self._entries[name])(args, keywords)
            text = json.dumps(values, default=plain, ensure_ascii=False)
            values = json.loads(text)
        except (TypeError, ValueError):
            return  # running it will raise
        self._made += 1
        tool = self._code.tools[name]
        call = ToolCall(0, f"{self._parent.call.id}.{next(self._numbers)}", tool.name, text)
        job = self._apart.nest(self._parent, call, tool, values)
        self._jobs[_call_key(name, values)].append(job)

    def _emit(self, event: Event) -> None:
        """Keeps events back until it is known which call they belong to."""
        if self._cell is None:
            self._held.append(event)
        else:
            self._around.emit(self._owned(event))

    def _owned(self, event: Event) -> Event:
        changed: Any = event
        owner = self._cell.call.id if self._cell is not None else ""
        moved: Event = dataclasses.replace(changed, parent=owner)
        return moved

    def belongs_to(self, cell: ScheduledCall) -> None:
        """The call of the first cell is sealed: its calls can be told."""
        if self._cell is not None or not self._made:
            return
        self._cell = cell
        held, self._held = self._held, []
        for event in held:
            self._around.emit(self._owned(event))

    def take(self, cell: ScheduledCall, name: str, values: dict[str, Any]) -> ScheduledCall | None:
        """Returns a call made ahead that is the same as one of a cell."""
        if cell is self._cell and self._jobs and self._scheduler.has_effects(cell):
            self.forget()
        jobs = self._jobs.get(_call_key(name, values)) if cell is self._cell else None
        if not jobs:
            return None
        job = jobs.pop(0)
        ticket = job.ticket
        wants = {*ticket.reads, *ticket.writes} if ticket is not None else set()
        if job.task is not None and not job.task.done() and held_by(cell) & wants:
            _end_job(job)  # it waits for what the cell itself holds
            return None
        job.parent = cell
        return job

    def forget(self) -> None:
        """Something with effects has run: what was read before does not count."""
        for jobs in self._jobs.values():
            for job in jobs:
                _end_job(job)
        self._jobs.clear()

    async def close(self) -> None:
        """The cell has ended, or the reply has: what nobody took is stopped."""
        left = [job for jobs in self._jobs.values() for job in jobs]
        self._jobs.clear()
        self._held.clear()
        self._early.stopped = True
        await self._apart.stop(left)


def _call_key(name: str, values: dict[str, Any]) -> str:
    return f"{name} {json.dumps(values, sort_keys=True, default=str)}"


def _end_job(job: ScheduledCall) -> None:
    job.context.cancelled.set()
    if job.task is not None and not job.task.done():
        job.task.cancel()


def early_calls(scheduler: Scheduler, around: SchedulerContext) -> EarlyCalls | None:
    """Returns what makes calls ahead, or None where none may be made.

    A person or a hook that may refuse the cell comes first, and so does a budget of calls, of which
    a call that nobody takes would use up one.
    """
    code = around.code
    if code is None or not around.ahead or around.allowed < 1:
        return None
    if around.hooks.has("before_tool") or not needs_nobody(code.interpreter, around.policy):
        return None
    return EarlyCalls(scheduler, around, code)
