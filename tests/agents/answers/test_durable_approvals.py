"""A durable run that waits for a person's approval needs no process meanwhile."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents.sessions.approvals import (
    ApprovalTable,
    answer_approval,
    waiting_approvals,
)
from qwenbelt.apps.cli import run
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import ApprovalAsked, Done
from qwenbelt.testing import Scenario
from qwenbelt.tools.function import FunctionTool

sys.path.append(str(Path(__file__).resolve().parents[2] / "documents"))
from cluster import programs, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    pytest.importorskip("psycopg")
    if not programs():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with running(programs()[0]) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return str(tmp_path / "runs.sqlite")


class Desk:
    """A tool with effects, and how often it had them."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.looked: list[str] = []

    def tools(self) -> list[Any]:
        def send(text: str) -> str:
            """Sends a letter."""
            self.sent.append(text)
            return f"sent {text}"

        def look(text: str) -> str:
            """Looks something up."""
            self.looked.append(text)
            return f"seen {text}"

        return [FunctionTool(send), FunctionTool(look, read_only=True)]


CALLS = [("look", {"text": "a"}), ("send", {"text": "b"})]


@pytest.mark.parametrize("allowed", [True, False])
def test_it_ends_and_goes_on_when_another_process_has_answered(
    served: Any, place: str, allowed: bool
) -> None:
    desk, name = Desk(), f"r{allowed}"
    asked = {"durable": place, "run_id": name}
    first = served(Scenario().turn(calls=CALLS), desk.tools(), approve="ask")
    for _ in range(2):  # asked again without an answer, it waits again
        result = first.ask("Send b.", **asked)
        assert result.reason == "approval"
        assert (desk.looked, desk.sent) == (["a"], [])
    assert len(served.asked) == 1
    (waits,) = [one for one in waiting_approvals(place) if one.run == name]
    assert (waits.name, json.loads(waits.arguments)) == ("send", {"text": "b"})
    assert answer_approval(place, name, allowed=allowed) == 1
    second = served(Scenario().answer("Done."), desk.tools(), approve="ask")
    assert second.ask("Send b.", **asked).text == "Done."
    assert (desk.looked, desk.sent) == (["a"], ["b"] if allowed else [])
    said = [m["content"] for m in served.asked[-1].messages if m["role"] == "tool"]
    assert len(said) == 2
    assert ("sent b" in said) is allowed
    assert not [one for one in waiting_approvals(place) if one.run == name]
    with pytest.raises(InputError, match="Nothing waits"):
        answer_approval(place, name)


def test_a_run_that_waits_in_its_process_goes_on_at_the_answer_of_another(
    served: Any, place: str
) -> None:
    desk = Desk()
    agent = served(Scenario().turn(calls=CALLS[1:]).answer("Done."), desk.tools(), approve="ask")
    kinds = []
    for event in agent.events("Send b.", durable=place, run_id="here"):
        kinds.append(event.kind)
        if isinstance(event, ApprovalAsked):
            threading.Thread(target=answer_approval, args=(place, "here")).start()
        if isinstance(event, Done):
            assert event.text == "Done."
    assert "approval_asked" in kinds
    assert desk.sent == ["b"]


def test_an_answer_counts_for_the_very_call_only(tmp_path: Path) -> None:
    table = ApprovalTable(tmp_path / "runs.sqlite")
    event = ApprovalAsked("c1", "send", '{"text": "b"}', "has effects")
    assert table.ask("r", event) is None
    table.answer("r", "c1", True)
    assert table.ask("r", event) is True
    assert table.ask("other", event) is None
    assert table.ask("r", ApprovalAsked("c1", "send", '{"text": "c"}', "")) is None
    assert table.ask("r", event) is None  # what was allowed was another call


SCENARIO = """
say: Write it.
turns:
  - calls: [{code_interpreter: {code: "open('made.txt', 'a').write('x')"}}]
  - answer: Written.
"""


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "runs.sqlite")
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWENBELT_LANG", "en")
    command = ["run", "--durable", "--run-id", "w", "--store", store, "--approve", "ask"]
    command += ["-e", f"scripted:{tmp_path / 's.yaml'}", "-t", "code_interpreter", "Write it."]
    assert run(command) == 1
    assert "qwenbelt approve w" in capsys.readouterr().err
    assert run(["approve", "--store", store]) == 0
    listed = capsys.readouterr().out
    assert "code_interpreter" in listed
    assert "made.txt" in listed
    run(["approve", "--store", store, "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["name"]) == ("w", "code_interpreter")
    assert run(["approve", "w", "--store", store]) == 0
    assert run(["approve", "w", "--store", store]) == 1
    capsys.readouterr()
    assert run(command) == 0
    assert capsys.readouterr().out.strip() == "Written."
