"""The embedded engine beside a llama.cpp server of the same build: load, first token, pace, memory.

    python benchmarks/embedded_model.py MODEL.gguf [--repeat 9] [--tokens 96]

Both are asked through the same chat model, in turns, and medians are compared. The server runs in a
process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from qwen_agent.llm import get_chat_model

import qwenbelt.agents  # noqa: F401  (registers the model)
from qwenbelt.agents.embedded import engine_for

CONTEXT = 2048
SERVER = """
import sys, time, xllamacpp
began = time.monotonic()
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.use_jinja, p.verbosity = sys.argv[1], 2048, 1, True, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[2])
server = xllamacpp.Server(p)
print(server.listening_address, time.monotonic() - began, flush=True)
sys.stdin.read()
"""


def resident(pid: int | str = "self") -> float:
    """Returns the memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def ask(llm: dict[str, Any], number: int, tokens: int) -> tuple[float, float]:
    """Returns seconds to the first token, and tokens a second after it."""
    settings = {"temperature": 0, "max_tokens": tokens}
    model = get_chat_model({**llm, "generate_cfg": settings})
    # a prompt of its own each time, so that neither finds it in its cache
    question = [{"role": "user", "content": f"{number}. Tell a long story about a lighthouse."}]
    began = time.monotonic()
    times = [time.monotonic() for _ in model.chat(question, stream=True, delta_stream=False)]
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=96)
    options = parser.parse_args()
    threads = max(1, (os.cpu_count() or 2) - 1)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(options.model), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    assert server.stdin
    url, server_load = server.stdout.readline().split()
    engine = {"context_tokens": CONTEXT, "threads": threads}
    llms: dict[str, dict[str, Any]] = {
        "embedded": {
            "model_type": "qwenbelt",
            "model": str(options.model),
            "dialect": "local",
            "engine": engine,
        },
        "server": {
            "model_type": "qwenbelt",
            "model": "m",
            "model_server": f"{url}/v1",
            "dialect": "llamacpp",
        },
    }
    before = resident()
    for number, llm in enumerate(llms.values()):
        ask(llm, number, 8)
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in llms}
    for number in range(options.repeat):
        for name, llm in llms.items():
            rows[name].append(ask(llm, 10 + number, options.tokens))
    loads = {
        "embedded": engine_for(str(options.model), engine).load_seconds or 0.0,
        "server": float(server_load),
    }
    memory = {"embedded": resident() - before, "server": resident(server.pid)}
    server.stdin.close()
    server.wait(20)
    print("| | load s | first token ms | tokens a second | memory MiB |\n|---|---|---|---|---|")
    pace = {}
    for name, pairs in rows.items():
        first, pace[name] = (statistics.median(column) for column in zip(*pairs, strict=True))
        row = f"{loads[name]:.2f} | {1000 * first:.0f} | {pace[name]:.1f} | {memory[name]:.0f}"
        print(f"| {name} | {row} |")
    print(f"\nEmbedded / server: {pace['embedded'] / pace['server']:.3f} of its pace.")


if __name__ == "__main__":
    main()
