"""Durable runs: killed, they go on; done, they are not asked again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from qwenbelt import Budget, Session
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.testing import Scenario, ScriptedServer

sys.path.append(str(Path(__file__).resolve().parents[2] / "documents"))
from cluster import programs, running, store_place


class Size(BaseModel):
    mm: int


def test_a_run_that_is_done_is_not_asked_again(served: Any, tmp_path: Path) -> None:
    place = tmp_path / "runs.sqlite"
    agent = served(Scenario().answer('{"mm": 4}').answer("more"))
    for _ in range(2):
        result = agent.ask("How long?", answer=Size, durable=place, run_id="r1")
        assert (result.value, result.reason) == (Size(mm=4), "answer")
    assert len(served.asked) == 1
    with pytest.raises(InputError, match="another question"):
        agent.ask("How wide?", durable=place, run_id="r1")
    with pytest.raises(ConfigError, match="Leave out `durable`"):
        agent.ask("x", durable=place, session=Session(tmp_path / "s.db", "a"))
    assert agent.ask("How wide?", durable=place).text == "more"  # the id is made of the question
    assert agent.ask("How wide?", durable=place).text == "more"
    assert len(served.asked) == 2


def test_what_a_limit_ended_goes_on(served: Any, tmp_path: Path) -> None:
    def note(text: str) -> str:
        """Notes a text."""
        return "noted"

    place = tmp_path / "runs.sqlite"
    scenario = Scenario().turn(calls=[("note", {"text": "a"})]).answer("Cut short.")
    first = served(scenario, [note], budget=Budget(tokens=1))
    assert first.ask("Note a.", durable=place, run_id="r").reason != "answer"
    second = served(Scenario().answer("Noted."), [note])
    assert second.ask("Note a.", durable=place, run_id="r").text == "Noted."
    roles = [message["role"] for message in served.asked[-1].messages]
    assert roles.count("tool") == 1


PROGRAM = """
import json, os, signal, sys
from qwenbelt import FnCallAgent
from qwenbelt.core.events import Done

place, url, effects, fatal, mode = sys.argv[1:6]

def note(text: str) -> str:
    "Notes a text."
    with open(effects, "a") as file:
        file.write(text + "\\n")
    return "noted " + text

agent = FnCallAgent([note], llm={"model": "m", "model_server": url, "api_key": "k"})
options = {"durable": place, "run_id": "r"}
if mode == "session":
    from qwenbelt import Session
    options = {"session": Session(place, "s")}
count, text = 0, ""
for event in agent.events("Note three.", **options):
    count += event.kind == "tool_started"  # by then the reply is kept
    if count == int(fatal) != 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(event, Done):
        text = event.text
print(json.dumps([count, text]))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with store_place(request.param, tmp_path) as found:
        yield found


def killed_at(calls: list[int], place: str, folder: Path, mode: str) -> dict[str, int]:
    """Kills a run at each of these calls in turn; returns what was asked and done too often."""
    effects = folder / "effects.txt"
    effects.touch()
    scenario = Scenario()
    for name in ("one", "two", "three"):
        scenario.turn(calls=[("note", {"text": name})])
    scenario.answer("All noted.")
    with ScriptedServer(scenario, plays=None) as model:

        def run(fatal: int) -> subprocess.CompletedProcess[str]:
            words = [place, model.url, str(effects), str(fatal), mode]
            command = [sys.executable, "-c", PROGRAM, *words]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

        for fatal in calls:
            done = run(fatal)
            assert done.returncode in (-signal.SIGKILL, 0), done.stderr
            if done.returncode == 0:
                break
        done = run(0)
        assert json.loads(done.stdout)[1] == "All noted.", done.stderr
        asked = len(model.requests)
    told = [json.dumps(sent) for sent in effects.read_text().split()]
    return {"asked": asked, "done": len(told), "kinds": len(set(told))}


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.postgres
def test_killed_in_a_call_nothing_recorded_is_repeated(place: str, tmp_path: Path) -> None:
    calls = random.Random(7).sample((1, 2), 2)
    found = killed_at(calls, place, tmp_path, "durable")
    assert (found["kinds"], found["asked"]) == (3, 4)
    # at most the effect that was on its way, and not yet recorded, when the process was killed
    assert found["done"] <= 3 + len(calls)


@pytest.mark.postgres
def test_a_session_lives_in_postgres(served: Any, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres")
    if not programs():
        pytest.skip("needs PostgreSQL")
    with running(programs()[0]) as url:
        served(Scenario().answer("Hello, Anna.")).ask("I am Anna.", session=Session(url, "anna"))
        served(Scenario().answer("Anna.")).ask("Who am I?", session=Session(url, "anna"))
        session = Session(url, "anna")
        assert [m["content"] for m in session.history][-1] == "Anna."
        assert len(session.fork(at=1).history) == 2
        session.rewind(1)
        assert len(Session(url, "anna").history) == 2
        with pytest.raises(InputError, match="cannot be used"):
            Session(url.replace("postgresql://", "postgresql://no:pw@127.0.0.1:1/x?q=", 1), "a")
