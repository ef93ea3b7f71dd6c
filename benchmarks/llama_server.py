"""A llama.cpp server in a process of its own: a given program's, or the xllamacpp package's."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PROGRAM = "LLAMA_SERVER"  # the command line of a llama.cpp that was built for this machine

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
    if program := os.environ.get(PROGRAM):
        command = shlex.split(program)
        with _native(command, model, context, threads, port or _free_port()) as server:
            yield server
        return
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


@contextmanager
def _native(
    program: list[str], model: Path | str, context: int, threads: int, port: int
) -> Iterator[Served]:
    settings = {"-m": model, "-c": context, "-np": 1, "-t": threads, "-tb": threads, "--port": port}
    arguments = [str(part) for pair in settings.items() for part in pair]
    started, url = time.monotonic(), f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [*program, *arguments, "--host", "127.0.0.1", "--jinja"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _ready(url):
            if process.poll() is not None:
                raise RuntimeError(f"{program[0]} ended with {process.returncode}")
            time.sleep(0.1)
        yield Served(f"{url}/v1", time.monotonic() - started, process.pid)
    finally:
        process.terminate()
        process.wait(300)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])
