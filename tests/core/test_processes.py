"""What there is once in a process, seen from threads and from forks."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qwenbelt.core.processes.child_process import (
    ChildEnded,
    ChildProcess,
    ChildTooSlow,
    IdleChildren,
)
from qwenbelt.core.processes.per_process import PerThread, per_process

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

ECHO = """
import json, sys, time
def main(greeting):
    print(json.dumps({"greeting": greeting}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "sleep" in request:
            time.sleep(request["sleep"])
        while time.process_time() < request.get("work", 0):
            began = time.process_time()
            while time.process_time() < began + 0.02:
                pass
            time.sleep(0.04)
        for number in range(request.get("lines", 1)):
            print(json.dumps({"n": number, "text": "é" * request.get("size", 1)}))
        sys.stdout.flush()
"""


def in_a_fork(check) -> None:
    """Runs a check in a forked copy of this process; an assertion that fails there fails here."""
    child = os.fork()
    if not child:
        try:
            check()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_get_the_same_object() -> None:
    made = []
    one = per_process(lambda: made.append(object()) or made[-1])
    assert one.existing() is None
    barrier = threading.Barrier(8)

    def get() -> object:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(8) as threads:
        found = {id(future.result()) for future in [threads.submit(get) for _ in range(8)]}
    assert len(found) == len(made) == 1
    assert one.drop() is made[0]
    assert one() is not made[0]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks into /proc")
def test_a_child_that_works_is_waited_for_where_it_gets_little_of_the_processor(
    echo: ChildProcess,
) -> None:
    echo.receive(30)
    echo.send({"work": 1.0})  # at most a third of the clock
    answer = echo.receive(1.5, slack=100)
    assert answer is not None
    echo.send({"sleep": 60})
    with pytest.raises(ChildTooSlow):
        echo.receive(0.5, slack=100)


@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_gets_its_own_even_while_a_thread_holds_the_lock() -> None:
    one = per_process(object)
    mine = one()
    lock = one._locks[os.getpid()]

    def check() -> None:
        assert one.existing() is None
        assert one() is not mine

    with lock:
        in_a_fork(check)
    assert one() is mine


@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_connections_are_of_one_thread_of_one_process() -> None:
    closed = []
    places = PerThread(object, closed.append, lambda made: made not in closed)
    mine = places.get()
    assert places.get() is mine
    with ThreadPoolExecutor(1) as other:
        assert other.submit(places.get).result() is not mine

    def check() -> None:
        assert places.get() is not mine
        places.close()
        assert mine not in closed

    in_a_fork(check)
    places.close()
    assert mine in closed
    assert len(closed) == 2
    assert places.get() is not mine


@pytest.fixture
def echo(tmp_path, monkeypatch):
    (tmp_path / "echo_child.py").write_text(ECHO, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    child = ChildProcess("echo_child", ["hello; --world"])
    yield child
    child.stop()


def test_lines_of_any_size_arrive_whole(echo: ChildProcess) -> None:
    assert echo.receive(30) == {"greeting": "hello; --world"}
    echo.send({"lines": 500, "size": 3})
    assert [(echo.receive(30) or {})["n"] for _ in range(500)] == list(range(500))
    echo.send({"lines": 2, "size": 300_000})
    assert [len((echo.receive(30) or {})["text"]) for _ in range(2)] == [300_000, 300_000]
    echo.send({"padding": "x" * 300_000})  # more than a pipe holds
    assert (echo.receive(30) or {})["n"] == 0


def test_waiting_ends(echo: ChildProcess) -> None:
    echo.receive(30)
    echo.send({"sleep": 60})
    with pytest.raises(ChildTooSlow):
        echo.receive(0.01)
    assert echo.receive(30, lambda: True) is None
    echo.stop()
    with pytest.raises(ChildEnded):
        echo.receive(30)
    with pytest.raises(ChildEnded):
        echo.send({})


@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_idle_children_stay_with_the_process_that_started_them(echo: ChildProcess) -> None:
    idle = IdleChildren(1)
    idle.give_back(echo)

    def check() -> None:
        assert len(idle) == 0
        assert idle.take() is None
        idle.close()

    in_a_fork(check)
    assert echo.receive(30) is not None
    assert idle.take(echo.number) is echo
    idle.close(for_good=True)
    idle.give_back(echo)
    assert len(idle) == 0
