"""Our MCP servers beside the reference servers, and our client beside the SDK's, in one run.

    python benchmarks/mcp.py [--parts start,latency,…] [--references FOLDER]

The references are installed into FOLDER once: the TypeScript filesystem and memory servers by
`.ci/node_peers.py`, the Python sqlite server into a virtual environment of its own. Both sides are
driven by the same client, turn about; times are medians.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# this file's own folder would make it the package `mcp`, for us and for every child
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

ROOT = Path(__file__).resolve().parents[1]
# the reference takes only what begins with SELECT
ENDLESS = (
    "SELECT sum(i) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n)"
)
ROWS = 3_000_000
SLOW = "SELECT count(*), sum(length(name)) FROM items WHERE name LIKE '%7%' || (id % {n}) || '%'"
SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
first, second = (name.encode() for name in sys.argv[1:3])
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):
    for _ in range(1000):
        libc.renameat2(-100, first, -100, second, 2)
"""


class Server:
    """One server process behind our client."""

    def __init__(self, command: list[str], seconds: float = 300, **env: str) -> None:
        from qwenbelt.tools.mcp import McpServers

        entry: dict[str, Any] = {"command": command[0], "args": command[1:], "env": env}
        entry |= {"start_timeout": 120, "call_timeout": seconds}
        before = set(children(os.getpid()))
        self._servers = McpServers({"mcpServers": {"s": entry}})
        self._servers.ready(None)
        failures = self._servers.failures()
        if failures:
            raise SystemExit(str(failures["s"]))
        self.seconds = self._servers.seconds["s"]
        self.connection = self._servers.connections["s"]
        self.pids = sorted(set(children(os.getpid())) - before)

    def submit(self, tool: str, **arguments: Any) -> concurrent.futures.Future[Any]:
        request = self.connection.request(lambda c: c.call_tool(tool, arguments), tool)
        return self.connection.loop.submit(request)

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.submit(tool, **arguments).result()

    def text(self, tool: str, **arguments: Any) -> str:
        result = self.call(tool, **arguments)
        text = "\n".join(block.text for block in result.content if block.type == "text")
        if result.is_error:
            raise RuntimeError(text)
        return text

    def pages(self, tool: str, **arguments: Any) -> list[str]:
        """All parts of a reply that comes in parts."""
        found = []
        more: dict[str, Any] = {}
        while True:
            result = self.call(tool, **arguments, **more)
            data = result.structured_content or {}
            found.append(str(data.get("content", result.content[0].text)))
            if not data.get("cursor"):
                return found
            more = {"cursor": data["cursor"]}

    def close(self) -> None:
        self._servers.close()


def children(pid: int) -> Iterator[int]:
    """All processes below one."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from children(int(child))


@contextlib.contextmanager
def peak_memory(server: Server) -> Iterator[list[float]]:
    """Samples the resident MB of a server and its children; the list gets the highest sum."""
    peak = [0.0]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.02):
            pids = {p for pid in server.pids for p in (pid, *children(pid))}
            peak[0] = max(peak[0], sum(map(resident, pids)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def resident(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def ours(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"qwenbelt.mcp_servers.{name}", *map(str, arguments)]


class References:
    """The servers of others, installed into a folder."""

    def __init__(self, folder: Path) -> None:
        self._node = folder / "node"
        self._venv = folder / "python"
        if not (self._node / "node_modules").is_dir():
            install = [sys.executable, str(ROOT / ".ci" / "node_peers.py"), str(self._node)]
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        self.sqlite = str(self._venv / "bin" / "mcp-server-sqlite")
        if not Path(self.sqlite).exists():
            subprocess.run([sys.executable, "-m", "venv", str(self._venv)], check=True)
            # its last release needs the SDK of its time
            pip = [str(self._venv / "bin" / "pip"), "install", "-q", "mcp-server-sqlite", "mcp<2"]
            subprocess.run(pip, check=True)

    def node(self, name: str, *arguments: object) -> list[str]:
        script = self._node / "node_modules" / "@modelcontextprotocol" / f"server-{name}"
        command = [self._node / "bin" / "node", script / "dist" / "index.js", *arguments]
        return list(map(str, command))


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def side_by_side(
    mine: Callable[[], Any], other: Callable[[], Any], times: int
) -> tuple[float, float]:
    """Median seconds of each, turn about so that a busy moment strikes both."""
    pairs = [(timed(mine), timed(other)) for _ in range(times)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def row(what: str, mine: object, other: object, note: str = "") -> None:
    print(f"| {what} | {mine} | {other} | {note} |", flush=True)


def times_row(what: str, mine: float, other: float) -> None:
    row(what, f"{mine * 1000:.2f} ms", f"{other * 1000:.2f} ms", f"{mine / other:.2f} x")


def title(text: str, peer: str) -> None:
    print(f"\n### {text}\n\n| | qwenbelt | {peer} | |\n|---|---|---|---|", flush=True)


# ---------------------------------------------------------------- start and latency


def start(folder: Path, references: References) -> None:
    title("Start: process to list of tools", "reference")
    database = folder / "start.db"
    sqlite3.connect(database).close()
    memory = {"MEMORY_FILE_PATH": str(folder / "start.jsonl")}
    pairs: dict[str, tuple[list[str], list[str]]] = {
        "filesystem": (ours("filesystem", folder), references.node("filesystem", folder)),
        "memory": (ours("memory", "--file", folder / "start-m.db"), references.node("memory")),
        "sqlite": (
            ours("sqlite", "--db-path", database),
            [references.sqlite, "--db-path", str(database)],
        ),
    }
    for name, (mine, other) in pairs.items():
        found: list[tuple[float, ...]] = []
        for _ in range(5):
            servers = [Server(mine), Server(other, **memory)]
            found.append(tuple(server.seconds for server in servers))
            for server in servers:
                server.close()
        times_row(name, *(statistics.median(f[i] for f in found) for i in (0, 1)))


def latency(folder: Path, references: References) -> None:
    """One call of the everything server's echo, our client and the SDK's own."""
    from mcp import Client, StdioServerParameters

    title("Client: one call of the TypeScript everything server over stdio", "SDK's client")
    command = references.node("everything", "stdio")
    server = Server(command)

    async def plain() -> float:
        async with Client(StdioServerParameters(command=command[0], args=command[1:])) as client:
            found = []
            for _ in range(500):
                started = time.perf_counter()
                await client.call_tool("echo", {"message": "x"})
                found.append(time.perf_counter() - started)
            return statistics.median(found)

    import anyio

    mine = [timed(lambda: server.call("echo", message="x")) for _ in range(500)]
    times_row("echo", statistics.median(mine), anyio.run(plain))
    server.close()


# ---------------------------------------------------------------- files


def many_files(folder: Path) -> None:
    words = ["pump", "valve", "pressure", "seal", "rotor", "bearing", "flow", "温度", "泵"]
    draw = random.Random(7)
    for number in range(10_000):
        place = folder / f"d{number % 20:02}" / f"e{number // 20 % 25:02}"
        place.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(draw.choices(words, k=8)) for _ in range(20)]
        if number % 100 == 0:
            lines.append(f"needle {number}")
        ending = ("md", "py", "txt")[number % 3]
        (place / f"f{number:05}.{ending}").write_text("\n".join(lines), encoding="utf-8")


def grep_by_reading(server: Server, folder: Path) -> int:
    """What a client of the reference must do, which cannot search in files: read them all."""
    found = server.text("search_files", path=str(folder), pattern="**/*.*").splitlines()
    count = 0
    for first in range(0, len(found), 500):
        text = server.text("read_multiple_files", paths=found[first : first + 500])
        count += text.count("needle")
    return count


def files(folder: Path, references: References) -> None:
    many = folder / "many"
    many_files(many)
    (folder / "many" / "big.log").write_text("a line of the log\n" * 580_000)
    (folder / "many" / "small.txt").write_text("small\n")
    title("Files: 10 000 files in 500 folders", "reference")
    mine, other = Server(ours("filesystem", many)), Server(references.node("filesystem", many))
    path, small, big = str(many), str(many / "small.txt"), str(many / "big.log")
    trees = ["".join(s.pages("directory_tree", path=path)).count('"file"') for s in (mine, other)]
    # a part of ours repeats nothing but the folders it begins in
    assert trees[0] == trees[1] == 10_002, trees
    for what, tool, arguments in (
        ("tree, all parts", "directory_tree", {"path": path}),
        ("search `**/*.md`, all parts", "search_files", {"path": path, "pattern": "**/*.md"}),
        ("list a folder of 25", "list_directory", {"path": str(many / "d00")}),
        ("read a small file", "read_text_file", {"path": small}),
        ("first 10 lines of 10 MB", "read_text_file", {"path": big, "head": 10}),
        ("last 10 lines of 10 MB", "read_text_file", {"path": big, "tail": 10}),
        ("read 10 MB, all parts", "read_text_file", {"path": big}),
        ("write a small file", "write_file", {"path": small, "content": "small\n"}),
        ("file's facts", "get_file_info", {"path": small}),
    ):
        times = 200 if "all parts" not in what else 7
        times_row(what, *side_by_side(
            lambda t=tool, a=arguments: mine.pages(t, **a),  # type: ignore[misc]
            lambda t=tool, a=arguments: other.pages(t, **a),  # type: ignore[misc]
            times,
        ))  # fmt: skip
    hits = "".join(mine.pages("grep_files", path=path, pattern="needle")).count("needle")
    assert hits == grep_by_reading(other, many) == 100, hits
    times_row("grep (reference: read all files)", *side_by_side(
        lambda: mine.pages("grep_files", path=path, pattern="needle"),
        lambda: grep_by_reading(other, many), 5,
    ))  # fmt: skip
    mine.close()
    other.close()


def race(folder: Path, references: References) -> None:
    title("Another process swaps a folder and a link: 10 000 operations", "reference")
    found = {}
    for who, make in (
        ("mine", lambda top: ours("filesystem", top)),
        ("other", lambda top: references.node("filesystem", top)),
    ):
        top, outside = folder / who / "inside", folder / who / "outside"
        (top / "folder").mkdir(parents=True)
        outside.mkdir()
        (top / "folder" / "file").write_text("inside")
        (outside / "file").write_text("OUTSIDE")
        (top / "link").symlink_to(outside)
        found[who] = attack(Server(make(top)), top, outside)
    for number, what in enumerate(("inside", "refused", "reads from outside", "writes outside")):
        row(what, found["mine"][number], found["other"][number])


def attack(server: Server, top: Path, outside: Path) -> tuple[int, int, int, int]:
    command = [sys.executable, "-c", SWAPPER, top / "folder", top / "link", str(os.getpid())]
    inside = refused = stolen = written = 0
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        for number in range(10_000):
            name = str(top / "folder" / "file")
            if number % 2:
                result = server.call("read_text_file", path=name)
            else:
                name = str(top / "folder" / f"new{number}")
                result = server.call("write_file", path=name, content="x")
            if result.is_error:
                refused += 1
            elif "OUTSIDE" in result.content[0].text:
                stolen += 1
            elif (outside / Path(name).name).exists() and not number % 2:
                written += 1
            else:
                inside += 1
        swapper.kill()
    server.close()
    # those whose folder was swapped away before we looked count too
    return inside, refused, stolen, sum(1 for n in os.listdir(outside) if n != "file")


# ---------------------------------------------------------------- sqlite


def sql(folder: Path, references: References) -> None:
    path = folder / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        made = ((f"row number {i}",) for i in range(ROWS))
        connection.executemany("INSERT INTO items (name) VALUES (?)", made)
    connection.close()
    title(f"SQLite: {ROWS:,} rows", "reference")
    mine = Server(ours("sqlite", "--db-path", path, "--timeout", "60"))
    other = Server([references.sqlite, "--db-path", str(path)])
    one = {"query": "SELECT * FROM items WHERE id = 5"}
    times_row("one row", *side_by_side(
        lambda: mine.text("read_query", **one), lambda: other.text("read_query", **one), 200,
    ))  # fmt: skip
    readers(mine, other)
    whole_table(mine, other)
    mine.close()
    other.close()


def never_ends(path: Path, references: References) -> None:
    mine = Server(ours("sqlite", "--db-path", path, "--timeout", "5"))
    other = Server([references.sqlite, "--db-path", str(path)], seconds=20)
    for server in (mine, other):
        server.text("list_tables")
    what = "an endless query ends after (limit 5 s; the client's 20 s)"
    row(what, *map(endless, (mine, other)))
    mine.close()
    other.close()


def readers(mine: Server, other: Server) -> None:
    def eight(server: Server) -> None:
        calls = [server.submit("read_query", query=SLOW.format(n=9 + i)) for i in range(8)]
        assert all(not call.result().is_error for call in calls)

    def single(server: Server) -> None:
        server.text("read_query", query=SLOW.format(n=9))

    times_row("one slow reader", *side_by_side(lambda: single(mine), lambda: single(other), 3))
    times_row(
        "eight slow readers at once", *side_by_side(lambda: eight(mine), lambda: eight(other), 3)
    )


def whole_table(mine: Server, other: Server) -> None:
    query = "SELECT id, name FROM items"
    with peak_memory(mine) as my_peak:
        started = time.perf_counter()
        rows, more, steps = 0, {}, []
        while True:
            data = mine.call("read_query", query=query, max_rows=100_000, **more).structured_content
            rows += len(data["rows"])
            steps.append(my_peak[0])
            if not data.get("cursor"):
                break
            more = {"cursor": data["cursor"]}
        took = time.perf_counter() - started
    assert rows == ROWS
    early, late = steps[len(steps) // 10], steps[-1]
    try:
        with peak_memory(other) as other_peak:
            started = time.perf_counter()
            other.text("read_query", query=query)
        said = f"{time.perf_counter() - started:.1f} s"
    except Exception as error:  # whatever it is, it is the finding
        said = f"fails after {time.perf_counter() - started:.0f} s ({type(error).__name__})"
    row("all rows", f"{took:.1f} s, {len(steps)} pages", said)
    row("server's memory for it", f"{late:.0f} MB", f"{other_peak[0]:.0f} MB",
        f"ours after a tenth: {early:.0f} MB")  # fmt: skip


def endless(server: Server) -> str:
    started = time.perf_counter()
    stuck = server.submit("read_query", query=ENDLESS)
    time.sleep(1)
    pings: list[float] = []
    while not stuck.done():
        with contextlib.suppress(Exception):  # no answer at all shows in the time
            pings.append(timed(lambda: server.call("list_tables")))
            time.sleep(0.02)
    with contextlib.suppress(Exception):
        stuck.result()
    took = time.perf_counter() - started
    answered = "no answer"
    if pings:
        answered = f"median {statistics.median(pings) * 1000:.1f}, most {max(pings) * 1000:.0f} ms"
    return f"{took:.1f} s; another call meanwhile: {answered}"


# ---------------------------------------------------------------- memory


def entity(name: object, *observations: str) -> dict[str, Any]:
    return {"name": str(name), "entityType": "t", "observations": list(observations)}


def memory(folder: Path, references: References) -> None:
    title("Memory", "reference")

    def graph(who: str, name: str) -> Server:
        if who == "mine":
            return Server(ours("memory", "--file", folder / f"{name}.db"))
        return Server(references.node("memory"), MEMORY_FILE_PATH=str(folder / f"{name}.jsonl"))

    row("64 creates at once on one server, kept", *(creates([graph(w, "c64")], 64) for w in WHO))
    pairs = ([graph(who, "c200") for _ in range(2)] for who in WHO)
    row("200 creates, two servers on one file, kept", *(creates(pair, 200) for pair in pairs))
    row("50 times kill -9 in mid-write", *(killed(lambda w=who: graph(w, "kill")) for who in WHO))  # type: ignore[misc]
    for count, times in ((10_000, 30), (1_000_000, 3)):
        fill(folder, count)
        mine, other = (graph(who, f"m{count}") for who in WHO)
        took = [timed(lambda: observe(mine, count)) for _ in range(50)]  # noqa: B023
        theirs = [timed(lambda: observe(other, count)) for _ in range(times)]  # noqa: B023
        what = f"one observation at {count:,} entities"
        times_row(what, statistics.median(took), statistics.median(theirs))
        row("…, the slowest of 50", f"{max(took) * 1000:.2f} ms", "")
        for query in ("number 4711", "压力 4711"):
            hits = search(mine, query), search(other, query)
            pair = side_by_side(lambda: search(mine, query), lambda: search(other, query), times)  # noqa: B023
            times_row(f"search {query!r} at {count:,} (found {hits[0]}, {hits[1]})", *pair)
        mine.close()
        other.close()


WHO = ("mine", "other")


def creates(servers: list[Server], count: int) -> str:
    """Creates at once; how many were acknowledged, and how many are there afterwards."""
    calls = [
        servers[i % len(servers)].submit("create_entities", entities=[entity(f"e{i}", "o")])
        for i in range(count)
    ]
    done = [call.result() for call in calls]
    try:
        kept = len(json.loads(servers[0].text("read_graph"))["entities"])
    except (RuntimeError, ValueError):
        kept = 0  # the file cannot be read any more
    for server in servers:
        server.close()
    return f"{kept} of {sum(not result.is_error for result in done)}"


def killed(make: Callable[[], Server]) -> str:
    """Kills a server among its writes again and again; what was acknowledged must be there."""
    acknowledged: set[str] = set()
    for number in range(50):
        server = make()
        for count in range(1000):
            name = f"{number}.{count}"
            call = server.submit("create_entities", entities=[entity(name, "x" * 2000)])
            if count == 5 + number % 7:
                time.sleep(0.0005 * (number % 9))
                for pid in server.pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                break
            if not call.result().is_error:
                acknowledged.add(name)
        with contextlib.suppress(Exception):
            if not call.result().is_error:
                acknowledged.add(name)
        server.close()
    server = make()
    kept = set()
    for name in acknowledged:
        try:
            found = json.loads(server.text("open_nodes", names=[name]))["entities"]
        except RuntimeError:
            continue
        kept |= {entry["name"] for entry in found}
    server.close()
    return f"{len(acknowledged - kept)} of {len(acknowledged)} lost"


def fill(folder: Path, count: int) -> None:
    """The same graph for both, by the file of the reference."""
    target = folder / f"m{count}.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for i in range(count):
            line = {
                "type": "entity",
                **entity(f"entity {i}", f"number {i} of many", f"压力 {i} 千帕"),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    command = ours("memory", "--file", folder / f"m{count}.db", "--import", target)
    out = str(folder / "out.jsonl")
    subprocess.run([*command, "--export", out], check=True, stderr=subprocess.DEVNULL)


def observe(server: Server, count: int) -> None:
    name = f"entity {random.randrange(count)}"
    server.text(
        "add_observations", observations=[{"entityName": name, "contents": [os.urandom(6).hex()]}]
    )


def search(server: Server, query: str) -> int:
    result = server.text("search_nodes", query=query)
    return len(json.loads(result)["entities"])


def endless_only(folder: Path, references: References) -> None:
    path = folder / "few.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    title("SQLite: an endless query", "reference")
    never_ends(path, references)


PARTS = {
    "start": start,
    "latency": latency,
    "files": files,
    "race": race,
    "sql": sql,
    "endless": endless_only,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--references", type=Path, default=Path("out/references"))
    options = parser.parse_args()
    references = References(options.references.resolve())
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in options.parts.split(","):
        folder = Path(tempfile.mkdtemp(prefix="mcp-"))
        try:
            PARTS[name](folder, references)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
