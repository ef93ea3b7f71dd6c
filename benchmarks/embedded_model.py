"""The embedded engine beside a llama.cpp server of the same build: load, pace, CPU time, memory.

    python benchmarks/embedded_model.py MODEL.gguf [--repeat 9] [--tokens 96]

Both are asked through the same client, in turns, and medians are compared. The server runs in a
process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

from llama_server import served

from qwenbelt.agents.models.deltas import Text, Tokens
from qwenbelt.agents.models.endpoint_model import EndpointModel, Request
from qwenbelt.agents.models.local_engine import engine_for

CONTEXT = 2048


def resident(pid: int | str = "self") -> float:
    """Returns the memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def processor_seconds(pid: int) -> float:
    """Returns the time that the processor spent on this process and on another one."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.process_time() + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def ask(llm: dict[str, Any], number: int, tokens: int, pid: int) -> tuple[float, ...]:
    """Returns seconds to the first token, tokens a second after it, processor seconds a token."""
    model = EndpointModel({**llm, "generate_cfg": {"temperature": 0, "max_tokens": tokens}})
    # a prompt of its own each time, so that neither finds it in its cache
    text = f"{number}. Tell a long story about a lighthouse."
    began, spent = time.monotonic(), processor_seconds(pid)
    times: list[float] = []
    used = 0
    async for piece in model.pieces(Request([{"role": "user", "content": text}])):
        if isinstance(piece, Text):
            times.append(time.monotonic())
        elif isinstance(piece, Tokens):
            used = piece.output
    pace = (used - 1) / (times[-1] - times[0])
    return times[0] - began, pace, (processor_seconds(pid) - spent) / used


async def measure(model: Path, repeat: int, tokens: int) -> None:
    """Prints the table."""
    threads = max(1, (os.cpu_count() or 2) - 1)
    engine = {"context_tokens": CONTEXT, "threads": threads}
    before = resident()
    with served(model, context=CONTEXT, threads=threads) as server:
        llms: dict[str, dict[str, Any]] = {
            "embedded": {"model": str(model), "dialect": "local", "engine": engine},
            "server": {"model": "m", "model_server": server.url, "dialect": "llamacpp"},
        }
        for number, llm in enumerate(llms.values()):
            await ask(llm, number, 8, server.pid)
        rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in llms}
        for number in range(repeat):
            # in turns, and each as often first as second
            for name in sorted(llms, reverse=number % 2 == 1):
                rows[name].append(await ask(llms[name], 10 + number, tokens, server.pid))
        load = engine_for(str(model), engine).load_seconds or 0.0
        loads = {"embedded": load, "server": server.load}
        memory = {"embedded": resident() - before, "server": resident(server.pid)}
    print("| | load s | first token ms | tokens a second | CPU ms a token | memory MiB |")
    print("|---|---|---|---|---|---|")
    cpu = {}
    for name, found in rows.items():
        first, pace, cpu[name] = (statistics.median(column) for column in zip(*found, strict=True))
        timed = f"{1000 * first:.0f} | {pace:.1f} | {1000 * cpu[name]:.1f}"
        print(f"| {name} | {loads[name]:.2f} | {timed} | {memory[name]:.0f} |")
    print(f"\nEmbedded / server: {cpu['embedded'] / cpu['server']:.3f} of its CPU time.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=96)
    options = parser.parse_args()
    asyncio.run(measure(options.model, options.repeat, options.tokens))


if __name__ == "__main__":
    main()
