"""What a kill leaves behind is swept up; what is another's stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qwenbelt.core.leftovers import sweep

pytestmark = pytest.mark.skipif(not hasattr(os, "fwalk"), reason="POSIX only")
KILLED = """
import os, signal, sys
from qwenbelt.core.files import replacing_file
with replacing_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    {then}
"""


def write(target: Path, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED.format(then=then), str(target)]
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE}
    running = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
    assert running.stdout.readline() == "written\n"
    return running  # type: ignore[no-any-return]


def age(path: Path) -> None:
    old = time.time() - 3600
    os.utime(path, (old, old), follow_symlinks=False)


def test_only_what_a_killed_write_of_ours_left_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with write(inner / "kept.txt", "os.kill(os.getpid(), signal.SIGKILL)") as killed:
        killed.wait(60)
    (leftover,) = inner.iterdir()
    assert leftover.name.startswith(".qwenbelt-")
    assert sweep([str(tmp_path)]) == 0, "it is too young: it may be another's that just began"
    with write(inner / "going.txt", "sys.stdin.read()") as going:
        (other,) = set(inner.iterdir()) - {leftover}
        named = f".qwenbelt-{'0' * 16}.tmp"
        outside = tmp_path / "outside"
        outside.mkdir()
        strange = [
            inner / ".0123456789abcdef.tmp",
            inner / f"{named}.txt",
            inner / f".qwenbelt-{'A' * 16}.tmp",
            outside / named,
        ]
        for path in strange:
            path.write_text("another's")
        (inner / "folder").symlink_to(outside)
        os.link(outside / named, inner / f".qwenbelt-{'1' * 16}.tmp")  # with a second name
        (inner / f".qwenbelt-{'2' * 16}.tmp").symlink_to(outside / named)
        os.mkfifo(inner / f".qwenbelt-{'3' * 16}.tmp")
        for path in [leftover, other, *strange, *inner.iterdir()]:
            age(path)
        assert sweep([str(inner)]) == 1
        assert not leftover.exists()
        assert other.exists(), "it is being written"
        assert all(path.exists() for path in strange)
        assert sweep([str(tmp_path)], deep=False) == 0
        going.communicate()
    assert (inner / "going.txt").read_bytes() == b"half"
    assert sweep([str(tmp_path / "none")]) == 0
