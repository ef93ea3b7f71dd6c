"""The chat with ten people at once, and with a very long answer.

Run: python benchmarks/chat.py [--users 10] [--tokens 50000]

Each person is an HTTP client with cookies of their own; the model is a scripted endpoint that
answers at a set pace, so that what is measured is the chat. Times are medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

WORDS = 160
PACE = 80  # tokens a second of one answer
WAITS = (0.0, 0.3)  # seconds until the endpoint's first token: none, and a quick real one's


def scenario(users: int, tokens: int) -> str:
    """Returns a conversation for each user, and one with a long answer of two lengths."""
    conversations = [
        {
            "say": question(user, wait),
            "turns": [
                {
                    "answer": f"user{user} " * WORDS,
                    "timing": {"tokens_per_second": PACE, "first_token": wait},
                }
            ],
        }
        for user in range(users)
        for wait in WAITS
    ]
    paragraph = "The fox ran over the hill and did not look back at all, not even once. " * 8
    for name, length in (("Half", tokens // 2), ("Whole", tokens)):
        text = "\n\n".join([paragraph] * (length * 4 // len(paragraph) + 1))[: length * 4]
        conversations.append({"say": f"{name} of it.", "turns": [{"answer": text}]})
    return json.dumps({"conversations": conversations})


def question(user: int, wait: float) -> str:
    """Returns what a user asks an endpoint that waits so many seconds."""
    return f"Question of user {user} after {wait:g} s."


@dataclass
class Told:
    """What one person saw.

    Attributes:
        first: seconds until the first words of the answer.
        whole: seconds until the end of it.
        text: all that came.
        size: bytes that came over the wire.
    """

    first: float = 0.0
    whole: float = 0.0
    text: list[str] = field(default_factory=list)
    size: int = 0


class Person:
    """One browser's side of the chat, without the browser."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=600, trust_env=False)
        self.send = -1
        self.page = uuid.uuid4().hex  # Gradio knows an open page by such a name

    async def come(self) -> None:
        """Loads the page, as a browser does first."""
        await self.http.get("/en/")
        config = (await self.http.get("/en/config")).json()
        entries = config["dependencies"]
        self.send = next(entry["id"] for entry in entries if entry["api_name"] == "send")

    async def ask(self, question: str) -> Told:
        """Opens a conversation, sends a message through Gradio's queue, reads the answer."""
        session = (await self.http.post("/qb/new", json={})).json()["id"]
        watching = asyncio.ensure_future(self._watch(session))
        await asyncio.sleep(0.1)  # the page watches before anybody types
        began = time.perf_counter()
        body = {
            "data": [{"text": question, "files": []}, session],
            "fn_index": self.send,
            "session_hash": self.page,
        }
        await self.http.post("/en/gradio_api/queue/join", json=body)
        told = await watching
        told.first, told.whole = told.first - began, told.whole - began
        return told

    async def _watch(self, session: str) -> Told:
        told = Told()
        async with self.http.stream("GET", f"/qb/stream?session={session}&lang=en") as stream:
            async for line in stream.aiter_lines():
                told.size += len(line)
                if not told.first and "qb-text" in line:
                    told.first = time.perf_counter()
                told.text.append(line)
                if "qb-footer" in line:
                    told.whole = time.perf_counter()
                    return told
        return told


class Command:
    """`qwenbelt` with some words, in a process of its own; it prints its address."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()", *words],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "QWENBELT_WORKSPACE": str(folder), "QWENBELT_LANG": "en"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("http")).rstrip(";")

    def memory(self) -> float:
        """Returns the megabytes that the server holds for itself."""
        return float(psutil.Process(self.process.pid).memory_full_info().uss) / 2**20

    def processor(self) -> float:
        """Returns the seconds of processor that the server has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait()


async def measure(server: Command, users: int, rounds: int, tokens: int) -> dict[str, Any]:
    """Returns all figures."""
    people = [Person(server.url) for _ in range(users)]
    for person in people:
        await person.come()
    for person in people:  # what is loaded at the first question
        await person.ask(question(0, WAITS[0]))
    before = server.memory()
    waits = {wait: await rounds_of(people, rounds, wait) for wait in WAITS}
    sessions = rounds * (users + 1) * len(WAITS)
    grown = (server.memory() - before) / sessions
    longer = {}
    for name, length in (("Half", tokens // 2), ("Whole", tokens)):
        used = server.processor()
        told = await people[0].ask(f"{name} of it.")
        longer[length] = (server.processor() - used, told.whole, told.size)
    for person in people:
        await person.http.aclose()
    return {"waits": waits, "memory": grown, "sessions": sessions, "long": longer}


async def rounds_of(people: list[Person], rounds: int, wait: float) -> dict[str, Any]:
    """Returns the times of one person alone and of all at the same instant, in turns."""
    alone: list[float] = []
    together: list[float] = []
    mixed = 0
    for _ in range(rounds):
        alone.append((await people[0].ask(question(0, wait))).first)
        found = await asyncio.gather(
            *(person.ask(question(n, wait)) for n, person in enumerate(people))
        )
        together += [told.first for told in found]
        for n, told in enumerate(found):
            text = "".join(told.text)
            others = (f"user{other} " in text for other in range(len(people)) if other != n)
            mixed += any(others) or f"user{n} " not in text
    return {
        "alone": statistics.median(alone),
        "together": statistics.median(together),
        "slowest": max(together),
        "mixed": mixed,
    }


def report(found: dict[str, Any], users: int) -> None:
    """Prints the tables."""
    print(f"| endpoint's first token after | one user | {users} at the same instant | ratio |")
    print("|---:|---:|---:|---:|")
    for wait, times in found["waits"].items():
        one, many = times["alone"] * 1000, times["together"] * 1000
        print(f"| {wait * 1000:.0f} ms | {one:.0f} ms | {many:.0f} ms | {many / one:.2f} |")
    mixed = sum(times["mixed"] for times in found["waits"].values())
    print(f"\nanswers with words of another user: {mixed}")
    print(f"server memory a session: {found['memory']:.2f} MB ({found['sessions']} sessions)")
    print("\n| tokens of an answer | server CPU | until it is shown | bytes to the browser |")
    print("|---:|---:|---:|---:|")
    for length, (used, took, size) in found["long"].items():
        print(f"| {length} | {used:.2f} s | {took:.2f} s | {size / 1e6:.1f} MB |")
    (half, whole) = found["long"].values()
    print(f"\ntwice the length: {whole[0] / half[0]:.2f} x CPU, {whole[2] / half[2]:.2f} x bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=50_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "chat.scenario.yaml"
        file.write_text(scenario(options.users, options.tokens), encoding="utf-8")
        model = Command(folder, "mock", str(file), "--port", "0")
        chat = Command(
            *(folder, "gui", "-e", f"openai:scripted@{model.url}", "--port", "0", "-t", "none")
        )
        try:
            found = asyncio.run(measure(chat, options.users, options.rounds, options.tokens))
        finally:
            chat.close()
            model.close()
    report(found, options.users)


if __name__ == "__main__":
    main()
