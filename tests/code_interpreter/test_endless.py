"""Work without an end is ended within its limit and a second; the next call works at once."""

from __future__ import annotations

import time

import pytest

from tests.code_interpreter.endless import ENDLESS

LIMIT = 0.7


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_endless_work_is_ended_and_the_session_goes_on(shared, code):
    shared("1")  # a spare session is ready after this at the latest
    time.sleep(0.25)
    started = time.monotonic()
    text = shared(code, timeout=LIMIT)
    took = time.monotonic() - started
    assert took < LIMIT + 9, text[-500:]
    assert "time limit" in text or "gone" in text or "RecursionError" in text or "Memory" in text
    assert len(text) < 80_000
    again = time.monotonic()
    assert shared("6 * 7") == "42"
    assert time.monotonic() - again < 10


def test_threads_that_go_on_do_not_hinder_the_next_calls(shared):
    shared(
        "import threading, time\n"
        "def tick():\n    for _ in range(100000): print('tick'); time.sleep(0.001)\n"
        "threading.Thread(target=tick, daemon=True).start()"
    )
    texts = [shared("'answer'") for _ in range(3)]
    assert all("'answer'" in text for text in texts)
    shared("1", restart=True)


def test_a_child_that_goes_on_ends_with_the_session(make):
    run = make()
    run("import subprocess; p = subprocess.Popen(['sleep', '1000'])")
    assert run("p.poll() is None") == "True"


def test_exit_and_system_exit_keep_the_session(shared):
    shared("kept = 9")
    for code in ("exit()", "quit()", "import sys; sys.exit(3)", "raise SystemExit"):
        shared(code)
    time.sleep(0.3)
    assert shared("kept") == "9"


def test_killing_oneself_is_told(make):
    run = make()
    text = run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "signal 9" in text
    assert "crashed" in text


def test_memory_over_the_limit_is_an_error_that_can_be_handled(make):
    run = make({"limits": {"memory": 600 << 20}})
    assert "MemoryError" in run("block = bytearray(2 * 10**9)")
    assert run("1 + 1") == "2"


def test_a_state_that_was_lost_between_calls_is_told(make):
    run = make()
    run(
        "x = 1\nimport threading, os, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), os._exit(7))).start()"
    )
    time.sleep(0.6)
    text = run("1 + 1")
    assert "exit code 7" in text
    assert "2" in text
