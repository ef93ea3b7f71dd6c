"""`kill -9` of workers: no task is lost, none is done twice, no recorded answer is asked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from qwenbelt.apps.commands.batch import batch as command
from qwenbelt.workflows.batch.job import batch
from tests.batch.conftest import Model, lines_of  # type: ignore[import-not-found]

PROGRAM = "import sys; from qwenbelt.apps.cli import run; sys.exit(run(sys.argv[1:]))"
COUNT = 12
SECONDS = 400.0  # a program takes a few of them on an idle machine


class Workers:
    """Worker processes; none outlives its test."""

    def __init__(self, tasks: Path, model: Model) -> None:
        self._tasks, self._model = tasks, model
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, out: Path, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, "batch", str(self._tasks), "--out", str(out)]
        command += ["-e", str(self._model.options.endpoint), "--in-flight", "2", *words]
        with log_of(out).open("ab") as log:
            self._started.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )
        return self._started[-1]

    def end(self) -> None:
        for process in self._started:
            kill(process)


def log_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.log")


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(60)


def wait_for_requests(model: Model, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while len(model.asked()) < count:
        assert process.poll() is None, "the worker ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    lines = [f'{{"id": "t{n}", "ask": "question {n}."}}' for n in range(COUNT)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def workers(model: Model, many: Path) -> Iterator[Workers]:
    made = Workers(many, model)
    yield made
    made.end()


@pytest.mark.timeout(900)  # it starts programs of its own
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_killed_worker_goes_on_where_it_was(
    model: Model, workers: Workers, tmp_path: Path
) -> None:
    model.seconds = 0.2
    out = tmp_path / "out"
    first = workers.start(out)
    wait_for_requests(model, 5, first)
    kill(first)
    asked = len(model.asked())
    told = CliRunner().invoke(command, ["--out", str(out), "--json", "--status"])
    assert json.loads(told.output)["running"] == 0  # what it was doing waits
    second = workers.start(out)
    assert second.wait(SECONDS) == 0, log_of(out).read_text()
    assert [line["ok"] for line in lines_of(out)] == [True] * COUNT
    # only what was in flight is asked again
    assert COUNT <= len(model.asked()) <= COUNT + 2
    assert len(model.asked()) >= asked


@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_worker_takes_over_from_one_that_was_killed(
    model: Model, workers: Workers, many: Path, tmp_path: Path, postgres_url: str
) -> None:
    model.seconds = 0.2
    shared = ("--db", postgres_url, "--name", "shared")
    one = workers.start(tmp_path / "one", *shared)
    two = workers.start(tmp_path / "two", *shared)
    wait_for_requests(model, 5, one)
    kill(one)
    assert two.wait(SECONDS) == 0, log_of(tmp_path / "two").read_text()
    assert [line["ok"] for line in lines_of(tmp_path / "two")] == [True] * COUNT
    assert COUNT <= len(model.asked()) <= COUNT + 2
    # another batch in the same database has nothing to do with it
    other = batch(many, tmp_path / "other", options=model.options, db=postgres_url)
    assert (other.total, other.done) == (COUNT, COUNT)
