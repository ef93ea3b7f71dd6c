"""Every face adds up the text of a run by the same rule: what is taken back is no part of it."""

from __future__ import annotations

from typing import Any

import pytest

from qwenbelt.agents.runtime.message_list import MessageList
from qwenbelt.apps.serve.activity import SpokenTooSoon, Teller
from qwenbelt.apps.serve.figures import Links, Shelf
from qwenbelt.apps.serve.settings import settings_of
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import (
    Done,
    Event,
    ModelFinished,
    ModelStarted,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
)
from qwenbelt.testing import Trajectory

START, END = ModelStarted(1, 0.0), ModelFinished(1, 0.0, 0.1, 0.2, "stop")
AGAIN = Retrying(1, 1, 0.1, "cut")


def text(*parts: str) -> list[Event]:
    return [TextDelta(part) for part in parts]


def thoughts(*parts: str) -> list[Event]:
    return [ThinkingDelta(part) for part in parts]


RUNS: dict[str, list[Event]] = {
    "plain": [START, *text("The answer ", "is 42."), END],
    "thoughts": [START, *thoughts("hm, ", "so"), *text("The answer ", "is 42."), END],
    "retry": [START, *text("The ans"), AGAIN, START, *text("The answer ", "is 42."), END],
    "retry twice": [
        *[START, *text("The answer is"), AGAIN, START, *text("The"), AGAIN],
        *[START, *text("The answer ", "is 42."), END],
    ],
    "retry in thoughts": [
        *[START, *thoughts("first"), AGAIN],
        *[START, *thoughts("other"), *text("The answer ", "is 42."), END],
    ],
    "relabelled": [START, *text("I ", "add."), TextRelabelled(), *text("The answer is 42."), END],
    "another try": [START, *text("Mine"), AGAIN, START, *text("The answer is 42."), END],
    "a shorter try": [
        *[START, *text("The answer is 42. And"), AGAIN],
        *[START, *text("The answer is 42."), END],
    ],
}
ANSWER = "The answer is 42."
DONE = Done("answer", ANSWER)


def served(events: list[Event], **options: Any) -> tuple[str, str]:
    teller = Teller("none", Links(Shelf(), ""), **options)
    pieces = [piece for event in [*events, DONE] for piece in teller.tell(event)]
    by_kind = {kind: "".join(t for k, t in pieces if k == kind) for kind in ("text", "thought")}
    return by_kind["text"], by_kind["thought"]


@pytest.mark.parametrize("name", RUNS)
def test_all_faces_show_the_same_answer(name: str) -> None:
    events = RUNS[name]
    growing = MessageList()
    for event in events:
        growing.take(event)
    assert growing.messages()[-1]["content"] == ANSWER
    records = [event.to_dict() for event in events]
    assert Trajectory.from_records(records).answer == ANSWER
    assert served(events)[0] == ANSWER
    assert served(events, typed=True)[0] == ANSWER
    if name in ("relabelled", "another try", "a shorter try"):
        with pytest.raises(SpokenTooSoon):
            served(events, live=True)
    else:
        assert served(events, live=True)[0] == ANSWER
    if name == "relabelled":  # once that is known, nothing is sent too soon
        assert served(events, live=True, wary=True) == (ANSWER, "I add.")


def test_a_stream_comes_as_it_is_said() -> None:
    teller = Teller("none", Links(Shelf(), ""), live=True)
    assert [teller.tell(event) for event in RUNS["thoughts"][:4]] == [
        [],
        [("thought", "hm, ")],
        [("thought", "so")],
        [("text", "The answer ")],
    ]


@pytest.mark.parametrize(
    ("body", "settings", "schema"),
    [
        ({"temperature": 0.5, "top_p": 1, "seed": 7, "stop": "END"}, None, None),
        ({"max_completion_tokens": 9}, {"max_tokens": 9}, None),
        ({"reasoning_effort": "none"}, {"thinking": False}, None),
        ({"reasoning": {"effort": "high"}}, {"reasoning_effort": "high"}, None),
        ({"response_format": {"type": "json_object"}}, {}, {"type": "object"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            {},
            {"a": 1},
        ),
        ({"text": {"format": {"type": "json_schema", "schema": {"a": 1}}}}, {}, {"a": 1}),
        ({"tool_choice": "auto", "logprobs": False, "user": "u", "store": True}, {}, None),
    ],
)
def test_what_a_request_sets_is_passed_on(body: dict, settings: Any, schema: Any) -> None:
    wanted = {"temperature": 0.5, "top_p": 1, "seed": 7, "stop": ["END"]}
    assert settings_of(body) == (wanted if settings is None else settings, schema)


@pytest.mark.parametrize(
    "body",
    [
        {"logprobs": True},
        {"logit_bias": {"1": 2}},
        {"tool_choice": "required"},
        {"temperature": "hot"},
        {"max_tokens": 0},
        {"stop": [1]},
        {"response_format": {"type": "grammar"}},
        {"response_format": {"type": "json_schema"}},
        {"modalities": ["text", "audio"]},
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(body: dict) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(body))}`"):
        settings_of(body)
