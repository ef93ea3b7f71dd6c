"""How quick the scripted endpoint is: start, a turn's round trip, a hundred scenario tests.

    python benchmarks/scripted_endpoint.py [--turns 300] [--tests 100]

The round trip is compared with a bare loopback server that sends the same bytes without looking at
the request, through the openai client and through raw httpx. The two take turns, and the medians
are compared, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import openai

from qwenbelt.testing import Scenario, ScriptedServer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Looks something up.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }
    for name in ("document_search", "sql_query", "code_interpreter")
]
BODY = {
    "model": "scripted",
    "messages": [
        {"role": "system", "content": "You are a careful engineer."},
        {"role": "user", "content": "What is the mean tensile strength?"},
    ],
    "tools": TOOLS,
    "stream": True,
}
SCENARIO = """
say: What is NUMBER + 1?
agent: maker:make
turns:
  - calls: [{adder: {a: NUMBER}}, {adder: {a: 2}}]
  - expect: {results: {adder: ["AFTER", "3"]}}
    answer: It is ${adder#1}.
then: {calls: [adder, adder], answer: {contains: "AFTER"}, budget: {turns: 2}}
"""
MAKER = """
import json
from qwen_agent.tools.base import BaseTool
from qwenbelt.agents import FnCallAgent

class Adder(BaseTool):
    name = "adder"
    description = "Adds one."
    parameters = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}

    def call(self, params, **kwargs):
        return str(json.loads(params)["a"] + 1)

def make(llm):
    return FnCallAgent(function_list=[Adder()], llm=llm)
"""


class BareServer:
    """Sends the same bytes to every request; reads only as far as the request's end."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.port = 0
        ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        async def main() -> None:
            self.ended = asyncio.Event()
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self.ended.wait()
            server.close()

        self.loop.run_until_complete(main())
        self.loop.close()

    def stop(self) -> None:
        """Ends the server and its thread."""
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(found.group(1)) if found else 0)
                writer.write(self.reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def turn() -> Scenario:
    """One reply with thoughts, text and three calls."""
    calls = [(tool["function"]["name"], {"query": "tensile strength of steel"}) for tool in TOOLS]
    return Scenario("x").turn(
        calls=calls, think="I can ask all three at once.", text="Let me look."
    )


def same_bytes() -> bytes:
    """The bytes that the scripted endpoint sends for one turn."""
    with ScriptedServer(turn()) as server:
        host, port = server.url.split("/")[2].split(":")
        body = json.dumps(BODY).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(head.encode() + b"\r\n" + body)
            reply = b""
            while not reply.endswith(b"0\r\n\r\n"):
                reply += raw.recv(65536)
    return reply


def alternated(first: Callable[[], None], second: Callable[[], None], count: int) -> list[float]:
    """Median milliseconds of two things that take turns."""
    times: list[list[float]] = [[], []]
    for _ in range(count):
        for kept, act in zip(times, (first, second), strict=True):
            begin = time.perf_counter()
            act()
            kept.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(kept) for kept in times]


def round_trips(count: int) -> list[tuple[str, float, float]]:
    """Round trips of a streamed turn: bare server, scripted endpoint."""
    bare = BareServer(same_bytes())
    rows = []
    with ScriptedServer(turn(), plays=None) as server:
        urls = (f"http://127.0.0.1:{bare.port}/v1", server.url)
        clients = [openai.OpenAI(base_url=url, api_key="none", max_retries=0) for url in urls]

        def through_openai(client: openai.OpenAI) -> Callable[[], None]:
            return lambda: list(client.chat.completions.create(**BODY)) and None  # type: ignore[call-overload]

        medians = alternated(through_openai(clients[0]), through_openai(clients[1]), count)
        rows.append(("openai client", *medians))
        https = [httpx.Client() for _ in urls]

        def through_httpx(http: httpx.Client, url: str) -> Callable[[], None]:
            return lambda: http.post(url + "/chat/completions", json=BODY) and None

        medians = alternated(
            *(through_httpx(http, url) for http, url in zip(https, urls, strict=True)), count
        )
        rows.append(("raw httpx", *medians))
        for client in (*clients, *https):
            client.close()
    bare.stop()
    return rows


def starts(count: int = 50) -> float:
    """Median milliseconds from `ScriptedServer(...)` to a server that accepts connections."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        server = ScriptedServer(turn()).start()
        times.append((time.perf_counter() - begin) * 1000)
        server.stop()
    return statistics.median(times)


def plugin_import(count: int = 9) -> float:
    """Returns the milliseconds that the import of the pytest plugin takes in a new interpreter."""
    code = (
        "import time; t = time.perf_counter(); import qwenbelt.testing.plugin; "
        "print((time.perf_counter() - t) * 1000)"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, check=True) for _ in range(count)]
    return statistics.median(float(run.stdout) for run in runs)


def scenario_tests(count: int, *options: str) -> str:
    """Runs scenario files under pytest and returns its last line."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            text = SCENARIO.replace("NUMBER", str(number)).replace("AFTER", str(number + 1))
            (Path(folder) / f"case{number}.scenario.yaml").write_text(text, encoding="utf-8")
        (Path(folder) / "maker.py").write_text(MAKER, encoding="utf-8")
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-o", "pythonpath=.", *options],
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]
    return f"{last} ({seconds:.1f} s with the interpreter's start)"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--tests", type=int, default=100)
    options = parser.parse_args()
    print("| what | bare server | scripted endpoint | ratio |\n|---|---|---|---|")
    for name, bare, scripted in round_trips(options.turns):
        row = f"{bare:.2f} ms | {scripted:.2f} ms | {scripted / bare:.2f}"
        print(f"| a streamed turn, {name} | {row} |")
    print(f"| start of a server | | {starts():.2f} ms | |")
    print(f"| import of the pytest plugin | | {plugin_import():.2f} ms | |")
    print(f"\n{options.tests} scenario tests: {scenario_tests(options.tests)}")
    print(f"{options.tests} scenario tests, -n 2: {scenario_tests(options.tests, '-n', '2')}")


if __name__ == "__main__":
    main()
