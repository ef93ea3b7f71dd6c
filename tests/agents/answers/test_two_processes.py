"""Two processes that ask in one session at one moment: nothing is lost, mixed, done twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbelt import Session
from qwenbelt.agents.sessions.owners import other_at_work, this_process
from qwenbelt.core.errors import InputError
from qwenbelt.testing import Scenario, ScriptedServer

sys.path.append(str(Path(__file__).resolve().parents[2] / "documents"))
from cluster import store_place

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
PROGRAM = """
import os, sys, time
from pathlib import Path
from qwenbelt import FnCallAgent, Session
from qwenbelt.core.errors import InputError

place, url, folder, *questions = sys.argv[1:]
folder = Path(folder)

def note(text: str) -> str:
    "Notes a text."
    with open(folder / "effects.txt", "a") as file:
        file.write(text + "\\n")
    (folder / "begun").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "noted " + text

agent = FnCallAgent([note], llm={"model": "m", "model_server": url, "api_key": "k"})
(folder / f"here-{os.getpid()}").touch()
while len(list(folder.glob("here-*"))) < len(questions):
    time.sleep(0.005)
for question in questions:
    while True:
        try:
            agent.ask(question, session=Session(place, "anna"))
            break
        except InputError as error:
            if len(questions) == 1:
                sys.exit(str(error))
            assert "is answering in process" in str(error), error
            time.sleep(0.01)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with store_place(request.param, tmp_path) as found:
        yield found


def process(place: str, url: str, folder: Path, *questions: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, place, url, str(folder), *questions]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@needs_proc
def test_the_second_is_told_and_nothing_is_done_twice(place: str, tmp_path: Path) -> None:
    scenario = Scenario().turn(calls=[("note", {"text": "once"})]).answer("Noted.")
    with ScriptedServer(scenario, plays=1) as model:
        first = process(place, model.url, tmp_path, "Note it.")
        while not (tmp_path / "begun").exists():
            assert first.poll() is None, first.communicate()
        second = process(place, model.url, tmp_path, "Note it.")
        told = second.communicate(timeout=120)[1].strip()
        assert second.returncode == 1
        assert told == (
            f"The session 'anna' is answering in process {first.pid}. "
            "Wait until that has ended, or ask in a fork of the session."
        )
        (tmp_path / "go").touch()
        assert (first.communicate(timeout=120)[1], first.returncode) == ("", 0)
    assert (tmp_path / "effects.txt").read_text().split() == ["once"]
    (turn,) = Session(place, "anna").turns
    assert [m["role"] for m in turn] == ["user", "assistant", "function", "assistant"]


@needs_proc
def test_all_turns_of_both_are_whole(place: str, tmp_path: Path) -> None:
    with ScriptedServer(Scenario().answer("Yes."), plays=None) as model:
        asked = [[f"{who} {n}" for n in range(2)] for who in ("a", "b")]
        both = [process(place, model.url, tmp_path, *questions) for questions in asked]
        for one in both:
            assert one.communicate(timeout=120)[1] == ""
            assert one.returncode == 0
    turns = Session(place, "anna").turns
    assert [[m["content"] for m in turn][1:] for turn in turns] == [["Yes."]] * 4
    said = [turn[0]["content"] for turn in turns]
    assert sorted(said) == sorted([*asked[0], *asked[1]])
    for questions in asked:  # in their order
        assert [text for text in said if text in questions] == questions


def test_who_owns_a_turn() -> None:
    assert other_at_work(this_process()) == 0
    for odd in ("", "x", "elsewhere 1 1", this_process().rsplit(" ", 2)[0] + " 999999999 5"):
        assert other_at_work(odd) == 0


@pytest.mark.parametrize("wrong", ["2", -1, 99, 1.5, True, "two"])
def test_odd_numbers_of_turns_are_told_in_one_line(tmp_path: Path, wrong: object) -> None:
    session = Session(tmp_path / "chats.db", "anna")
    session.put([[{"role": "user", "content": "Hello."}]])
    for method in (session.fork, session.rewind):
        with pytest.raises(InputError, match=r"turns") as told:
            method(wrong)
        assert "\n" not in str(told.value)
        assert repr(wrong) in str(told.value)
    assert len(session.turns) == 1


def test_unknown_names_are_told_in_one_line(tmp_path: Path) -> None:
    place = tmp_path / "chats.db"
    Session(place, "anna").put([[{"role": "user", "content": "Hello."}]])
    for method in (Session(place, "ana").fork, Session(place, "ana").rewind):
        with pytest.raises(
            InputError, match=r"no session 'ana' in the database\. Known are: 'anna'"
        ):
            method()
    for name in (None, 5):
        with pytest.raises(InputError, match="The name of a session is a text, not"):
            Session(place, name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="already"):
        Session(place, "anna").fork(name="anna")
    with pytest.raises(InputError, match="is a text, not 5"):
        Session(place, "anna").fork(name=5)  # type: ignore[arg-type]
