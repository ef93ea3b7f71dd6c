"""Every file tool while another process swaps a folder and a link: nothing gets outside."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.paths import Fence
from qwenbelt.tools.filesystem.edits import Edit
from qwenbelt.tools.filesystem.engine import Files
from qwenbelt.tools.filesystem.listing import Grep
from qwenbelt.tools.operation import OperationCall

OPERATIONS = 10_000
CALL = OperationCall()
ACTIONS: list[Callable[[Files, int], object]] = [
    lambda files, i: files.read("folder/file", CALL),
    lambda files, i: files.write(f"folder/written{i % 50}", "x"),
    lambda files, i: files.grep(".", Grep("OUTSIDE"), CALL),
    lambda files, i: files.append("folder/log", "x"),
    lambda files, i: files.edit("folder/file", [Edit("inside", "inside")], CALL),
    lambda files, i: files.tree("folder", CALL),
    lambda files, i: files.make_folder(f"folder/made{i % 50}/below"),
    lambda files, i: files.search(".", "**/secret*", CALL),
    lambda files, i: files.move("folder/file", "folder/moved"),
    lambda files, i: files.move("folder/moved", "folder/file"),
    lambda files, i: files.names("folder", CALL),
    lambda files, i: files.sizes("folder", CALL),
    lambda files, i: files.read_many(["folder/file", "folder/secret"], CALL),
    lambda files, i: files.read_media("folder/file", CALL).media[0].data.decode(),
]


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_no_tool_gets_out(tmp_path: Path, swapping: Any) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    (inside / "folder" / "file").write_text("inside")
    (outside / "file").write_text("OUTSIDE")
    (outside / "secret").write_text("OUTSIDE")
    (inside / "link").symlink_to(outside)
    files = Files(Fence([inside]))
    done = refused = 0
    with swapping(inside / "folder", inside / "link"):
        for number in range(OPERATIONS):
            try:
                found = ACTIONS[number % len(ACTIONS)](files, number)
            except QwenbeltError:
                refused += 1
                continue
            done += 1
            text = found if isinstance(found, str) else getattr(found, "text", "")
            # a refusal of read_many may name the path that was asked for, never what is there
            assert "OUTSIDE" not in text
            assert "secret\n" not in text.replace("folder/secret: Error", "")
    assert sorted(os.listdir(outside)) == ["file", "secret"]
    assert {(outside / name).read_text() for name in ("file", "secret")} == {"OUTSIDE"}
    # the race was really on, on both sides
    assert min(done, refused) > 5
