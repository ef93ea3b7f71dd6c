"""Every face shows what a run says and nothing that was taken back, for all transcripts of the zoo.

Each transcript answers a real agent over HTTP: whole, and first broken off somewhere. What is
left of its events by the rule, written here once more, is what all faces must show.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models import retrying
from qwenbelt.agents.runtime.message_list import MessageList
from qwenbelt.apps.gui.asking import _answer_text as imported_answer
from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.serve.activity import SpokenTooSoon, Teller
from qwenbelt.apps.serve.figures import Links, Shelf
from qwenbelt.apps.terminal_chat.run_display import TerminalView
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.events import (
    Done,
    Event,
    ModelFinished,
    ModelStarted,
    Notice,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
)
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing import Trajectory
from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer

ZOO = Path(__file__).parents[1] / "endpoints" / "zoo"
NAMES = sorted(path.stem for path in ZOO.glob("*.yaml"))
CUTS = 2  # runs a transcript that begin with a broken reply
LAST = "data: " + json.dumps(
    {"choices": [{"index": 0, "delta": {"content": "All done."}, "finish_reason": "stop"}]}
)

# a refusal behind text: the request is changed and sent again without a wait
REFUSED = """data: {"choices": [{"index": 0, "delta": {"content": "It is void."}}]}

data: {"error": {"message": "Unknown parameter: stream_options", "code": 400}}

"""


def get_weather(city: str = "", days: int = 1) -> str:
    """Tells the weather.

    Args:
        city: where.
        days: how many.
    """
    return "sunny"


def get_time(zone: str = "") -> str:
    """Tells the time.

    Args:
        zone: where.
    """
    return "noon"


@dataclass
class Reply:
    text: str = ""
    thoughts: str = ""


@dataclass
class Told:
    """A run's events, and what is left of them."""

    events: list[Event] = field(default_factory=list)
    left: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    failed: bool = False
    taken_back: bool = False

    @property
    def texts(self) -> list[str]:
        return [reply.text for reply in self.replies if reply.text.strip()]

    def fold(self) -> None:
        """The rule said plainly: a retry voids a reply, a relabelling makes its text thoughts."""
        for event in self.events:
            if isinstance(event, ModelStarted):
                self.replies.append(Reply())
            elif isinstance(event, TextDelta):
                self.replies[-1].text += event.text
            elif isinstance(event, ThinkingDelta):
                self.replies[-1].thoughts += event.text
            self._keep(event)

    def _keep(self, event: Event) -> None:
        if isinstance(event, TextRelabelled):
            reply = self.replies[-1]
            self.taken_back = self.taken_back or bool(reply.text)
            self.replies[-1] = Reply("", reply.thoughts + reply.text)
            while isinstance(self.left[-1], (TextDelta, ThinkingDelta)):
                self.left.pop()
            self.left.append(ThinkingDelta(self.replies[-1].thoughts))
        elif isinstance(event, Retrying):
            self.taken_back = True
            self.replies.pop()
            kept = []  # calls that ran stay, as cancelled
            while not isinstance(self.left[-1], ModelStarted):
                kept.append(self.left.pop())
            self.left += [e for e in reversed(kept) if e.kind.startswith("tool")]
        elif not isinstance(event, Notice):
            self.left.append(event)


async def run_all() -> dict[str, Told]:
    """Runs every transcript, whole and first cut at some places; an agent asks for each."""
    waiting: dict[str, list[tuple[bytes, str, bool]]] = {}

    async def handle(request: HttpRequest, connection: ClientConnection) -> None:
        name = json.loads(request.body)["model"]
        given = waiting[name]
        plain = (f"{LAST}\n\ndata: [DONE]\n\n".encode(), "text/event-stream", False)
        body, kind, broken = given.pop(0) if given else plain
        connection.start_stream(200, {"Content-Type": kind})
        await connection.send_chunk(body, last=not broken)
        if broken:
            connection.break_off()

    async def one(name: str, url: str) -> Told:
        told = Told()
        agent = FnCallAgent([get_weather, get_time], {"model": name, "model_server": url})
        try:
            async for event in agent.stream([{"role": "user", "content": "Go"}]):
                told.events.append(event)
        except EndpointError:
            told.failed = True
        told.fold()
        return told

    server = HttpServer(handle)
    await server.start_here()
    try:
        found = {}
        for name in NAMES:
            raw = yaml.safe_load((ZOO / f"{name}.yaml").read_text(encoding="utf-8"))
            text = raw["body"].replace("\n", "\r\n") if raw.get("crlf") else raw["body"]
            body, kind = text.encode(), raw.get("type", "text/event-stream")
            choice = random.Random(name)
            for number in range(CUTS + 1):
                places = [choice.randrange(1, len(body)) for _ in range(min(number, 2))]
                key = f"{name}/{number}"
                waiting[key] = [*((body[:at], kind, True) for at in places), (body, kind, False)]
                found[key] = await one(key, f"http://127.0.0.1:{server.port}/v1")
        waiting["refused"] = [(REFUSED.encode(), "text/event-stream", False)]
        found["refused"] = await one("refused", f"http://127.0.0.1:{server.port}/v1")
        return found
    finally:
        await server.stop_here()


@pytest.fixture(scope="module")
def runs() -> dict[str, Told]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "retry_delay", lambda attempt, asked: 0.0)
        return asyncio.run(run_all())


def records(events: list[Event]) -> list[dict[str, Any]]:
    """The events as a trace keeps them."""
    writer = TraceWriter()
    for event in events:
        writer.write(event)
    writer.flush()
    return writer.lines


def test_the_runs_hold_what_they_should(runs: dict[str, Told]) -> None:
    assert sum(told.taken_back for told in runs.values()) > len(NAMES)
    assert sum(any(isinstance(e, TextRelabelled) for e in t.events) for t in runs.values()) > 2
    assert sum(told.failed for told in runs.values()) < len(runs) / 10


def test_messages_and_batches(runs: dict[str, Told]) -> None:
    for name, told in runs.items():
        growing = MessageList()
        for event in told.events[:-1]:
            growing.take(event)
        grown = [m for m in growing.messages() if m["role"] == "assistant"]
        done = told.events[-1]
        assert isinstance(done, Done)
        assert [m["content"] for m in grown if m["content"].strip()] == told.texts, name
        thoughts = [m.get("reasoning_content") for m in grown if m.get("reasoning_content")]
        assert thoughts == [r.thoughts for r in told.replies if r.thoughts], name
        if not told.failed:
            final = [m["content"] for m in done.messages if m["role"] == "assistant"]
            assert [text for text in final if text.strip()] == told.texts, name
            assert done.text == (told.texts or [""])[-1], name
        assert imported_answer(told.events) == "".join(reply.text for reply in told.replies), name


def test_traces_and_checks(runs: dict[str, Told]) -> None:
    for name, told in runs.items():
        read = Trajectory.from_records(records(told.events))
        assert [text for text in read.said.values() if text.strip()] == told.texts, name
        assert list(read.thought.values()) == [r.thoughts for r in told.replies if r.thoughts], name
        assert read.answer == told.events[-1].text, name  # type: ignore[attr-defined]


def served(events: list[Event], **options: Any) -> str:
    teller = Teller("none", Links(Shelf(), ""), **options)
    return "".join(text for e in events for kind, text in teller.tell(e) if kind == "text")


def test_served_answers(runs: dict[str, Told]) -> None:
    too_soon = 0
    for name, told in runs.items():
        texts = [reply.text for reply in told.replies if reply.text]
        if told.failed:
            continue  # the error takes the place of what is held
        assert served(told.events) == "\n\n".join(texts), name
        assert served(told.events, typed=True) == told.events[-1].text, name  # type: ignore[attr-defined]
        for wary in (False, True):
            try:
                assert served(told.events, live=True, wary=wary) == "\n\n".join(texts), name
            except SpokenTooSoon:
                too_soon += 1
                assert told.taken_back, name
    assert too_soon


def bare(view: TurnView) -> str:
    """A page's parts without ids, clocks and notes."""
    html = re.sub(r'<div class="qb-note"[^>]*>.*?</div>', "", view.html())
    html = re.sub(r' id="[^"]*"| data-[\w-]*="[^"]*"', "", html)
    return re.sub(r"<summary>.*?</summary>|[\d.]+ (ms|s)\b|<time[^>]*></time>", "", html)


def test_the_chat_while_it_goes_on_and_reloaded(runs: dict[str, Told]) -> None:
    for name, told in runs.items():
        shown = []
        kept = [record for record in records(told.left) if record["event"] != "done"]
        wholes = [record for record in records(told.events) if record["event"] != "done"]
        pieces = [event.to_dict() for event in told.events[:-1]]
        for given in (kept, wholes, pieces):
            view = TurnView("a", RenderContext())
            for record in given:
                view.feed(record)
                view.flush(0.0)
            view.feed({"event": "done", "reason": "answer"})
            view.flush(0.0)
            shown.append(re.sub(r'<div class="qb-footer".*', "", bare(view)))
        assert shown[1] == shown[0], name
        assert shown[2] == shown[0], name


def printed(events: list[Event]) -> str:
    out = io.StringIO()
    view = TerminalView(Console(file=out, width=100), lanes=False)
    for event in events:
        view.feed(event)
    return out.getvalue()


def squashed(lines: Iterable[str]) -> str:
    return "".join("".join(lines).split())


TAKEN_BACK = ("What stands above", "The endpoint failed")


def test_the_terminal(runs: dict[str, Told]) -> None:
    """What was printed for good stays; a line below it says that it does not count."""
    for name, told in runs.items():
        if told.failed or not told.texts:
            continue
        lines = printed(told.events).splitlines()
        marks = [place for place, line in enumerate(lines) if line.startswith(TAKEN_BACK)]
        end = ModelFinished(1, 0.0, 0.0, 0.0, "stop")
        alone = [ModelStarted(1, 0.0), TextDelta(told.texts[-1]), end, Done("answer", "")]
        said = lines[marks[-1] + 1 if marks else 0 :]
        answer = squashed(printed(alone).splitlines()[:-1])  # without the line of figures
        assert answer in squashed(line for line in said if not line.startswith("thought for")), name
        if not told.taken_back:
            assert not marks, name


def test_the_terminal_says_what_does_not_count() -> None:
    end = ModelFinished(1, 0.0, 0.0, 0.0, "stop")
    for mark, event in (("thoughts", TextRelabelled()), ("void", Retrying(1, 1, 0.0, "cut"))):
        told = [ModelStarted(1, 0.0), TextDelta("Mine.\n\nAnd"), event, TextDelta("Yours."), end]
        before, _, behind = printed([*told, Done("answer", "Yours.")]).partition(
            "What stands above"
        )
        assert "Mine." in before
        assert mark in behind
        assert "And" not in behind
        assert "Yours." in behind
