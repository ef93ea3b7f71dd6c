"""A database that goes away, a model that does not answer: every wait ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError
from qwenbelt.workflows.batch import engine, liveness
from qwenbelt.workflows.batch.engine import Worker
from qwenbelt.workflows.batch.job import batch
from qwenbelt.workflows.batch.ledger import Ledger, store_for
from qwenbelt.workflows.batch.liveness import PostgresLocks
from qwenbelt.workflows.batch.tasks import read_tasks
from tests.batch.conftest import Model  # type: ignore[import-not-found]

PROGRAM = """
    import sys
    from pathlib import Path
    from qwenbelt.workflows.batch.engine import Worker
    from qwenbelt.workflows.batch.ledger import store_for
    from qwenbelt.workflows.batch.tasks import Options, read_tasks

    tasks, out, spec = sys.argv[1:]
    given = read_tasks(tasks, Options(endpoint=spec))
    with Worker(store_for(Path(out)), Path(out)) as worker:
        worker.submit(given)
        print("submitted", flush=True)
        sys.stdin.readline()
    print("closed", flush=True)
"""


@pytest.mark.timeout(900)  # it starts a program of its own
def test_a_closed_worker_keeps_no_thread_and_no_program_alive(
    model: Model, tasks: Path, tmp_path: Path
) -> None:
    model.seconds = 3600
    out = tmp_path / "out"
    out.mkdir()
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    arguments = [str(tasks), str(out), str(model.options.endpoint)]
    with subprocess.Popen(
        [*program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 400
            while not model.asked() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert model.asked()
            told, _ = process.communicate("close\n", timeout=400)
        finally:
            process.kill()
    assert process.returncode == 0
    assert told.split() == ["submitted", "closed"]


def away(*arguments: object, **more: object) -> None:
    from sqlalchemy.exc import OperationalError  # the extra durable; without it the test is skipped

    raise OperationalError("SELECT 1", {}, Exception("connection refused"))


def test_a_short_outage_is_waited_out(
    model: Model, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = Ledger.open_tasks, iter(range(2))

    def open_tasks(ledger: Ledger) -> object:
        return away() if next(failures, None) is not None else real(ledger)

    monkeypatch.setattr(Ledger, "open_tasks", open_tasks)
    assert batch(tasks, tmp_path / "out", options=model.options).done == 6


def test_a_long_outage_is_one_clear_error(
    model: Model, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "OUTAGE_SECONDS", 0.5)
    monkeypatch.setattr(Ledger, "open_tasks", away)
    with pytest.raises(ConfigError, match="database cannot be used"):
        batch(tasks, tmp_path / "out", options=model.options)


def test_a_worker_may_be_closed_while_it_works(model: Model, tasks: Path, tmp_path: Path) -> None:
    model.seconds = 3600
    out = tmp_path / "out"
    out.mkdir()
    with Worker(store_for(out), out) as worker:
        worker.submit(read_tasks(tasks, model.options))
        deadline = time.monotonic() + 60
        while not model.asked() and time.monotonic() < deadline:
            time.sleep(0.05)
    deadline = time.monotonic() + 60
    while busy() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert busy() == []
    model.seconds = 0.0
    assert batch(tasks, out, options=model.options).done == 6


def busy() -> list[str]:
    """Names the engine's threads, for which the end of the program would wait."""
    return [t.name for t in threading.enumerate() if t.name.startswith("dbos-executor")]


@pytest.mark.postgres
def test_locks_are_held_again_after_the_server_was_away(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "GRACE_SECONDS", 1.0)
    mine, theirs = (PostgresLocks(postgres_url, "space") for _ in range(2))
    mine.hold("me")
    assert theirs.is_dead("me") is False
    import sqlalchemy

    database = sqlalchemy.create_engine(postgres_url.replace("postgresql", "postgresql+psycopg"))
    with database.connect() as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        connection.execute(sqlalchemy.text(query))
    database.dispose()
    assert theirs.is_dead("me") is False  # not at once
    mine.keep()
    time.sleep(1.5)
    assert theirs.is_dead("me") is False
    mine.close()
    time.sleep(0.2)
    assert theirs.is_dead("me") is False
    time.sleep(1.5)
    assert theirs.is_dead("me") is True
    theirs.close()


@pytest.mark.postgres
def test_the_server_too_looks_for_machines_that_vanished(postgres_url: str) -> None:
    locks = PostgresLocks(postgres_url, "space")
    names = ("idle", "interval", "count")
    shown = [
        locks._connection.execute(f"SHOW tcp_keepalives_{name}").fetchone()[0] for name in names
    ]
    assert [int(value) for value in shown] == [10, 5, 4]
    assert locks._connection.execute("SHOW tcp_user_timeout").fetchone()[0] in ("30s", "30000")
    locks.close()
