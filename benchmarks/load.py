"""Conversations against `serve --workers N --store …`: what is added, what it costs, what breaks.

    python benchmarks/load.py [--workers 1 2 4] [--streams 25 50 100 200] [--place postgres|sqlite]

A conversation is a question with a file, a search in it, an answer that streams for `--seconds`,
and a second question that goes on with it. In each round so many of them stream at once, begun
one after the other within `--spread` seconds: as long as a stream is a steady load, 2 is a rush.
All conversations of earlier rounds stay open (they can be gone on with). The model is an endpoint
of a process of its own, which writes `--pace` pieces a second and notes how long it took itself:
what is added is the time to the first piece of the answer less that. Every answer names its
question, so that one which is lost, cut or mixed with another is seen.

Processor time and memory are those of the server's processes; the endpoint, the clients and the
database need the same machine's cores: `cores of all` is what the whole machine was busy with.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kill_sessions import place_of

from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer

FILE = "data:text/plain;base64," + base64.b64encode(b"Coal 12, oil 7, gas 9. " * 40).decode()
COLUMNS = (
    "workers|streams|open|ok|lost or mixed|p50 ms|p95 ms|CPU-ms a message|MB of the server|"
    "MB more a conversation|open files|cores of the server|cores of endpoint and clients|"
    "cores of all"
).split("|")


# -- the model ------------------------------------------------------------------------------------


class Model:
    """Answers by what is asked, at a pace; notes how long it took by the question's name."""

    def __init__(self, seconds: float, pace: float) -> None:
        self._gap, self._pieces = 1 / pace, max(1, int(seconds * pace))
        self._spent: dict[str, float] = {}

    async def answer(self, request: HttpRequest, connection: ClientConnection) -> None:
        """Answers with a call first, then with a stream that tells the time it took."""
        received = time.monotonic()
        messages = json.loads(request.body)["messages"]
        last = max(n for n, message in enumerate(messages) if message["role"] == "user")
        name = _text(messages[last]["content"]).split("#")[1]
        connection.start_stream(200, {"Content-Type": "text/event-stream"})
        if messages[-1]["role"] != "tool":
            call = {"name": "document_search", "arguments": json.dumps({"query": "coal sales"})}
            entry = {"index": 0, "id": f"call_{name}", "type": "function", "function": call}
            await connection.send_chunk(_event({"tool_calls": [entry]}))
            self._spent[name] = time.monotonic() - received
            await connection.send_chunk(_event({}, "tool_calls") + b"data: [DONE]\n\n")
            return
        spent = self._spent.pop(name, 0.0) + time.monotonic() - received
        due = time.monotonic()
        await connection.send_chunk(_event({"content": f"{spent:.6f} {name} "}))
        for number in range(self._pieces):
            due += self._gap
            await asyncio.sleep(due - time.monotonic())
            await connection.send_chunk(_event({"content": f"{name}.{number} and on "}))
        await connection.send_chunk(_event({}, "stop") + b"data: [DONE]\n\n")


def _text(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(p.get("text", "") for p in content)


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    frame = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "paced"}
    return b"data: " + json.dumps({**frame, "choices": [choice]}).encode() + b"\n\n"


def serve_model(seconds: float, pace: float) -> None:
    """Runs the endpoint until standard input ends."""
    with HttpServer(Model(seconds, pace).answer) as server:
        print(server.port, flush=True)
        sys.stdin.read()


# -- the clients ----------------------------------------------------------------------------------


@dataclass
class Round:
    """What became of the messages of a round."""

    added: list[float] = field(default_factory=list)
    ok: int = 0
    faults: list[str] = field(default_factory=list)


class Client:
    """Asks questions over a connection each, and reads the streams of the answers."""

    def __init__(self, port: int, pieces: int) -> None:
        self._port, self._pieces = port, pieces

    async def ask(self, name: str, before: str | None, into: Round) -> str | None:
        """Asks one question; returns the reply's id, None where it failed."""
        content: list[dict[str, Any]] = [{"type": "input_text", "text": f"Tell me of #{name}#."}]
        if before is None:
            content.append({"type": "input_file", "filename": "sales.txt", "file_data": FILE})
        body: dict[str, Any] = {"input": [{"role": "user", "content": content}], "stream": True}
        if before is not None:
            body["previous_response_id"] = before
        begun = time.monotonic()
        try:
            text, first, identity = await self._streamed(json.dumps(body).encode())
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            into.faults.append(f"{name}: {type(error).__name__}: {error}"[:200])
            return None
        spent, _, rest = text.partition(" ")
        expected = f"{name} " + "".join(f"{name}.{n} and on " for n in range(self._pieces))
        if rest.strip() != expected.strip() or identity is None:
            into.faults.append(f"{name}: {text[:80]!r} … of {len(text)}")
            return None
        into.ok += 1
        into.added.append(1000 * (first - begun - float(spent)))
        return identity

    async def _streamed(self, body: bytes) -> tuple[str, float, str | None]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = (
                "POST /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            status = await reader.readline()
            if b" 200 " not in status:
                raise ValueError(f"{status!r} {(await reader.read(2000))[-300:]!r}")
            parts, first, identity = [], 0.0, None
            while line := await reader.readline():
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                if event["type"] == "response.output_text.delta":
                    first = first or time.monotonic()
                    parts.append(event["delta"])
                elif event["type"] == "response.completed":
                    identity = event["response"]["id"]
            return "".join(parts), first, identity
        finally:
            writer.close()


# -- the measurement ------------------------------------------------------------------------------


@contextlib.contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Runs a process until the block ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as started:
        try:
            yield started
        finally:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(30)
            started.kill()


def tree(process_id: int) -> list[psutil.Process]:
    """Returns a process and all below it."""
    parent = psutil.Process(process_id)
    return [parent, *parent.children(recursive=True)]


def used(processes: list[psutil.Process]) -> float:
    """Returns the processor seconds of processes."""
    return sum(sum(one.cpu_times()[:2]) for one in processes if one.is_running())


def memory(processes: list[psutil.Process]) -> float:
    """Returns the memory of processes that is their own, in MB."""
    return sum(one.memory_full_info().uss for one in processes if one.is_running()) / 1e6


def open_files(processes: list[psutil.Process]) -> int:
    """Returns how many files and connections the process has open that has most of them."""
    return max(one.num_fds() for one in processes if one.is_running())


def machine() -> float:
    """Returns the seconds that all processors together were busy."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


async def round_of(
    client: Client, names: list[str], gone_on: dict[str, str], spread: float
) -> Round:
    """Has conversations begin and go on with a second question."""
    found = Round()

    async def converse(name: str, after: float) -> None:
        await asyncio.sleep(after)
        identity = await client.ask(f"{name}a", None, found)
        if identity is not None:
            gone_on[name] = await client.ask(f"{name}b", identity, found) or identity

    step = spread / len(names)
    await asyncio.gather(*(converse(name, n * step) for n, name in enumerate(names)))
    return found


def measured(given: argparse.Namespace, workers: int, work: Path, place: str) -> None:
    """Prints the rows of a number of workers."""
    here = [sys.executable, __file__, "--model", str(given.seconds), str(given.pace)]
    with process(here) as model:
        assert model.stdout is not None
        endpoint = f"vllm:paced@http://127.0.0.1:{int(model.stdout.readline())}/v1"
        port = 18080 + workers
        command = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", "serve"]
        command += ["-e", endpoint, "--port", str(port), "-t", "document_search"]
        command += ["--workers", str(workers), "--store", place, "--approve", "auto"]
        with process(command, cwd=work, stderr=(work / "log").open("w")) as server:
            wait_for(port, server)
            client = Client(port, max(1, int(given.seconds * given.pace)))
            opened: dict[str, str] = {}
            warm, first = 0.0, 0  # what a process loads once is loaded in the first round
            for number, streams in enumerate(given.streams):
                names = [f"w{workers}r{number}n{n}" for n in range(streams)]
                began, spent, busy = time.monotonic(), used(tree(server.pid)), machine()
                every = used([psutil.Process(), *tree(model.pid)])
                found = asyncio.run(round_of(client, names, opened, given.spread or given.seconds))
                seconds = time.monotonic() - began
                family = tree(server.pid)
                cost = used(family) - spent
                others = used([psutil.Process(), *tree(model.pid)]) - every
                all_of_it, now = machine() - busy, memory(family)
                more = f"{(now - warm) / (len(opened) - first):.3f}" if first else "-"
                row = [
                    *(workers, streams, len(opened), found.ok, len(found.faults)),
                    *(f"{value:.1f}" for value in percentiles(found.added)),
                    *(f"{1000 * cost / max(found.ok, 1):.1f}", f"{now:.0f}", more),
                    open_files(family),
                    *(f"{part / seconds:.2f}" for part in (cost, others, all_of_it)),
                ]
                tell(row, given.json)
                warm, first = (warm, first) if first else (now, len(opened))
                for fault in found.faults[:3]:
                    print(f"  {fault}", file=sys.stderr)


def tell(row: list[Any], file: Path | None) -> None:
    """Prints a row, and adds it to the file."""
    print("| " + " | ".join(map(str, row)) + " |", flush=True)
    if file is not None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")


def percentiles(values: list[float]) -> tuple[float, float]:
    """Returns the median and the 95th percentile."""
    if not values:
        return float("nan"), float("nan")
    return statistics.median(values), sorted(values)[int(0.95 * (len(values) - 1))]


def wait_for(port: int, server: subprocess.Popen[str]) -> None:
    """Waits until the server answers."""
    import httpx

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the server did not start")


def main() -> None:
    """Prints the table; the curve is p95 by streams."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--streams", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--seconds", type=float, default=20.0, help="of a stream")
    parser.add_argument("--spread", type=float, help="seconds to begin in (default: --seconds)")
    parser.add_argument("--pace", type=float, default=10.0, help="pieces a second")
    parser.add_argument("--place", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--json", type=Path, help="a file that the rows are added to")
    parser.add_argument("--model", nargs=2, type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.model:
        serve_model(*given.model)
        return
    print(f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", sep="\n", flush=True)
    for workers in given.workers:
        with tempfile.TemporaryDirectory() as work, place_of(given.place, Path(work)) as place:
            measured(given, workers, Path(work), place)


if __name__ == "__main__":
    main()
