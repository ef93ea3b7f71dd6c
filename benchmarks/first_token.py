"""Time to the first token of a conversation's later turns on a real llama.cpp server.

    python benchmarks/context_price.py record now.json
    python benchmarks/first_token.py MODEL.gguf now.json [before.json] [--turns 20]

Sends the recorded requests of the assistant's chat (run "a short chat") of each checkout in turn to
one server with one slot and one thread, and reads one token of each reply. The server reuses what
a request has in common with the one before, so a prefix that stays is not read again. Then the same
requests once more with `cache_prompt` off: what they cost when nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from llama_server import served

RUN = "a short chat, 20 turns, a file"


def first_token(client: httpx.Client, body: dict[str, Any]) -> tuple[float, int]:
    """Returns the seconds until the first token, and how many tokens were read for it."""
    started = time.monotonic()
    answer = client.post("/chat/completions", json=body)
    seconds = time.monotonic() - started
    answer.raise_for_status()
    return seconds, int(answer.json().get("timings", {}).get("prompt_n", -1))


def _asked(body: dict[str, Any], *, cached: bool) -> dict[str, Any]:
    kept = {key: body[key] for key in ("messages", "tools") if body.get(key)}
    for message in kept["messages"]:
        if isinstance(message.get("content"), list):  # marks are DashScope's alone
            message["content"] = "".join(part["text"] for part in message["content"])
    return {**kept, "max_tokens": 1, "temperature": 0, "cache_prompt": cached, "stream": False}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to the first token of later turns.")
    parser.add_argument("model")
    parser.add_argument("now")
    parser.add_argument("before", nargs="?")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--without", action="store_true", help="also with nothing kept")
    given = parser.parse_args()
    files = {"before": given.before, "now": given.now}
    runs = {w: json.loads(Path(p).read_text())[RUN] for w, p in files.items() if p}
    print("| when | cache | turns 2-N: median s | mean s | tokens read a turn |")
    print("|---|---|---|---|---|")
    with served(given.model, context=16384, threads=1) as server:
        client = httpx.Client(base_url=server.url, timeout=600)
        for cached in (True, False) if given.without else (True,):
            for when, bodies in runs.items():
                found = [
                    first_token(client, _asked(b, cached=cached)) for b in bodies[: given.turns]
                ]
                times = [seconds for seconds, _ in found[1:]]
                read = [tokens for _, tokens in found[1:]]
                cells = [when, "kept" if cached else "off", f"{statistics.median(times):.2f}"]
                cells += [f"{statistics.mean(times):.2f}", f"{statistics.mean(read):.0f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
