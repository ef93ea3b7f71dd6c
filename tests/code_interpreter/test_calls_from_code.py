"""Code that calls tools: both ways of writing, values, and a channel that hostile code can use."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qwenbelt.tools.code_interpreter.answers import answer_of, failure

Runner = Any
EMPTY = {"type": "object", "properties": {}, "required": []}


def function(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"Does {name}.", "parameters": schema, "read_only": True}


class Calls:
    """The tools of a run, on a loop of their own; notes what got through."""

    def __init__(self) -> None:
        self.functions = [
            function("double", x={"type": "integer", "description": "What to double."}),
            function("slow", seconds={"type": "number"}),
            {**function("given"), "parameters": {**EMPTY, "properties": {"class": {}, "b-c": {}}}},
            function("fails"),
            function("meet", count={"type": "integer"}),
            function("large", size={"type": "integer"}),
        ]
        self.most, self.side_by_side = 1000, 16
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.running = self.waiting = self.stopped = 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.made.append((name, arguments))
        if name == "double":
            return answer_of(arguments["x"] * 2)
        if name == "slow":
            self.running += 1
            try:
                await asyncio.sleep(arguments["seconds"])
            except asyncio.CancelledError:
                self.stopped += 1
                raise
            finally:
                self.running -= 1
            return answer_of("slept")
        if name == "meet":
            self.waiting += 1
            while self.waiting % arguments["count"]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            self.waiting = 0
            return answer_of(arguments["count"])
        if name == "large":
            return answer_of("x" * arguments["size"])
        return answer_of(arguments) if name == "given" else failure("it cannot be done")

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def calls(shared: Runner) -> Iterator[Calls]:
    made = Calls()
    shared.context.calls = made
    yield made
    shared.context.calls = None
    made.close()


def test_both_ways_of_writing(shared: Runner, calls: Calls) -> None:
    said = shared("""
import asyncio
one = tools.double(x=4)
print(one + 1, tools.double(5), await tools.double(x=6))
print(await asyncio.gather(*(tools.double(x=i) for i in range(3)), tools.double(9)))
tasks = [tools.double(x=i) for i in range(3)]
print(await asyncio.gather(*tasks), tasks)
task = asyncio.create_task(tools.double(x=10))
print(await task, await asyncio.wait_for(tools.double(x=11), 5))
async def get(x):
    value = tools.double(x=x)
    return value + 1
print(await asyncio.gather(*map(get, range(3))), asyncio.run(get(5)))
from tools import double as twice
print(twice(3), await twice(4), {k: tools.double(x=k) for k in (1, 2)})
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(3) as pool: print(list(pool.map(tools.double, range(3))))
alias = tools.double
print(await alias(x=8))
""")
    lines = said.splitlines()
    assert lines == [
        "9 10 12",
        "[0, 2, 4, 18]",
        "[0, 2, 4] [0, 2, 4]",
        "20 22",
        "[1, 3, 5] 11",
        "6 8 {1: 2, 2: 4}",
        "[0, 2, 4]",
        "16",
    ]


def test_waiting_calls_run_side_by_side(shared: Runner, calls: Calls) -> None:
    """Each call waits until all of them are there; one after the other they would never end."""
    told = shared("""
print(await asyncio.gather(*(tools.meet(count=5) for _ in range(5))))
print([tools.meet(count=4) for _ in range(4)], "calls that only read, as a plain list")
async def f(): return tools.meet(count=3)
print(await asyncio.gather(f(), f(), f()))
""")
    assert told.splitlines()[0] == "[5, 5, 5, 5, 5]"
    assert told.splitlines()[1].startswith("[4, 4, 4, 4]")
    assert told.splitlines()[2] == "[3, 3, 3]"


def test_names_help_errors_and_results(shared: Runner, calls: Calls) -> None:
    assert shared("print(tools.given(class_=1, b_c=[2]))") == "{'class': 1, 'b-c': [2]}"
    told = shared("help(tools.double)\nimport inspect\nprint(inspect.signature(tools.double))")
    assert "double(x: int)" in told
    assert "What to double." in told
    said = shared("""
try: tools.fails()
except tools.ToolError as error: print(error)
try: tools.double(y=1)
except TypeError as error: print(error)
import numpy as np, datetime
print(tools.given(np.array([1, 2]), datetime.date(2024, 1, 2)))
""")
    assert "it cannot be done" in said
    assert "double(): " in said
    assert "[1, 2]" in said and "2024-01-02" in said  # noqa: PT018
    raised = shared("tools.fails()")
    assert raised.splitlines()[-1].endswith("ToolError: it cannot be done")


def test_a_cell_without_tools_has_none(shared: Runner, calls: Calls) -> None:
    shared("tools.double(x=1)")
    shared.context.calls = None
    said = shared("tools.double(x=2)")
    assert "the cell has ended" in said
    assert calls.made == [("double", {"x": 1})]


def test_what_runs_ends_with_the_cell(shared: Runner, calls: Calls) -> None:
    shared("asyncio.ensure_future(tools.slow(seconds=30))\nawait asyncio.sleep(0.3)")
    deadline = time.monotonic() + 10
    while calls.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls.stopped == 1
    said = shared("tools.slow(seconds=30)", timeout=1)
    assert "time limit" in said
    assert shared("print(tools.double(x=2))") == "4", "the session and its channel go on"


RAW = """
import json, struct, os, sys, threading, time, socket
line = sys.modules['qwenbelt.tools.code_interpreter.tools_module']._line
raw = line._connection
def frame(**what):
    body = json.dumps(what).encode()
    raw.sendall(struct.pack('>I', len(body)) + body)
def forged(cell=None, n=None, name='double', **arguments):
    line._number += 1
    frame(n=n or line._number, cell=line.cell if cell is None else cell, name=name,
          arguments=arguments or {'x': 7})
"""


def settled(calls: Calls, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Waits until so many calls came, or for a moment in which more could have come."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline and len(calls.made) <= count:
        time.sleep(0.02)
    return calls.made


AFTER_THE_END = [
    "threading.Timer(0.3, lambda: tools.double(x=7)).start()",
    "threading.Timer(0.3, forged).start()",
    "line2 = line\nthreading.Timer(0.3, lambda: line2.send('double', {'x': 7}, print)).start()",
    "import asyncio\nasyncio.get_running_loop().call_later(0.3, forged)",
]


@pytest.mark.parametrize("code", AFTER_THE_END)
def test_no_call_after_the_end(shared: Runner, calls: Calls, code: str) -> None:
    shared(RAW + code)
    time.sleep(0.5)
    assert settled(calls, 0) == []
    # nor while the next cell runs, of what knows only its own cell
    said = shared("import time\ntime.sleep(0.4)\nprint(tools.double(x=1))")
    assert "2" in said
    assert settled(calls, 1) == [("double", {"x": 1})]


FROM_A_FORK = [
    "if os.fork() == 0:\n    try: tools.double(x=7)\n    finally: os._exit(0)\nos.wait()",
    "if os.fork() == 0:\n    try:\n        line._owner = os.getpid(); forged()\n"
    "    finally: os._exit(0)\nos.wait()",
    "if os.fork() == 0:\n    try:\n        for _ in range(50): forged(); time.sleep(0.02)\n"
    "    finally: os._exit(0)",
    # raw clone, past Python's own hooks
    "import ctypes\nlibc = ctypes.CDLL(None)\nif libc.fork() == 0:\n    try: forged()\n"
    "    finally: os._exit(0)\ntime.sleep(0.3)",
]


@pytest.mark.parametrize("code", FROM_A_FORK)
def test_no_call_from_a_fork(make: Callable[..., Runner], code: str) -> None:
    runner, calls = make(), Calls()
    runner.context.calls = calls
    try:
        runner(RAW + code)
        assert "4" in runner("time.sleep(0.5)\nprint(tools.double(x=2))")
        assert settled(calls, 1) == [("double", {"x": 2})]
    finally:
        calls.close()


BROKEN = [
    "raw.sendall(struct.pack('>I', 1 << 30))",
    "raw.sendall(struct.pack('>I', 0xffffffff) + b'x' * 100000)",
    "raw.sendall(struct.pack('>I', 4) + b'nope')",
    "frame(n='1', cell=line.cell, name='double', arguments={'x': 7})",
    "frame(n=1, cell=line.cell, name='double', arguments={'x': 7}); "
    "frame(n=1, cell=line.cell, name='double', arguments={'x': 8})",
    "frame(n=True, cell=line.cell, name='double', arguments={'x': 7})",
    "frame(n=2, cell=line.cell, name='n' * 10000, arguments={'x': 7})",
    "raw.sendall(struct.pack('>I', 3000000) + b'[' * 3000000)",
    "raw.shutdown(socket.SHUT_RDWR)",
]


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_frame_ends_the_channel_not_the_session(
    make: Callable[..., Runner], code: str
) -> None:
    runner, calls = make(), Calls()
    runner.context.calls = calls
    try:
        runner(RAW + code)
        made = len(calls.made)
        assert made <= 1
        said = runner("print(1)\ntools.double(x=2)")
        assert said.startswith("1")
        assert "restart" in said
        assert len(calls.made) == made
        assert "4" in runner("print(tools.double(x=2))", restart=True)
    finally:
        calls.close()


def test_half_frames_foreign_cells_and_unknown_names(make: Callable[..., Runner]) -> None:
    runner, calls = make(), Calls()
    runner.context.calls = calls
    try:
        runner(RAW + "raw.sendall(struct.pack('>I', 50) + b'{')")  # its rest never comes
        assert len(settled(calls, 0)) == 0
        runner("forged(cell=99); forged(cell=0); forged(cell=-1)", restart=True)
        assert calls.made == []
    finally:
        calls.close()


def test_a_flood_is_bounded(make: Callable[..., Runner]) -> None:
    import resource

    runner, calls = make(), Calls()
    runner.context.calls = calls
    try:
        runner("1")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        said = runner(
            RAW + "body = json.dumps('y' * 1000)\n"
            "for i in range(100_000): forged(x=7, y='y' * 200)\nprint('sent')",
            timeout=120,
        )
        assert "sent" in said or "time limit" in said
        assert len(calls.made) <= calls.most
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 200 * 1024  # kilobytes
        # what is not read on the other side is not kept for ever here
        runner(
            "for i in range(900): forged(name='large', size=4_000_000)\n"
            "time.sleep(1)\nprint('sent')",
            restart=False,
            timeout=60,
        )
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 400 * 1024
    finally:
        calls.close()


def test_large_arguments_and_results(shared: Runner, calls: Calls) -> None:
    assert shared("print(len(tools.large(size=3_000_000)))") == "3000000"
    assert "are over" in shared("tools.given('x' * 5_000_000, 1)")
    assert shared("print(len(tools.given('x' * 3_000_000, 1)['class']))") == "3000000"


def test_a_result_that_is_code_stays_a_value(shared: Runner, calls: Calls) -> None:
    said = shared("""
import base64, os, pickle
class Evil:
    def __reduce__(self): return os.system, ('touch HIT',)
evil = {'ok': True, 'form': 'pickle', 'value': base64.b64encode(pickle.dumps(Evil())).decode()}
text = "__import__('os').system('touch HIT')"
value = tools.given(**{'class': evil, 'b-c': text})
print(value == {'class': evil, 'b-c': text}, os.path.exists('HIT'))
""")
    assert "True False" in said


def test_another_session_cannot_call_for_this_one(make: Callable[..., Runner]) -> None:
    from qwenbelt.tools.code_interpreter.sandbox.level import layers

    if not layers().namespaces:
        pytest.skip("no namespaces here: what it tries would reach other processes")
    one, two = (make({"isolation": "namespaces"}) for _ in range(2))
    mine, others = Calls(), Calls()
    one.context.calls, two.context.calls = mine, others
    said: list[str] = []
    waiting = "import time\ntime.sleep(1.5)\nprint(tools.double(x=1))"
    running = threading.Thread(target=lambda: said.append(one(waiting)))
    running.start()
    try:
        two(
            RAW
            + """
for cell in range(-1, 30):
    if cell != line.cell: forged(cell=cell)
for process in filter(str.isdigit, os.listdir('/proc')):
    if int(process) in (os.getpid(), os.getppid()): continue
    for number in range(3, 64):
        try:
            with open(f'/proc/{process}/fd/{number}', 'wb') as other:
                other.write(struct.pack('>I', 2) + b'{}')
        except OSError: pass
"""
        )
        running.join(30)
        assert said == ["2"]
        assert mine.made == [("double", {"x": 1})]
        assert settled(others, 0) == []
    finally:
        mine.close()
        others.close()
