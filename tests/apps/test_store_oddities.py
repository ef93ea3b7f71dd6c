"""What goes wrong with a store that many use: each time one line that says who can mend it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbelt import FnCallAgent, Session
from qwenbelt.agents.sessions.dump import _Store, dump_store, restore_store
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
from qwenbelt.apps.serve import response_store
from qwenbelt.apps.serve.response_store import ResponseStore, StoredResponse
from qwenbelt.core.errors import InputError
from qwenbelt.testing import Scenario, ScriptedServer

sys.path.append(str(Path(__file__).parents[1] / "documents"))
from cluster import store_place

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store_place("postgres", tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return str(request.getfixturevalue("database"))


def test_a_dump_is_of_one_moment_while_others_write(place: str) -> None:
    Session(place, "first").turn_for(QUESTION)
    rows = _Store(place).rows()
    begun = [next(rows)]
    Session(place, "second").turn_for(QUESTION)
    found = [*begun, *rows]
    told = {table: {row[0] for t, row in found if t == table} for table, _ in found}
    assert "second" not in told["qwenbelt_session_turns"] | told["qwenbelt_session_messages"]
    assert "first" in told["qwenbelt_session_messages"]


@pytest.mark.postgres
def test_a_dump_has_the_chat_and_goes_into_another_kind(database: str, tmp_path: Path) -> None:
    store = PostgresChatStore(database)
    row = store.new_session("anna", "Wind")
    store.save_turn(ChatTurn(row.id, "What grew?", answer="Wind."))
    store.keep_file(row.id, "a.bin", 3, "digest", b"\0\1\xff")
    count = dump_store(database, tmp_path / "a.jsonl")
    file = str(tmp_path / "store.db")
    assert restore_store(file, tmp_path / "a.jsonl") == count
    assert dump_store(file, tmp_path / "b.jsonl") == count
    assert (tmp_path / "a.jsonl").read_text("utf-8") == (tmp_path / "b.jsonl").read_text("utf-8")
    with pytest.raises(InputError, match="there already"):
        restore_store(database, tmp_path / "a.jsonl")


def test_clocks_of_machines_may_differ(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not place.startswith("postgresql"):
        pytest.skip("a file is used on one machine")
    store, now = ResponseStore(place), time.time
    reply = StoredResponse("r-clock", "in_progress", {"input": "x"}, {"output": []})
    monkeypatch.setattr(response_store.time, "time", lambda: now() - 300)
    store.put("o", reply, "slow")
    monkeypatch.setattr(response_store.time, "time", now)
    assert store.take_over("fast", 15) == []  # whose clock is five minutes ahead
    store.sign("slow")
    assert [name for name, *_ in store.take_over("fast", -1)] == ["r-clock"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:geheim123@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=anna&password=geheim123&connect_timeout=2",
    ],
)
def test_a_database_that_is_away_is_one_line_without_the_password(url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(InputError) as caught:
        Session(url, "anna")
    told = str(caught.value)
    assert "geheim123" not in told
    assert "\n" not in told
    assert "See whether it runs" in told


@pytest.mark.postgres
def test_the_connections_of_a_restarted_database_are_made_anew(database: str) -> None:
    import psycopg

    session = Session(database, "through a restart")
    session.turn_for(QUESTION)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    assert session.turns == [QUESTION]


@pytest.mark.postgres
def test_a_full_database_says_who_can_mend_it(database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
    with pytest.raises(InputError, match="max_connections"):
        Session(database.replace("tester@", "crowd@"), "anna")


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of file sizes")
def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    place = str(tmp_path / "store.db")
    Session(place, "kept").turn_for(QUESTION)
    program = (
        "import resource, sys; from qwenbelt import Session\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try: Session(sys.argv[1], 'new').turn_for([{'role': 'user', 'content': 'x' * 10**6}])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, place], capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.stdout.startswith("InputError"), done
    assert "Make room on the disk" in done.stdout
    assert Session(place, "kept").turns == [QUESTION]
    assert Session(place, "new").turns == []
    Session(place, "new").turn_for(QUESTION)  # there is room again


@pytest.mark.postgres
def test_two_replicas_hold_one_turn(database: str) -> None:
    here, there = (PostgresChatStore(database) for _ in range(2))
    row = here.new_session("u")
    turn = ChatTurn(row.id, "Hello")
    here.save_turn(turn)
    assert (here.claim(turn, "a"), there.claim(ChatTurn(row.id, "x"), "b")) == (True, False)
    assert there.order(row.id, turn.id, {"action": "stop", "body": {}})
    assert not there.order(row.id, "another", {"action": "stop", "body": {}})
    assert there.take_over("b", 60) == []
    assert here.orders("a") == [(row.id, {"action": "stop", "body": {}})]
    here.let_go("a")
    ((taken),) = there.take_over("b", 60)
    assert (taken.session, taken.user, taken.turn, taken.tries) == (row.id, "u", turn.id, 1)
    assert here.sign("a") == set()
    assert there.order(row.id, turn.id, {"action": "send", "body": json.loads("{}")})
    assert [order["action"] for order in there.release(turn, "b")] == ["send"]
    assert not there.order(row.id, turn.id, {"action": "stop", "body": {}})


def test_a_full_disk_costs_no_answer_of_the_chat(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "page.sqlite")
    hub = SessionRegistry(store, tmp_path / "sessions")
    session = hub.open("u", store.new_session("u").id)

    def full(_: object) -> FnCallAgent:
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        return FnCallAgent(llm=server.llm)

    async def asked() -> None:
        session.start("Tell me.", [], full, None)
        assert session.live is not None
        assert session.live.task is not None
        await session.live.task

    with ScriptedServer(Scenario().answer("So it is. " * 2000), plays=None) as server:
        asyncio.run(asked())
    (turn,) = session.path()
    assert turn.answer.startswith("So it is.")
    assert session.live is None
    assert "Make room on the disk" in turn.events[-1]["text"]
    with pytest.raises(InputError, match="Make room on the disk"):
        store.save_turn(turn)
