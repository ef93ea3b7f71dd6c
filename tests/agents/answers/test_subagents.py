"""Subagents: runs inside calls, with the outer run's events, approvals, budget and end."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import Budget, FnCallAgent, delegate
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import ApprovalAsked, Done, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario
from qwenbelt.tools import Tool


class Slow(Tool):
    """Waits until it is told to stop."""

    name = "slow"
    description = "Waits."
    read_only = True
    started = threading.Event()
    stopped = threading.Event()

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        self.started.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return "never"


class Write(Tool):
    """Has an effect."""

    name = "write"
    description = "Writes."
    written: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.written = []

    def call(self, params: Any, **kwargs: Any) -> str:
        self.written.append("x")
        return "written"


def asks(tool: str, task: str = "look", answer: str = "Done.") -> Scenario:
    return Scenario().turn(calls=[(tool, {"task": task})]).answer(answer)


def test_a_subagent_has_a_fresh_context_and_only_its_answer_comes_back(served: Any) -> None:
    inner = served(Scenario().turn(calls=[("write", {})]).answer("It is 7."), [Write()])
    outer = served(asks("helper", "how much?", "Seven."), [inner.as_tool("helper", "Counts.")])
    result = outer.ask("Let the helper count.")
    assert result.text == "Seven."
    question = served.asked[1].messages  # the inner run's first request
    assert [m["content"] for m in question if m["role"] == "user"] == ["how much?"]
    last = served.servers[1].requests[-1].request.messages[-1]
    assert last["content"] == "It is 7."
    (outer_call,) = [e for e in result.trace if isinstance(e, ToolFinished) and not e.parent]
    nested = [e for e in result.trace if isinstance(e, (ToolStarted, ToolFinished)) and e.parent]
    assert {e.parent for e in nested} == {outer_call.call_id}
    assert {e.name for e in nested} == {"write"}
    assert result.usage.requests == 4


def test_what_it_cites_can_be_cited(served: Any, paper: Path) -> None:
    search = Scenario().turn(calls=[("document_search", {"query": "tensile strength of lot A"})])
    inner = served(search.answer("412 MPa [1]."), ["document_search"])
    outer = served(asks("helper", answer="412 MPa [101]."), [inner.as_tool("helper", "Reads.")])
    (citation,) = outer.ask("How strong?", files=[paper]).citations
    assert (citation.n, citation.file, citation.page) == (101, "mill.pdf", 1)
    assert citation.verified


def test_tasks_run_side_by_side_and_one_that_fails_costs_no_other(served: Any) -> None:
    meeting = threading.Barrier(2, timeout=60)

    class Meet(Tool):
        name = "meet"
        description = "Waits for the other."
        read_only = True

        def call(self, params: Any, **kwargs: Any) -> str:
            meeting.wait()
            return "met"

    def one(name: str) -> FnCallAgent:
        scenario = Scenario().turn(calls=[("meet", {})]).answer(f"{name} met.")
        return served(scenario, [Meet()], name=name)  # type: ignore[no-any-return]

    broken = Scenario().turn(faults={"status": 401, "message": "no key"}, text="x")
    team = delegate([one("ann"), one("bob"), served(broken, name="eve", plays=None)])
    tasks = [{"agent": name, "task": "meet"} for name in ("ann", "bob", "eve")]
    scenario = Scenario().turn(calls=[("delegate", {"tasks": tasks})]).answer("Two met.")
    result = served(scenario, [team]).ask("Let them meet.")
    text = next(e.result for e in result.trace if isinstance(e, ToolFinished) and not e.parent)
    assert "[task 1, ann]\nann met." in text
    assert "[task 2, bob]\nbob met." in text
    assert "[task 3, eve]\nError: The subagent failed" in text
    with pytest.raises(ConfigError, match="names"):
        delegate([])


def test_a_person_is_asked_about_inner_calls(served: Any) -> None:
    tool = Write()
    inner = served(Scenario().turn(calls=[("write", {})]).answer("Written."), [tool])
    outer = served(asks("helper"), [inner.as_tool("helper", "Writes.")], approve="ask")
    asked: list[str] = []

    async def main() -> None:
        run = outer.stream([{"role": "user", "content": "go"}])
        async for event in run:
            if isinstance(event, ApprovalAsked):
                asked.append(event.name)
                run.approve(event.call_id, event.name == "helper")

    asyncio.run(main())
    assert asked == ["helper", "write"]
    assert tool.written == []


def test_stopping_the_outer_run_stops_three_levels(served: Any) -> None:
    Slow.started.clear(), Slow.stopped.clear()
    agent = served(Scenario().turn(calls=[("slow", {})]).answer("x"), [Slow()], plays=None)
    for level in ("c", "b", "a"):
        agent = served(asks(level), [agent.as_tool(level, "Goes down.")], plays=None)

    async def main() -> list[Any]:
        run, seen = agent.stream([{"role": "user", "content": "go"}]), []
        async for event in run:
            seen.append(event)
            if isinstance(event, ToolStarted) and event.name == "slow":
                run.cancel()
        return seen

    events = asyncio.run(main())
    assert Slow.stopped.is_set()
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "cancelled"
    slow = next(e for e in events if isinstance(e, ToolStarted) and e.name == "slow")
    assert slow.parent.count(".") == 2


def test_what_it_uses_counts_for_the_outer_run(served: Any) -> None:
    inner = served(Scenario().turn(calls=[("write", {})] * 3).answer("x"), [Write()])
    outer = served(
        Scenario().turn(calls=[("helper", {"task": "a"})]).answer("Enough."),
        [inner.as_tool("helper", "Writes.")],
        budget=Budget(tool_calls=2),
    )
    result = outer.ask("go")
    started = [e for e in result.trace if isinstance(e, ToolStarted) and e.name == "write"]
    assert len(started) == 2


def test_runs_side_by_side_take_from_one_budget(served: Any) -> None:
    inner = served(
        Scenario().turn(calls=[("write", {})] * 3).answer("x"), [Write()], plays=None, name="helper"
    )
    tasks = [{"agent": "helper", "task": str(n)} for n in range(4)]
    outer = served(
        Scenario().turn(calls=[("delegate", {"tasks": tasks})]).answer("Enough."),
        [delegate([inner])],
        budget=Budget(tool_calls=5),
    )
    result = outer.ask("go")
    started = [e for e in result.trace if isinstance(e, ToolStarted) and e.name == "write"]
    assert len(started) == 5
