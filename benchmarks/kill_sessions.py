"""Kills runs with sessions at random events, and counts what is repeated or lost afterwards.

    python benchmarks/kill_sessions.py [--kills 50] [--place sqlite|postgres] [--seed 1]

A model that answers by the content of the request alone is asked in conversations of two questions,
three replies with two calls each. A process runs until a random event, then kills itself with -9;
the next one goes on with the same session. What was kept at a kill (replies, results, messages) is
compared with what is asked, done and kept later.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

QUESTIONS = ("Note a b c d e f.", "Note g h i j k l.")
EACH = 2  # calls in a reply
EVENTS = 45  # of a turn, about: a kill comes at one of them
JITTER = 0.01  # seconds after the event, at most


# -- the model ------------------------------------------------------------------------------------


def reply_to(messages: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Returns what was asked, as a key, and the reply: by the content of the request alone."""
    last = max(place for place, m in enumerate(messages) if m["role"] == "user")
    question = str(messages[last]["content"])
    words = question.rstrip(".").split()[1:]
    done = sum(message["role"] == "tool" for message in messages[last:])
    calls = [
        {
            "index": place,
            "id": f"call_{word}",
            "type": "function",
            "function": {"name": "note", "arguments": json.dumps({"text": word})},
        }
        for place, word in enumerate(words[done : done + EACH])
    ]
    reply = {"tool_calls": calls} if calls else {"content": f"Noted {' '.join(words)}."}
    return f"{question} {done}", {"role": "assistant", **reply}


class Handler(BaseHTTPRequestHandler):
    """Streams replies; `log` is the file of all that was asked."""

    log: Path

    def do_POST(self) -> None:
        """Answers one request."""
        raw = self.rfile.read(int(self.headers["content-length"]))
        if not raw:
            return  # the one who asks was killed
        body = json.loads(raw)
        asked, reply = reply_to(body["messages"])
        with self.log.open("a", encoding="utf-8") as file:
            file.write(asked + "\n")
        end = "tool_calls" if "tool_calls" in reply else "stop"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        calls = reply.get("tool_calls", [])
        deltas: list[dict[str, Any]] = [{"tool_calls": [call]} for call in calls]
        deltas += [{"content": part} for part in re.findall(r"\S+ ?", reply.get("content", ""))]
        with contextlib.suppress(OSError):  # the one who asked was killed
            for delta in deltas:
                self._piece({**base, "choices": [{"index": 0, "delta": delta}]})
                time.sleep(0.001)
            last = {"index": 0, "delta": {}, "finish_reason": end}
            self._piece({**base, "choices": [last], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")

    def _piece(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


# -- the runs -------------------------------------------------------------------------------------


def run_once(job: dict[str, Any]) -> None:
    """Asks one question in this process; at the event of the job it kills itself."""
    from qwenbelt import FnCallAgent, Session

    def note(text: str) -> str:
        """Notes a text.

        Args:
            text: what to note.
        """
        with open(job["effects"], "a", encoding="utf-8") as file:
            file.write(text + "\n")
        return f"noted {text}"

    agent = FnCallAgent([note], llm={"model": "m", "model_server": job["url"], "api_key": "k"})
    session = Session(job["place"], job["session"])
    for number, _ in enumerate(agent.events(job["question"], session=session), 1):
        if number == job["fatal"]:
            time.sleep(job["after"])
            os.kill(os.getpid(), signal.SIGKILL)


def zygote() -> None:
    """Forks a process for each job of standard input, imports done; tells how each ended."""
    import qwenbelt.agents.fncall
    import qwenbelt.agents.models.client
    import qwenbelt.agents.sessions.session  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run_once(json.loads(line))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


# -- the count ------------------------------------------------------------------------------------


def lines(path: Path) -> list[str]:
    """Returns the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def told(messages: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Returns messages by what they say, results that follow each other in one order."""
    calls = [message.get("function_call") or {} for message in messages]
    said = [
        (m["role"], str(m["content"]), call.get("name"), call.get("arguments"))
        for m, call in zip(messages, calls, strict=True)
    ]
    # results of calls that ran side by side are kept as they came
    groups = itertools.groupby(said, key=lambda one: one[0])
    return [
        one for role, group in groups for one in (sorted(group) if role == "function" else group)
    ]


def kept_steps(messages: list[dict[str, Any]]) -> tuple[set[str], set[str]]:
    """Returns the keys of the replies that are kept, and the texts whose results are."""
    asked, noted, question, done = set(), set(), "", 0
    answered: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "user":
            question, done = str(message["content"]), 0
        elif message["role"] == "function":
            done += 1
            noted.add(str(message["content"]).removeprefix("noted "))
        else:
            answered.append(message)
            # the first call of a reply was asked for when so many results were there
            first = done - done % EACH if message.get("function_call") else done
            asked.add(f"{question} {first}")
    return asked, noted


def expected() -> list[tuple[Any, ...]]:
    """Returns a whole conversation by what it says, results in the order of their calls."""
    out: list[tuple[Any, ...]] = []
    for question in QUESTIONS:
        words = question.rstrip(".").split()[1:]
        out.append(("user", question, None, None))
        for start in range(0, len(words), EACH):
            some = words[start : start + EACH]
            out += [("assistant", "", "note", json.dumps({"text": word})) for word in some]
            out += [("function", f"noted {word}", None, None) for word in some]
        out.append(("assistant", f"Noted {' '.join(words)}.", None, None))
    return out


class Killing:
    """Runs conversations in a database and kills them.

    Args:
        place: the database.
        folder: for logs.
        seed: of the events.
    """

    def __init__(self, place: str, folder: Path, seed: int) -> None:
        self._place, self._folder = place, folder
        self._random = random.Random(seed)
        self._asked, self._effects = folder / "asked.txt", folder / "effects.txt"
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self, kills: int) -> None:
        """Goes on until there were so many kills."""
        here = [sys.executable, __file__]
        with (
            _process([*here, "--serve", str(self._asked)]) as server,
            _process([*here, "--zygote"]) as runner,
        ):
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            while self.counts["kills"] < kills:
                self._conversation(f"c{self.counts['conversations']}", url, runner, kills)
                self.counts["conversations"] += 1

    def _conversation(self, name: str, url: str, runner: Any, kills: int) -> None:
        from qwenbelt import Session

        session = Session(self._place, name)
        for question in QUESTIONS:
            while True:
                before = session.history
                asked, done = len(lines(self._asked)), len(lines(self._effects))
                fatal = self._random.randint(1, EVENTS) if self.counts["kills"] < kills else 0
                job = {
                    "place": self._place,
                    "session": name,
                    "url": url,
                    "effects": str(self._effects),
                    "question": question,
                    "fatal": fatal,
                    "after": self._random.random() * JITTER,
                }
                runner.stdin.write(json.dumps(job) + "\n")
                runner.stdin.flush()
                status = int(runner.stdout.readline())
                self._compare(before, session.history, asked, done)
                if status == 0:
                    break
                if status != -signal.SIGKILL:
                    raise RuntimeError(f"a run ended with {status}")
                self.counts["kills"] += 1
                last = session.open_turns()[-1:]
                if last and not last[0][1] and last[0][2][0]["content"] == question:
                    break  # killed after its end: asked again it would be another question
        if told(session.history) != expected():
            self.faults.append(f"{name}: {told(session.history)}")

    def _compare(self, before: list[Any], after: list[Any], asked: int, done: int) -> None:
        """Counts what was repeated or lost since a moment."""
        replies, results = kept_steps(before)
        self.counts["replies kept at a kill"] += len(replies)
        self.counts["results kept at a kill"] += len(results)
        again = [key for key in lines(self._asked)[asked:] if key in replies]
        twice = [text for text in lines(self._effects)[done:] if text in results]
        self.counts["kept replies asked for again"] += len(again)
        self.counts["kept calls made again"] += len(twice)
        lost = Counter(told(before)) - Counter(told(after))
        self.counts["messages lost"] += lost.total()
        self.faults += [f"again: {key}" for key in again + twice]
        self.faults += [f"lost: {message}" for message in lost]


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def place_of(kind: str, folder: Path) -> Iterator[str]:
    """Gives a database of a kind."""
    if kind == "sqlite":
        yield str(folder / "sessions.sqlite")
        return
    from throwaway_postgres import postgres

    with postgres() as url:
        yield url


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--place", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--zygote", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        Handler.log = options.serve
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
        server.serve_forever()
    elif options.zygote:
        zygote()
    else:
        with tempfile.TemporaryDirectory() as folder, place_of(options.place, Path(folder)) as at:
            killing = Killing(at, Path(folder), options.seed)
            killing.run(options.kills)
        print(f"{options.place}: " + ", ".join(f"{n} {what}" for what, n in killing.counts.items()))
        print("\n".join(killing.faults[:20]) or "nothing repeated, nothing lost")
        sys.exit(bool(killing.faults))


if __name__ == "__main__":
    main()
