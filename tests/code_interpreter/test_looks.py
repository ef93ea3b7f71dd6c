"""The supervisor's looks at what a session uses: when they come, and that they miss nothing."""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import closing
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
CLONE_FILES = 0x400


def watching(*, busy: bool, looked: float, began: float, took: float = 0.0) -> float:
    """Returns when a supervisor in that state looks next."""
    from qwenbelt.tools.code_interpreter.supervisor import Supervisor

    none: Any = None
    watcher = Supervisor({}, none, 0, 0, 0)
    watcher._busy, watcher._looked, watcher._began, watcher._took = busy, looked, began, took
    return watcher._due()


def test_a_cell_is_not_looked_at_in_its_first_moment():
    assert watching(busy=True, looked=100.0, began=100.9) == pytest.approx(101.0)
    assert watching(busy=True, looked=100.0, began=100.5) == pytest.approx(100.6)


def test_cells_that_follow_each_other_are_looked_at_as_often_as_a_calm_session():
    assert watching(busy=True, looked=100.0, began=107.0) <= 101.0
    assert watching(busy=False, looked=100.0, began=107.0) == pytest.approx(101.0)


def test_a_long_cell_is_looked_at_often():
    assert watching(busy=True, looked=103.0, began=100.0) == pytest.approx(103.1)
    assert watching(busy=True, looked=103.0, began=100.0, took=0.3) == pytest.approx(103.3)


@pytest.mark.parametrize("own_table", [False, True])
def test_a_file_without_a_name_is_seen_in_every_thread(tmp_path, own_table):
    from qwenbelt.tools.code_interpreter import usage
    from qwenbelt.tools.code_interpreter.sandbox import linux

    holds, done = threading.Event(), threading.Event()
    path = tmp_path / "gone"
    path.write_bytes(b"x" * 65536)

    def hold() -> None:
        if own_table:
            linux.unshare(CLONE_FILES)
        number = os.open(path, os.O_RDONLY)
        path.unlink()
        info = os.fstat(number)
        seen.append((info.st_dev, info.st_ino))
        holds.set()
        done.wait(30)
        os.close(number)

    seen: list[tuple[int, int]] = []
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holds.wait(30)
        assert seen[0] in usage.held([os.getpid()]).deleted
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_waits_in_network_sockets_is_counted(kind):
    from qwenbelt.tools.code_interpreter import usage

    with (
        closing(socket.socket(socket.AF_INET, kind)) as server,
        closing(socket.socket(socket.AF_INET, kind)) as client,
    ):
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        client.connect(server.getsockname())
        client.send(b"x" * 50_000)
        assert {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}[kind] in usage._kinds_in_use()
        assert usage._buffers(None) >= 50_000
