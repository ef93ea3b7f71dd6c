"""A llama.cpp server, the one of the xllamacpp package, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import sys, time, xllamacpp
began = time.monotonic()
p = xllamacpp.CommonParams()
p.model.path, p.n_parallel, p.use_jinja, p.verbosity = sys.argv[1], 1, True, 0
p.n_ctx = int(sys.argv[2])
if len(sys.argv) > 4:
    p.port = int(sys.argv[4])
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[3])
server = xllamacpp.Server(p)
print(server.listening_address, time.monotonic() - began, flush=True)
sys.stdin.read()
"""


@dataclass
class Served:
    """A server that listens; `url` is its base URL, `load` the seconds until then."""

    url: str
    load: float
    pid: int


@contextmanager
def served(
    model: Path | str, *, context: int = 4096, threads: int = 1, port: int | None = None
) -> Iterator[Served]:
    """Serves a model file until the block is left; at a free port without one."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(model), str(context), str(threads)]
        + ([str(port)] if port else []),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if process.stdout is None or process.stdin is None:
        raise RuntimeError("the server has no pipes")
    try:
        address, load = process.stdout.readline().split()
        yield Served(f"{address}/v1", float(load), process.pid)
    finally:
        process.stdin.close()
        process.wait(300)  # it ends a request that is being read first
        process.stdout.close()
