"""A session's file stays open from one step to the next, and is the one that is there now."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents.sessions import database
from qwenbelt.agents.sessions.connections import IdleConnections, OpenFile, idle_connections
from qwenbelt.agents.sessions.database import SessionDatabase
from qwenbelt.core.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are not kept open there")
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places that were connected to."""
    places: list[str] = []
    connect = sqlite3.connect

    def counted(place: str, **options: Any) -> Any:
        places.append(str(place))
        return connect(place, **options)

    monkeypatch.setattr(database.sqlite3, "connect", counted)
    return places


def test_steps_of_a_turn_share_a_connection(tmp_path: Path, opened: list[str]) -> None:
    """Opened and closed for each, a file was written out three times a turn: 60 ms of disk."""
    kept = SessionDatabase(tmp_path / "chats.db")
    for number in range(5):
        kept.append("anna", kept.begin("anna", QUESTION), [{"role": "assistant", "content": "x"}])
        assert len(kept.turns("anna")) == number + 1
    assert len(opened) == 1


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path, opened: list[str]) -> None:
    place = tmp_path / "chats.db"
    SessionDatabase(place).begin("anna", QUESTION)
    other = tmp_path / "other.db"
    SessionDatabase(other).begin("ben", QUESTION)
    idle_connections().close()
    for side in ("-wal", "-shm"):
        Path(f"{place}{side}").unlink(missing_ok=True)
    os.replace(other, place)
    assert SessionDatabase(place).names() == ["ben"]
    place.unlink()
    assert SessionDatabase(place).names() == []


def test_what_failed_is_not_used_again(tmp_path: Path, opened: list[str]) -> None:
    kept = SessionDatabase(tmp_path / "chats.db")
    with pytest.raises(InputError), kept._transaction() as run:
        run("INSERT INTO qwenbelt_session_turns VALUES ('anna', 1, 1), (1)", ())
    assert kept.names() == []
    assert len(opened) == 2


def test_few_files_stay_open(tmp_path: Path) -> None:
    idle = IdleConnections()
    made = [sqlite3.connect(tmp_path / f"{n}.db", factory=OpenFile) for n in range(12)]
    for number, connection in enumerate(made):
        connection.file = (1, number)
        idle.keep(str(number), connection)
    closed = 0
    for connection in made:
        try:
            connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            closed += 1
    assert closed == 4
    idle.close()


def test_threads_write_side_by_side(tmp_path: Path) -> None:
    kept = SessionDatabase(tmp_path / "chats.db")
    threads = [
        threading.Thread(target=lambda n=n: [kept.begin(f"s{n}", QUESTION) for _ in range(10)])
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = SessionDatabase(tmp_path / "chats.db")
    assert [len(other.turns(f"s{n}")) for n in range(6)] == [10] * 6
