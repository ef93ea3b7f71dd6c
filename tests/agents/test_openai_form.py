"""Histories in OpenAI's form, given to `agent.run` and `agent.stream`."""

from __future__ import annotations

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.openai_form import from_openai
from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.testing import Scenario, ScriptedServer

PNG = "data:image/png;base64,iVBORw0KGgo="
HISTORY = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}},
            {"id": "c2", "type": "function", "function": {"name": "b", "arguments": {"y": 2}}},
        ],
    },
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "one"}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?"},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        ],
    },
]


@pytest.mark.parametrize("method", ["run", "stream"])
def test_a_history_of_calls_and_pictures(method: str) -> None:
    with ScriptedServer(Scenario().answer("fine")) as server:
        agent = FnCallAgent(llm=server.llm)
        if method == "run":
            assert agent.run_nonstream(HISTORY)[-1]["content"] == "fine"
        else:
            assert agent.ask(HISTORY).text == "fine"
        sent = server.requests[0].request.messages
    roles = [message["role"] for message in sent]
    assert roles == ["system", "user", "assistant", "tool", "tool", "user"]
    calls = sent[2]["tool_calls"]
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [
        ("a", '{"x": 1}'),
        ("b", '{"y": 2}'),
    ]
    results = {message["tool_call_id"]: message["content"] for message in sent[3:5]}
    assert results == {calls[0]["id"]: "one", calls[1]["id"]: "two"}
    assert sent[5]["content"][1]["image_url"]["url"] == PNG


def test_qwen_agents_own_messages_stay_as_they_are() -> None:
    own = [
        {"role": "user", "content": [{"text": "hi"}, {"image": "a.png"}, {"file": "b.pdf"}]},
        {"role": "assistant", "content": "", "function_call": {"name": "a", "arguments": "{}"}},
        {"role": "function", "name": "a", "content": "r", "extra": {"function_id": "1"}},
    ]
    assert from_openai(own) == own


def test_a_part_that_is_not_understood_is_named() -> None:
    with pytest.raises(InputError, match="'hologram'"):
        from_openai([{"role": "user", "content": [{"type": "hologram"}]}])


def test_trio_is_told_in_one_line() -> None:
    trio = pytest.importorskip("trio")

    async def main(agent: FnCallAgent) -> None:
        async for _ in agent.stream([{"role": "user", "content": "hi"}]):
            pass

    with ScriptedServer(Scenario().answer("fine")) as server:
        agent = FnCallAgent(llm=server.llm)
        with pytest.raises(ConfigError, match=r"run on asyncio.*trio.to_thread.run_sync"):
            trio.run(main, agent)

        async def in_a_thread() -> str:
            return (await trio.to_thread.run_sync(agent.ask, "hi")).text

        assert trio.run(in_a_thread) == "fine"
