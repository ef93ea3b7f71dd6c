"""Replicas that are killed in the middle of answers, a few times: nothing is lost or mixed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "documents"))
from cluster import programs, running

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "kill_replicas.py"


@pytest.mark.postgres
def test_two_kills_under_conversations() -> None:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("needs psycopg: pip install qwenbelt[postgres]")
    if not programs():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with running(programs()[0]) as url:
        command = [sys.executable, str(PROGRAM), "--kills", "2", "--conversations", "3"]
        done = subprocess.run(
            [*command, "--place", url],
            capture_output=True,
            text=True,
            timeout=560,
            check=False,
            env={**os.environ, "QWENBELT_LANG": "en"},
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 answers lost" in done.stdout
    assert "0 answers mixed" in done.stdout
