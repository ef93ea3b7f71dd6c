"""Agents that a program made, behind `WebUI`: single ones, lists, routers and groups."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from qwen_agent.agents import Assistant as StockAssistant
from qwen_agent.agents import FnCallAgent as StockFnCallAgent
from qwen_agent.agents import GroupChat, Router

from qwenbelt.agents import FnCallAgent
from qwenbelt.apps.gui import WebUI
from qwenbelt.apps.gui.asking import first_turns
from qwenbelt.apps.gui.given import Given, Looks
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import ApprovalAsked, Done, Event, Notice, TextRelabelled, ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import Tool

QUESTION = [{"role": "user", "content": "go"}]


class Work(BaseModel):
    i: int = 0
    seconds: float = 0.0


class Worker(Tool):
    name = "work"
    description = "Works."
    Arguments = Work
    read_only = True
    stopped = False

    def call(self, params: Any, **kwargs: Any) -> str:
        arguments = self.parse(params)
        context = kwargs.get("context")
        if context is not None and arguments.seconds:
            Worker.stopped = context.cancelled.wait(arguments.seconds)
        return f"r{arguments.i}"


class Mail(Worker):
    name = "mail"
    read_only = False


@pytest.fixture
def llm() -> Iterator[Callable[[Scenario], Any]]:
    servers = []

    def make(scenario: Scenario) -> Any:
        server = ScriptedServer(scenario)
        servers.append(server)
        return server.__enter__().llm

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def events_of(
    given: Given, folder: Path, act: Callable[[Any, Event], None] = lambda run, event: None
) -> list[Event]:
    """Runs a turn as a conversation of the chat does."""

    async def read() -> list[Event]:
        agent = given.agent_for("go", "")
        run = given.seat(agent, "gui-x", folder).stream(QUESTION)
        found = []
        async for event in run:
            found.append(event)
            act(run, event)
        return found

    return asyncio.run(read())


def texts(events: list[Event], kind: str) -> str:
    return "".join(event.text for event in events if event.kind == kind)  # type: ignore[attr-defined]


def done(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def test_our_agent_tells_its_own_events(llm: Any, tmp_path: Path) -> None:
    scenario = Scenario().turn(calls=[("work", {"i": 1}), ("work", {"i": 2})]).answer("Both.")
    agent = FnCallAgent([Worker()], llm(scenario))
    found = events_of(Given([agent]), tmp_path)
    assert sum(isinstance(event, ToolStarted) for event in found) == 2
    assert (done(found).reason, done(found).text) == ("answer", "Both.")


@pytest.mark.parametrize("kind", [StockFnCallAgent, StockAssistant])
def test_a_stock_agents_lists_become_events(llm: Any, tmp_path: Path, kind: Any) -> None:
    scenario = Scenario().turn(calls=[("work", {"i": 1})], text="Looking.").answer("It is r1.")
    agent = kind(function_list=[Worker()], llm={**llm(scenario), "model_type": "qwenbelt"})
    found = events_of(Given([agent]), tmp_path)
    kinds = [event.kind for event in found]
    assert kinds.index("tool_ready") < kinds.index("tool_started") < kinds.index("tool_finished")
    assert texts(found, "text") == "Looking.It is r1."
    assert done(found).messages[-1]["content"] == "It is r1."
    (finished,) = [event for event in found if event.kind == "tool_finished"]
    assert finished.result == "r1"  # type: ignore[attr-defined]


def test_a_router_with_one_of_ours(llm: Any, tmp_path: Path) -> None:
    calls = [("work", {"i": 1}), ("work", {"i": 2})]
    worker = FnCallAgent(
        [Worker()],
        llm(Scenario().turn(calls=calls).answer("It is both.")),
        name="worker",
        description="Works.",
    )
    chooser = {**llm(Scenario().answer("Call: worker")), "model_type": "qwenbelt"}
    router = Router(llm=chooser, agents=[worker])
    found = events_of(WebUI(router).given(), tmp_path)
    assert any(isinstance(event, TextRelabelled) for event in found)
    assert [e.text for e in found if isinstance(e, Notice)][-1] == "worker:"
    assert sum(event.kind == "tool_finished" for event in found) == 2
    turns = [event.turn for event in found if event.kind == "model_started"]  # type: ignore[attr-defined]
    assert turns == sorted(set(turns))
    assert texts(found, "text").endswith("It is both.")
    assert texts(found, "text").count("It is both.") == 1
    assert done(found).messages[-1]["name"] == "worker"


def test_a_group_of_ours_and_stock(llm: Any, tmp_path: Path) -> None:
    one = FnCallAgent([], llm(Scenario().answer("First.")), name="one", description="a")
    stock = {**llm(Scenario().answer("Second.")), "model_type": "qwenbelt"}
    two = StockAssistant(llm=stock, name="two", description="b")
    group = GroupChat(agents=[one, two], agent_selection_method="round_robin")
    ui = WebUI(group, {"user.name": "Ann"})
    found = events_of(ui.given(max_round=2), tmp_path)
    assert texts(found, "text") == "First.Second."
    assert [e.text for e in found if isinstance(e, Notice)] == ["one:", "two:"]
    assert [m["name"] for m in done(found).messages] == ["one", "two"]


def test_stop_ends_a_members_tool(llm: Any, tmp_path: Path) -> None:
    scenario = Scenario().turn(calls=[("work", {"seconds": 60})]).answer("Late.")
    member = FnCallAgent([Worker()], llm(scenario), name="slow", description="Slow.")
    group = GroupChat(agents=[member], agent_selection_method="round_robin")
    Worker.stopped = False

    def stop(run: Any, event: Event) -> None:
        if isinstance(event, ToolStarted):
            run.cancel()

    found = events_of(WebUI(group).given(), tmp_path, stop)
    assert done(found).reason == "cancelled"
    end = time.monotonic() + 20
    while not Worker.stopped and time.monotonic() < end:
        time.sleep(0.01)
    assert Worker.stopped


def test_a_members_question_is_answered(llm: Any, tmp_path: Path) -> None:
    scenario = Scenario().turn(calls=[("mail", {"i": 3})]).answer("Sent.")
    member = FnCallAgent([Mail()], llm(scenario), name="m", description="Mails.", approve="ask")
    group = GroupChat(agents=[member], agent_selection_method="round_robin")

    def allow(run: Any, event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            run.approve(event.call_id, True)

    found = events_of(WebUI(group).given(max_round=1), tmp_path, allow)
    assert [e.result for e in found if e.kind == "tool_finished"] == ["r3"]  # type: ignore[attr-defined]


def test_an_error_of_a_stock_agent_reaches_the_reader(tmp_path: Path) -> None:
    class Broken(StockFnCallAgent):  # type: ignore[misc]
        def _run(self, messages: Any, **kwargs: Any) -> Any:
            raise RuntimeError("broken")
            yield []

    with pytest.raises(RuntimeError, match="broken"):
        events_of(Given([Broken(llm={"model": "x", "model_type": "qwenbelt"})]), tmp_path)


def test_who_answers() -> None:
    one, two = (FnCallAgent(llm={"model": "x"}, name=name) for name in ("one", "two"))
    given = WebUI([one, two]).given(enable_mention=True)
    assert given.choosable
    assert given.agent_for("hello", "two") is two
    assert given.agent_for("@two hello", "one") is two
    assert given.agent_for("@three hello", "") is one
    assert not WebUI(one).given().choosable


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"user.nam": "x"}, "user.nam"),
        ({"user.avatar": "/nowhere.png"}, "nowhere"),
        ({"prompt.suggestions": [3]}, "suggestion"),
    ],
)
def test_a_wrong_chatbot_config_says_what_to_mend(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Looks.read(config)


def test_a_tunnel_through_others_is_refused() -> None:
    ui = WebUI(FnCallAgent(llm={"model": "x"}))
    with pytest.raises(ConfigError, match="share"):
        ui.run(share=True)


def test_first_messages_become_turns() -> None:
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
    ]
    first, second = first_turns("s", messages)
    assert (first.question, first.answer, len(first.messages)) == ("One?", "One.", 4)
    assert [event["event"] for event in first.events] == [
        *("tool_ready", "tool_started", "tool_finished", "text")
    ]
    assert (second.question, second.events) == ("Two?", [])
