"""Calls that a server goes on with as tasks. A real server process, whose tasks outlive it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ToolCancelled, ToolError, ToolTimeout
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp.tasks import HeldTask, note_path

SERVER = str(Path(__file__).with_name("task_server.py"))


@pytest.fixture
def crunch(tools_of: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., Any]:
    def start(**keys: Any) -> Any:
        entry = {"command": sys.executable, "args": [SERVER, str(tmp_path)], **keys}
        return tools_of(s=entry)["s-crunch"]

    return start


def store(folder: Path) -> dict[str, Any]:
    """What the server keeps; it may be writing it at this moment."""
    until = time.monotonic() + 60
    while True:
        try:
            found: dict[str, Any] = json.loads((folder / "tasks.json").read_text())
            return found
        except json.JSONDecodeError:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_task_is_polled_and_its_progress_told(crunch: Any, tmp_path: Path) -> None:
    told: list[str] = []
    context = ToolContext(report=lambda text, fraction=None: told.append(text))
    # each look is answered in time; the whole takes longer than a call may
    text = crunch(call_timeout=0.4).call({"steps": 12}, context=context)
    assert text == '"done after 13"'
    assert "step 1" in told
    assert context.resting == 0
    assert store(tmp_path)["calls"] == 1


def test_a_server_that_dies_in_a_task_finds_it_again(crunch: Any, tmp_path: Path) -> None:
    assert "done after" in crunch().call({"way": "die", "steps": 4}, context=ToolContext())
    assert store(tmp_path)["calls"] == 1, "the call was not made twice"


@pytest.mark.parametrize(
    ("way", "said"),
    [("fail", "no data"), ("silent", "no answer"), ("endless", "took longer than 0.3 s")],
)
def test_a_task_that_does_not_end_well(crunch: Any, tmp_path: Path, way: str, said: str) -> None:
    tool = crunch(call_timeout=0.5 if way == "silent" else 60, task_timeout=0.3)
    error = ToolError if way == "fail" else ToolTimeout
    with pytest.raises(error, match=said):
        tool.call({"way": way}, context=ToolContext())


def test_cancelling_the_call_cancels_the_task(crunch: Any, tmp_path: Path) -> None:
    context = ToolContext()
    context.report = lambda text, fraction=None: context.cancelled.set()
    with pytest.raises(ToolCancelled):
        crunch().call({"way": "endless"}, context=context)
    until = time.monotonic() + 60
    while not store(tmp_path)["tasks"]["t1"].get("cancelled"):
        assert time.monotonic() < until
        threading.Event().wait(0.02)


@pytest.mark.parametrize("way", ["ask", "rounds"])
def test_the_person_is_asked(crunch: Any, way: str) -> None:
    """By a task, and by a call that comes back with the answers (`input_required`)."""
    asked = []

    def elicit(question: Any) -> Future[Any]:
        asked.append(question)
        future: Future[Any] = Future()
        future.set_result({"size": "L"})
        return future

    text = crunch().call({"way": way}, context=ToolContext(elicit=elicit))
    answers = {"q": {"action": "accept", "content": {"size": "L"}}}
    assert json.loads(text) == (answers if way == "ask" else [answers, "s1"])
    assert [(q.server, q.message) for q in asked] == [("s", "Which size?")]


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_is_gone_on_with_finds_its_task(
    crunch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tasks.json").write_text(
        json.dumps({"calls": 1, "tasks": {"t1": {"way": "", "steps": 0, "looks": 8}}})
    )
    tool, arguments = crunch(), {"steps": 0}
    server = f"stdio {sys.executable} {[SERVER, str(tmp_path)]} "
    note = note_path(server, "crunch", arguments, "run:a#1/c1")
    HeldTask(60, note=note).begin("t1" if known else "t0")  # by the process that was killed
    context = ToolContext(kept_turn="run:a#1", call_id="c1")
    text = tool.call(arguments, context=context)
    assert text == ('"done after 9"' if known else '"done after 1"')
    assert store(tmp_path)["calls"] == (1 if known else 2)
    assert note is not None
    assert not note.exists()
