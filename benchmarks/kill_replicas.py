"""Kills one of three replicas of a server again and again, under load, and counts what is lost.

    python benchmarks/kill_replicas.py [--kills 20] [--place postgres|sqlite] [--conversations 12]

Conversations of two questions run side by side, each question with two replies of two calls that
have effects, and an answer; a question is sent to one of three `serve --store` replicas, its reply
is asked for at any of them. While they run, a replica is killed with -9 and started again. Every
word of a question is used once, so that an answer of another conversation and a call that was made
twice are seen. A call whose effect was there when its replica was killed, but whose result was not
kept yet, is made again: that one case is counted on its own. A lease lasts 6 s here, not 15.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from kill_sessions import Handler, lines, place_of

REPLICAS = 3
WORDS = 4  # of a question; two in a reply
PACE = 0.05  # seconds between the pieces of a reply
PATIENCE = 240.0  # for an answer, on a busy machine
UNKNOWN = "questions to a replica that was just killed"
WINDOW = 1.0  # seconds before a kill, in which a call may have been without a kept result


class PacedHandler(Handler):
    """The model of `kill_sessions`, slower."""

    def _piece(self, value: dict[str, Any]) -> None:
        super()._piece(value)
        time.sleep(PACE)


# -- a replica ------------------------------------------------------------------------------------


def replica(url: str, place: str, effects: str) -> None:
    """Serves an agent whose one tool notes texts in a file."""
    from qwenbelt import FnCallAgent
    from qwenbelt.apps.gui.server import run_app
    from qwenbelt.apps.serve import response_store
    from qwenbelt.apps.serve.app import AgentServer, ServeOptions

    response_store.SIGN_SECONDS = 0.5
    response_store.DEAD_SECONDS = 6.0

    def note(text: str) -> str:
        """Notes a text.

        Args:
            text: what to note.
        """
        with open(effects, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {time.time()} {text}\n")
        return f"noted {text}"

    agent = FnCallAgent([note], llm={"model": "m", "model_server": url, "api_key": "k"})
    options = ServeOptions(folder=Path(effects).parent / f"kept{os.getpid()}", store=place)
    app = AgentServer(agent, options, set()).app()
    run_app(app, "127.0.0.1", 0, lambda url: print(url, flush=True))


class Replica:
    """A process of the server."""

    def __init__(self, program: str, *words: str) -> None:
        command = [sys.executable, program, "--replica", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().rstrip("/")

    def kill(self) -> float:
        """Kills it; returns when."""
        now = time.time()
        self.process.kill()
        self.process.wait()
        return now


# -- the conversations ----------------------------------------------------------------------------


class Killing:
    """Conversations under kills, and what became of them."""

    program = __file__

    def __init__(self, model: str, place: str, folder: Path, seed: int) -> None:
        self._words = (model, place, str(folder / "effects.txt"))
        self._effects = folder / "effects.txt"
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._killed: dict[int, float] = {}
        self._numbers = iter(range(1_000_000))
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.replicas = [Replica(self.program, *self._words) for _ in range(REPLICAS)]

    def run(self, kills: int, conversations: int) -> None:
        """Kills so often; the conversations that were begun go on to their ends."""
        threads = [threading.Thread(target=self._converse) for _ in range(conversations)]
        for thread in threads:
            thread.start()
        try:
            while self.counts["kills"] < kills:
                time.sleep(self._random.uniform(1.0, 3.0))
                self._kill_one()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            for one in self.replicas:
                one.process.kill()
                one.process.wait()
        self._count_effects()

    def _kill_one(self) -> None:
        place = self._random.randrange(REPLICAS)
        with self._lock:
            victim = self.replicas[place]
        self._killed[victim.process.pid] = victim.kill()
        self.counts["kills"] += 1
        fresh = Replica(self.program, *self._words)
        with self._lock:
            self.replicas[place] = fresh

    def _converse(self) -> None:
        with httpx.Client(trust_env=False, timeout=10) as http:
            while not self._over.is_set():
                name, before = next(self._numbers), None
                for question in range(2):
                    words = [f"w{name}x{question}x{n}" for n in range(WORDS)]
                    body = {"input": f"Note {' '.join(words)}.", "background": True}
                    if before is not None:
                        body["previous_response_id"] = before
                    before = self._sent(http, body)
                    if before is None:
                        break
                    self._compare(self._answer(http, before), f"Noted {' '.join(words)}.")

    def _sent(self, http: httpx.Client, body: dict[str, Any]) -> str | None:
        """Sends a question; returns the reply's id, or None where its replica was just killed.

        Nobody knows whether that one was taken, so it is not sent again.
        """
        try:
            reply = http.post(f"{self._any()}/v1/responses", json=body)
        except httpx.HTTPError:
            self.counts[UNKNOWN] += 1
            return None
        if reply.status_code != 200:
            self.faults.append(f"refused: {reply.text[:200]}")
            return None
        self.counts["questions taken"] += 1
        return str(reply.json()["id"])

    def _answer(self, http: httpx.Client, identity: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                reply = http.get(f"{self._any()}/v1/responses/{identity}").json()
                if reply.get("status") not in ("queued", "in_progress"):
                    return dict(reply)
            time.sleep(0.2)
        return None

    def _any(self) -> str:
        with self._lock:
            return self._random.choice(self.replicas).url

    def _compare(self, reply: dict[str, Any] | None, expected: str) -> None:
        if reply is None or reply.get("status") != "completed":
            self._lost(expected, reply)
            return
        said = [item for item in reply["output"] if item["type"] == "message"]
        self._compare_text("".join(p["text"] for item in said for p in item["content"]), expected)

    def _lost(self, expected: str, told: object) -> None:
        self.counts["answers lost"] += 1
        self.faults.append(f"lost: {expected}: {str(told)[:300]}")

    def _compare_text(self, text: str, expected: str) -> None:
        self.counts["answers"] += 1
        if text != expected:
            self.counts["answers mixed"] += 1
            self.faults.append(f"mixed: {expected}: {text[:200]}")

    def _count_effects(self) -> None:
        by_word: dict[str, list[tuple[int, float]]] = {}
        for line in lines(self._effects):
            process, at, word = line.split()
            by_word.setdefault(word, []).append((int(process), float(at)))
        self.counts["effects"] = len(by_word)
        for word, done in by_word.items():
            for process, at in done[:-1]:
                killed = self._killed.get(process)
                if killed is not None and killed - at < WINDOW:
                    self.counts["effects twice: killed before the result was kept"] += 1
                else:
                    self.counts["effects twice"] += 1
                    self.faults.append(f"twice: {word}: {done}")


def main() -> None:
    """Prints the counts."""
    given = options_of(__doc__, "sqlite, postgres or postgresql://…", conversations=12)
    if given.replica:
        replica(*given.replica)
        return
    run_and_tell(Killing, given)


def options_of(told: str, places: str, *, conversations: int) -> argparse.Namespace:
    """Reads the command line; `replica` is set in the processes that are to be killed."""
    parser = argparse.ArgumentParser(description=told.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--place", default="postgres", help=places)
    parser.add_argument("--conversations", type=int, default=conversations)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replica", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_and_tell(kind: type[Killing], given: argparse.Namespace) -> None:
    """Runs it, prints the counts, and ends the process."""
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory())
        place = given.place
        if "://" not in place:
            place = stack.enter_context(place_of(place, Path(work)))
        PacedHandler.log = Path(work, "asked.txt")
        server = ThreadingHTTPServer(("127.0.0.1", 0), PacedHandler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        killing = kind(url, place, Path(work), given.seed)
        killing.run(given.kills, given.conversations)
    for name in ("answers lost", "answers mixed", "effects twice"):
        killing.counts.setdefault(name, 0)
    print(
        f"{given.place.partition(':')[0]}: "
        + ", ".join(f"{n} {what}" for what, n in killing.counts.items())
    )
    print("\n".join(killing.faults[:20]) or "nothing lost, nothing mixed, nothing done twice")
    sys.exit(bool(killing.faults))


if __name__ == "__main__":
    main()
