"""Processes that were forked after documents had been read: each has readers of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAGE = "BT /F1 10 Tf 72 700 Td (The harbour was closed in winter {n}.) Tj ET"
fork = pytest.mark.skipif(sys.platform == "win32", reason="fork")

POOL = """
import multiprocessing, sys
from qwenbelt.tools.documents import DocumentIndex

first, *others = sys.argv[1:]
index = DocumentIndex("one.db")
index.add(first)

def add(file):
    with DocumentIndex(file + ".db") as own:
        own.add(file)
        return len(own.pages(file)), index.add(file)[0].pages

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(add, others))
print(len(index.documents()), index.add(others[0])[0].pages)
"""

PLAIN = """
import os, sys
from qwenbelt.tools.documents import DocumentIndex

first, other, third = sys.argv[1:]
index = DocumentIndex("one.db")
index.add(first)
child = os.fork()
if not child:
    print(index.add(other)[0].pages, flush=True)
    sys.exit()  # runs what is registered for the end of the process, too
assert os.waitpid(child, 0)[1] == 0
print(index.add(third)[0].pages, len(index.documents()))
"""


def run(program: str, make_pdf, tmp_path: Path) -> list[str]:
    files = [make_pdf(f"{n}.pdf", [PAGE.format(n=n)] * 2) for n in range(3)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *map(str, files)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,  # where it hangs, it hangs for ever
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@fork
def test_a_pool_of_forks_adds_documents(make_pdf, tmp_path: Path) -> None:
    assert run(POOL, make_pdf, tmp_path) == ["[(2, 2), (2, 2)]", "3 2"]


@fork
def test_a_fork_leaves_its_parent_its_readers(make_pdf, tmp_path: Path) -> None:
    assert run(PLAIN, make_pdf, tmp_path) == ["2", "2 3"]
