"""The examples of `ask`, sessions, hooks and subagents, before a scripted model."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.testing import Scenario, ScriptedServer

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
Play = Callable[..., str]


@pytest.fixture
def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Play:
    """Runs an example in an empty folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))

    def run(name: str, scenario: Scenario, plays: int | None = 1) -> str:
        with ScriptedServer(scenario, plays=plays) as server:
            monkeypatch.setenv("QWENBELT_ENDPOINT", f"openai:any@{server.url}")
            monkeypatch.setenv("OPENAI_API_KEY", "none")
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_question_is_asked(play: Play) -> None:
    scenario = Scenario().turn(calls=[("document_search", {"query": "strength of lot A"})])
    printed = play("ask_a_question.py", scenario.answer("Lot A has 412 MPa [1]."))
    assert "Lot A has 412 MPa [1]." in printed
    assert "[1] mill.txt p. 1, found again: " in printed
    assert "2 requests, ended by: answer" in printed


def test_an_answer_has_a_type(play: Play) -> None:
    def lot(name: str, value: int, quote: str) -> dict[str, Any]:
        source = {"value": value, "file": "mill.txt", "page": 1, "quote": quote}
        return {"name": name, "strength": source}

    lots = [lot("A", 412, "Lot A has 412 MPa"), lot("B", 389, "Lot B has 389 MPa")]
    printed = play("typed_answer.py", Scenario().turn(text=json.dumps({"answer": lots})))
    assert "A: 412 MPa\n" in printed
    assert "B: 389 MPa  (the quote does not stand there)" in printed


def test_a_session_lasts(play: Play) -> None:
    def reply(request: Any) -> dict[str, Any]:
        told = any("I am Anna." in str(m["content"]) for m in request.messages[:-1])
        return {"answer": "You are Anna." if told else "Hello, Anna."}

    first = play("session_that_lasts.py", Scenario().turn(reply), plays=None)
    assert "Hello, Anna.\nturns so far: 1\nanna~2 has 2 turns\nwritten: anna.md" in first
    second = play("session_that_lasts.py", Scenario().turn(reply), plays=None)
    assert "You are Anna.\nturns so far: 2\nanna~3 has 2 turns" in second


def test_a_hook_guards(play: Play) -> None:
    calls = [("pay", {"to": "baker", "euros": 20}), ("pay", {"to": "smith", "euros": 900})]
    scenario = Scenario().turn(calls=calls).answer("The smith must wait.")
    printed = play("hook_that_guards.py", scenario)
    assert "euros to baker" in printed
    assert "euros to smith" not in printed
    assert "answer: The smith must wait.\nrefused: I only deal with bills." in printed


def test_subagents_work_side_by_side(play: Play) -> None:
    tasks = [{"agent": name, "task": "Look up the bolt."} for name in ("buyer", "keeper")]

    def reply(request: Any) -> dict[str, Any]:
        tool, _ = [entry["function"]["name"] for entry in request.body["tools"]]
        last = request.messages[-1]
        if last["role"] == "tool":
            return {"answer": f"It says: {last['content']}"}
        arguments = {"tasks": tasks} if tool == "delegate" else {"item": "bolt"}
        return {"calls": [(tool, arguments)]}

    printed = play("subagents_side_by_side.py", Scenario().turn(reply), plays=None)
    assert "[task 1, buyer]\nIt says: 1.25" in printed
    assert "[task 2, keeper]\nIt says: 400" in printed
    assert "calls of the two: price, stock; 6 requests" in printed


def test_tools_are_found_when_they_are_needed(play: Play) -> None:
    scenario = Scenario().turn(calls=[("search_tools", {"query": "convert furlongs to metres"})])
    arguments = {"name": "furlongs_to_metres", "arguments": {"length": 8}}
    scenario.turn(calls=[("call_tool", arguments)]).answer("It is 1609.34 m long.")
    printed = play("tools_found_when_needed.py", scenario)
    assert "It is 1609.34 m long." in printed
    assert "200 tools; called: search_tools, furlongs_to_metres" in printed
