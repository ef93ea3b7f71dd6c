"""Another process swaps folders and links as fast as it can; no operation lands outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.paths import Fence

OPERATIONS = 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_swapping_a_folder_and_a_link(tmp_path: Path, swapping: Any) -> None:
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
    assert min(read, written, refused) > 5


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_swapping_a_file_and_a_link(tmp_path: Path, swapping: Any) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "target").write_bytes(b"OUTSIDE")
    (inside / "file").write_bytes(b"inside")
    (inside / "link").symlink_to(outside / "target")
    fence = Fence([inside])
    read = refused = 0
    with swapping(inside / "file", inside / "link"):
        for number in range(OPERATIONS):
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
    assert min(read, refused) > 5
