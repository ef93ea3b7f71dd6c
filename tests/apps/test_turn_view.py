"""A turn's answer as changes of a page, from events."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import pytest

from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.core.events import (
    ApprovalAsked,
    Done,
    Event,
    Item,
    ModelFinished,
    ModelStarted,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
    Usage,
)

AROUND = RenderContext("en", lambda name: f"/f/{name}" if name == "a.png" else None)


class Page:
    """Applies changes as a browser does, but keeps only texts by id."""

    def __init__(self) -> None:
        self.html: dict[str, str] = {}

    def apply(self, ops: Iterable[dict[str, Any]]) -> None:
        for op in ops:
            if op["op"] == "put":
                self.html[op["id"]] = op["html"]
            elif op["op"] == "append":
                self.html[op["id"]] = self.html.get(op["id"], "") + op["text"]
            else:
                self.html.pop(op["id"], None)


def view_of(events: list[Event], **settings: Any) -> TurnView:
    view = TurnView("t", AROUND, **settings)
    for event in events:
        view.feed({"t": time.monotonic(), **event.to_dict()})
    return view


CALLS: list[Event] = [
    ModelStarted(1, 1.0),
    ThinkingDelta("I must look."),
    TextDelta("Let me "),
    TextDelta("see."),
    ToolCallReady("a", "plot", '{"kind": "bar", "title": "<b>T</b>"}', 1.5),
    ToolCallReady("b", "send_mail", '{"to": "x"}', 1.6),
    ModelFinished(1, 1.0, 1.1, 1.7, "tool_calls"),
    ToolStarted("a", "plot", 1.7),
    ApprovalAsked("b", "send_mail", '{"to": "x"}', "not read-only"),
]
END: list[Event] = [
    ToolFinished(
        "a",
        "plot",
        1.5,
        1.7,
        2.2,
        True,
        False,
        "drawn",
        (Item("image", "/x/a.png"),),
        ("/x/a.png",),
    ),
    ToolStarted("b", "send_mail", 2.0),
    ToolFinished("b", "send_mail", 1.6, 2.0, 2.1, False, False, "<script>no</script>"),
    ModelStarted(2, 2.3),
    TextDelta("# Done\n\nAll is **well**."),
    ModelFinished(2, 2.3, 2.4, 2.5, "stop"),
    Usage(2, 100, 20),
    Done("answer", "All is well."),
]


def test_calls_become_cards_with_lanes_and_an_approval() -> None:
    view = view_of(CALLS)
    view.flush(2.0)
    html = view.html()
    assert "Thought for" in html
    assert html.index("Let me see.") < html.index("qb-lanes") < html.index("qb-card")
    assert html.count('class="qb-card ') == 2
    assert 'class="qb-card running"' in html
    assert html.count("data-approve=") == 3
    assert 'data-call="b"' in html
    assert "<b>T</b>" not in html


def test_the_end_shows_results_figures_and_the_count_of_tokens() -> None:
    view = view_of(CALLS + END)
    view.flush()
    html = view.html()
    assert "data-approve=" not in html
    assert html.count('src="/f/a.png"') == 1
    assert "&lt;script&gt;no&lt;/script&gt;" in html
    assert '<div class="qb-value qb-error">' in html
    assert "<h1>Done</h1>" in html
    assert "tokens: 100 in, 20 out" in html


def test_a_figure_that_the_answer_shows_is_not_shown_twice() -> None:
    said = TextDelta("See ![it](a.png).\n\n")
    view = view_of([*CALLS, *END[:4], said, *END[5:]])
    view.flush()
    assert view.html().count('src="/f/a.png"') == 1


def test_changes_and_a_replay_give_the_same_page() -> None:
    live, page = TurnView("t", AROUND), Page()
    for event in CALLS + END:
        live.feed({"t": 5.0, **event.to_dict()})
        page.apply(live.flush(3.0))
    replay = TurnView("t", AROUND)
    for event in CALLS + END:
        replay.feed({"t": 5.0, **event.to_dict()})
    replay.flush(3.0)

    def strip(html: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r'id="[^"]*"|data-elapsed="\d+"|<!--\w+-->', "", html))

    for part in ("Done", "well", "drawn", "tokens"):
        assert part in replay.html()
    assert strip(live.html()) == strip(replay.html())
    for element, html in page.html.items():
        if "-c" in element or "-t" in element:
            assert html in live.html(), element


def test_a_retry_takes_back_what_was_said() -> None:
    view = view_of([ModelStarted(1, 1.0), TextDelta("Half an ans")])
    view.flush()
    assert "Half" in view.html()
    view.feed(Retrying(1, 1, 0.5, "the stream was cut").to_dict())
    view.feed(ModelStarted(1, 2.0).to_dict())
    view.feed(TextDelta("A whole answer.").to_dict())
    view.flush()
    assert "Half" not in view.html()
    assert "the stream was cut" not in view.html(), "it is past"
    view.feed({"event": "done", "reason": "answer", "text": "A whole answer."})
    view.flush(0.0)
    assert 'title="the stream was cut"' in view.html()
    assert "A whole answer." in view.html()


def test_relabelled_text_moves_to_the_thoughts() -> None:
    view = view_of([ModelStarted(1, 1.0), TextDelta("Let me think.\n\nHm."), TextRelabelled()])
    view.feed(TextDelta("42").to_dict())
    view.flush()
    html = view.html()
    assert re.search(r"qb-thought-text[^>]*>Let me think\.\n\nHm\.", html)
    assert "42" in html


def test_thoughts_are_text() -> None:
    view = view_of([ThinkingDelta("<img src=x onerror=alert(1)>"), Done("answer", "")])
    view.flush()
    assert "<img" not in view.html()
    assert "&lt;img" in view.html()


def cost(pieces: int, text: str) -> tuple[float, int]:
    """Returns CPU seconds and bytes that showing a long answer takes."""
    view, sent = TurnView("t", AROUND), 0
    began = time.process_time()
    for number in range(pieces):
        view.feed({"event": "text", "text": text, "t": 1.0})
        if number % 5 == 4:
            sent += sum(len(op.get("html", op.get("text", ""))) for op in view.flush(1.0))
    view.feed(Done("answer", "").to_dict())
    view.flush(1.0)
    return time.process_time() - began, sent


def test_a_long_answer_costs_in_proportion_to_its_length() -> None:
    for text in ("word " * 4, "word " * 4 + "\n\n"):
        _, short = cost(1000, text)
        _, long = cost(8000, text)
        assert long < 8 * short * 1.3
    head = "```\n"
    view = TurnView("t", AROUND)
    view.feed({"event": "text", "text": head, "t": 1.0})
    sent = 0
    for _ in range(5000):
        view.feed({"event": "text", "text": "a = 1\n", "t": 1.0})
        sent += sum(len(op.get("html", op.get("text", ""))) for op in view.flush(1.0))
    assert sent < 5000 * 6 * 1.5


@pytest.mark.parametrize(
    ("text", "files", "marked"),
    [
        ("Sales were 17 million.", ["report.pdf"], True),
        ("Sales were 17 million [1].", ["report.pdf"], False),
        ("The document does not tell.", ["report.pdf"], False),
        ("Sales were 17 million.", ["sales.csv"], False),
        ("Sales were 17 million.", [], False),
    ],
)
def test_an_answer_about_documents_that_cites_nothing_is_marked(
    text: str, files: list[str], marked: bool
) -> None:
    view = view_of([TextDelta(text), Done("answer", text)], files=files)
    view.flush()
    assert ("cites no passage" in view.html()) == marked


def ended(call_id: str, status: str, result: str) -> list[Event]:
    ok = status == "ok"
    finished = ToolFinished(call_id, "work", 1.0, 1.0, 2.0, ok, False, result, status=status)
    return [ToolCallReady(call_id, "work", "{}", 1.0), ToolStarted(call_id, "work", 1.0), finished]


@pytest.mark.parametrize(
    ("text", "files", "statuses", "said"),
    [
        ("It is 0.00.", ["sales.csv"], ["raised"], "Every tool call failed"),
        ("It is 0.00.", [], ["raised", "timeout"], "Every tool call failed"),
        ("It is 0.00.", [], ["raised", "ok"], ""),
        ("It is 4; the mail was not sent.", [], ["refused", "cancelled"], ""),
        ("It could not be computed.", [], ["raised"], ""),
        ("It is 0.00.", ["sales.csv"], [], "No tool has read the table"),
        ("It is 0.00.", [], [], ""),
        ("It is 0.00.", ["sales.csv"], ["ok"], ""),
    ],
)
def test_figures_that_rest_on_no_call_are_marked(
    text: str, files: list[str], statuses: list[str], said: str
) -> None:
    calls = [e for n, status in enumerate(statuses) for e in ended(f"c{n}", status, "a result")]
    view = view_of([*calls, TextDelta(text), Done("answer", text)], files=files)
    view.flush()
    marks = re.findall(r'class="qb-note qb-uncited"[^>]*>([^<]*)<', view.html())
    assert [mark.startswith(said) for mark in marks] == [True] * bool(said)


def test_an_answer_after_a_search_has_to_cite_too() -> None:
    call: list[Event] = [ToolCallReady("a", "document_search", "{}", 1.0)]
    call += [ToolStarted("a", "document_search", 1.0)]
    answer: list[Event] = [TextDelta("It was 17."), Done("answer", "It was 17.")]
    found = ToolFinished(
        "a", "document_search", 1.0, 1.0, 2.0, True, False, "[1] report.pdf p.3\n17"
    )
    assert "cites no passage" in view_of([*call, found, *answer]).html()
    found = ToolFinished("a", "document_search", 1.0, 1.0, 2.0, True, False, "Nothing was found.")
    assert "cites no passage" not in view_of([*call, found, *answer]).html()


def test_the_footer_says_what_was_cached_and_what_it_cost() -> None:
    usage = Usage(1, 1000, 20, 900, cost=0.0012, currency="CNY")
    view = view_of([ModelStarted(1, 1.0), TextDelta("Yes."), usage, Done("answer", "Yes.")])
    view.flush()
    assert "tokens: 1000 in, 20 out (900 cached) · 0.0012 CNY" in view.html()
