"""`mcp serve toolbox --agent`: agents as tools of a server, with progress, cancel and tasks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from qwenbelt.core.errors import ToolCancelled
from qwenbelt.mcp_servers.handlers import TASKS, McpHandlers, ProtocolFault
from qwenbelt.mcp_servers.service import McpService
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp import mcp_tools
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult

ABLE = {"_meta": {"io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}}}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Gives the configuration of a toolbox with one agent, whose model plays a scenario."""
    models: list[ScriptedServer] = []

    def start(scenario: Scenario, *options: str, **keys: Any) -> dict[str, Any]:
        model = ScriptedServer(scenario)
        model.__enter__()
        models.append(model)
        (tmp_path / "n.txt").write_text("41")
        file = tmp_path / "review er.md"
        file.write_text(
            "---\ndescription: Reviews contracts.\ntools: [file_info, file_write]\n"
            f"endpoint: openai:m@{model.url}\n---\nYou review.\n"
        )
        args = [
            "-c",
            "from qwenbelt.apps.cli import main; main()",
            "mcp",
            "serve",
            "toolbox",
            "--tool",
            "plot",
        ]
        env = {"QWENBELT_WORKSPACE": str(tmp_path / "work")}
        return {
            "command": sys.executable,
            "args": [*args, "--agent", str(file), *options],
            "env": env,
            "start_timeout": 60,
            **keys,
        }

    yield start
    for model in models:
        model.__exit__(None, None, None)


def look() -> tuple[str, dict[str, Any]]:
    return "file_info", {"path": "n.txt"}


def test_an_agent_is_a_tool_and_its_call_a_task(served: Any) -> None:
    scenario = Scenario().turn(calls=[look()]).answer("The clause is void.")
    # a call has less time than an agent takes: it is a task, and looked at
    tools = mcp_tools({"mcpServers": {"s": served(scenario, call_timeout=1.5)}})
    (mine,) = [tool for tool in tools if tool.name == "s-review_er"]
    assert mine.description == "Reviews contracts."
    assert not mine.read_only
    said = mine.call({"task": "Review it."}, context=ToolContext())
    assert "The clause is void." in said
    assert '"tools": ["file_info"]' in said


def test_what_asks_a_person_is_refused_and_a_cancel_ends_the_run(served: Any) -> None:
    calls = [("file_write", {"path": "x", "content": "y"})]
    scenario = Scenario().turn(calls=calls).answer("I may not.").turn(faults={"hang": True})
    tools = mcp_tools({"mcpServers": {"s": served(scenario)}})
    (mine,) = [tool for tool in tools if tool.name == "s-review_er"]
    assert "I may not." in mine.call({"task": "Write."}, context=ToolContext())
    context = ToolContext()
    threading.Timer(1.0, context.cancelled.set).start()
    with pytest.raises(ToolCancelled):
        mine.call({"task": "Hang."}, context=context)


class Nothing(BaseModel):
    pass


class Engine:
    def __init__(self) -> None:
        self.go = threading.Event()
        self.cancelled = False


def handlers_of(engine: Engine) -> McpHandlers:
    def run(engine: Engine, given: Nothing, call: OperationCall) -> OperationResult:
        call.report("half")
        while not engine.go.wait(0.01):
            if call.cancelled.is_set():
                engine.cancelled = True
                call.check()
        return OperationResult("done", {})

    operation = Operation("work", "Work", "Works.", Nothing, run, {"type": "object"}, long=True)
    return McpHandlers(McpService("s", "S", engine, [operation], tasks=True))


def wait_for(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_tasks_belong_to_their_client_and_end() -> None:
    engine = Engine()
    handlers = handlers_of(engine)
    ann, bob = OperationCall(client="ann"), OperationCall(client="bob")
    begun = handlers.handle("tools/call", {"name": "work", **ABLE}, ann)
    assert begun["resultType"] == "task"
    number = {"taskId": begun["taskId"]}
    wait_for(lambda: handlers.handle("tasks/get", number, ann).get("statusMessage") == "half")
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        with pytest.raises(ProtocolFault, match="not found"):
            handlers.handle(method, number, bob)
    assert handlers.busy()
    engine.go.set()
    wait_for(lambda: handlers.handle("tasks/get", number, ann)["status"] == "completed")
    result = handlers.handle("tasks/get", number, ann)["result"]
    assert result["content"] == [{"type": "text", "text": "done"}]
    assert not handlers.busy()
    # a client that knows no tasks waits for the result
    assert handlers.handle("tools/call", {"name": "work"}, ann)["content"] == result["content"]

    engine.go.clear()
    number = {"taskId": handlers.handle("tools/call", {"name": "work", **ABLE}, ann)["taskId"]}
    handlers.handle("tasks/cancel", number, ann)
    wait_for(lambda: engine.cancelled)
    assert handlers.handle("tasks/get", number, ann)["status"] == "cancelled"
    many = [handlers.handle("tools/call", {"name": "work", **ABLE}, ann) for _ in range(17)]
    assert [m.get("isError", False) for m in many] == [False] * 16 + [True]
    engine.go.set()
