"""Time to the first token of a conversation's later turns on a real llama.cpp server.

    python benchmarks/context_price.py record now.json
    python benchmarks/first_token.py MODEL.gguf now.json [before.json] [--turns 20]
                                     [--without [EVERY]]

Sends the recorded requests of the assistant's chat (run "a short chat") of each checkout in turn to
one server with one slot and one thread, and reads one token of each reply. The server reuses what
a request has in common with the one before, so a prefix that stays is not read again. With
`--without` the same requests once more with `cache_prompt` off: what they cost when nothing is
kept. Such a request depends on none before it, so that every third (`--without 3`) tells as much.
`LLAMA_SERVER="PROGRAM [OPTIONS]"` takes the server of a llama.cpp built for this machine.
The server's CPU seconds stand beside the seconds that passed: with one thread they are what an idle
machine would have taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
from llama_server import served

RUN = "a short chat, 20 turns, a file"


class Taken(NamedTuple):
    """What the first token took: seconds, the server's CPU seconds, and the tokens read for it."""

    seconds: float
    cpu: float
    read: int


def first_token(client: httpx.Client, pid: int, body: dict[str, Any]) -> Taken:
    """Asks for one token."""
    started, busy = time.monotonic(), _cpu(pid)
    answer = client.post("/chat/completions", json=body)
    seconds, cpu = time.monotonic() - started, _cpu(pid) - busy
    answer.raise_for_status()
    return Taken(seconds, cpu, int(answer.json().get("timings", {}).get("prompt_n", -1)))


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _asked(body: dict[str, Any], *, cached: bool) -> dict[str, Any]:
    kept = {key: body[key] for key in ("messages", "tools") if body.get(key)}
    for message in kept["messages"]:
        if isinstance(message.get("content"), list):  # marks are DashScope's alone
            message["content"] = "".join(part["text"] for part in message["content"])
    return {**kept, "max_tokens": 1, "temperature": 0, "cache_prompt": cached, "stream": False}


def _row(
    client: httpx.Client, pid: int, when: str, bodies: list[dict[str, Any]], *, step: int = 0
) -> None:
    """Prints one row; the first turn is asked, for what it leaves, but not counted."""
    numbers = list(range(1, len(bodies), step or 1))
    if not step:
        first_token(client, pid, _asked(bodies[0], cached=True))
    found = [first_token(client, pid, _asked(bodies[n], cached=not step)) for n in numbers]
    turns = f"2-{numbers[-1] + 1}" + (f", every {step}." if step > 1 else "")
    cells = [when, "off" if step else "kept", turns]
    for times in ([one.seconds for one in found], [one.cpu for one in found]):
        cells += [f"{statistics.median(times):.2f}", f"{statistics.mean(times):.2f}"]
    cells.append(f"{statistics.mean(one.read for one in found):.0f}")
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to the first token of later turns.")
    parser.add_argument("model")
    parser.add_argument("now")
    parser.add_argument("before", nargs="?")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument(
        "--without", type=int, nargs="?", const=1, default=0, metavar="EVERY", help="nothing kept"
    )
    given = parser.parse_args()
    files = {"before": given.before, "now": given.now}
    runs = {w: json.loads(Path(p).read_text())[RUN] for w, p in files.items() if p}
    print("| when | cache | turns | median s | mean s | CPU s | mean | tokens read a turn |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with served(given.model, context=16384, threads=1) as server:
        client = httpx.Client(base_url=server.url, timeout=3600)
        for step in (0, given.without) if given.without else (0,):
            for when, bodies in runs.items():
                _row(client, server.pid, when, bodies[: given.turns], step=step)


if __name__ == "__main__":
    main()
