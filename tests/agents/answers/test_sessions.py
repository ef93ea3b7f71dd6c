"""Sessions: conversations that the next process goes on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import Session
from qwenbelt.core.errors import InputError
from qwenbelt.testing import Scenario, ScriptedServer

PROGRAM = """
import os, signal, sys
from pathlib import Path
from qwenbelt import FnCallAgent, Session

place, url, effects, fatal = sys.argv[1:5]

def note(text: str) -> str:
    "Notes a text."
    with open(effects, "a") as file:
        file.write(text + "\\n")
    if text == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return "noted " + text

agent = FnCallAgent([note], llm={"model": "m", "model_server": url, "api_key": "k"})
print(agent.ask("Note two.", session=Session(place, "anna")).text)
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "chats.db")


def said(*texts: str) -> Scenario:
    scenario = Scenario()
    for text in texts:
        scenario.turn(text=text)
    return scenario


def test_the_next_process_knows_what_was_said(served: Any, place: str) -> None:
    served(said("Hello, Anna.")).ask("I am Anna.", session=Session(place, "anna"))
    served(said("You are Anna.")).ask("Who am I?", session=Session(place, "anna"))
    texts = [m["content"] for m in served.asked[-1].messages if m["role"] != "system"]
    assert texts == ["I am Anna.", "Hello, Anna.", "Who am I?"]
    assert [m["content"] for m in Session(place, "anna").history][-1] == "You are Anna."
    assert Session(place, "bob").history == []


def test_fork_rewind_and_export(served: Any, place: str, tmp_path: Path) -> None:
    session = Session(place, "anna")
    agent = served(said("one", "two", "three", "other"), plays=None)
    for word in ("a", "b", "c"):
        agent.ask(word, session=session)
    fork = session.fork(at=1)
    assert [m["content"] for m in fork.history] == ["a", "one"]
    agent.ask("d", session=fork)
    assert len(fork.turns) == 2
    assert len(session.turns) == 3
    session.rewind(2)
    assert [m["content"] for m in session.history] == ["a", "one"]
    assert "## a\n\none" in session.export(tmp_path / "chat.md").read_text()
    assert json.loads(session.export(tmp_path / "chat.json").read_text())["turns"][0]
    line = json.loads(session.export(tmp_path / "chat.jsonl").read_text())
    assert [m["role"] for m in line["messages"]] == ["user", "assistant"]
    with pytest.raises(InputError, match="turns"):
        session.rewind(9)
    with pytest.raises(InputError, match="written as"):
        session.export(tmp_path / "chat.docx")
    with pytest.raises(InputError, match="cannot be used"):
        Session(tmp_path, "anna")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_goes_on_and_repeats_nothing_that_was_kept(place: str, tmp_path: Path) -> None:
    effects = tmp_path / "effects.txt"
    calls = [("note", {"text": "first"}), ("note", {"text": "second"})]
    scenario = Scenario().turn(calls=[calls[0]]).turn(calls=[calls[1]]).answer("Both noted.")
    with ScriptedServer(scenario, plays=1) as model:

        def run(fatal: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", PROGRAM, place, model.url, str(effects), fatal]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

        assert run("second").returncode == -signal.SIGKILL
        assert len(model.requests) == 2
        done = run("")
        assert done.stdout.strip() == "Both noted.", done.stderr
        assert len(model.requests) == 3  # no reply that was kept is asked for again
    # the effect that was done but not kept is done again; the one that was kept is not
    assert effects.read_text().split() == ["first", "second", "second"]
    history = Session(place, "anna").history
    assert [m["role"] for m in history] == [
        "user",
        *("assistant", "function") * 2,
        "assistant",
    ]


def test_what_is_no_session_is_refused_in_one_line(tmp_path: Path) -> None:
    from qwenbelt import FnCallAgent

    with ScriptedServer(Scenario().answer("Hello.")) as server:
        agent = FnCallAgent(llm=server.llm)
        for wrong in (tmp_path / "chats.db", "chats.db"):
            with pytest.raises(InputError, match="takes a Session"):
                agent.ask("Hi", session=wrong)
    with pytest.raises(InputError, match="mysql:// is no database"):
        Session("mysql://localhost/chats")
