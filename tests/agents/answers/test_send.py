"""More is said in the middle of a run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from qwenbelt.agents import ReActChat
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Done, MessageSent, ToolStarted
from qwenbelt.testing import Scenario
from qwenbelt.tools.base import Tool

ASK = [{"role": "user", "content": "How were sales in 2022?"}]


class Look(Tool):
    """Ends when the test lets it."""

    name = "look"
    description = "Looks a year up."
    parameters: ClassVar = {"type": "object", "properties": {"year": {"type": "integer"}}}
    read_only = True

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def call(self, params: Any, **kwargs: Any) -> str:
        assert self.go_on.wait(120)
        return "12"


def events_of(run: Any, on: Any) -> list[Any]:
    async def read() -> list[Any]:
        out = []
        async for event in run:
            out.append(event)
            on(event)
        return out

    return asyncio.run(read())


@pytest.mark.parametrize("kind", ["native", "react"])
def test_a_message_is_taken_up_after_the_calls_that_run(served: Any, kind: str) -> None:
    tool = Look()
    scenario = Scenario().turn(calls=[("look", {"year": 2022})])
    scenario.answer("Final Answer: 12 and 13" if kind == "react" else "12 and 13")
    agent = served(scenario, [tool], **({"kind": ReActChat} if kind == "react" else {}))
    run = agent.stream(ASK)

    def on(event: Any) -> None:
        if isinstance(event, ToolStarted):
            run.send("Also check 2023.")
            tool.go_on.set()

    events = events_of(run, on)
    assert [e.text for e in events if isinstance(e, MessageSent)] == ["Also check 2023."]
    asked = str(served.asked[-1].body["messages"])
    assert asked.index("12") < asked.index("Also check 2023.")
    assert {"role": "user", "content": "Also check 2023."} in events[-1].messages
    assert "12 and 13" in events[-1].text
    with pytest.raises(InputError, match="has ended"):
        run.send("And 2021?")


def test_a_message_that_comes_with_the_answer_is_answered_too(served: Any) -> None:
    scenario = Scenario().answer("12.").answer("13 in 2023.")
    agent = served(scenario)
    run = agent.stream(ASK)
    run.send("And 2023?")
    sent = []

    def on(event: Any) -> None:
        if isinstance(event, MessageSent):
            sent.append(event.text)

    events = events_of(run, on)
    assert sent == ["And 2023?"]
    roles = [m["role"] for m in events[-1].messages]
    assert roles == ["assistant", "user", "assistant"]
    assert events[-1].text == "13 in 2023."
    assert isinstance(events[-1], Done)
