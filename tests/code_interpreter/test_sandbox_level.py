"""What the machine can isolate is found out again after a try that failed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwenbelt.tools.code_interpreter.sandbox import level

FOUND = b'{"namespaces": false, "landlock": 7, "seccomp": true, "trouble": []}'


@pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
def test_a_probe_that_a_busy_machine_delayed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [subprocess.TimeoutExpired("probe", 60), None]

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
        late = answers.pop(0)
        if late is not None:
            raise late
        return subprocess.CompletedProcess([], 0, FOUND, b"")

    monkeypatch.setattr(level.subprocess, "run", run)
    level._probed.cache_clear()
    try:
        assert level.layers().mode == "none"
        assert level.isolation_level() == "Landlock 7 + seccomp"
        assert level.isolation_level() == "Landlock 7 + seccomp"  # kept: no third answer
    finally:
        level._probed.cache_clear()
