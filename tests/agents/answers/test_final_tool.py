"""A typed answer as the call of a tool, where replies cannot be constrained but calls be forced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from qwenbelt import FnCallAgent
from qwenbelt.agents.models.capabilities import model_capabilities
from qwenbelt.core.errors import AnswerInvalid
from qwenbelt.core.events import Partial, ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer

RIGHT = {"name": "a rather long name of a fruit", "price": 2.5}


class Fruit(BaseModel):
    name: str
    price: float


def double(n: int) -> int:
    """Doubles a number.

    Args:
        n: the number.
    """
    return 2 * n


class Unconstrained:
    """Agents at servers of which a probe found that they do not constrain replies."""

    def __init__(self) -> None:
        self.servers: list[ScriptedServer] = []

    def __call__(self, scenario: Scenario, *tools: Any) -> FnCallAgent:
        server = ScriptedServer(scenario)
        server.__enter__()
        self.servers.append(server)
        model_capabilities(server.url, "m").structured = ""
        return FnCallAgent(
            list(tools), llm={"model": "m", "model_server": server.url, "api_key": "k"}
        )

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [entry.request.body for entry in self.servers[-1].requests]


@pytest.fixture
def unconstrained() -> Iterator[Unconstrained]:
    made = Unconstrained()
    yield made
    for server in made.servers:
        server.__exit__(None, None, None)


def final(value: Any) -> list[tuple[str, Any]]:
    return [("final_answer", value)]


def names(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body["tools"]]


FORCED = {"type": "function", "function": {"name": "final_answer"}}


def test_without_tools_the_call_is_forced(unconstrained: Unconstrained) -> None:
    agent = unconstrained(Scenario().turn(calls=final(RIGHT), wire={"chunk": 4}))
    events = list(agent.events("What?", answer=Fruit))
    assert events[-1].value == RIGHT  # type: ignore[union-attr]
    assert not [event for event in events if isinstance(event, ToolStarted)]
    partial = [event.value for event in events if isinstance(event, Partial)]
    assert partial[-1]["name"] == RIGHT["name"]
    assert len(partial) > 2
    (body,) = unconstrained.bodies
    assert body["tool_choice"] == FORCED
    assert "response_format" not in body


def test_beside_tools_it_is_one_of_them_from_the_start(unconstrained: Unconstrained) -> None:
    scenario = Scenario().turn(calls=[("double", {"n": 4})]).turn(calls=final(RIGHT))
    result = unconstrained(scenario, double).ask("What?", answer=Fruit)
    assert result.value == Fruit(**RIGHT)
    assert json.loads(result.text) == RIGHT
    first, second = unconstrained.bodies
    assert first["tools"] == second["tools"]
    assert names(first)[0] == "final_answer"
    assert "tool_choice" not in first
    assert [m["role"] for m in result.messages] == ["assistant", "function", "assistant"]


def test_an_answer_in_words_is_read_or_asked_for_by_a_forced_call(
    unconstrained: Unconstrained,
) -> None:
    agent = unconstrained(Scenario().turn(text=json.dumps(RIGHT)), double)
    assert agent.ask("What?", answer=Fruit).value == Fruit(**RIGHT)
    wrong = Scenario().turn(text="It is a fig [1].").turn(calls=final(RIGHT))
    assert unconstrained(wrong, double).ask("What?", answer=Fruit).value == Fruit(**RIGHT)
    first, repair = unconstrained.bodies
    assert repair["tools"] == first["tools"]
    assert repair["tool_choice"] == FORCED


def test_words_before_the_call_do_not_count(unconstrained: Unconstrained) -> None:
    agent = unconstrained(Scenario().turn(text="As [1] says:", calls=final(RIGHT)), double)
    assert agent.ask("What?", answer=Fruit).value == Fruit(**RIGHT)


def test_beside_other_calls_it_is_too_early(unconstrained: Unconstrained) -> None:
    early = [*final({"name": "?", "price": 0}), ("double", {"n": 4})]
    agent = unconstrained(Scenario().turn(calls=early).turn(calls=final(RIGHT)), double)
    assert agent.ask("What?", answer=Fruit).value == Fruit(**RIGHT)
    assert len(unconstrained.bodies) == 2


def test_a_call_that_does_not_fit_is_repaired_and_then_an_error_names_the_field(
    unconstrained: Unconstrained,
) -> None:
    wrong = {"name": "fig"}
    agent = unconstrained(Scenario().turn(calls=final(wrong)).turn(calls=final(RIGHT)), double)
    assert agent.ask("What?", answer=Fruit).value == Fruit(**RIGHT)
    assert "price" in str(unconstrained.bodies[-1]["messages"][-1]["content"])
    hopeless = Scenario()
    for _ in range(9):
        hopeless.turn(calls=final(wrong))
    with pytest.raises(AnswerInvalid, match="price"):
        unconstrained(hopeless).ask("What?", answer=Fruit)


def test_a_tool_of_that_name_keeps_it(unconstrained: Unconstrained) -> None:
    def final_answer(n: int) -> int:
        """Says what is final."""
        return n

    calls = [("final_answer", {"n": 1})]
    scenario = Scenario().turn(calls=calls).turn(calls=[("final_answer_", RIGHT)])
    result = unconstrained(scenario, final_answer).ask("What?", answer=Fruit)
    assert result.value == Fruit(**RIGHT)
    assert [m["role"] for m in result.messages] == ["assistant", "function", "assistant"]
