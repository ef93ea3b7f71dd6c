"""Conversations that the next command goes on with, typed answers and durable runs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import Session
from qwenbelt.agents.sessions.session import known_sessions
from qwenbelt.apps import cli
from qwenbelt.testing import Scenario, ScriptedServer


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def ask(server: ScriptedServer, command: str, *words: str) -> int:
    spec = f"openai:m@{server.url}"
    return cli.run([command, "-e", spec, "-t", "none", *words])


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def sent(server: ScriptedServer) -> list[Any]:
    messages = server.requests[-1].request.messages
    return [m["content"] for m in messages if m["role"] != "system"]


def test_run_and_chat_share_a_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    scenario = Scenario().answer("Hello, Anna.").answer("You are Anna.").answer("Bye, Anna.")
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        assert ask(server, "run", "I am Anna.", "--session", "anna") == 0
        typed(monkeypatch, "Who am I?")
        assert ask(server, "chat", "--continue") == 0
        assert sent(server)[:2] == ["I am Anna.", "Hello, Anna."]
        typed(monkeypatch, "1", "Bye.")
        assert ask(server, "chat", "--resume") == 0
        assert len(sent(server)) == 5
    shown = capsys.readouterr()
    assert "anna  I am Anna." in shown.err
    assert "You are Anna." in shown.out
    place = tmp_path / "workspace" / "chats.db"
    assert len(Session(place, "anna").turns) == 3
    assert [one.name for one in known_sessions(place, "i am")] == ["anna"]
    assert known_sessions(place, "nobody") == []


def test_a_durable_chat_goes_on_with_an_answer_that_was_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    place = tmp_path / "chats.db"
    cut = Session(place, "anna")
    cut.turn_for([{"role": "user", "content": "I am Anna."}])  # and its process is killed
    options = ("--store", str(place), "--session", "anna", "--durable")
    with ScriptedServer(Scenario().answer("Hello, Anna.").answer("Bye."), plays=None) as server:
        typed(monkeypatch)
        assert ask(server, "chat", *options) == 0
        assert sent(server) == ["I am Anna."]
        shown = capsys.readouterr()
        assert "Going on with: I am Anna." in shown.err + shown.out
        assert "Hello, Anna." in shown.out
        typed(monkeypatch, "Bye.")
        assert ask(server, "chat", *options) == 0  # nothing is open now
        assert sent(server) == ["I am Anna.", "Hello, Anna.", "Bye."]
    assert [len(turn) for turn in cut.turns] == [2, 2]


def test_what_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(Scenario().answer("x")) as server:
        assert ask(server, "chat", "--continue") != 0
        assert "No conversation is kept yet" in capsys.readouterr().err
        assert ask(server, "chat", "--resume", "nobody") != 0
        assert "fits 'nobody'" in capsys.readouterr().err
        assert ask(server, "run", "x", "--session", "a", "--durable") == 2
        assert ask(server, "run", "x", "--answer", "no.json") != 0


def test_a_new_chat_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ScriptedServer(Scenario().answer("Hi."), strict=False) as server:
        typed(monkeypatch, "Hello.")
        assert ask(server, "chat") == 0
    (one,) = known_sessions(tmp_path / "workspace" / "chats.db")
    assert (one.turns, one.begins) == (1, "Hello.")


def test_a_typed_answer_and_a_durable_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"type": "object", "properties": {"mm": {"type": "integer"}}, "required": ["mm"]}
    (tmp_path / "size.json").write_text(json.dumps(schema))
    with ScriptedServer(Scenario().answer('{"mm": 4}'), plays=1, strict=False) as server:
        for _ in range(2):  # the second one is answered from the record
            words = ["How long?", "--answer", "size.json", "--durable", "--run-id", "r"]
            assert ask(server, "run", *words) == 0
            assert json.loads(capsys.readouterr().out) == {"mm": 4}
        assert len(server.requests) == 1
    (tmp_path / "size.json").write_text("[")
    with ScriptedServer(Scenario().answer("x")) as server:
        assert ask(server, "run", "x", "--answer", "size.json") != 0
    assert "is not JSON" in capsys.readouterr().err
