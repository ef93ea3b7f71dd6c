"""Replies that only repeat themselves are broken off, and asked for again once or twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.deltas import CallDelta, Text, Thought
from qwenbelt.agents.models.repetition import (
    SIGNS,
    WORDS,
    EndlessReply,
    repeated_part,
    without_repetition,
)
from qwenbelt.core.events import ModelFinished, TextDelta
from qwenbelt.testing import Scenario, ScriptedServer


@pytest.mark.parametrize(
    ("text", "endless"),
    [("abc " * 80, True), ("say " + "x" * 240, True), ("-" * 100, False), ("a, b, c. " * 9, False),
     ("".join(map(str, range(400))), False), ("", False), ("x" * 10, False)],
)  # fmt: skip
def test_repetition(text: str, endless: bool) -> None:
    assert bool(repeated_part(text, 240)) is endless


@given(
    before=st.text(max_size=200),
    part=st.text(min_size=1, max_size=300),
    cut=st.integers(0, 300),
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=8),
)
def test_what_repeats_is_found_however_it_is_cut(
    before: str, part: str, cut: int, sizes: list[int]
) -> None:
    text = before + part * (2 + 2 * SIGNS // len(part)) + part[: cut % len(part)]
    reply, at, turn = EndlessReply(), 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        if reply.grew(Text(text[at : at + size])):
            break
        at, turn = at + size, turn + 1
    assert at < len(text)
    shown = without_repetition(text)
    assert text.startswith(shown[:-2])
    assert len(shown) <= len(before) + 5 * len(part) + 40


@given(lines=st.lists(st.text(min_size=1, max_size=40), min_size=30, max_size=60, unique=True))
def test_what_does_not_repeat_is_left(lines: list[str]) -> None:
    reply = EndlessReply()
    text = "\n".join(f"{number} {line}" for number, line in enumerate(lines))
    assert not any(reply.grew(Text(text[at : at + 7])) for at in range(0, len(text), 7))
    assert without_repetition(text) == text


def test_rulers_and_rows_of_zeros_may_be_longer() -> None:
    for part in ("-", "0, ", "| "):
        assert not EndlessReply().grew(Text(part * (2 * WORDS // len(part))))
        assert EndlessReply().grew(Text(part * (2 * SIGNS // len(part))))


@pytest.mark.parametrize("kind", [Thought, lambda text: CallDelta(0, "a", "f", text)])
def test_thoughts_and_arguments_count_too(kind: Any) -> None:
    assert EndlessReply().grew(kind("so it is. " * 200))


def asked(*texts: str, dialect: str = "llamacpp") -> tuple[list[Any], ScriptedServer]:
    scenario = Scenario()
    for text in texts:
        scenario = scenario.turn(text=text)
    with ScriptedServer(scenario) as server:
        llm = {"model": "m", "model_server": server.url, "api_key": "k", "dialect": dialect}
        events = list(FnCallAgent([], llm=llm).events("Which region?"))
    return events, server


def test_the_model_is_told_and_answers() -> None:
    endless = '```json\n{"values": [' + "1612.5, " * 5000
    events, server = asked(endless, "West")
    assert events[-1].text == "West"
    assert events[-1].reason == "answer"
    assert sum(len(e.text) for e in events if isinstance(e, TextDelta)) < len(endless) / 4
    assert [e.finish_reason for e in events if isinstance(e, ModelFinished)] == ["length", "stop"]
    *_, reply, told = server.requests[1].request.messages
    assert reply["content"].startswith('```json\n{"values": [1612.5, ')
    assert len(reply["content"]) < 99
    assert "without end" in told["content"]


def test_a_model_that_goes_on_so_ends_the_run() -> None:
    events, server = asked(*["West, " * 5000] * 4)
    assert len(server.requests) == 3
    assert events[-1].reason == "length"


def test_elsewhere_text_may_repeat_itself() -> None:
    events, _ = asked("West, " * 5000, dialect="vllm")
    assert events[-1].text == "West, " * 5000
