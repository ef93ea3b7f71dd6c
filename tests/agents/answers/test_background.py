"""Tools that work in the background: the model goes on, what they come to is told later."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel

from qwenbelt import Budget, FunctionTool, Hook, Session
from qwenbelt.agents.runtime.background import lost_calls
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import Done, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario
from qwenbelt.tools.base import Tool


class Work:
    """A slow tool that ends when the quick one was called."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def crawl(self, site: str) -> str:
        """Reads a whole site.

        Args:
            site: which.
        """
        assert self.go_on.wait(30), "the model did not go on"
        return f"{site} has 7 pages"

    def look(self) -> str:
        """Looks at something."""
        self.go_on.set()
        return "looked"

    @property
    def tools(self) -> list[Any]:
        return [FunctionTool(self.crawl, background=True), FunctionTool(self.look)]


class Endless(Tool):
    """Works until it is stopped."""

    name = "endless"
    description = "Works."
    background = True
    read_only = True
    timeout = None
    stopped = threading.Event()

    def call(self, params: Any, **kwargs: Any) -> str:
        kwargs["context"].cancelled.wait(30)
        type(self).stopped.set()
        return "stopped"


def model(request: Any) -> dict[str, Any]:
    """Starts, looks while that works, answers, and answers again when the result is there."""
    results = [str(m["content"]) for m in request.messages if m["role"] == "tool"]
    if any("7 pages" in text for text in results):
        return {"answer": "It has 7 pages."}
    if len(results) == 1:
        assert "Started in the background" in results[0]
        return {"calls": [("look", {})]}
    return {"answer": "I wait."} if results else {"calls": [("crawl", {"site": "a.org"})]}


def asking() -> Scenario:
    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=model)
    return scenario


def test_the_model_goes_on_and_is_told_the_result(served: Any) -> None:
    result = served(asking(), Work().tools, plays=None).ask("How many pages?")
    assert (result.text, result.reason) == ("It has 7 pages.", "answer")
    roles = [(m["role"], m.get("name")) for m in result.messages if m["role"] == "function"]
    assert [name for _, name in roles] == ["crawl", "look", "crawl"]  # a tool's words, not a user's
    ended = {e.call_id: e for e in result.trace if isinstance(e, ToolFinished)}
    (inner,) = (e for e in ended.values() if e.parent)
    assert inner.call_id == f"{inner.parent}.result"
    assert inner.result == "a.org has 7 pages"
    assert "Started in the background" in ended[inner.parent].result
    began = next(e for e in result.trace if isinstance(e, ToolStarted) and e.name == "look")
    assert began.started < inner.finished


def test_it_is_there_in_the_session_and_hooks_see_it(served: Any, tmp_path: Any) -> None:
    seen: list[str] = []

    class Look(Hook):
        def after_tool(self, call: Any, outcome: Any) -> None:
            seen.append(outcome.text)

    session = Session(tmp_path / "s.db", "a")
    agent = served(asking(), Work().tools, plays=None, hooks=[Look()])
    agent.ask("How many pages?", session=session)
    assert sorted(seen) == ["a.org has 7 pages", "looked"]
    texts = [m["content"] for m in Session(tmp_path / "s.db", "a").history]
    assert texts[-2:] == ["a.org has 7 pages", "It has 7 pages."]


def test_a_typed_answer_waits_for_it_too(served: Any) -> None:
    class Pages(BaseModel):
        count: int

    def typed(request: Any) -> dict[str, Any]:
        made = model(request)
        return made if "calls" in made else {"answer": {"count": 7 if "7" in made["answer"] else 0}}

    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=typed)
    agent = served(scenario, Work().tools, plays=None)
    assert agent.ask("How many pages?", answer=Pages).value == Pages(count=7)


def test_a_cancelled_run_stops_it(served: Any) -> None:
    Endless.stopped.clear()
    agent = served(
        Scenario().turn(calls=[("endless", {})]).turn(faults={"hang": True}), [Endless()]
    )
    events = []
    for event in agent.events("go"):
        events.append(event)
        if isinstance(event, ToolFinished) and not event.parent:
            agent.cancel()
    assert Endless.stopped.wait(10)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "cancelled"
    ended = [e for e in events if isinstance(e, ToolFinished) and e.parent]
    assert [e.status for e in ended] == ["cancelled"]


def test_a_budget_of_time_stops_it_and_the_model_answers(served: Any) -> None:
    Endless.stopped.clear()
    scenario = Scenario().turn(calls=[("endless", {})]).answer("I wait.").answer("Enough.")
    agent = served(scenario, [Endless()], budget=Budget(seconds=1.5))
    result = agent.ask("go")
    assert Endless.stopped.wait(10)
    assert (result.text, result.reason) == ("Enough.", "seconds")


def test_a_subagent_in_the_background(served: Any) -> None:
    inner = served(Scenario().answer("It has 7 pages."))
    work = Work()
    work.go_on.set()
    tool = inner.as_tool("crawl", "Reads a site.", background=True)

    def outer(request: Any) -> dict[str, Any]:
        made = model(request)
        return (
            {"calls": [("crawl", {"task": "a.org"})]}
            if made.get("calls") and made["calls"][0][0] == "crawl"
            else made
        )

    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=outer)
    agent = served(scenario, [tool, FunctionTool(work.look)], plays=None)
    assert agent.ask("How many pages?").text == "It has 7 pages."


def test_resources_are_kept_while_later_replies_have_calls(served: Any) -> None:
    order: list[str] = []

    class Writes(Tool):
        description = "Writes a file."

        def __init__(self, name: str, *, background: bool) -> None:
            self.name = name
            self.background = background
            super().__init__()

        def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
            return set(), {"file"}

        def call(self, params: Any, **kwargs: Any) -> str:
            order.append(f"{self.name} begins")
            if self.background:
                time.sleep(0.3)
            order.append(f"{self.name} ends")
            return self.name

    scenario = Scenario().turn(calls=[("slow", {})]).turn(calls=[("quick", {})])
    scenario.answer("x").answer("Done.")
    tools = [Writes("slow", background=True), Writes("quick", background=False)]
    served(scenario, tools).ask("go")
    assert order == ["slow begins", "slow ends", "quick begins", "quick ends"]


def test_what_a_process_took_with_it_is_told(served: Any) -> None:
    call = {"role": "assistant", "content": "", "extra": {"function_id": "c1"}}
    call |= {"function_call": {"name": "crawl", "arguments": "{}"}}
    started = {"role": "function", "name": "crawl", "extra": {"function_id": "c1"}}
    text = "Started in the background. What it comes to is told later, as a further result of "
    text += "crawl; go on with something else meanwhile, or answer when nothing else is to be done."
    question = {"role": "user", "content": "q"}
    told = [question, call, {**started, "content": text}]
    ((lost, words),) = lost_calls(told)
    assert (lost.id, lost.name) == ("c1", "crawl")
    assert "Call it again" in words
    assert not lost_calls([*told, question])
    again = [{**m, "extra": {"function_id": "c1.result"}} for m in (call, started)]
    assert not lost_calls([*told, *again])
    assert not lost_calls([question, call, {**started, "content": "7 pages"}])


@pytest.mark.parametrize("background", [True, False])
def test_only_those_that_say_so(served: Any, background: bool) -> None:
    def note() -> str:
        """Notes."""
        return "noted"

    scenario = Scenario().turn(calls=[("note", {})]).answer("x")
    if background:
        scenario.answer("y")
    result = served(scenario, [FunctionTool(note, background=background)]).ask("go")
    first = next(m for m in result.messages if m["role"] == "function")
    assert first["content"].startswith("Started") == background


def test_an_agent_names_tools_that_are_not_waited_for(served: Any) -> None:
    work = Work()
    tools, background = [work.crawl, work.look], ["crawl"]
    agent = served(asking(), tools, plays=None, background=background)
    assert agent.ask("How many pages?").text == "It has 7 pages."
    with pytest.raises(ConfigError, match="background names no tool of this agent: crowl"):
        served(Scenario(), [work.crawl], plays=None, background=["crowl"])
