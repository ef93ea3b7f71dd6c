"""The chat's commands about what was said: undo, retry, edit, files, cost."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps import cli
from qwenbelt.testing import Scenario, ScriptedServer


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def chat(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, *lines: str, words: tuple[str, ...] = ()
) -> list[list[Any]]:
    """Types lines into a chat, and returns the contents that each request sent."""
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert cli.run(["chat", "-e", f"openai:m@{server.url}", "-t", "none", *words]) == 0
        return [
            [m["content"] for m in kept.request.messages if m["role"] != "system"]
            for kept in server.requests
        ]


@pytest.mark.parametrize("words", [(), ("--session", "anna")], ids=["new", "kept"])
def test_what_was_undone_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    scenario = Scenario().turn(lambda request: {"answer": f"{len(request.messages)} heard"})
    lines = ("One.", "Two.", "/undo", "Three.")
    sent = chat(monkeypatch, scenario, *lines, words=words)
    assert [contents[::2] for contents in sent] == [["One."], ["One.", "Two."], ["One.", "Three."]]


def test_retry_asks_the_same_again_and_edit_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/Two/Four/ "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    scenario = Scenario().turn(lambda request: {"answer": "Heard."})
    sent = chat(monkeypatch, scenario, "One.", "Two.", "/retry", "/edit")
    assert [contents[::2] for contents in sent[2:]] == [["One.", "Two."], ["One.", "Four."]]


def test_cost_files_and_help_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mill.txt").write_text("Lot A has 412 MPa.", encoding="utf-8")
    scenario = Scenario().turn(lambda request: {"answer": "Heard."})
    lines = ("/undo", "/file mill.txt", "/files", "Hello.", "/cost", "/export x.md", "/help")
    chat(monkeypatch, scenario, *lines)
    shown = capsys.readouterr()
    assert "Nothing was said yet." in shown.err
    assert str(Path("mill.txt").resolve()) in shown.out
    assert "1 requests; " in shown.out
    assert "no price is known" in shown.out
    assert os.path.isfile("x.md")
    for name in ("/undo", "/retry", "/edit", "/copy", "/files", "/export [FILE]", "/cost"):
        assert f"  {name}" in shown.out


def test_what_was_mistyped_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("/hepl", "/think maybe", "/tools", "/tools off plot", "/think on")
    assert chat(monkeypatch, Scenario().turn({"answer": "Heard."}), *lines) == []
    shown = capsys.readouterr()
    told = shown.out + shown.err
    assert "There is no command /hepl; /help lists them. Did you mean /help?" in told
    assert "Say on or off." in told
    assert "The model has no tools." in told
    assert "on|off:" not in told
    assert told.count("Thinking:") == 1


@pytest.mark.parametrize("words", [(), ("--session", "anna")], ids=["new", "kept"])
def test_compact_puts_notes_in_place_of_what_was_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    def turn(request: Any) -> dict[str, str]:
        last = str(request.messages[-1]["content"])
        return {
            "answer": "The mill has lot A." if "One." in last and "Two" not in last else "Heard."
        }

    lines = ("/compact", "One.", "Two.", "/compact", "Three.")
    sent = chat(monkeypatch, Scenario().turn(turn), *lines, words=words)
    shown = capsys.readouterr().err
    assert "Nothing was said yet." in shown
    assert "Summed up: 4 messages are now 4" in shown
    assert "One." in sent[2][0]  # what is summed up
    assert "Two." not in sent[2][0]
    assert "Notes on the conversation so far" in sent[3][0]
    assert sent[3][2:] == ["Two.", "Heard.", "Three."]


def test_resume_and_write_in_the_chat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf " and written" >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    scenario = Scenario().turn(lambda request: {"answer": "Heard."})
    chat(monkeypatch, scenario, "About bridges.", words=("--session", "bridges"))
    sent = chat(monkeypatch, scenario, "New.", "/resume bridges", "/write Go on", "/resume nothing")
    assert sent[1][0] == "About bridges."
    assert sent[1][2].split() == ["Go", "on", "and", "written"]
    shown = capsys.readouterr().err
    assert "bridges: 1 turns." in shown
    assert "fits 'nothing'" in shown


def test_tab_completes_what_stands_behind_a_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rich.console import Console

    from qwenbelt.apps.agent_choice import AgentChoice
    from qwenbelt.apps.terminal_chat.chat import Chat

    (tmp_path / "plans").mkdir()
    (tmp_path / "plan.pdf").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    monkeypatch.setenv("QWENBELT_ENDPOINT", "openai:m@http://127.0.0.1:9")
    made = Chat(AgentChoice(tools=("plot",)), Console())
    for line, words in {
        "/co": ["/copy", "/cost", "/compact"],
        "/file pl": ["plan.pdf", "plans/"],
        "/file nowhere/": [],
        "/tools o": ["on", "off"],
        "/tools off pl": ["plot"],
        "/approve a": ["ask", "auto"],
        "/model openai:m@": ["openai:m@http://127.0.0.1:9"],
        "/lanes x": [],
    }.items():
        assert made._complete(line) == words, line
