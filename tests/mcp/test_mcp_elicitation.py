"""What a server asks in the middle of a call: events, hooks, refusals. A real server process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.hooks import Hook
from qwenbelt.core.events import ElicitationAsked, ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer


def run(
    config: dict[str, Any], arguments: dict[str, Any], values: Any, **options: Any
) -> tuple[dict[str, Any], list[ElicitationAsked]]:
    """Plays one call of `ask`, answers its questions; gives what the server got."""
    scenario = Scenario().turn(calls=[("s-ask", arguments)]).answer("done")
    with ScriptedServer(scenario) as server:
        agent = FnCallAgent([{"mcpServers": {"s": config}}], llm=server.llm, **options)
        asked: list[ElicitationAsked] = []
        got: dict[str, Any] = {}

        async def main() -> None:
            stream = agent.stream([{"role": "user", "content": "ask"}])
            async for event in stream:
                if isinstance(event, ElicitationAsked):
                    asked.append(event)
                    stream.answer(event.request_id, values)
                elif isinstance(event, ToolFinished):
                    got.update(json.loads(event.result))

        asyncio.run(main())
    return got, asked


def test_a_form_is_an_event_and_is_answered(faulty) -> None:
    got, (event,) = run(faulty(), {}, {"size": "L", "other": 1})
    assert got == {"action": "accept", "content": {"size": "L", "count": 1}}
    assert (event.server, event.message, event.mode) == ("s", "Which size?", "form")
    assert set(event.schema["properties"]) == {"size", "count"}
    assert event.request_id


def test_none_declines(faulty) -> None:
    assert run(faulty(), {}, None)[0]["action"] == "decline"


def test_a_page_to_open(faulty) -> None:
    got, (event,) = run(faulty(), {"url": "https://example.org/sign-in"}, {})
    assert got["action"] == "accept"
    assert not got.get("content")
    assert (event.mode, event.url) == ("url", "https://example.org/sign-in")


def test_a_form_never_asks_for_secrets(faulty) -> None:
    form = {"type": "object", "properties": {"password": {"type": "string"}}}
    got, asked = run(faulty(), {"form": form}, {"password": "x"})
    assert (got["action"], asked) == ("decline", [])


def test_hooks_answer_first(faulty) -> None:
    class Sizes(Hook):
        def on_elicitation(self, request: Any) -> Any:
            return {"size": "S"} if "size" in request.message else None

    got, asked = run(faulty(), {}, None, hooks=[Sizes()])
    assert got == {"action": "accept", "content": {"size": "S", "count": 1}}
    assert asked == []


@pytest.mark.parametrize("way", ["ask", "run"])
def test_declined_where_nobody_can_answer(faulty, way: str) -> None:
    scenario = Scenario().turn(calls=[("s-ask", {})]).answer("done")
    with ScriptedServer(scenario) as server:
        agent = FnCallAgent([{"mcpServers": {"s": faulty()}}], llm=server.llm)
        if way == "ask":
            said = str(agent.ask("ask").messages)
        else:
            said = str(agent.run_nonstream([{"role": "user", "content": "ask"}]))
    assert "decline" in said


def test_a_tool_called_alone_declines(faulty, tools_of) -> None:
    assert "decline" in tools_of(s=faulty())["s-ask"].call({})
