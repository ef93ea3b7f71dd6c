"""Ending runs: everything stops within 100 ms, the history stays valid, the talk goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent, ReActChat
from qwenbelt.core.events import Done, TextDelta, ToolFinished, ToolProgress
from qwenbelt.testing import Scenario

Agents = Callable[..., FnCallAgent]
Events = Callable[..., list[Any]]
QUESTION = [{"role": "user", "content": "go"}]
LIMIT = 3  # the aim, 0.1 s, is measured in benchmarks/; a test shares its machine with others


def kinds(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def follow(run: Any, until: Callable[[Any], bool]) -> list[Any]:
    """Reads a run until something happens."""
    found = []
    async for event in run:
        found.append(event)
        if until(event):
            break
    return found


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def goes_on(agent: FnCallAgent, messages: list[dict[str, Any]]) -> str:
    """Sends the next message after what is there; the endpoint is strict."""

    async def main() -> str:
        asked = [*QUESTION, *messages, {"role": "user", "content": "and now?"}]
        events = [event async for event in agent.stream(asked)]
        return str(events[-1].text)

    return asyncio.run(main())


@pytest.fixture
def server_log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def mcp_tool(server_log: Path) -> Iterator[Any]:
    from qwenbelt.tools.mcp import mcp_tools

    script = str(Path(__file__).with_name("slow_server.py"))
    entry = {"command": sys.executable, "args": [script, str(server_log)]}
    (tool,) = mcp_tools({"mcpServers": {"slow": entry}})
    yield tool
    tool.connection.loop.submit(tool.connection.close()).result(10)


@pytest.fixture
def kernel_tool(tmp_path: Path) -> Iterator[Any]:
    from qwenbelt.tools.code_interpreter.host import close_host
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

    tool = CodeInterpreter({"allow_unsandboxed": True, "work_dir": str(tmp_path)})
    yield tool
    tool.close()
    close_host()


def cpu_of_children() -> float:
    """Returns the CPU seconds that all processes below this one have used."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text(encoding="utf-8").partition(" (")
            fields = rest.rpartition(") ")[2].split()
            parents[int(pid)] = int(fields[1])
            used[int(pid)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    below = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in below} - below
        if not more:
            return sum(used[pid] for pid in below - {os.getpid()})
        below |= more


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_cancel_ends_threads_tasks_kernels_and_servers(
    agent_of: Agents,
    recorder: Any,
    sync_recorder: Any,
    mcp_tool: Any,
    kernel_tool: Any,
    server_log: Path,
    tmp_path: Path,
) -> None:
    """The one that matters: all four kinds at once."""
    thread, task = sync_recorder("thread"), recorder("task")
    code = "print('computing', flush=True)\nwhile True: pass"
    calls = [
        ("thread", {"d": 25}),  # longer than the others take to begin on a busy machine
        ("task", {"d": 30}),
        (mcp_tool.name, {"seconds": 30}),
        ("code_interpreter", {"code": code}),
    ]
    scenario = Scenario().turn(calls=calls).answer("All right.")
    agent = agent_of(scenario, [thread, task, mcp_tool, kernel_tool], folder=tmp_path)

    async def main() -> tuple[Any, list[Any], float]:
        run = agent.stream(QUESTION)
        events = await follow(run, lambda event: isinstance(event, ToolProgress))
        while not server_log.exists():
            await asyncio.sleep(0.02)
        begin = time.monotonic()
        run.cancel()
        async for event in run:
            events.append(event)
        return run, events, time.monotonic() - begin

    run, events, took = asyncio.run(main())
    assert took <= LIMIT
    finished = {event.name: event for event in kinds(events, ToolFinished)}
    assert len(finished) == 4
    told = {"Error: cancelled by the user", "Error: cancelled by the user\ncomputing"}
    assert {e.result for e in finished.values()} == told  # the kernel's output until then is kept
    assert all(event.cancelled for event in finished.values())
    assert {name for name, event in finished.items() if event.abandoned} == {"thread"}
    assert task.running == 0
    time.sleep(0.4)
    used = cpu_of_children()
    time.sleep(0.5)
    assert cpu_of_children() - used < 0.2  # a loop that still runs would use 0.5
    assert server_log.read_text(encoding="utf-8").split() == ["began", "cancelled"]
    done = events[-1]
    assert (done.reason, done.messages) == ("cancelled", run.messages)
    assert roles(done.messages) == ["assistant"] * 4 + ["function"] * 4
    assert {m["content"] for m in done.messages[4:]} == told
    assert goes_on(agent, done.messages) == "All right."


@pytest.mark.parametrize("way", ["cancel", "aclose", "task", "agent", "drop", "athrow"])
@pytest.mark.parametrize("form", ["native", "nous", "react"])
def test_every_way_of_ending_leaves_a_valid_history(
    agent_of: Agents, recorder: Any, way: str, form: str
) -> None:
    tool = recorder(read_only=True)
    calls = [("work", {"i": 1, "d": 0}), ("work", {"i": 2, "d": 30})]
    scenario = Scenario().turn(calls=calls, text="Wait.").answer("All right.")
    kind = ReActChat if form == "react" else FnCallAgent
    agent = agent_of(scenario, [tool], kind=kind, cfg={"tool_format": form})
    messages: list[dict[str, Any]] = []

    async def main() -> float:
        run = agent.stream(QUESTION)
        body = run._body
        await follow(run, lambda event: isinstance(event, ToolFinished))
        begin = time.monotonic()
        if way == "cancel":
            run.cancel()
            run.cancel()  # twice does no harm
            last = [event async for event in run][-1]
            assert last.reason == "cancelled"
        elif way == "agent":
            agent.cancel()
            async for _ in run:
                pass
        elif way == "aclose":
            await run.aclose()
            await run.aclose()
        elif way == "athrow":
            with pytest.raises(KeyError):
                await run.athrow(KeyError("x"))
        elif way == "task":
            reader = asyncio.ensure_future(follow(run, lambda event: False))
            await asyncio.sleep(0.05)
            begin = time.monotonic()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        else:
            del run
            while tool.running and time.monotonic() - begin < 5:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
        messages.extend(body.added())
        return time.monotonic() - begin

    assert asyncio.run(main()) <= LIMIT
    assert tool.running == 0
    results = [m["content"] for m in messages if m["role"] == "function"]
    assert results == ["r1", "Error: cancelled by the user"]
    assert goes_on(agent, messages) == "All right."


def test_a_cancel_while_the_model_writes_keeps_what_was_said(agent_of: Agents) -> None:
    scenario = Scenario(timing={"tokens_per_second": 40}, wire={"chunk": 4})
    scenario.answer("One two three four five six seven eight nine ten.").answer("All right.")
    agent = agent_of(scenario, complete=False, strict=False, plays=None)

    async def main() -> list[Any]:
        run = agent.stream(QUESTION)
        events = await follow(run, lambda event: isinstance(event, TextDelta))
        begin = time.monotonic()
        run.cancel()
        events += [event async for event in run]
        assert time.monotonic() - begin <= LIMIT
        return events

    done = asyncio.run(main())[-1]
    assert done.reason == "cancelled"
    assert done.text
    assert "One two three".startswith(done.text[:13])
    assert done.messages[-1]["content"] == done.text


def test_a_run_that_was_cancelled_before_it_began(agent_of: Agents) -> None:
    agent = agent_of(Scenario().answer("no"), complete=False)

    async def main() -> list[Any]:
        run = agent.stream(QUESTION)
        run.cancel()
        return [event async for event in run]

    (done,) = asyncio.run(main())
    assert isinstance(done, Done)
    assert done.reason == "cancelled"
    assert agent.server.requests == []  # type: ignore[attr-defined]


def test_a_cancel_while_the_endpoint_is_waited_for(agent_of: Agents) -> None:
    agent = agent_of(Scenario().answer("late", timing={"first_token": 30}), complete=False)

    async def main() -> float:
        run = agent.stream(QUESTION)
        threading.Timer(0.3, run.cancel).start()
        begin = time.monotonic()
        events = [event async for event in run]
        assert events[-1].reason == "cancelled"
        return time.monotonic() - begin - 0.3

    assert asyncio.run(main()) <= LIMIT


def test_closing_run_ends_its_tools(agent_of: Agents, recorder: Any) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario().turn(calls=[("work", {"i": 1, "d": 30})]).answer("All right.")
    agent = agent_of(scenario, [tool])
    lists = agent.run(QUESTION)
    found = next(lists)
    while not tool.running:
        time.sleep(0.01)
    begin = time.monotonic()
    lists.close()
    assert time.monotonic() - begin <= LIMIT
    assert tool.running == 0
    assert goes_on(agent, found) == "All right."  # the call of the list has no result: it gets one


def test_dropping_run_ends_its_tools(agent_of: Agents, recorder: Any) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario().turn(calls=[("work", {"d": 30})]).answer("no")
    agent = agent_of(scenario, [tool], complete=False)
    lists = agent.run(QUESTION)
    next(lists)
    while not tool.running:
        time.sleep(0.01)
    del lists
    gc.collect()
    assert tool.running == 0


_INTERRUPTED = """
import os, sys, time, _thread, threading
from qwenbelt.agents import FnCallAgent
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import Tool

class Nap(Tool):
    name, description, read_only = "nap", "Naps.", True
    def call(self, params, **kwargs):
        print("napping", flush=True)
        time.sleep(20)

scenario = Scenario().turn(calls=["nap"]).answer("All right.")
with ScriptedServer(scenario) as server:
    agent = FnCallAgent([Nap()], llm=server.llm)
    messages = [{"role": "user", "content": "go"}]
    try:
        for found in agent.run(messages):
            pass
    except KeyboardInterrupt:
        print(f"interrupted {time.monotonic()}", flush=True)
    messages += found + [{"role": "user", "content": "and now?"}]
    print(agent.run_nonstream(messages)[-1]["content"], flush=True)
"""


def test_ctrl_c_in_run_and_the_talk_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(_INTERRUPTED), encoding="utf-8")
    command = [sys.executable, str(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "napping"
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    word, moment = process.stdout.readline().split()
    assert word == "interrupted"
    assert float(moment) - begin <= LIMIT * 2
    rest, errors = process.communicate(timeout=20)
    assert rest.strip() == "All right."
    assert errors == ""
    assert process.returncode == 0
    assert time.monotonic() - begin < 15  # the thread that still sleeps does not hold up the end
