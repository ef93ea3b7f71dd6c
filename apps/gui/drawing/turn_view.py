"""The answer of one turn as a page shows it, kept up to date from events.

The browser is sent small changes (`ops`), each naming an element by its id, so that what a long
answer costs grows with its length and not with its square:

    {"op": "put", "id": ..., "parent": ..., "html": ...}    adds the element, or replaces it
    {"op": "append", "id": ..., "text": ...}                adds plain text to an element
    {"op": "remove", "id": ...}
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from typing import Any

from qwenbelt.apps.answers import doubt_about
from qwenbelt.apps.gui.drawing.cards import card_html, plan_html
from qwenbelt.apps.gui.drawing.code_html import code_block
from qwenbelt.apps.gui.drawing.found_passages import FoundPassages
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, last_level, markdown_html
from qwenbelt.apps.gui.panes.lanes_html import lanes_html
from qwenbelt.apps.gui.panes.questions import app_html, question_card, settled_question
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.imitations import imitates_program
from qwenbelt.apps.markdown_stream import MarkdownStream
from qwenbelt.apps.strings import duration_text
from qwenbelt.apps.timeline import Timeline
from qwenbelt.apps.todo_plan import plan_of
from qwenbelt.core.errors import one_line
from qwenbelt.core.reply_fold import ReplyFold
from qwenbelt.core.translation import in_language

Op = dict[str, Any]
# what shows that a reply that was asked for again has come, or will not
_PROGRESS = ("text", "thinking", "tool_ready", "failed", "done")
LONGEST_PARAGRAPH = 6000  # characters that are rendered again while they grow


class TurnView:
    """One turn's answer.

    Args:
        turn_id: the id of the element that holds the answer; ids of its parts begin with it.
        around: what its texts may refer to.
        live: whether the turn is still running.
        files: names of the turn's files; an answer about documents has to cite them.
    """

    def __init__(
        self,
        turn_id: str,
        around: RenderContext,
        *,
        live: bool = True,
        files: Iterable[str] = (),
    ) -> None:
        self.id = turn_id
        self.live = live
        self._files = list(files)
        self._around = replace(
            around, file_url=self._file_url(around.file_url), passage=self._passage, prefix=turn_id
        )
        self._plain = around
        self._language = around.language
        self._timeline = Timeline()
        self._parts: dict[str, tuple[str, str]] = {}  # id -> (parent, html)
        self._appended: dict[str, list[str]] = {}
        self._ops: list[Op] = []
        self._count = 0
        self._embedded: set[str] = set()
        self._text = MarkdownStream()
        self._text_id = ""
        self._fresh: list[str] = []
        self._in_code = False
        self._thought_id = ""
        self._thought: list[str] = []
        self._thought_since = 0.0
        self._of_reply: list[str] = []
        self._reply = ReplyFold()
        self._numbers: dict[int, int] = {}
        self._groups: dict[int, str] = {}
        self._passages = FoundPassages(around.has_document)
        self._dirty: dict[str, int] = {}  # ids of cards that changed -> number of the call
        self._cards: dict[str, int] = {}
        self._retrying = ""  # the note that a reply is asked for again
        self._retries: list[str] = []  # why
        self._model = ""
        self._questions: dict[str, Mapping[str, Any]] = {}  # of servers, that nobody has answered
        self._handlers: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "text": self._on_text,
            "thinking": self._on_thinking,
            "text_relabelled": self._on_relabelled,
            "retrying": self._on_retrying,
            "model_started": self._on_model_started,
            "run_started": lambda e: setattr(self, "_model", str(e.get("model") or "")),
            "history_compacted": lambda e: self._note(
                say("compacted", self._language, detail=in_language(e["detail"], self._language))
            ),
            "message_sent": lambda e: self._note(str(e["text"])),
            "notice": lambda e: self._note(str(e["text"])),
            "app_offered": self._on_app,
            "elicitation_asked": self._on_asked,
            "elicitation_answered": self._on_answered,
            "failed": self._on_failed,
            "done": self._on_done,
        }

    def _passage(self, number: int, words: str) -> tuple[str, int] | None:
        return self._passages.find(number, words)

    # -- in and out ---------------------------------------------------------------------------

    def feed(self, record: Mapping[str, Any]) -> None:
        """Applies one event, as a dict; `flush` returns what changed."""
        kind = str(record.get("event", ""))
        call = self._timeline.add(record)
        if kind == "tool_finished":
            texts = [i.get("value", "") for i in record.get("items") or () if i["kind"] == "text"]
            told = "\n".join(map(str, texts)) or str(record.get("result") or "")
            self._passages.add(told)
            self._files += _NUMBERED.findall(told)
        if call is not None:
            self._end_text()
            self._end_thought(record)
            self._group(call.turn)
            number = self._numbers.setdefault(id(call), len(self._numbers))
            self._dirty[f"{self.id}-c{number}"] = number
            plan = plan_of(call)
            if plan:  # one panel a turn, which each call of the tool renews where it stands
                self._put(f"{self.id}-plan", plan_html(plan, f"{self.id}-plan", self._language))
        if kind in _PROGRESS and self._retrying:
            self._remove(self._retrying)  # it continues: the footer adds up what it took
            self._retrying = ""
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(record)

    def flush(self, now: float | None = None) -> list[Op]:
        """Returns the changes since the last time.

        Args:
            now: the monotonic time up to which running calls are drawn.
        """
        now = time.monotonic() if now is None else now
        self._show_text()
        self._show_thought()
        self._show_calls(now)
        ops, self._ops = self._ops, []
        return ops

    def html(self) -> str:
        """Returns all parts as they are now."""
        children: dict[str, list[str]] = {}
        for part, (parent, _) in self._parts.items():
            children.setdefault(parent, []).append(part)

        def whole(part: str) -> str:
            html = self._parts[part][1]
            extra = escape("".join(self._appended.get(part, ())))
            inner = "".join(whole(child) for child in children.get(part, ()))
            return html.replace("<!--more-->", extra).replace("<!--children-->", inner)

        return "".join(whole(part) for part in children.get(self.id, ()))

    @property
    def running(self) -> bool:
        """Whether calls run, so that the lanes grow without further events."""
        return self._timeline.running

    # -- elements -----------------------------------------------------------------------------

    def _put(self, part: str, html: str, parent: str = "") -> None:
        parent = parent or self.id
        self._parts[part] = (parent, html)
        self._appended.pop(part, None)
        clean = html.replace("<!--more-->", "").replace("<!--children-->", "")
        self._ops.append({"op": "put", "id": part, "parent": parent, "html": clean})

    def _append(self, part: str, target: str, text: str) -> None:
        self._appended.setdefault(part, []).append(text)
        self._ops.append({"op": "append", "id": target, "text": text})

    def _remove(self, part: str) -> None:
        if self._parts.pop(part, None) is not None:
            self._ops.append({"op": "remove", "id": part})

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{self.id}-{kind}{self._count}"

    def _note(self, text: str, kind: str = "qb-note", more: str = "") -> str:
        self._end_text()
        part = self._next("n")
        html = f"{escape(one_line(text, 2000))}{more}"
        self._put(part, f'<div class="{kind}" id="{part}">{html}</div>')
        return part

    # -- text ---------------------------------------------------------------------------------

    def _on_text(self, event: Mapping[str, Any]) -> None:
        self._end_thought(event)
        self._reply.take("text", str(event["text"]))
        for block in self._text.feed(str(event["text"])):
            self._show_block(block)
        self._fresh.append(str(event["text"]))

    def _show_block(self, block: str) -> None:
        """Shows a block that is complete."""
        if block.strip():
            part = self._text_part()
            html = self._drawn(block)
            self._around = replace(self._around, level=last_level(html, self._around.level))
            self._put(part, f'<div class="qb-text" id="{part}">{html}</div>')
        self._text_id, self._in_code = "", False
        self._fresh.clear()

    def _drawn(self, block: str) -> str:
        html = markdown_html(block, self._around)
        if not imitates_program(block):
            return html
        label = escape(say("imitation", self._language))
        return f'<div class="qb-imitation"><div class="qb-note">{label}</div>{html}</div>'

    def _text_part(self) -> str:
        if not self._text_id:
            self._text_id = self._next("t")
            self._of_reply.append(self._text_id)
        return self._text_id

    def _show_text(self) -> None:
        """Shows the block that still grows."""
        if not self._fresh:
            return
        fresh = "".join(self._fresh)
        self._fresh.clear()
        if self._in_code and self._text.in_code:
            self._append(self._text_id, f"{self._text_id}-code", fresh)
            return
        rest = self._text.rest
        if not rest.strip():
            return
        part = self._text_part()
        if self._text.in_code:
            self._in_code = True
            first, _, code = rest.partition("\n")
            language = first.strip().strip("`~").split()[0:1]
            html = code_block(code, "".join(language), self._language, coloured=False)
            html = html.replace("<code>", f'<code id="{part}-code">').replace(
                "</code>", "<!--more--></code>"
            )
        else:
            html = self._drawn(rest)
        self._put(part, f'<div class="qb-text" id="{part}">{html}</div>')
        if len(rest) > LONGEST_PARAGRAPH and not self._text.in_code:
            self._show_block(self._text.finish())

    def _end_text(self) -> None:
        rest = self._text.finish()
        if rest.strip():
            self._show_block(rest)
        self._text_id, self._in_code = "", False
        self._fresh.clear()

    def _drop_reply(self) -> None:
        """Takes back what the current reply has shown."""
        self._text = MarkdownStream()
        self._text_id, self._in_code = "", False
        self._fresh.clear()
        for part in self._of_reply:
            self._remove(part)
        self._of_reply.clear()

    # -- thoughts -----------------------------------------------------------------------------

    def _on_thinking(self, event: Mapping[str, Any]) -> None:
        self._reply.take("thinking", str(event["text"]))
        self._show_thinking(event)

    def _show_thinking(self, event: Mapping[str, Any]) -> None:
        if not self._thought_id:
            self._end_text()
            self._thought_id = self._next("h")
            self._thought_since = float(event.get("t") or time.monotonic())
            self._of_reply.append(self._thought_id)
            self._put(self._thought_id, self._thought_html("", None))
        self._thought.append(str(event["text"]))

    def _thought_html(self, text: str, took: float | None) -> str:
        part = self._thought_id
        head = escape(say("thinking_now", self._language))
        elapsed = max(0.0, time.monotonic() - self._thought_since) * 1000
        head += f' <time class="qb-clock" data-elapsed="{elapsed:.0f}"></time>'
        if took is not None:
            head = escape(say("thought_for", self._language, seconds=duration_text(took)))
        return (
            f'<details class="qb-thought" id="{part}"><summary id="{part}-s">{head}</summary>'
            f'<div class="qb-thought-text" id="{part}-x">{escape(text)}<!--more--></div></details>'
        )

    def _show_thought(self) -> None:
        if self._thought and self._thought_id:
            self._append(self._thought_id, f"{self._thought_id}-x", "".join(self._thought))
            self._thought.clear()

    def _end_thought(self, event: Mapping[str, Any]) -> None:
        if not self._thought_id:
            return
        self._show_thought()
        part = self._thought_id
        took = max(0.0, float(event.get("t") or time.monotonic()) - self._thought_since)
        text = "".join(self._appended.get(part, ()))
        html = self._thought_html(text, took)
        self._parts[part] = (self.id, html)
        self._appended.pop(part, None)
        head = escape(say("thought_for", self._language, seconds=duration_text(took)))
        summary = f'<summary id="{part}-s">{head}</summary>'
        self._ops.append({"op": "put", "id": f"{part}-s", "parent": part, "html": summary})
        self._thought_id = ""

    def _on_relabelled(self, event: Mapping[str, Any]) -> None:
        self._reply.take("text_relabelled")
        text = "".join(self._reply.thoughts)
        self._thought_id = ""
        self._thought.clear()
        self._drop_reply()
        self._show_thinking({**event, "text": text})
        self._end_thought(event)

    # -- calls --------------------------------------------------------------------------------

    def _show_calls(self, now: float) -> None:
        calls = self._timeline.calls
        turns = {calls[number].turn for number in self._dirty.values()}
        turns |= {call.turn for call in calls if call.state == "running"}
        for card, number in self._dirty.items():
            call = calls[number]
            group = self._group(call.turn)
            self._cards[card] = number
            html = card_html(call, card, self._plain, now, self._embedded)
            self._put(card, html, group)
        self._dirty.clear()
        for turn in turns:
            part = self._timeline.turn(turn)
            if len(part.calls) > 1:
                lanes = f"{self._group(turn)}-l"
                html = lanes_html(part, now if part_running(part) else None, self._language)
                self._put(lanes, f'<div class="qb-lanes" id="{lanes}">{html}</div>', lanes + "h")

    def _group(self, turn: int) -> str:
        group = self._groups.get(turn)
        if group is None:
            group = self._groups[turn] = self._next("g")
            self._put(group, f'<div class="qb-calls" id="{group}"><!--children--></div>')
            holder = f"{group}-lh"
            self._put(holder, f'<div id="{holder}"><!--children--></div>', group)
        return group

    def _file_url(self, known: Callable[[str], str | None]) -> Callable[[str], str | None]:
        def url(name: str) -> str | None:
            found = known(name)
            if found is not None and name not in self._embedded:
                self._embedded.add(name)
                for card, number in self._cards.items():
                    values = [str(i.get("value", "")) for i in self._timeline.calls[number].items]
                    if any(value.endswith(name) for value in values):
                        self._dirty[card] = number  # the answer shows it; the card need not
            return found

        return url

    # -- the course of the turn ---------------------------------------------------------------

    def _on_model_started(self, event: Mapping[str, Any]) -> None:
        self._end_text()
        self._of_reply = []
        self._reply.take("model_started")

    def _on_retrying(self, event: Mapping[str, Any]) -> None:
        self._thought_id = ""
        self._thought.clear()
        self._reply.take("retrying")
        self._drop_reply()
        delay = duration_text(float(event["delay"]))
        reason = one_line(in_language(event["reason"], self._language), 300)
        if self._retrying:
            self._remove(self._retrying)
        self._retrying = self._note(say("retrying", self._language, reason=reason, delay=delay))
        self._retries.append(reason)

    def _on_app(self, event: Mapping[str, Any]) -> None:
        url = self._plain.file_url(str(event["file"]))
        if url is not None:
            self._end_text()
            part = self._next("app")
            self._put(part, app_html(str(event["server"]), url, part, self._language))

    def _on_asked(self, event: Mapping[str, Any]) -> None:
        self._end_text()
        self._end_thought(event)
        part = f"{self.id}-{event['request_id']}"
        self._questions[str(event["request_id"])] = event
        self._put(part, question_card(event, part, self._language))

    def _on_answered(self, event: Mapping[str, Any]) -> None:
        asked = self._questions.pop(str(event["request_id"]), None)
        if asked is not None:
            part = f"{self.id}-{event['request_id']}"
            self._put(part, settled_question(asked, str(event["action"]), part, self._language))

    def _close_questions(self) -> None:
        for number in list(self._questions):
            self._on_answered({"request_id": number, "action": "cancel"})

    def _on_failed(self, event: Mapping[str, Any]) -> None:
        self._close_questions()
        self._end_thought(event)
        detail = in_language(str(event["text"]), self._language)
        self._note(say("failed", self._language, detail=detail), "qb-failure", self._ways_out())

    def _ways_out(self) -> str:
        """Returns what a person can do about a failure, as buttons."""
        again, settings = (escape(say(key, self._language)) for key in ("try_again", "settings"))
        turn = self.id.removeprefix("turn-").removesuffix("-a")
        return (
            '<div class="qb-ways-out"><button type="button" class="qb-button" data-action="retry" '
            f'data-turn="{escape(turn)}">{again}</button><button type="button" '
            f'class="qb-button" data-settings="1">{settings}</button></div>'
        )

    def _on_done(self, event: Mapping[str, Any]) -> None:
        self._close_questions()
        self._end_text()
        self._end_thought(event)
        self.live = False
        reason, detail = str(event["reason"]), str(event.get("detail") or "")
        if reason == "cancelled":
            self._note(say("ended_cancelled", self._language))
        elif reason == "length":
            self._note(say("ended_length", self._language))
        elif reason not in ("answer", "refused", "error"):
            detail = in_language(detail or reason, self._language)
            self._note(say("ended_limit", self._language, detail=detail))
        ends = [call.end for call in self._timeline.calls if not call.parent]
        told = str(event.get("text") or "")
        doubt = doubt_about(told, self._files, ends, self._language) if reason == "answer" else ""
        if doubt:
            self._note(doubt, "qb-note qb-uncited")
        self._footer(float(event.get("t") or 0.0))

    def _footer(self, now: float) -> None:
        begin, end = self._timeline.span(now)
        into, out = self._timeline.tokens
        text = duration_text(end - begin)
        if into or out:  # an endpoint need not count, and a stopped reply is not counted
            text = say("footer", self._language, seconds=text, into=into, out=out)
            if self._timeline.cached:
                text += say("cached", self._language, count=self._timeline.cached)
        if self._timeline.cost:
            amount = f"{self._timeline.cost:.4f}"
            currency = self._timeline.currency
            text += " · " + say("cost", self._language, amount=amount, currency=currency)
        if self._model:
            text += f" · {one_line(self._model.rpartition('/')[2], 80)}"
        title = ""
        if self._retries:
            text += " · " + say("retried", self._language, count=len(self._retries))
            title = f' title="{escape("; ".join(dict.fromkeys(self._retries)))}"'
        part = self._next("f")
        self._put(part, f'<div class="qb-footer" id="{part}"{title}>{escape(text)}</div>')


# the line of a numbered passage that a tool has found: [3] report.pdf p.12
_NUMBERED = re.compile(r"^\[\d+\] (\S.*?) p\.\d+", re.M)


def part_running(part: Timeline) -> bool:
    """Returns whether a call of this part has not ended."""
    return any(call.finished is None for call in part.calls)
