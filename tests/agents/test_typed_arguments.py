"""One coercion for every kind of tool, and one line for what a tool does not take."""

import json
from typing import Any

import pytest
from qwen_agent.tools.base import BaseTool

from qwenbelt.agents import FnCallAgent
from qwenbelt.core.errors import ToolError
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import Tool
from qwenbelt.tools.function import FunctionTool

RAN: list[Any] = []


def search(queries: list[str], limit: int = 5, after: str | None = None) -> str:
    """Searches.

    Args:
        queries: what for.
        limit: how many.
        after: a page.
    """
    RAN.append((queries, limit, after))
    return "ok"


SCHEMA = {
    "type": "object",
    "properties": {
        "queries": {"type": "array", "items": {"type": "string"}},
        "limit": {"type": "integer"},
        "after": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["queries"],
}


class OwnSearch(Tool):
    name = "search"
    description = "Searches."
    parameters = SCHEMA

    def call(self, params: Any, **kwargs: Any) -> str:
        values = dict(params)
        RAN.append((values["queries"], values.get("limit", 5), values.get("after")))
        return "ok"


class StockSearch(BaseTool):  # type: ignore[misc]
    name = "search"
    description = "Searches."
    parameters = SCHEMA

    def call(self, params: Any, **kwargs: Any) -> str:
        values = json.loads(params)
        RAN.append((values["queries"], values.get("limit", 5), values.get("after")))
        return "ok"


WRITTEN = {"queries": "['8080']", "limit": "3", "after": "8080"}


@pytest.mark.parametrize(
    "tool", [search, OwnSearch(), StockSearch()], ids=["plain", "own", "stock"]
)
def test_every_kind_of_tool_gets_the_types_of_its_schema(tool: Any) -> None:
    RAN.clear()
    with ScriptedServer(Scenario().turn(calls=[("search", WRITTEN)]).answer("done")) as server:
        llm = {**server.llm, "model_type": "qwenbelt"}
        FnCallAgent([tool], llm=llm).run_nonstream([{"role": "user", "content": "go"}])
    assert RAN == [(["8080"], 3, "8080")]


def test_what_a_tool_does_not_take_is_refused_in_one_line() -> None:
    with pytest.raises(ToolError) as caught:
        FunctionTool(search).parse({"queries": ["a"], "colour": "red"})
    line = "Wrong arguments for search: unknown argument colour; it takes queries, limit, after."
    assert str(caught.value) == line


def test_a_schema_that_is_silent_takes_more() -> None:
    values = {"queries": ["a"], "more": 1}
    assert OwnSearch().parse(values) == values
    closed = OwnSearch()
    closed.parameters = {**SCHEMA, "additionalProperties": False}
    with pytest.raises(ToolError, match="unknown argument more"):
        closed.parse(values)
