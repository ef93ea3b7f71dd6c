"""Several processes behind one port: what dies is replaced, and the end is in good order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.test_http_tokens import call, text_of

PROTOCOL_OF_OLD = {"protocol": "2025-11-25"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    (tmp_path / "a.txt").write_text("hello")
    arguments = [str(tmp_path), "--http", "0", "--workers", "2"]
    command = [sys.executable, "-m", "qwenbelt.mcp_servers.filesystem", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().strip()
        assert re.match("http://", url)
        yield process, url
        process.kill()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def wait_for(holds: Any) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_dies_and_the_others_serve_on(
    served: tuple[subprocess.Popen[str], str], connect: Any, tmp_path: Path
) -> None:
    process, url = served
    wait_for(lambda: len(workers(process)) == 2)
    victim = workers(process)[0].pid

    def ask(number: int) -> str:
        if number == 20:
            os.kill(victim, signal.SIGKILL)
        try:
            return text_of(call(url, None, "read_text_file", path="a.txt"))
        except Exception as error:  # a request that the dead one was at
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        said = Counter(pool.map(ask, range(80)))
    assert said["hello"] >= 70, said
    assert process.stderr is not None
    assert "ended (-9); another one begins" in process.stderr.readline()
    wait_for(lambda: len(workers(process)) == 2)
    assert victim not in [worker.pid for worker in workers(process)]
    # a client of the older protocols has no session then, and needs none
    client = connect(url, **PROTOCOL_OF_OLD)
    assert [client.text("read_text_file", path="a.txt") for _ in range(6)] == ["hello"] * 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left(served: tuple[subprocess.Popen[str], str], number: int) -> None:
    process, url = served
    wait_for(lambda: len(workers(process)) == 2)
    assert text_of(call(url, None, "read_text_file", path="a.txt")) == "hello"
    left = workers(process)
    process.send_signal(number)
    assert process.wait(30) == (-9 if number == signal.SIGKILL else 0)
    gone, alive = psutil.wait_procs(left, 30)
    assert len(gone) == 2
    assert not alive


def test_an_end_at_once_is_no_endless_round(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from qwenbelt.mcp_servers.workers import serve_by_workers\n"
        "serve_by_workers(2, lambda: os._exit(7))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ConfigError: The server's processes end as soon as they begin" in done.stderr
    assert done.stderr.count("ended (7)") == 4
