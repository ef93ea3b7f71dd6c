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
