"""One odd entry costs itself; changes of what a server offers are followed."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp.leniency import Mender, schema_fault


def scenario(*calls: tuple[str, dict]) -> Scenario:
    made = Scenario()
    for entry in calls:
        made.turn(calls=[entry])
    return made.answer("done")


def names(server: ScriptedServer, turn: int) -> list[str]:
    return [tool["function"]["name"] for tool in server.requests[turn].request.body["tools"]]


def test_one_odd_tool_costs_that_tool(faulty, tools_of, caplog) -> None:
    tools = tools_of(s=faulty("odd", call_timeout=20))
    for name in ("text_schema", "bad_property"):
        assert f"s-{name}" not in tools
        assert f"the tool {name} is left out: its inputSchema" in caplog.text
    for name in ("no_schema", "typeless", "odd_fields", "odd_output", "bare"):
        assert tools[f"s-{name}"].call({}) == "ok"
    assert tools["s-echo"].call({"text": "first of two"}) == "first of two"
    assert "echo is listed twice" in caplog.text
    assert tools["s-typeless"].parameters["type"] == "object"


def test_what_a_tool_said_after_it_ran_is_kept(faulty, tools_of, caplog) -> None:
    tools = tools_of(s=faulty("odd", call_timeout=20))
    whole = tools["s-unknown_blocks"].call({})
    assert all(part in whole for part in ("kept", "hologram", "bare"))
    with caplog.at_level(logging.WARNING, "qwenbelt.mcp"):
        told: list[str] = []
        context = ToolContext(report=lambda text, fraction=None: told.append(text))
        assert "text 1" in tools["s-unfit"].call({}, context=context)
        assert "text 2" in tools["s-unstructured"].call({}, context=context)
    assert "n: 'many' is not of type 'integer'" in told[0] + caplog.text
    assert "gave no structured result" in told[1]
    assert tools["s-both"].call({}) == 'see below\n\n{"n": 5}'
    assert tools["s-same"].call({}) == "n is 5"


def test_the_next_turn_offers_a_new_tool(faulty) -> None:
    with ScriptedServer(scenario(("s-grow", {}), ("s-grown", {"text": "hi"}))) as server:
        agent = FnCallAgent([{"mcpServers": {"s": faulty("grows")}}], llm=server.llm)
        *_, messages = agent.run([{"role": "user", "content": "grow"}])
        assert "from grown: hi" in str(messages)
        offered = [names(server, turn) for turn in (0, 1)]
    assert offered[0] == ["s-grow", "s-old", "read_artifact"]
    # at once in the order that the next run will have, so that there is one break and not two
    assert offered[1] == ["s-grow", "s-old", "s-grown", "read_artifact"]
    assert list(agent.function_map) == ["s-grow", "s-grown"]


def test_who_picked_some_tools_gets_no_others(faulty, tools_of) -> None:
    tools = tools_of(s=faulty("grows"))
    with ScriptedServer(scenario(("s-grow", {}))) as server:
        agent = FnCallAgent([tools["s-grow"]], llm=server.llm)
        *_, _ = agent.run([{"role": "user", "content": "grow"}])
        assert names(server, 1) == ["s-grow", "read_artifact"]


def test_excluded_tools_stay_out_when_they_come_later(faulty) -> None:
    config = faulty("grows", excludeTools=["grown"])
    with ScriptedServer(scenario(("s-grow", {}))) as server:
        agent = FnCallAgent([{"mcpServers": {"s": config}}], llm=server.llm)
        *_, _ = agent.run([{"role": "user", "content": "grow"}])
        assert names(server, 1) == ["s-grow", "s-old", "read_artifact"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON | st.just("tool"),
        "inputSchema": JSON | st.just({"type": "object"}),
        "outputSchema": JSON,
        "description": JSON,
        "annotations": JSON,
        "title": JSON,
        "icons": JSON,
        "_meta": JSON,
        "execution": JSON,
    },
)
GOOD = {"name": "good", "inputSchema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
@given(odd=st.lists(ENTRY | JSON, max_size=3), block=JSON)
def test_whatever_a_server_sends_the_good_ones_stay(version: str, odd: list, block: object) -> None:
    from mcp_types import JSONRPCRequest, JSONRPCResponse
    from mcp_types.methods import validate_server_result

    mender = Mender()
    mender._version = version
    more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    for method, result in (
        ("tools/list", {"tools": [*odd, GOOD]}),
        ("tools/call", {"content": [block, {"type": "text", "text": "good"}]}),
    ):
        mender.sent(JSONRPCRequest(jsonrpc="2.0", id=1, method=method))
        reply = JSONRPCResponse(jsonrpc="2.0", id=1, result={**more, **result})
        mended = mender.received(reply).result
        validate_server_result(method, version, mended)
        assert "good" in str(mended)


@given(JSON)
def test_any_json_is_a_schema_or_has_a_fault(value: object) -> None:
    assert isinstance(schema_fault(value, root=True), str)
