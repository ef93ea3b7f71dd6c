"""A server has an index for each conversation, but keeps the files of a few open."""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path

import pytest

from qwenbelt import ToolContext
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.library import MOST_OPEN, shared_index
from qwenbelt.tools.documents.tool import DocumentSearch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")


def open_below(folder: Path) -> set[str]:
    """Returns the files below a folder that this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # that of the listing
            continue
        if target.startswith(str(folder)):
            found.add(target)
    return found


def test_indexes_of_conversations_do_not_stay_open(tmp_path: Path) -> None:
    """Three open files and half a megabyte for each message: 300 messages ended a server."""
    file = tmp_path / "sales.txt"
    file.write_text("Coal 12, oil 7.", encoding="utf-8")
    for number in range(MOST_OPEN + 8):
        context = ToolContext(folder=tmp_path / str(number), files={"sales.txt": file})
        assert "Coal 12" in str(DocumentSearch().call({"query": "coal"}, context=context))
    for thread in threading.enumerate():  # closing waits for the disk, in a thread
        if thread.name == "qwenbelt-index-closer":
            thread.join()
    gc.collect()
    still = {path for path in open_below(tmp_path) if path.endswith("documents.db")}
    assert len(still) <= MOST_OPEN


def test_an_index_that_is_used_stays_open(tmp_path: Path) -> None:
    first = shared_index(tmp_path / "first.db")
    for number in range(MOST_OPEN + 1):
        shared_index(tmp_path / f"{number}.db")
    gc.collect()
    assert shared_index(tmp_path / "first.db") is first
    assert first.documents() == []


def test_an_index_that_nobody_has_closes_its_file(tmp_path: Path) -> None:
    index = DocumentIndex(tmp_path / "one.db", workers=0)
    assert open_below(tmp_path)
    del index
    gc.collect()
    assert not open_below(tmp_path)
