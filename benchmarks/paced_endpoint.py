"""A model's endpoint that writes calls at a fixed pace and notes when each was complete.

    python benchmarks/paced_endpoint.py

Prints its port; ends when its standard input ends. What it does is written in the model name of a
request, `paced;run=ID;turns=1;durations=0.5-0.1;pieces=10;gap=20;tail=0`: `turns` replies of one
call a duration (seconds, given to the tool as `d`), each call's arguments in `pieces` deltas that
are `gap` milliseconds apart, `tail` milliseconds between the last delta and the end of the message.
`GET /log/ID` gives the times of the run, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer

LOGS: dict[str, list[dict[str, Any]]] = {}


async def answer(request: HttpRequest, connection: ClientConnection) -> None:
    """Answers a request for a reply or for a log."""
    received = time.monotonic()
    if request.method == "GET":
        connection.send_json(200, LOGS.get(request.path.rpartition("/")[2], []))
        return
    body = json.loads(request.body)
    options = dict(part.split("=", 1) for part in body["model"].split(";")[1:])
    log = LOGS.setdefault(options["run"], [])
    entry: dict[str, Any] = {"received": received, "sealed": []}
    log.append(entry)
    connection.start_stream(200, {"Content-Type": "text/event-stream"})
    if len(log) > int(options["turns"]):
        entry["first"] = time.monotonic()
        await connection.send_chunk(event({"content": "done"}) + event({}, "stop") + DONE)
    else:
        await calls(options, len(log), entry, connection)
    entry["finished"] = time.monotonic()


async def calls(
    options: dict[str, str], turn: int, entry: dict[str, Any], connection: ClientConnection
) -> None:
    """Writes the calls of one reply at their pace; without a pace in one write a call."""
    gap, pieces = float(options["gap"]) / 1000, int(options["pieces"])
    due = time.monotonic()
    for index, seconds in enumerate(options["durations"].split("-")):
        text = json.dumps({"i": index, "d": float(seconds), "turn": turn})
        head = {"id": f"call_{turn}_{index}", "type": "function", "index": index}
        deltas = [{**head, "function": {"name": "work", "arguments": ""}}]
        size = -(-len(text) // pieces)
        deltas += [
            {"index": index, "function": {"arguments": text[at : at + size]}}
            for at in range(0, len(text), size)
        ]
        for delta in deltas:
            if gap:
                due += gap
                await asyncio.sleep(due - time.monotonic())
            entry.setdefault("first", time.monotonic())
            await connection.send_chunk(event({"tool_calls": [delta]}))
        entry["sealed"].append(time.monotonic())
    await asyncio.sleep(float(options["tail"]) / 1000)
    await connection.send_chunk(event({}, "tool_calls") + DONE)


DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """Returns one server-sent event."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    frame = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "paced"}
    return b"data: " + json.dumps({**frame, "choices": [choice]}).encode() + b"\n\n"


def main() -> None:
    with HttpServer(answer) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
