"""Times and memory of the code interpreter beside a stock Jupyter kernel, in one run.

python benchmarks/code_interpreter.py [--rounds 5] [--sessions 16]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager, start_new_kernel

from qwenbelt.tools.code_interpreter import isolation_level
from qwenbelt.tools.code_interpreter.host import KernelHost
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.session import CodeCell

FIGURE = """
import pandas as pd, matplotlib.pyplot as plt
frame = pd.DataFrame({"x": range(10), "y": [n * n for n in range(10)]})
frame.plot(x="x", y="y"); plt.show()
"""
LIBRARIES = "import numpy, pandas, matplotlib.pyplot"


def unique_bytes(process: int) -> int:
    """Memory of a process that no other process shares."""
    total = 0
    for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1]) * 1024
    return total


def descendants(process: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for thread in os.listdir(f"/proc/{process}/task"):
            text = Path(f"/proc/{process}/task/{thread}/children").read_text(encoding="ascii")
            for child in map(int, text.split()):
                found += [child, *descendants(child)]
    return found


def timed(action: Callable[..., object], *arguments: Any, **keywords: Any) -> float:
    """Returns the milliseconds that a call takes."""
    started = time.perf_counter()
    action(*arguments, **keywords)
    return (time.perf_counter() - started) * 1000


class Stock:
    """A stock kernel over TCP, as `jupyter_client` starts it."""

    def __init__(self) -> None:
        self.manager: KernelManager
        self.manager, self.client = start_new_kernel()

    def run(self, code: str) -> None:
        self.client.execute_interactive(code, output_hook=lambda message: None, timeout=60)

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)
        self.run("1 + 1")

    def memory(self) -> int:
        return unique_bytes(self.manager.provisioner.process.pid)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def stock(rounds: int) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {name: [] for name in ("first", "figure", "trip", "next", "mb")}
    out["restart"] = []
    for _ in range(rounds):
        started = time.perf_counter()
        kernel = Stock()
        kernel.run("1 + 1")
        out["first"].append((time.perf_counter() - started) * 1000)
        kernel.run(FIGURE)
        out["figure"].append((time.perf_counter() - started) * 1000)
        out["trip"] += [timed(kernel.run, "1 + 1") for _ in range(20)]
        out["next"] += [timed(kernel.run, FIGURE) for _ in range(5)]
        out["mb"].append(kernel.memory() / 2**20)
        out["restart"].append(timed(kernel.restart))
        kernel.close()
    return out


class Ours:
    """One host; sessions by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = KernelHost()
        self.options = SessionOptions(allow_unsandboxed=True)
        self.count = 0

    def session(self) -> str:
        self.count += 1
        (self.folder / str(self.count)).mkdir()
        return str(self.count)

    def run(self, name: str, code: str, *, restart: bool = False) -> None:
        call = CodeCell(code, 60, restart=restart)
        self.host.submit(self.host.run(name, self.folder / name, self.options, call)).result(120)

    def end(self, name: str) -> None:
        self.host.submit(self.host.end(name)).result(30)

    def forget_spare(self) -> None:
        """Ends the spare session, so that the next one is forked anew."""
        launcher = self.host._launcher

        async def forget() -> None:
            spares, launcher._spares = launcher._spares, {}
            for making in spares.values():
                await (await making).close()

        if launcher is not None:
            self.host.submit(forget()).result(30)

    def spare_ready(self) -> None:
        launcher = self.host._launcher
        while launcher is None or not all(t.done() for t in launcher._spares.values()):
            time.sleep(0.01)
        time.sleep(0.05)


def ours(rounds: int, folder: Path) -> dict[str, list[float]]:
    names = ("cold", "fork", "spare", "figure", "spare figure", "trip", "next", "restart")
    out: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        place = folder / f"round-{number}"
        place.mkdir()
        run = Ours(place)
        out["cold"].append(timed(run.run, run.session(), "1 + 1"))
        for kind, code in (("fork", "1 + 1"), ("figure", FIGURE)):
            run.forget_spare()
            name = run.session()
            out[kind].append(timed(run.run, name, code))
        for kind, code in (("spare", "1 + 1"), ("spare figure", FIGURE)):
            for _ in range(5):
                run.spare_ready()
                name = run.session()
                out[kind].append(timed(run.run, name, code))
                run.end(name)
        name = run.session()
        run.run(name, FIGURE)
        run.spare_ready()
        out["trip"] += [timed(run.run, name, "1 + 1") for _ in range(20)]
        out["next"] += [timed(run.run, name, FIGURE) for _ in range(5)]
        run.spare_ready()
        out["restart"].append(timed(run.run, name, "1 + 1", restart=True))
        run.host.close()
    return out


def our_memory(sessions: int, folder: Path) -> float:
    """Unique memory of each of so many sessions that have drawn a figure, in MB."""
    run = Ours(folder)
    before = set(descendants(os.getpid()))
    for _ in range(sessions):
        run.run(run.session(), FIGURE)
    run.spare_ready()
    run.forget_spare()
    processes = set(descendants(os.getpid())) - before
    kernels = [p for p in processes if p != min(processes)]  # without the warm process itself
    total = 0.0
    for process in kernels:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += unique_bytes(process) / 2**20
    run.host.close()
    return total / sessions


def add(to: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for name, values in more.items():
        to.setdefault(name, []).extend(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in ("times", "one", "many"):
            (folder / place).mkdir()
        theirs: dict[str, list[float]] = {}
        mine: dict[str, list[float]] = {}
        for number in range(arguments.rounds):  # turn about, since other work may come and go
            add(theirs, stock(1))
            (folder / "times" / str(number)).mkdir()
            add(mine, ours(1, folder / "times" / str(number)))
        one = our_memory(1, folder / "one")
        many = our_memory(arguments.sessions, folder / "many")
    rows = [
        ("first result, nothing warm", theirs["first"], mine["cold"], "ms"),
        ("first result, forked", theirs["first"], mine["fork"], "ms"),
        ("first result, spare session", theirs["first"], mine["spare"], "ms"),
        ("first pandas figure, forked", theirs["figure"], mine["figure"], "ms"),
        ("first pandas figure, spare", theirs["figure"], mine["spare figure"], "ms"),
        ("round trip", theirs["trip"], mine["trip"], "ms"),
        ("next figure", theirs["next"], mine["next"], "ms"),
        ("restart and first result", theirs["restart"], mine["restart"], "ms"),
        ("unique memory, 1 session", theirs["mb"], [one], "MB"),
        (f"unique memory, each of {arguments.sessions}", theirs["mb"], [many], "MB"),
    ]
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, sandbox: {isolation_level()}\n"
    )
    print("| median | stock kernel | qwenbelt | stock / qwenbelt | of the best runs |")
    print("|---|---|---|---|---|")
    for label, their, my, unit in rows:
        stock_value, value = statistics.median(their), statistics.median(my)
        print(
            f"| {label} | {stock_value:.1f} {unit} | {value:.1f} {unit} "
            f"| {stock_value / value:.1f} | {min(their) / min(my):.1f} |"
        )


if __name__ == "__main__":
    main()
