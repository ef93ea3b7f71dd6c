"""Another process swaps folders and links as fast as it can; no operation lands outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.paths import Fence

# renameat2 with RENAME_EXCHANGE: both names exist at every moment
SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
first, second = (name.encode() for name in sys.argv[1:3])
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):
    for _ in range(1000):
        libc.renameat2(-100, first, -100, second, 2)
"""
OPERATIONS = 10_000


@contextlib.contextmanager
def swapping(first: Path, second: Path) -> Iterator[None]:
    command = [sys.executable, "-c", SWAPPER, str(first), str(second), str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_swapping_a_folder_and_a_link(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    (inside / "folder" / "file").write_bytes(b"inside")
    (outside / "file").write_bytes(b"OUTSIDE")
    (inside / "link").symlink_to(outside)
    fence = Fence([inside])
    read = written = refused = 0
    with swapping(inside / "folder", inside / "link"):
        for number in range(OPERATIONS):
            try:
                if number % 2:
                    with fence.reading("folder/file") as (descriptor, _):
                        assert os.read(descriptor, 100) == b"inside"
                    read += 1
                elif number % 4:
                    fence.write("folder/new", b"x")
                    written += 1
                else:
                    fence.append("folder/log", b"x")
                    written += 1
            except QwenbeltError:
                refused += 1
    assert sorted(os.listdir(outside)) == ["file"]
    assert (outside / "file").read_bytes() == b"OUTSIDE"
    # the race was really on, on both sides
    assert min(read, written, refused) > 100


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_swapping_a_file_and_a_link(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "target").write_bytes(b"OUTSIDE")
    (inside / "file").write_bytes(b"inside")
    (inside / "link").symlink_to(outside / "target")
    fence = Fence([inside])
    read = refused = 0
    with swapping(inside / "file", inside / "link"):
        for number in range(2_000):
            try:
                if number % 2:
                    with fence.reading("file") as (descriptor, _):
                        assert os.read(descriptor, 100) == b"inside"
                    read += 1
                else:
                    fence.append("file", b"")
            except QwenbeltError:
                refused += 1
    assert (outside / "target").read_bytes() == b"OUTSIDE"
    assert min(read, refused) > 20
