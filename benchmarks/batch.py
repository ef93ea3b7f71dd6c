"""Durable batches: nothing lost and nothing asked twice under `kill -9`, and what that costs.

    python benchmarks/batch.py kill                  # SQLite, one worker, killed ten times
    python benchmarks/batch.py kill --postgres       # PostgreSQL, three workers, ten kills
    python benchmarks/batch.py pace [--postgres]     # against a plain loop
    python benchmarks/batch.py cost [--postgres]     # of an empty step

Each task asks the model twice and calls a tool with an effect (a line in a file) in between. The
endpoint runs in this process, so it outlives the workers and counts every request.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import sqlalchemy
from throwaway_postgres import postgres

from qwenbelt.agents import FnCallAgent
from qwenbelt.workflows.batch.engine import Worker
from qwenbelt.workflows.batch.ledger import BatchStore, store_for
from qwenbelt.workflows.batch.tasks import Task, TaskOptions, read_tasks

Turn = tuple[str, int]
_TASK = re.compile(r"task (\d+)")


@dataclass(frozen=True)
class Seen:
    """A request: which model call it was, when it came (monotonic seconds), from which worker."""

    call: Turn
    when: float
    who: str


class Endpoint:
    """A model that calls a tool, then answers; remembers every request, and who sent it when."""

    def __init__(self, delay: float) -> None:
        self.seen: list[Seen] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *parts: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name, turn = _turn(body["messages"])
                who = self.headers["Authorization"].removeprefix("Bearer ")
                outer.seen.append(Seen((name, turn), time.monotonic(), who))
                time.sleep(delay)
                with contextlib.suppress(OSError):
                    self._send(_reply(name, turn))

            def _send(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a killed worker leaves broken connections

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.spec = f"openai:counted@http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _turn(messages: list[dict[str, Any]]) -> Turn:
    asked = next(m for m in messages if m["role"] == "user")
    found = _TASK.search(str(asked["content"]))
    assert found is not None
    return f"t{found[1]}", 1 + sum(m["role"] == "tool" for m in messages)


def _reply(name: str, turn: int) -> bytes:
    if turn == 1:
        arguments = json.dumps({"path": "log.txt", "content": f"{name}\n"})
        function = {"name": "file_append", "arguments": arguments}
        call = {"index": 0, "id": f"call_{name}", "type": "function", "function": function}
        delta: dict[str, Any] = {"role": "assistant", "tool_calls": [call]}
        reason = "tool_calls"
    else:
        delta, reason = {"role": "assistant", "content": f"{name} is done"}, "stop"
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()


def write_tasks(path: Path, count: int) -> None:
    lines = [json.dumps({"id": f"t{n}", "ask": f"Do task {n}."}) for n in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# -- kill -9 -------------------------------------------------------------------------------------


def recorded(store: BatchStore) -> set[Turn]:
    """Returns the model calls whose answers are in the database, read past the package."""
    url = store.url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    table = "dbos.operation_outputs" if store.is_postgres else "operation_outputs"
    query = f"SELECT workflow_uuid FROM {table} WHERE function_name = 'model' ORDER BY function_id"
    try:
        with engine.connect() as connection:
            rows = [row[0] for row in connection.execute(sqlalchemy.text(query))]
    except sqlalchemy.exc.DBAPIError:
        return set()  # killed before the tables were made
    finally:
        engine.dispose()
    count: collections.Counter[str] = collections.Counter()
    found = set()
    for workflow in rows:
        name = workflow.split("/")[1]
        count[name] += 1
        found.add((name, count[name]))
    return found


@dataclass(frozen=True)
class Death:
    """A kill: when, until when the database was read afterwards, and what it held."""

    killed: float
    read: float
    kept: set[Turn]


class Workers:
    """Worker processes, each with a folder of its own as if on a machine of its own."""

    def __init__(
        self, work: Path, store: BatchStore, spec: str, number: int, url: str | None
    ) -> None:
        self._work, self._spec, self._url = work, spec, url
        self._started = 0
        self.store = store
        self.processes = [self._start(n) for n in range(number)]

    def folder(self, number: int) -> Path:
        return self._work / (f"machine{number}" if self._url else "out")

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = ["qwenbelt", "batch", str(self._work / "tasks.jsonl"), "-e", self._spec]
        command += ["--out", str(self.folder(number)), "-t", "file_append", "--name", "bench"]
        command += ["--db", self._url] if self._url else []
        self._started += 1
        who = {**os.environ, "OPENAI_API_KEY": f"worker{number}.{self._started}"}
        with (self._work / "workers.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=who
            )

    def kill_one(self) -> Death:
        """Kills a random worker, reads what is recorded, and starts another."""
        number = random.choice([n for n, p in enumerate(self.processes) if p.poll() is None])
        killed = time.monotonic()
        self.processes[number].kill()
        self.processes[number].wait(60)
        kept = recorded(self.store)
        read = time.monotonic()  # the other workers went on recording until now
        self.processes[number] = self._start(number)
        return Death(killed, read, kept)

    @property
    def over(self) -> bool:
        return all(process.poll() is not None for process in self.processes)


def kill(count: int, kills: int, delay: float, url: str | None) -> None:
    """Runs tasks while workers are killed, and checks what the endpoint saw."""
    endpoint = Endpoint(delay)
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        work = Path(folder)
        write_tasks(work / "tasks.jsonl", count)
        (work / "out").mkdir()
        store = store_for(work / "out", url, "bench")
        began = time.monotonic()
        workers = Workers(work, store, endpoint.spec, 3 if url else 1, url)
        deaths: list[Death] = []
        while not workers.over:
            if len(deaths) < kills and _worked_since(endpoint, deaths, count, kills):
                time.sleep(random.uniform(0, 1.5))
                if workers.over:
                    break
                deaths.append(workers.kill_one())
            time.sleep(0.05)
        took = time.monotonic() - began
        _judge(work, workers, endpoint, deaths, count, took)
    endpoint.close()


def _worked_since(endpoint: Endpoint, deaths: list[Death], count: int, kills: int) -> bool:
    """Spreads the kills over the work: each comes after its share of the requests."""
    done = len({seen.call for seen in endpoint.seen})
    last = deaths[-1].read if deaths else 0.0
    fresh = any(seen.when > last + 0.3 for seen in endpoint.seen[-50:])
    return fresh and done >= 2 * count * (len(deaths) + 0.5) / (kills + 1)


def _judge(
    work: Path,
    workers: Workers,
    endpoint: Endpoint,
    deaths: list[Death],
    count: int,
    took: float,
) -> None:
    folders = {workers.folder(n) for n in range(len(workers.processes))}
    results = [json.loads(s) for s in (min(folders) / "results.jsonl").open(encoding="utf-8")]
    ok = sum(line["ok"] for line in results)
    requests: dict[Turn, list[Seen]] = collections.defaultdict(list)
    for seen in endpoint.seen:
        requests[seen.call].append(seen)
    repeated = {call for call, times in requests.items() if len(times) > 1}
    wrong = [
        call
        for call, times in requests.items()
        if any(call in death.kept and times[-1].when > death.read for death in deaths)
    ]
    for call in wrong:
        _tell(call, requests[call], deaths)
    effects: collections.Counter[str] = collections.Counter()
    for folder in folders:
        for file in folder.glob("files/*/**/log.txt"):
            effects.update(file.read_text(encoding="utf-8").split())
    print(f"kills -9                                   {len(deaths)}")
    print(f"workers                                    {len(workers.processes)}")
    print(f"tasks / results / distinct / ok            {count} / {len(results)} / ", end="")
    print(f"{len({line['id'] for line in results})} / {ok}")
    print(f"model calls needed / made                  {2 * count} / {len(endpoint.seen)}")
    print(f"asked again, in flight when killed         {len(repeated) - len(wrong)}")
    print(f"asked again though the answer was recorded {len(wrong)}")
    print(f"tool effects (lines written), twice        {effects.total()}, ", end="")
    print(f"{sum(n > 1 for n in effects.values())}")
    print(f"seconds                                    {took:.1f}")
    assert ok == count, (work / "workers.log").read_text(encoding="utf-8")[-2000:]
    assert not wrong


def _tell(call: Turn, requests: list[Seen], deaths: list[Death]) -> None:
    """Prints how a recorded call came to be asked again: who asked when, who died when."""
    first = requests[0].when
    for seen in requests:
        print(f"  {call}: asked by {seen.who} at {seen.when - first:+.3f} s")
    for death in deaths:
        held = "held the answer" if call in death.kept else "held none"
        print(f"  kill at {death.killed - first:+.3f}, read {death.read - first:+.3f} s: {held}")


# -- pace and cost ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Medians with quartiles, as text, of one way to run a step."""

    way: str
    cpu: str
    wall: str


async def plain(tasks: list[Task], spec: str, in_flight: int, folder: Path) -> None:
    """The same work as a loop with a semaphore, and nothing kept."""
    slots = asyncio.Semaphore(in_flight)

    async def one(task: Task) -> None:
        async with slots:
            place = folder / task.id
            place.mkdir(parents=True)
            agent = FnCallAgent(function_list=["file_append"], llm=spec, folder=place)
            async for _ in agent.stream([{"role": "user", "content": task.subject}]):
                pass

    await asyncio.gather(*(one(task) for task in tasks))


def durable(
    tasks: list[Task], folder: Path, in_flight: int, url: str | None, into: list[Spent]
) -> None:
    """Runs the tasks in a worker here; counts from the first submit to the last end."""
    folder.mkdir()
    with Worker(store_for(folder, url, folder.name), folder, in_flight=in_flight) as worker:
        with spent(into):
            worker.submit(tasks)
            worker.wait()


@dataclass(frozen=True)
class Spent:
    """Seconds: of a clock, and of this process's CPU."""

    wall: float
    cpu: float


@contextlib.contextmanager
def spent(into: list[Spent]) -> Iterator[None]:
    """Adds what the block takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append(Spent(time.perf_counter() - wall, time.process_time() - cpu))


def _median(values: list[Spent]) -> Spent:
    return Spent(
        statistics.median(v.wall for v in values), statistics.median(v.cpu for v in values)
    )


def step_cost(folder: Path, url: str | None, rounds: int = 30, steps: int = 40) -> list[Cost]:
    """Returns what an empty step costs: the engine's own, our wrapper, a reply's way by a thread.

    Their rounds take turns, so that what else the machine does hits all of them alike; CPU is that
    of this process, without the database server's.
    """
    from dbos import DBOS

    from qwenbelt.workflows.batch.durable import Steps

    folder.mkdir()
    with Worker(store_for(folder, url, folder.name), folder):

        @DBOS.workflow(name=f"steps-{folder.name}")
        def measured() -> None:
            own = Steps(DBOS)

            async def replies() -> None:
                for _ in range(steps):
                    await own.reply(dict)

            ways: dict[str, Callable[[], None]] = {
                "the engine": lambda: [DBOS.run_step({"name": "a"}, dict) for _ in range(steps)],
                "our wrapper": lambda: [own.run("a", dict) for _ in range(steps)],
                "a reply": lambda: asyncio.run(replies()),
            }
            for _ in range(rounds):
                for name, way in ways.items():
                    with spent(found.setdefault(name, [])):
                        way()

        found: dict[str, list[Spent]] = {}
        measured()
    return [
        Cost(
            name,
            *(
                _quartiles([1000 * getattr(v, kind) / steps for v in values])
                for kind in ("cpu", "wall")
            ),
        )
        for name, values in found.items()
    ]


def _quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def commit_cost(folder: Path, url: str | None, commits: int = 200) -> float:
    """Returns the milliseconds of one bare INSERT with its commit: the limit of a durable step."""
    engine = sqlalchemy.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://") if url else f"sqlite:///{folder}.db"
    )
    with engine.connect() as connection:
        if url is None:
            connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        connection.execute(sqlalchemy.text("CREATE TABLE bare (a INTEGER, b TEXT)"))
        connection.commit()
        started = time.perf_counter()
        for number in range(commits):
            connection.execute(sqlalchemy.text(f"INSERT INTO bare VALUES ({number}, 'x')"))
            connection.commit()
        took = time.perf_counter() - started
    engine.dispose()
    return 1000 * took / commits


def cost(url: str | None) -> None:
    """Prints what a step costs beside a bare commit."""
    with tempfile.TemporaryDirectory(prefix="bench-cost-") as name:
        work = Path(name)
        print(f"a bare INSERT and commit: {commit_cost(work / 'bare', url):.2f} ms")
        print("| an empty step | CPU, ms | wall, ms |")
        print("|---|---|---|")
        for row in step_cost(work / "cost", url):
            print(f"| {row.way} | {row.cpu} | {row.wall} |", flush=True)


@contextlib.contextmanager
def database(wanted: bool) -> Iterator[str | None]:
    if not wanted:
        yield None
        return
    with postgres() as url:
        yield url


def pace(count: int, url: str | None) -> None:
    """Prints the throughput beside a plain loop's, and the CPU of both."""
    import qwenbelt.tools  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="bench-pace-") as name:
        work = Path(name)
        write_tasks(work / "tasks.jsonl", count)
        print("| model call | in flight | plain loop, tasks/s | durable, tasks/s | ratio ", end="")
        print("| CPU of a task, ms: plain | durable |")
        print("|---|---|---|---|---|---|---|")
        for delay, in_flight in ((0.0, 1), (0.0, 8), (0.2, 8), (0.5, 32)):
            endpoint = Endpoint(delay)
            options = TaskOptions(endpoint=endpoint.spec, tools=["file_append"])
            tasks = read_tasks(work / "tasks.jsonl", options)
            few = tasks if in_flight > 1 else tasks[: count // 4]
            loops: list[Spent] = []
            kept: list[Spent] = []
            for turn in range(3):
                place = work / f"p{delay}-{in_flight}-{turn}"
                with spent(loops):
                    asyncio.run(plain(few, endpoint.spec, in_flight, place))
                durable(few, place.with_name(f"d{place.name}"), in_flight, url, kept)
            loop, own = _median(loops), _median(kept)
            row = f"{len(few) / loop.wall:.1f} | {len(few) / own.wall:.1f} "
            row += f"| {loop.wall / own.wall:.2f} | {1000 * loop.cpu / len(few):.0f} "
            print(f"| {delay:.1f} s | {in_flight} | {row}| {1000 * own.cpu / len(few):.0f} |")
            sys.stdout.flush()
            endpoint.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["kill", "pace", "cost"])
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--delay", type=float, default=0.3)
    given = parser.parse_args()
    with database(given.postgres) as url:
        if given.what == "kill":
            kill(given.tasks or 500, given.kills, given.delay, url)
        elif given.what == "cost":
            cost(url)
        else:
            pace(given.tasks or 200, url)


if __name__ == "__main__":
    main()
