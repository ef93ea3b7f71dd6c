"""A chain of endpoints: the next goes on where one has an outage or no quota."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.fallback import chain_of
from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.core.events import Notice, Retrying
from qwenbelt.testing import Call, Scenario, ScriptedServer

ASK = [{"role": "user", "content": "How deep is the harbour?"}]
made: list[str] = []


def book(place: str) -> str:
    """Books a berth; has effects."""
    made.append(place)
    return f"booked: {place}"


def events_of(agent: FnCallAgent) -> list[Any]:
    async def read() -> list[Any]:
        return [event async for event in agent.stream(ASK)]

    return asyncio.run(read())


@pytest.fixture
def chain() -> Any:
    with ExitStack() as stack:

        def make(first: Scenario, second: Scenario, **settings: Any) -> tuple[FnCallAgent, Any]:
            servers = [stack.enter_context(ScriptedServer(s)) for s in (first, second)]
            llms = [{**s.llm, "model": f"m{n}"} for n, s in enumerate(servers)]
            return FnCallAgent([book], llms, **settings), servers

        yield make


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        ({"status": 503}, 2),
        ({"status": 429, "message": "You exceeded your current quota."}, 2),
        ({"status": 400, "code": "Arrearage", "message": "Access denied: overdue."}, 1),
        ({"status": 404, "message": "The model does not exist."}, 1),
        ({"reset": True}, 4),  # a broken connection is tried twice by itself
    ],
)
def test_the_next_goes_on_after_an_outage(chain: Any, fault: Any, asked: int) -> None:
    first = Scenario().turn(text="never", faults=[fault] * 9)
    second = Scenario().turn(calls=[Call("book", {"place": "north"})]).answer("12 metres.")
    agent, servers = chain(first, second)
    made.clear()
    events = events_of(agent)
    assert events[-1].text == "12 metres."
    assert made == ["north"]
    (notice,) = [e.text for e in events if isinstance(e, Notice)]
    assert "m0 cannot be asked" in notice
    assert "going on with m1" in notice
    assert len(servers[0].requests) == asked
    waited = [e for e in events if isinstance(e, Retrying)]
    assert len(waited) == (asked > 1)


def test_an_outage_after_an_effect_repeats_nothing(chain: Any) -> None:
    first = Scenario().turn(calls=[Call("book", {"place": "south"})])
    first.turn(text="never", faults=[{"status": 500}] * 9)
    agent, servers = chain(first, Scenario().answer("It is booked."))
    made.clear()
    events = events_of(agent)
    assert made == ["south"]
    assert events[-1].text == "It is booked."
    seen = servers[1].requests[0].request.body["messages"]
    assert any("booked: south" in str(message.get("content")) for message in seen)


def test_a_refusal_is_no_outage_and_the_last_one_fails(chain: Any) -> None:
    wrong = {"status": 400, "message": "temperature must be below 2"}
    agent, servers = chain(Scenario().turn(text="x", faults=[wrong] * 9), Scenario().answer("y"))
    with pytest.raises(EndpointError, match="temperature"):
        events_of(agent)
    assert not servers[1].requests
    away = Scenario().turn(text="x", faults=[{"status": 401, "message": "no key"}] * 9)
    agent, _ = chain(away, Scenario().turn(text="x", faults=[{"status": 402}] * 9))
    with pytest.raises(EndpointError, match="402"):
        events_of(agent)


@pytest.mark.parametrize("cut", [400, 900, 1400])
def test_a_stream_that_breaks_in_a_call_with_effects_makes_it_once(chain: Any, cut: int) -> None:
    first = Scenario().turn(
        text="I book. ",
        calls=[Call("book", {"place": "east"}), Call("book", {"place": "west"})],
        faults=[{"cut_after": cut}] * 9,
    )
    second = Scenario().turn(calls=[Call("book", {"place": "east"})]).answer("It is booked.")
    agent, servers = chain(first, second)
    made.clear()
    events = events_of(agent)
    assert made == ["east"]
    assert events[-1].text == "It is booked."
    assert "going on with m1" in str([e for e in events if isinstance(e, Notice)])
    assert any(isinstance(e, Retrying) for e in events)  # what was shown of the reply is void
    assert "I book" not in str(servers[1].requests[-1].request.body["messages"])


def test_nobody_waits_long_where_another_can_be_asked(chain: Any) -> None:
    busy = {"status": 429, "retry_after": 3600, "message": "slow down"}
    agent, servers = chain(Scenario().turn(text="x", faults=[busy] * 9), Scenario().answer("y"))
    events = events_of(agent)
    assert events[-1].text == "y"
    assert len(servers[0].requests) == 1
    assert not [e for e in events if isinstance(e, Retrying) and e.delay]


def test_the_next_may_take_less(chain: Any) -> None:
    away = Scenario().turn(text="x", faults=[{"status": 401, "message": "no key"}] * 9)
    agent, servers = chain(away, Scenario().answer("y"))
    small = {**servers[1].llm, "model": "m1", "generate_cfg": {"max_input_tokens": 2000}}
    agent = FnCallAgent([book], [{**servers[0].llm, "model": "m0"}, small])
    history = [
        {"role": role, "content": f"{n} " * 2000}
        for n in range(4)
        for role in ("user", "assistant")
    ]
    assert agent.ask([*history, *ASK]).text == "y"
    sent = [len(str(s.requests[0].request.body["messages"])) for s in servers]
    assert sent[0] > 30_000
    assert sent[1] < 12_000


def test_the_next_may_write_calls_in_another_form(chain: Any) -> None:
    first = Scenario().turn(calls=[Call("book", {"place": "south"})])
    first.turn(text="never", faults=[{"status": 401, "message": "no key"}] * 9)
    agent, servers = chain(first, Scenario().answer("x"))
    plain = {**servers[1].llm, "model": "m1", "generate_cfg": {"tool_format": "nous"}}
    agent = FnCallAgent([book], [{**servers[0].llm, "model": "m0"}, plain])
    made.clear()
    assert agent.ask(ASK).text == "x"
    body = servers[1].requests[0].request.body
    assert "tools" not in body
    assert "<tool_call>" in str(body["messages"])
    assert "booked: south" in str(body["messages"])
    assert made == ["south"]


def test_the_same_twice_and_a_chain_in_a_chain() -> None:
    a, b, c = ({"model": n, "model_server": "http://h/v1"} for n in "abc")
    assert "fallback" not in chain_of([a, dict(a)])
    assert chain_of([a, b, a]) == {**a, "fallback": [b]}
    inner = {**a, "fallback": [b]}
    assert chain_of([inner, c]) == {**a, "fallback": [b, c]}
    assert inner == {**a, "fallback": [b]}  # what was given is left as it was


def test_a_chain_is_of_specs_and_dicts() -> None:
    both = chain_of(["vllm:a@http://127.0.0.1:1/v1", {"model": "b", "model_server": "http://h/v1"}])
    assert (both["model"], [one["model"] for one in both["fallback"]]) == ("a", ["b"])
    assert "fallback" not in chain_of(["vllm:a@http://127.0.0.1:1/v1"])
    for wrong in ([], [3]):
        with pytest.raises(ConfigError, match="chain of endpoints"):
            FnCallAgent([], wrong)
