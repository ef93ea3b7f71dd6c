"""What repeated input costs: recorded runs, billed without a cache, implicitly and explicitly.

    python benchmarks/context_price.py record now.json       # with the checkout that is installed
    python benchmarks/context_price.py record now.json --only "a short chat, 20 turns, a file"
    python benchmarks/context_price.py table now.json [before.json]
    python benchmarks/context_price.py compaction      # how far a compaction should go

The runs are scripted, so two checkouts are asked the same; `record` needs nothing of this checkout
but its agents, so that an older one can run it too. Bills are those of the scripted endpoint: what
DashScope's rules give for the bytes and marks that were sent, a request every twenty seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECONDS = 20.0  # between two requests
RULES = "Soundings are given in metres at low water. The harbour office answers in one line. " * 150
MCP_SERVER = """
import json, sys
def tools(n):
    text = "Looks up one of the lists that the office keeps, by name, date and berth. " * 3
    schema = {"type": "object", "properties": {k: {"type": "string", "description": text}
              for k in ("name", "date", "berth")}}
    return [{"name": f"list_{i}", "description": text + str(i), "inputSchema": schema}
            for i in range(n)]
count, calls = 60, 0
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = {"initialize": {"protocolVersion": "2025-06-18",
                             "capabilities": {"tools": {"listChanged": True}},
                             "serverInfo": {"name": "s", "version": "1"}},
              "tools/list": {"tools": tools(count)},
              "tools/call": {"content": [{"type": "text", "text": "Berth 7 is free. " * 20}]},
              }.get(asked["method"])
    calls += asked["method"] == "tools/call"
    if asked["method"] == "tools/call" and calls == 3:
        count += 1
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
              flush=True)
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""

Reply = str | list[tuple[str, dict[str, Any]]]


class Endpoint:
    """Streams the given replies in order, the last one again and again, and keeps what it got."""

    def __init__(self, replies: list[Reply]) -> None:
        self.bodies: list[dict[str, Any]] = []
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                length = int(handler.headers["content-length"])
                body = json.loads(handler.rfile.read(length))
                with lock:
                    reply = replies[min(len(self.bodies), len(replies) - 1)]
                    number = len(self.bodies)
                    self.bodies.append(body)
                handler.send_response(200)
                handler.send_header("content-type", "text/event-stream")
                handler.end_headers()
                for chunk in _chunks(reply, number):
                    handler.wfile.write(f"data: {chunk}\n\n".encode())
                handler.wfile.write(b"data: [DONE]\n\n")

            def log_message(handler, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def llm(self) -> Any:
        """The endpoint as agents take it: DashScope, so that marks may be sent."""
        from qwenbelt.agents import endpoint

        port = self._server.server_address[1]
        return endpoint(f"dashscope:qwen3-max@http://127.0.0.1:{port}/v1")

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


def _chunks(reply: Reply, number: int) -> Iterator[str]:
    delta: dict[str, Any] = {"role": "assistant", "content": reply}
    if not isinstance(reply, str):
        calls = [
            {
                "index": n,
                "id": f"call_{number}_{n}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for n, (name, arguments) in enumerate(reply)
        ]
        delta = {"role": "assistant", "content": None, "tool_calls": calls}
    reason = "stop" if isinstance(reply, str) else "tool_calls"
    for choice in ({"delta": delta}, {"delta": {}, "finish_reason": reason}):
        yield json.dumps({"id": "c", "model": "m", "choices": [{"index": 0, **choice}]})


def _recorded(replies: list[Reply], work: Callable[[Any], None]) -> list[dict[str, Any]]:
    server = Endpoint(replies)
    try:
        work(server.llm)
    finally:
        server.close()
    return server.bodies


def _talk(agent: Any, turns: int) -> None:
    messages: list[Any] = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"What is known of berth {turn}?"})
        *_, last = agent.run(messages)
        messages += last


def _depth(name: str) -> str:
    """Returns how deep a berth is.

    Args:
        name: the berth.
    """
    return f"{name}: 12 m. " + "Sand and clay. " * 20


def _survey(name: str) -> str:
    """Returns all soundings of a berth.

    Args:
        name: the berth.
    """
    return f"{name}: sounding 12 m; " * 10_000


def fifty_turns() -> list[dict[str, Any]]:
    from qwenbelt.agents import FnCallAgent

    replies: list[Reply] = []
    for turn in range(50):
        replies += [[("_depth", {"name": f"berth {turn}"})], f"Berth {turn} is 12 m deep."]
    system = RULES * 4
    return _recorded(replies, lambda llm: _talk(FnCallAgent([_depth], llm, system), 50))


def eight_side_by_side() -> list[dict[str, Any]]:
    from qwenbelt.agents import FnCallAgent

    replies: list[Reply] = [
        [("_depth", {"name": f"berth {8 * step + n}"}) for n in range(8)] for step in range(4)
    ]
    replies.append("All berths are 12 m deep.")
    return _recorded(replies, lambda llm: _talk(FnCallAgent([_depth], llm, RULES), 1))


def long_results() -> list[dict[str, Any]]:
    from qwenbelt.agents import FnCallAgent

    replies: list[Reply] = []
    for turn in range(4):
        replies += [[("_survey", {"name": f"berth {turn}"})], f"Berth {turn} is 12 m deep."]
    agent = [_survey, _depth]
    return _recorded(replies, lambda llm: _talk(FnCallAgent(agent, llm, RULES), 4))


def with_mcp(**settings: Any) -> list[dict[str, Any]]:
    from qwenbelt.agents import FnCallAgent

    replies: list[Reply] = []
    for turn in range(8):
        name = f"s-list_{turn}"
        if settings:
            replies.append([("search_tools", {"query": f"list {turn} of the office"})])
            replies.append([("call_tool", {"name": name, "arguments": {"name": "berth"}})])
        else:
            replies.append([(name, {"name": "berth"})])
        replies.append("Berth 7 is free.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.py")
        path.write_text(MCP_SERVER)
        servers = {"mcpServers": {"s": {"command": sys.executable, "args": [str(path)]}}}
        return _recorded(
            replies, lambda llm: _talk(FnCallAgent([servers], llm, RULES, **settings), 8)
        )


def _document(folder: str) -> Path:
    import typst

    pages = "\n#pagebreak()\n".join(
        f"= Berth {n}\n" + f"Berth {n} is {n + 5} metres deep at low water, on sand and clay. " * 30
        for n in range(1, 13)
    )
    path = Path(folder, "harbour.pdf")
    path.write_bytes(typst.compile(pages.encode(), format="pdf"))
    return path


def assistant() -> list[dict[str, Any]]:
    from qwenbelt.agents import Assistant

    with tempfile.TemporaryDirectory() as folder:
        files = [str(_document(folder))]

        def work(llm: Any) -> None:
            _talk(Assistant([], llm, RULES, files=files), 10)

        return _recorded(["It is some metres deep."], work)


def a_short_chat() -> list[dict[str, Any]]:
    """Twenty questions on a file, few passages each: for a small model on one thread."""
    from qwenbelt.agents import Assistant

    with tempfile.TemporaryDirectory() as folder:
        files = [str(_document(folder))]

        def work(llm: Any) -> None:
            settings = {"max_ref_token": 200}
            _talk(Assistant([], llm, RULES[:3000], files=files, rag_cfg=settings), 20)

        return _recorded(["It is some metres deep."], work)


def a_report() -> list[dict[str, Any]]:
    from qwenbelt.workflows.report import report

    replies: list[Reply] = [
        [("document_search", {"query": f"depth of berth {n}"})] for n in range(1, 7)
    ]
    replies.append("# Depth\n\nBerth 1 is 6 metres deep at low water [1].")
    with tempfile.TemporaryDirectory() as folder:
        path = _document(folder)

        def work(llm: Any) -> None:
            out = Path(folder, "out")
            report([path], "How deep are the berths at low water?", out, llm=llm)

        return _recorded(replies, work)


RUNS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "report": a_report,
    "chat, 50 turns": fifty_turns,
    "8 tools side by side": eight_side_by_side,
    "long results": long_results,
    "assistant, 10 turns, a file": assistant,
    "a short chat, 20 turns, a file": a_short_chat,
    "40 turns in a window of 16 k": lambda: in_a_window(),
    "MCP, 60 tools, list changes once": with_mcp,
    "the same, deferred": lambda: with_mcp(defer_tools=True),
}


def _prepare() -> None:
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != here]  # mcp.py here hides the package
    os.environ.setdefault("DASHSCOPE_API_KEY", "sk-none-of-anybody")


def record(path: str, only: str | None = None) -> None:
    """Runs all, or one, and writes the bodies that were sent."""
    _prepare()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"XDG_DATA_HOME": home, "QWENBELT_CACHE": home}  # an older index is refused
        for name, run in RUNS.items():
            if only not in (None, name):
                continue
            with contextlib.suppress(TypeError):  # an older checkout knows no defer_tools
                found[name] = run()
            print(f"{name}: {len(found.get(name, []))} requests", flush=True)
    Path(path).write_text(json.dumps(found))


def _billed(bodies: list[dict[str, Any]], kind: Any, *, marks: bool = True) -> float:
    from qwenbelt.testing.server.billing import CacheBill

    now = [0.0]
    bill = CacheBill(kind, clock=lambda: now[0])
    price = size = 0.0
    for body in bodies:
        billed = bill.of(body if marks else _without_marks(body))
        bill.settle(billed)
        price, size = price + billed.price, size + billed.input
        now[0] += SECONDS
    return price / size


def _without_marks(body: dict[str, Any]) -> dict[str, Any]:
    bare = copy.deepcopy(body)
    for message in bare["messages"]:
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            part.pop("cache_control", None)
    return bare


def _told(bodies: list[dict[str, Any]]) -> list[Any]:
    from qwenbelt.testing.server.billing import CacheBill

    bill = CacheBill("none")
    return [bill.of(_without_marks(body)) for body in bodies]


def _sizes(bodies: list[dict[str, Any]]) -> list[int]:
    return [one.input for one in _told(bodies)]


def _breaks(bodies: list[dict[str, Any]]) -> int:
    """Returns how often a request does not begin with all of the one before."""
    pairs = itertools.pairwise(_told(bodies))
    return sum(now.repeated < 0.99 * before.input for before, now in pairs)


def _row(bodies: list[dict[str, Any]]) -> str:
    told = _told(bodies)
    sizes = [one.input for one in told]
    repeated = sum(one.repeated for one in told[1:]) / max(sum(sizes[:-1]), 1)
    none, implicit = _billed(bodies, "none"), _billed(bodies, "implicit", marks=False)
    explicit = _billed(bodies, "dashscope")
    cells = [f"{len(bodies)}", f"{sum(sizes)}", f"{repeated:.3f}", f"{_breaks(bodies)}"]
    return " | ".join([*cells, f"{none:.2f}", f"{implicit:.2f}", f"{explicit:.2f}"])


def table(now: str, before: str | None) -> None:
    """Prints the table; "repeated" is the share of each request that the next begins with."""
    columns = "requests | input tokens | repeated | breaks | none | implicit | as sent"
    print(f"| run | when | {columns} |")
    print("|---|---|" + "---|" * 7)
    files = [("before", before), ("now", now)] if before else [("now", now)]
    recorded = {when: json.loads(Path(path).read_text()) for when, path in files if path}
    for name in RUNS:
        for when, found in recorded.items():
            if found.get(name):
                print(f"| {name} | {when} | {_row(found[name])} |", flush=True)


def in_a_window(turns: int = 40, window: int = 16_000) -> list[dict[str, Any]]:
    """A chat with results of 200 to 3000 tokens in a window that holds some ten of them."""
    from qwenbelt.agents import FnCallAgent

    def sizes(berth: int) -> str:
        """Returns the soundings of a berth.

        Args:
            berth: its number.
        """
        return f"berth {berth}: sounding 12 m; " * (30 + berth * 37 % 400)

    replies: list[Reply] = []
    for turn in range(turns):
        replies += [[("sizes", {"berth": turn})], f"Berth {turn} is 12 m deep."]
    settings = {"max_input_tokens": window}

    def work(llm: Any) -> None:
        given = {**llm, "generate_cfg": {**llm.get("generate_cfg", {}), **settings}}
        _talk(FnCallAgent([sizes], given, RULES[:8000]), turns)

    return _recorded(replies, work)


def compaction() -> None:
    """Prints what steps of several sizes cost: a small one breaks the cached prefix each turn."""
    from qwenbelt.agents.runtime import context_window

    print("| room after a compaction | breaks | input tokens | price, explicit | implicit |")
    print("|---|---|---|---|---|")
    _prepare()
    for room in (0.9, 0.75, 0.6, 0.5, 0.4, 0.3):
        context_window._ROOM, context_window._ROOM_LOST = room, max(room, 0.75)
        bodies = in_a_window()
        size = sum(_sizes(bodies))
        told = [size * _billed(bodies, kind) for kind in ("dashscope", "implicit")]
        cells = [f"{room}", f"{_breaks(bodies)}", f"{size}", *(f"{one:.0f}" for one in told)]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("command", choices=["record", "table", "compaction"])
    parser.add_argument("file", nargs="?", default="now.json")
    parser.add_argument("before", nargs="?")
    parser.add_argument("--only", choices=[*RUNS], help="one run of `record`")
    given = parser.parse_args()
    if given.command == "record":
        record(given.file, given.only)
    elif given.command == "compaction":
        compaction()
    else:
        table(given.file, given.before)


if __name__ == "__main__":
    main()
