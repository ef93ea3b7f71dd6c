"""Faults of qwen-agent 0.0.34 that scenarios find; with our agents the same scenarios pass."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from qwen_agent.agents import FnCallAgent as StockFnCallAgent
from qwen_agent.agents import ReActChat as StockReActChat
from qwen_agent.llm import get_chat_model
from qwen_agent.tools.base import BaseTool, ToolServiceError

from qwenbelt.agents import FnCallAgent, ReActChat
from qwenbelt.testing import (
    Check,
    CheckFailed,
    Scenario,
    ScriptedServer,
    Trajectory,
    answer,
    budget,
    calls,
    contains,
    no,
    tool,
)

NATIVE = {"use_raw_api": True}
OFFERED = [
    {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}
]


class Add(BaseTool):  # type: ignore[misc]
    """Adds two numbers."""

    name = "add"
    description = "Adds."
    parameters: ClassVar[Any] = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    }

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns the sum."""
        values = json.loads(params) if isinstance(params, str) else params
        return str(values["a"] + values["b"])


class Broken(Add):
    """Raises the error it is made with."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def call(self, params: Any, **kwargs: Any) -> str:
        """Raises."""
        raise self.error


class Long(Add):
    """Returns much text."""

    name = "long"

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns 4000 words."""
        return "word " * 4000


@dataclass
class Case:
    """One fault: the scenario that shows it, and how the clients are set up."""

    fault: str
    scenario: Callable[[], Scenario]
    told: str
    stock: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)
    kind: str = "fncall"
    tools: tuple[BaseTool, ...] = (Add(),)
    checks: tuple[Check, ...] = ()
    folder: Path | None = None


def sums(**entries: Any) -> Scenario:
    """Two calls in one reply, then an answer that holds their results."""
    pair = [("add", {"a": 1, "b": 2}), ("add", {"a": 30, "b": 40})]
    scenario = Scenario("sums?").turn(calls=pair, **entries)
    return scenario.answer("${add#1} and ${add#2}", expect={"results": {"add": ["3", "70"]}})


def one_call(name: str = "add", expect: Any = None, **entries: Any) -> Scenario:
    scenario = Scenario("sum?").turn(calls=[(name, {"a": 1, "b": 2})], **entries)
    return scenario.answer("done", expect=expect or {})


BOTH = calls(tool("add", a=1), tool("add", a=30))
LAST = {"max_retries": 0}
CASES = [
    Case("1 results without tool_call_id", one_call, "a tool message needs `tool_call_id`", NATIVE),
    Case("1 results with unknown keys", one_call, "unknown key 'extra' in a message", NATIVE),
    Case(
        "2 interleaved deltas are glued together",
        lambda: sums(wire={"interleave": True, "chunk": 4}),
        "are not JSON",
        NATIVE,
    ),
    Case(
        "2 null arguments crash",
        lambda: sums(wire={"dialect": "vllm"}),
        "NoneType",
        NATIVE,
    ),
    Case(
        "3 calls of a whole reply are dropped",
        lambda: Scenario(wire={"calls": "native"}).turn(calls=[("add", {"a": 1, "b": 2})]),
        "the model's call is lost",
        kind="chat",
    ),
    Case(
        "3 native calls in prompt mode are dropped",
        lambda: sums(wire={"calls": "native"}),
        "turn 2 was never asked for",
        ours={"tool_format": "nous"},
    ),
    Case(
        "4 a connection for every request",
        sums,
        "connections, at most 1",
        checks=(budget(connections=1),),
    ),
    Case(
        "5 max_retries is ignored in native mode",
        lambda: one_call(faults={"status": 503, "retry_after": 0.01, "times": 4}),
        "answers with status 503",
        {**NATIVE, "max_retries": 6},
        {"max_retries": 6},
    ),
    Case(
        "5 parallel_function_calls reaches the client",
        sums,
        "unexpected keyword argument 'parallel_function_calls'",
        {**NATIVE, "parallel_function_calls": True},
        {"parallel_function_calls": True},
    ),
    Case(
        "6 a random seed with every request",
        lambda: Scenario("hi").answer("hello", expect={"request": {"seed": {"absent": True}}}),
        "`seed` is sent",
    ),
    Case(
        "6 an empty first delta",
        sums,
        "list index out of range",
        {"fncall_prompt_type": "qwen"},
        {"tool_format": "nous"},
    ),
    Case(
        "6 nous refuses a chosen function",
        sums,
        "NotImplementedError",
        {"function_choice": "add"},
        {"tool_format": "nous", "function_choice": "add"},
    ),
    Case(
        "8 a tool's service error ends the run",
        lambda: one_call("broken"),
        "ToolServiceError",
        tools=(Broken(ToolServiceError(code="503", message="busy")),),
    ),
    Case(
        "8 the model gets the traceback",
        lambda: one_call("broken", {"results": {"broken": {"not": {"contains": "Traceback"}}}}),
        "should not be contains 'Traceback'",
        tools=(Broken(ValueError("no such table")),),
    ),
    Case(
        "9 an empty reply crashes ReAct",
        lambda: Scenario("sum?").answer("It is 3.", faults={"empty": True}),
        "list index out of range",
        kind="react",
    ),
    Case(
        "9 an invented observation stays",
        lambda: one_call(wire={"ignore_stop": True}),
        "should not be contains 'I remember'",
        NATIVE,
        kind="react",
        checks=(answer(no(contains("I remember"))),),
    ),
    Case(
        "9 only one action of a step runs",
        sums,
        "the result of add",
        kind="react",
        checks=(BOTH,),
    ),
    Case(
        "10 truncated results lose name and id",
        lambda: one_call("long"),
        "has lost its name",
        {**NATIVE, "max_input_tokens": 1200},
        {"max_input_tokens": 1200},
        kind="truncated",
        tools=(Long(),),
    ),
]  # fmt: skip


def _agent(case: Case, server: ScriptedServer, ours: bool) -> Any:
    kinds = {"react": (StockReActChat, ReActChat)}
    made = kinds.get(case.kind, (StockFnCallAgent, FnCallAgent))[ours]
    cfg = case.ours if ours else {"max_retries": 0, **case.stock}
    llm = {**server.llm, "model_type": "qwenbelt" if ours else "oai", "generate_cfg": dict(cfg)}
    if ours and case.kind == "truncated":  # what is left out is kept in a folder
        return made(function_list=list(case.tools), llm=llm, folder=case.folder)
    return made(function_list=list(case.tools), llm=llm)


def _lost_call(case: Case, server: ScriptedServer, ours: bool) -> list[str]:
    llm = {**server.llm, "model_type": "qwenbelt" if ours else "oai"}
    model = get_chat_model({**llm, "generate_cfg": {} if ours else dict(case.stock)})
    said = model.chat([{"role": "user", "content": "sum?"}], functions=OFFERED, stream=False)
    got = [message for message in said if message.get("function_call")]
    return [] if got else ["the model's call is lost"]


def found(case: Case, ours: bool) -> list[str]:
    """Plays a case and returns everything that was found wrong."""
    problems: list[str] = []
    with ScriptedServer(case.scenario()) as server:
        if case.kind == "chat":
            return _lost_call(case, server, ours)
        agent = _agent(case, server, ours)
        said = ""
        try:
            said = str(agent.run_nonstream([{"role": "user", "content": server.scenario.say}]))
        except Exception as error:  # what a client raises is what the case is about
            problems.append(f"{type(error).__name__}: {error}")
        try:
            run = Trajectory.from_server(server)
            run.answer = said
            run.check(*case.checks)
            server.assert_complete()
        except CheckFailed as error:
            problems.append(str(error))
        if case.kind == "truncated":
            messages = server.requests[-1].request.messages
            results = [m for m in messages if m["role"] == "tool"]
            if not all(m.get("tool_call_id") or m.get("name") for m in results) or not results:
                problems.append("a result has lost its name")
    return problems


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_found_in_stock_qwen_agent(case: Case) -> None:
    assert case.told in "\n".join(found(case, ours=False))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_our_agents_pass(case: Case, tmp_path: Path) -> None:
    case.folder = tmp_path
    assert found(case, ours=True) == []
