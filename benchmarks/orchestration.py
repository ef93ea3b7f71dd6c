"""Parallel tool calls beside their physical limit, the bare openai client and qwen-agent.

    python benchmarks/orchestration.py [--repeat 2]

Each client has a process of its own and talks to the same endpoint, which has one too (see
`paced_endpoint.py`); the clients take turns, and medians are printed.

- T/L: T runs from the first byte of a reply to the next request, L is the limit: the latest
  "arguments complete + duration" of its calls. No client can be below 1 by more than the clock.
- Start: from a call's last argument byte to its tool's first line.
- Overhead: CPU milliseconds of the client a turn over 50 turns of 8 instant calls (450 messages at
  the end), and the gap between two requests in the last ten turns over that in the first ten.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# this folder has a file `mcp.py`, which must not hide the package of that name
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
CLIENTS = ("bare", "qwenbelt", "qwen-agent")
PROFILES = {  # name: (durations of the calls, milliseconds after the last of them)
    "uniform": ("0.5-0.5-0.5-0.5", 0),
    "long first": ("1.5-0.1-0.1-0.1", 0),
    "long last": ("0.1-0.1-0.1-1.5", 0),
    "tail": ("0.8-0.8", 800),
    "wide": ("0.8-0.3-0.8-0.3-0.8-0.3-0.8-0.3-0.8-0.3-0.8-0.3", 0),
}
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
numbers = itertools.count(1)


class Bench:
    """The endpoint and one process a client."""

    def __init__(self, port: int, clients: dict[str, subprocess.Popen[str]]) -> None:
        self.port = port
        self.clients = clients

    def run(
        self, name: str, durations: str, *, tool: str = "sync", turns: int = 1, **pace: int
    ) -> dict[str, Any]:
        """Runs one job and returns what the client and the endpoint saw of it."""
        run = f"{name}-{next(numbers)}"
        options = {"pieces": 10, "gap": 10, "tail": 0, **pace}
        options = {"run": run, "turns": turns, "durations": durations, **options}
        model = "paced;" + ";".join(f"{key}={value}" for key, value in options.items())
        process = self.clients[name]
        assert process.stdin
        assert process.stdout
        print(json.dumps({"model": model, "tool": tool}), file=process.stdin, flush=True)
        found: dict[str, Any] = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/log/{run}") as reply:
            found["log"] = json.load(reply)
        return found


@contextmanager
def bench() -> Iterator[Bench]:
    """Starts the endpoint and the clients; ends them afterwards."""
    command = [sys.executable, str(HERE / "paced_endpoint.py")]
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        "text": True,
        "cwd": tempfile.gettempdir(),
    }
    endpoint = subprocess.Popen(command, **pipes)
    port = int(endpoint.stdout.readline()) if endpoint.stdout else 0
    client = [sys.executable, str(HERE / "orchestration_client.py")]
    url = f"http://127.0.0.1:{port}/v1"
    clients = {name: subprocess.Popen([*client, name, url], **pipes) for name in CLIENTS}
    try:
        made = Bench(port, clients)
        for name in CLIENTS:
            made.run(name, "0", gap=0)  # imports and connections
        yield made
    finally:
        for process in (*clients.values(), endpoint):
            if process.stdin:
                process.stdin.close()
            process.wait(20)


def against_the_limit(found: dict[str, Any], durations: str) -> tuple[float, float]:
    """Returns T/L and the slowest start of a tool in milliseconds."""
    first, then = found["log"][:2]
    seconds = [float(text) for text in durations.split("-")]
    limit = max(s + d for s, d in zip(first["sealed"], seconds, strict=True)) - first["first"]
    late = max(start - first["sealed"][i] for i, start in found["starts"])
    return (then["received"] - first["first"]) / limit, 1000 * late


def profiles(made: Bench, repeat: int) -> None:
    print("| profile | tool | " + " | ".join(f"{c} T/L (start ms)" for c in CLIENTS) + " |")
    print("|---|---|" + "---|" * len(CLIENTS))
    for (title, (durations, tail)), tool in itertools.product(PROFILES.items(), ("sync", "async")):
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in CLIENTS}
        for _ in range(repeat):
            for name in CLIENTS:
                if name == "qwen-agent" and (tool == "async" or seen[name]):
                    continue  # it has no async tools, and is slow enough to be measured once
                found = made.run(name, durations, tool=tool, tail=tail)
                seen[name].append(against_the_limit(found, durations))
        print(f"| {title} | {tool} | " + " | ".join(map(_cell, seen.values())) + " |")


def _cell(pairs: list[tuple[float, float]]) -> str:
    if not pairs:
        return "none"
    ratio, late = (statistics.median(column) for column in zip(*pairs, strict=True))
    return f"{ratio:.3f} ({late:.1f})"


def overhead(made: Bench, repeat: int) -> None:
    print("\n| client | CPU ms a turn | last ten turns / first ten |\n|---|---|---|")
    for name in CLIENTS:
        cpu, growth = [], []
        for _ in range(repeat if name == "qwenbelt" else 1):
            found = made.run(name, "0-0-0-0-0-0-0-0", turns=50, pieces=1, gap=0)
            log = found["log"]
            gaps = [b["received"] - a["finished"] for a, b in itertools.pairwise(log)]
            cpu.append(1000 * found["cpu"] / len(log))
            growth.append(statistics.median(gaps[-10:]) / statistics.median(gaps[:10]))
        print(f"| {name} | {statistics.median(cpu):.1f} | {statistics.median(growth):.2f} |")


def many(made: Bench) -> None:
    print("\n| calls in one reply | tool | seconds (limit) | most at once | peak MiB |")
    print("|---|---|---|---|---|")
    for count, seconds, limit, tool in (
        (16, "0.5", 0.5, "sync"),
        (64, "0.5", 2.0, "sync"),
        (64, "0.5", 2.0, "async"),
        (800, "0.02", 1.0, "sync"),
        (800, "0.02", 1.0, "async"),
    ):
        found = made.run("qwenbelt", "-".join([seconds] * count), tool=tool, pieces=1, gap=0)
        first, then = found["log"][:2]
        took = then["received"] - first["sealed"][0]
        row = f"{took:.3f} ({limit:.1f}) | {found['most']} | {found['peak_mib']:.0f}"
        print(f"| {count} x {seconds} s | {tool} | {row} |")


def cancelling() -> None:
    """A thread, a task, a kernel and an MCP server work; all but the thread end at once."""
    from qwenbelt.agents import FnCallAgent
    from qwenbelt.core.events import Done, ToolFinished, ToolProgress
    from qwenbelt.testing import Scenario, ScriptedServer
    from qwenbelt.tools import Tool
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
    from qwenbelt.tools.mcp import mcp_tools

    class Nap(Tool):
        name, description, read_only = "nap", "Naps.", True

        def call(self, params: Any, **kwargs: Any) -> str:
            time.sleep(1)
            return "slept"

    class Wait(Tool):
        name, description, read_only = "wait", "Waits.", True

        async def acall(self, arguments: Any, **kwargs: Any) -> str:
            await asyncio.sleep(30)
            return "waited"

    async def once(folder: str) -> tuple[float, int]:
        code = "print('busy', flush=True)\nwhile True: pass"
        calls = ["nap", "wait", ("db-read_query", {"query": ENDLESS})]
        scenario = Scenario().turn(calls=[*calls, ("code_interpreter", {"code": code})])
        command = ["-m", "qwenbelt.mcp_servers.sqlite", "--db-path", f"{folder}/a.db", "--write"]
        server_config = {"db": {"command": sys.executable, "args": command}}
        queries = [
            t for t in mcp_tools({"mcpServers": server_config}) if t.name.endswith("read_query")
        ]
        kernel = CodeInterpreter({"allow_unsandboxed": True, "work_dir": folder})
        with ScriptedServer(scenario) as server:
            run = FnCallAgent([Nap(), Wait(), *queries, kernel], llm=server.llm).stream(
                [{"role": "user", "content": "go"}]
            )
            began, left = 0.0, 0
            async for event in run:
                if isinstance(event, ToolProgress) and not began:
                    began = time.monotonic()
                    run.cancel()
                left += isinstance(event, ToolFinished) and event.abandoned
                if isinstance(event, Done):
                    return time.monotonic() - began, left
        raise RuntimeError("the run did not end")

    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            seconds, left = asyncio.run(once(folder))
        times.append(1000 * seconds)
    print(
        "\nCancel with a thread, an async tool, an MCP server's endless query and a busy kernel: "
        f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {len(times)}; "
        f"{left} thread abandoned and reported."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=2, help="runs a figure (default 2)")
    repeat = parser.parse_args().repeat
    with bench() as made:
        profiles(made, repeat)
        overhead(made, repeat)
        many(made)
    cancelling()


if __name__ == "__main__":
    main()
