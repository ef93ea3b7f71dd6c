"""Keeps the conversation inside the model's window, without breaking pairs of call and result.

First the oldest tool results are shortened, then the oldest exchanges and then the oldest steps of
the running one are left out, or summed up by the model where that is wanted, and at last the newest
results are shortened. What people see of the conversation stays as it was; only what is sent to the
model changes, and an event says what went.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.models.deltas import Relabel, Text, Tokens
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.prompts import LEFT_OUT, SHORTENED, SUMMARY, SUMMARY_REQUEST
from qwenbelt.agents.runtime.history import History
from qwenbelt.agents.runtime.kept_views import ALONE, ASKED, LINES
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.events import HistoryCompacted
from qwenbelt.core.language import Language
from qwenbelt.core.limits import shorten_text

TOKENS_PER_BYTE = 0.3  # of UTF-8, English and Chinese alike, for Qwen's vocabulary
TOKENS_PER_PICTURE = 1000
# of the window, after a compaction, which costs the endpoint's cache from there on: so what can be
# read again (results, passages) goes in one large step, and what cannot only as far as it must
# (`benchmarks/context_price.py compaction`: a chat costs a quarter less than with .75 for both)
_ROOM, _ROOM_LOST = 0.5, 0.75
_LEAST, _MOST = 0.6, 4.0  # how far the endpoint's count is believed against our estimate
_OF_PASSAGES = (ASKED, ALONE, "shown", LINES)
_KEPT = 200  # characters of a shortened result
_WINDOW = re.compile(
    r"(?:context (?:length|size|window)|model length|input length|n_ctx)\D{0,40}?(\d{3,8})", re.I
)
_RANGE = re.compile(r"\[1, ?(\d{3,8})\]")  # DashScope
_NUMBER = re.compile(r"\b\d{3,8}\b")

Group = list[dict[str, Any]]
SumUp = Callable[[Sequence[dict[str, Any]], int], Awaitable[str]]
Keep = Callable[[str, str], str]


def estimate_tokens(messages: Sequence[dict[str, Any]]) -> int:
    """Returns roughly how many tokens messages take."""
    total = 0.0
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            total += TOKENS_PER_PICTURE * sum(1 for part in content if not part.get("text"))
        total += 8 + TOKENS_PER_BYTE * _bytes(text_of(content))
        call = message.get("function_call")
        if call:
            total += TOKENS_PER_BYTE * _bytes(call["name"] + call["arguments"])
    return int(total)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _sizes_in(error: EndpointError) -> tuple[int | None, int | None]:
    """Returns the window that a context-length error names and the size of the request, in tokens.

    The wordings are those of OpenAI, vLLM, SGLang, llama.cpp and DashScope.
    """
    said = error.message.partition(": ")[2] or error.message
    named = _RANGE.search(said) or _WINDOW.search(said)
    numbers = [int(number) for number in _NUMBER.findall(said)]
    window = int(named.group(1)) if named else (min(numbers) if len(numbers) > 1 else None)
    larger = [number for number in numbers if window is not None and number > window]
    return window, max(larger, default=None)


class Window:
    """The window of one run.

    Args:
        max_tokens: what the conversation may take; None until it is known.
        language: of the notes for the model.
        keep: keeps a text that is shortened, and returns the name by which it can be read.
    """

    def __init__(
        self, max_tokens: int | None, language: Language, keep: Keep | None = None
    ) -> None:
        self.max_tokens = max_tokens
        self._language = language
        self._keep = keep
        self._view: list[dict[str, Any]] = []
        self._seen = 0
        self._estimate = self._sent = 0
        self._ratio = 1.0

    def _size(self, history: History, declared: Sequence[dict[str, Any]]) -> int:
        new = history.messages[self._seen :]
        self._seen += len(new)
        self._view += new
        self._estimate += estimate_tokens(new)
        self._sent = self._estimate + _declared_tokens(declared)
        return int(self._sent * self._ratio)

    def use(self, model: Model) -> None:
        """Keeps to what the settings of a model allow as well: the next one of a chain."""
        own = getattr(model, "own_window", None)
        if own is not None:
            self.max_tokens = own if self.max_tokens is None else min(own, self.max_tokens)

    def learn(self, tokens: Tokens) -> None:
        """Compares the estimate of the last request with what the endpoint counted."""
        if tokens.input > 0 and self._sent > 0:
            self._ratio = min(_MOST, max(_LEAST, tokens.input / self._sent))

    def narrow(
        self, error: EndpointError, history: History, declared: Sequence[dict[str, Any]]
    ) -> None:
        """Takes the window from an endpoint's refusal; without a number, a smaller one."""
        size = self._size(history, declared)
        window, requested = _sizes_in(error)
        if requested is not None:
            self.learn(Tokens(requested, 0))
            size = self._size(history, declared)
        if window is None or window >= size:
            window = size * 3 // 4
        self.max_tokens = window if self.max_tokens is None else min(window, self.max_tokens)

    async def fit(
        self,
        history: History,
        declared: Sequence[dict[str, Any]] = (),
        sum_up: SumUp | None = None,
    ) -> HistoryCompacted | None:
        """Shortens what will be sent, if needed; returns what went."""
        size = self._size(history, declared)
        if self.max_tokens is None or size <= self.max_tokens:
            return None
        room = int(self.max_tokens * _ROOM / self._ratio) - _declared_tokens(declared)
        spare = int(self.max_tokens * (_ROOM_LOST - _ROOM) / self._ratio)
        work = Compaction.of(self._view, room, self._language, self._keep, spare)
        work.run()
        if not work.removed:
            return None
        notes = await self._notes(work, sum_up)
        self._view = work.messages(notes)
        self._estimate = estimate_tokens(self._view)
        history.rewrite(self._view)
        return HistoryCompacted(work.removed, work.detail(summed_up=bool(notes)))

    async def _notes(self, work: Compaction, sum_up: SumUp | None) -> str:
        if sum_up is None or not work.left_out or self.max_tokens is None:
            return ""
        return await sum_up(work.left_out, self.max_tokens)


def _declared_tokens(declared: Sequence[dict[str, Any]]) -> int:
    return int(TOKENS_PER_BYTE * sum(len(compact_json(tool)) for tool in declared))


@dataclass
class Compaction:
    """Makes a list of messages fit, step by step.

    Attributes:
        system: the system messages, which stay.
        before: the exchanges before the last question: each a question with its steps.
        question: the last question and what is beside it.
        steps: the steps since: each a reply of the model with the results of its calls.
        over: estimated tokens that are still too many; it fits when this is 0 or less.
        spare: how many of these may stay before anything goes that cannot be read again.
        left_out: messages that went whole.
        shortened: how many results were shortened.
        passages: how many questions lost the passages beside them.
        removed: characters that went.
    """

    system: Group
    before: list[Group]
    question: Group
    steps: list[Group]
    over: int
    language: Language
    keep: Keep | None = None
    spare: int = 0
    left_out: Group = field(default_factory=list)
    shortened: int = 0
    passages: int = 0
    removed: int = 0

    @classmethod
    def of(
        cls,
        messages: Sequence[dict[str, Any]],
        max_tokens: int,
        language: Language,
        keep: Keep | None = None,
        spare: int = 0,
    ) -> Compaction:
        """Takes messages apart: system | before | question | steps, in this order."""
        # the last question of the user divides what is old from what is being worked on
        start = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
        users = [i for i, m in enumerate(messages) if m["role"] == "user"]
        last = users[-1] if users else start
        rest = last + 1 if users else start
        over = estimate_tokens(messages) - max_tokens
        before = _exchanges(messages[start:last])
        question, steps = list(messages[last:rest]), _steps(messages[rest:])
        return cls(list(messages[:start]), before, question, steps, over, language, keep, spare)

    def run(self) -> None:
        """Does what is needed, the least loss first; each step stops as soon as it fits."""
        # 0. passages of earlier questions: they are in the files, and were answered from
        if self.over > 0:
            for group in self.before:
                self._leave_out_passages(group)
            self._put_back_passages()
        # 1. old results lose their middle and end: the model has used them already
        for group in [*self.before, *self.steps[:-1]]:
            self._shorten_results(group)
        self.over -= self.spare
        # 2. whole exchanges go, the oldest first; call and result always go together, since
        # endpoints refuse a result without its call
        while self.over > 0 and self.before:
            self._leave_out(self.before.pop(0))
        # 3. the same with steps of the running question, all but the newest
        while self.over > 0 and len(self.steps) > 1:
            self._leave_out(self.steps.pop(0))
        # 4. the newest results, which the model has not seen yet, are cut last and evenly
        if self.over > 0 and self.steps:
            self._shorten_evenly(self.steps[-1])

    def _leave_out_passages(self, group: Group) -> None:
        for place, message in enumerate(group):
            asked = (message.get("extra") or {}).get(ASKED)
            if asked is None:
                continue
            content = message["content"]
            rest = (
                [item for item in content if "text" not in item]
                if isinstance(content, list)
                else []
            )
            bare = {**message, "content": [*rest, {"text": asked}] if rest else asked}
            bare.pop("extra")  # no passages stand here any more
            kept = {k: v for k, v in message["extra"].items() if k not in _OF_PASSAGES}
            bare |= {"extra": kept} if kept else {}
            self.over -= estimate_tokens([message]) - estimate_tokens([bare])
            self.removed += len(text_of(content)) - len(asked)
            self.passages += 1
            group[place] = bare

    def _put_back_passages(self) -> None:
        """Shows the last question with the passages that it only referred to, as they are gone."""
        for place, message in enumerate(self.question):
            alone = (message.get("extra") or {}).get(ALONE)
            if alone is None:
                continue
            content = message["content"]
            if isinstance(content, list):
                content = [*(item for item in content if "text" not in item), {"text": alone}]
            else:
                content = alone
            extra = {k: v for k, v in message["extra"].items() if k != ALONE}
            whole = {**message, "content": content, "extra": extra}
            self.over += estimate_tokens([whole]) - estimate_tokens([message])
            self.question[place] = whole

    def _shorten_results(self, group: Group) -> None:
        for place, message in enumerate(group):
            if self.over > 0 and message["role"] == "function":
                self._shorten(group, place, _KEPT)

    def _shorten_evenly(self, group: Group) -> None:
        """Cuts the largest results of a step down to one size."""
        places = [i for i, m in enumerate(group) if m["role"] == "function"]
        sizes = {i: len(text_of(group[i]["content"])) for i in places}
        most = max(sizes.values(), default=0)
        while self.over > 0 and most > _KEPT:
            most = max(_KEPT, most * 3 // 4)
            for place in places:
                if sizes[place] > most:
                    self._shorten(group, place, most)

    def _shorten(self, group: Group, place: int, most: int) -> None:
        message = group[place]
        # step 4 comes back to what it has cut: it cuts the full text again, never the cut one
        text = str(message.get("shortened_from") or text_of(message["content"]))
        gone = len(text) - most
        if gone <= _KEPT:
            return
        where = ""
        if self.keep is not None:
            name = message.get("kept_as") or self.keep(str(message.get("name") or "result"), text)
            where = f"; read_artifact {name!r}" if name else ""
            message = {**message, "kept_as": name}
        note = SHORTENED[self.language].format(count=gone, where=where)
        known = len(text_of(message["content"]))
        first_time = "shortened_from" not in message
        short = {**message, "content": text[:most] + note, "shortened_from": text}
        self.over -= estimate_tokens([message]) - estimate_tokens([short])
        self.removed += max(0, known - most)
        self.shortened += first_time
        group[place] = short

    def _leave_out(self, group: Group) -> None:
        self.left_out += group
        self.over -= estimate_tokens(group)
        self.removed += sum(len(text_of(message["content"])) for message in group)

    def messages(self, notes: str = "") -> list[dict[str, Any]]:
        """Returns what is left; notes on what went are before the first question."""
        kept = [*self.system, *_flat(self.before), *self.question, *_flat(self.steps)]
        if not self.left_out:
            return kept
        text = SUMMARY[self.language].format(notes=notes) if notes else LEFT_OUT[self.language]
        first = next((i for i, m in enumerate(kept) if m["role"] == "user"), None)
        if first is None:
            return [*self.system, {"role": "user", "content": text}, *kept[len(self.system) :]]
        kept[first] = _prefixed(kept[first], text)
        return kept

    def detail(self, *, summed_up: bool = False) -> str:
        """Returns what went, in words for people."""
        parts = []
        if self.passages:
            parts.append(f"passages beside {self.passages} earlier questions left out")
        if self.shortened:
            parts.append(f"{self.shortened} tool results shortened")
        if self.left_out:
            count = len(self.left_out)
            summed, gone = f"{count} messages summed up", f"{count} messages left out"
            parts.append(summed if summed_up else gone)
        return "; ".join(parts)


def _exchanges(messages: Sequence[dict[str, Any]]) -> list[Group]:
    """Splits before every question."""
    out: list[Group] = []
    for message in messages:
        if message["role"] == "user" or not out:
            out.append([])
        out[-1].append(message)
    return out


def _steps(messages: Sequence[dict[str, Any]]) -> list[Group]:
    """Splits before every reply that follows a result."""
    out: list[Group] = []
    before = "function"
    for message in messages:
        if not out or (message["role"] == "assistant" and before == "function"):
            out.append([])
        out[-1].append(message)
        before = message["role"]
    return out


def _flat(groups: Sequence[Group]) -> Group:
    return [message for group in groups for message in group]


def _prefixed(message: dict[str, Any], text: str) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        known = content.startswith(text)
        return message if known else {**message, "content": f"{text}\n\n{content}"}
    return {**message, "content": [{"text": f"{text}\n\n"}, *content]}


_SUMMARY_WORDS = 400
_SUMMARY_SHARE = 0.5  # of the window, for the text that is summed up
_RESULT_BYTES = 2000  # of one result in that text


def summarizer(
    model: Model, language: Language, count: Callable[[Tokens], None]
) -> Callable[[Sequence[dict[str, Any]], int], Awaitable[str]]:
    """Returns a function that sums messages up within a window of `max_tokens`.

    It returns "" when the endpoint fails: then the messages are left out without notes.

    Args:
        model: writes the notes.
        language: of the instruction.
        count: takes the tokens that it cost.
    """

    async def sum_up(messages: Sequence[dict[str, Any]], max_tokens: int) -> str:
        most = int(max_tokens * _SUMMARY_SHARE / TOKENS_PER_BYTE)
        text, _ = shorten_text(transcript(messages), most)
        prompt = SUMMARY_REQUEST[language].format(words=_SUMMARY_WORDS, transcript=text)
        request = Request([{"role": "user", "content": prompt}], language=language)
        try:
            return await _answer(model, request, count)
        except EndpointError:
            return ""

    return sum_up


async def _answer(model: Model, request: Request, count: Callable[[Tokens], None]) -> str:
    reader = model.codec.reader(())
    text: list[str] = []
    reason = ""
    async with aclosing(model.pieces(request)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if isinstance(piece, Tokens):
                count(piece)
            for part in reader.feed(piece):
                if isinstance(part, Relabel):
                    text.clear()
                elif isinstance(part, Text):
                    text.append(part.text)
    text += [part.text for part in reader.finish(reason) if isinstance(part, Text)]
    return "".join(text).strip()


def transcript(messages: Sequence[dict[str, Any]]) -> str:
    """Returns messages as plain text, long results shortened."""
    lines = []
    for message in messages:
        text = text_of(message.get("content"))
        call = message.get("function_call")
        if message["role"] == "function":
            text, _ = shorten_text(text, _RESULT_BYTES)
            lines.append(f"result of {message.get('name')}: {text}")
        elif text:
            lines.append(f"{message['role']}: {text}")
        if call:
            lines.append(f"call of {call['name']}: {call['arguments']}")
    return "\n".join(lines)
