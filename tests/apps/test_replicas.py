"""Several servers of the chat on one PostgreSQL database: what one runs, another one shows."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("gradio", reason='needs pip install "qwenbelt[gui]"')

from qwenbelt import FnCallAgent
from qwenbelt.agents.sessions import database
from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.access.logins import Logins
from qwenbelt.apps.gui.api import Api
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.replicas import replica as replicas
from qwenbelt.apps.gui.replicas.moving import move_conversations
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
from qwenbelt.apps.gui.replicas.replica import Replica
from qwenbelt.apps.gui.replicas.shared_files import SharedFiles
from qwenbelt.apps.gui.replicas.shared_logins import SharedLogins
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.apps.gui.watching import Watcher
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import Tool

sys.path.append(str(Path(__file__).resolve().parents[1] / "documents"))
from cluster import store_place

pytestmark = pytest.mark.postgres
SLOW = {"tokens_per_second": 25}
STORY = "There was a fox, and it ran on and on. " * 30


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store_place("postgres", tmp_path_factory.mktemp("store")) as found:
        yield found


class Step(Tool):
    """Notes that it ran."""

    name = "step"
    description = "Does a step."
    read_only = False
    done: ClassVar[list[str]] = []

    def call(self, params: Any, **kwargs: Any) -> str:
        self.done.append("step")
        return "did it"


class Served:
    """A replica without its pages."""

    def __init__(self, place: str, folder: Path, llm: Any, files: str | None = None) -> None:
        self.store = PostgresChatStore(place)
        self.hub = SessionRegistry(self.store, folder)

        def make(choice: AgentChoice, made: Any, **settings: Any) -> Any:
            return FnCallAgent([Step()], llm=llm, approve="ask", **settings)

        self.asker = TurnStarter(self.hub, AgentChoice(), make)
        shared = SharedFiles(self.store, folder, files)
        self.hub.replica = self.replica = Replica(self.hub, self.asker, self.store, shared)
        Api(self.hub, self.asker)

    def open(self, session: str) -> ChatSession:
        return self.hub.open("u", session)

    def do(self, session: ChatSession, action: str, **body: Any) -> Any:
        told = self.replica.forwarded(session, action, body)
        return self.replica.actions[action](session, body) if told is None else told


@contextlib.asynccontextmanager
async def served(*all_of_them: Served) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for one in all_of_them:
            await stack.enter_async_context(one.replica.running())
        yield


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(20) if hasattr(asyncio, "timeout") else contextlib.nullcontext():
        while not met():
            await asyncio.sleep(0.02)


def text_of(session: ChatSession) -> str:
    live = session.live
    return "".join(r["text"] for r in live.records if r["event"] == "text") if live else ""


def answers(session: ChatSession) -> list[str]:
    return [turn.answer for turn in session.path()]


async def shown(session: ChatSession) -> str:
    """Returns what a browser that begins to watch is sent first."""
    async for message in Watcher(session, "en").messages():
        return str(message)
    return ""


def test_a_turn_is_followed_and_stopped_from_another_replica(place: str, tmp_path: Path) -> None:
    scenario = Scenario().answer(STORY, timing=SLOW)

    async def both(llm: Any) -> None:
        here, there = (Served(place, tmp_path / name, llm) for name in "ab")
        async with served(here, there):
            session = here.open(here.store.new_session("u").id)
            here.asker.ask(session, "Tell me a story.", [], None)
            far = there.open(session.row.id)
            assert far.live is not None
            assert far.live.elsewhere
            far.watchers += 1
            await until(lambda: len(text_of(far)) > 40)
            assert "There was a fox" in await shown(far)
            with pytest.raises(PageError, match="still coming"):
                there.asker.ask(far, "And another?", [], None)
            there.do(far, "stop")
            await until(lambda: far.live is None and session.live is None)
            (turn,) = far.path()
            assert turn.events[-1]["reason"] == "cancelled"
            assert "There was a fox" in await shown(far)

    with ScriptedServer(scenario, plays=None, strict=False) as server:
        asyncio.run(both(server.llm))


def test_a_call_is_approved_and_a_message_waits_from_another_replica(
    place: str, tmp_path: Path
) -> None:
    Step.done.clear()
    scenario = Scenario().turn(calls=[{"step": {}}]).answer("First.").answer("Second.")

    async def both(llm: Any) -> None:
        here, there = (Served(place, tmp_path / name, llm) for name in "ab")
        async with served(here, there):
            session = here.open(here.store.new_session("u").id)
            here.asker.ask(session, "Do the step.", [], None)
            await until(lambda: session._asked)
            far = there.open(session.row.id)
            far.watchers += 1
            await until(lambda: any(r["event"] == "approval_asked" for r in far.live.records))
            there.asker.send(far, "And then?", [])
            await until(lambda: far.queue and session.queue)
            _, call = next(iter(session._asked))
            for one, at in ((here, session), (there, far)):  # two people at once
                one.do(at, "approve", call=call, answer="allow")
            await until(lambda: answers(far) == ["First.", "Second."] and far.live is None)
            assert Step.done == ["step"]
            assert not far.queue

    with ScriptedServer(scenario, plays=None, strict=False) as server:
        asyncio.run(both(server.llm))


def test_another_replica_goes_on_where_one_died(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Step.done.clear()
    monkeypatch.setattr(replicas, "SIGN_SECONDS", 0.1)
    said = iter([{"answer": STORY, "timing": SLOW}, {"answer": "The end."}])
    scenario = Scenario().turn(calls=[{"step": {}}]).turn(compute=lambda request: next(said))

    async def both(llm: Any) -> None:
        here, there = (Served(place, tmp_path / name, llm) for name in "ab")
        async with served(there):
            session = here.open(here.store.new_session("u").id)
            dying = asyncio.ensure_future(here.replica._repeated(here.replica._telling))
            here.asker.ask(session, "Do the step.", [], None)
            await until(lambda: session._asked)
            here.do(session, "approve", call=next(iter(session._asked))[1], answer="allow")
            await until(lambda: "fox" in text_of(session))
            far = there.open(session.row.id)
            far.watchers += 1
            await until(lambda: "fox" in text_of(far))
            # it dies: nothing of it is written any more, and it gives no sign
            assert session.live is not None
            session.live.lost = True
            monkeypatch.setattr(database.SessionDatabase, "disown", lambda *_: None)
            slow = iter([4711, 4711])  # the process is slow to end: twice it is still there
            monkeypatch.setattr(database, "other_at_work", lambda owner: next(slow, 0))
            session.stop()
            dying.cancel()
            monkeypatch.setattr(replicas, "DEAD_SECONDS", 0.5)
            await until(lambda: answers(far) == ["The end."] and far.live is None)
            assert next(slow, None) is None
            assert Step.done == ["step"]  # what was recorded is not done again
            page = await shown(far)
            assert "goes on from the last step" in page
            assert "ran on and on" not in page  # what was streamed of that reply is void
            roles = [message["role"] for message in far.path()[0].messages]
            assert roles == ["user", "assistant", "function", "assistant"]

    with ScriptedServer(scenario, plays=None, strict=False) as server:
        asyncio.run(both(server.llm))


def test_files_go_where_they_are_asked_for(place: str, tmp_path: Path) -> None:
    upload = tmp_path / "notes.txt"
    upload.write_text("small", encoding="utf-8")
    large = tmp_path / "large.bin"
    large.write_bytes(b"x" * (9 << 20))
    plain, shared = Served(place, tmp_path / "a", None), str(tmp_path / "shared")
    here, there = (Served(place, tmp_path / name, None, shared) for name in "bc")
    session = here.open(here.store.new_session("u").id)
    far = there.open(session.row.id)
    assert far.file("notes.txt") is None
    assert here.asker.attach(session, [str(upload), str(large)]) == ["notes.txt", "large.bin"]
    far = there.open(session.row.id)
    for name, source in (("notes.txt", upload), ("large.bin", large)):
        path = far.file(name)
        assert path is not None
        assert path.is_relative_to(tmp_path / "c")
        assert path.read_bytes() == source.read_bytes()
    assert there.replica.files.keep(session.row.id) == []
    copy = there.hub.store.session("u", session.row.id)
    assert copy is not None
    with pytest.raises(PageError, match="--files"):
        plain.asker.attach(plain.open(plain.store.new_session("u").id), [str(large)])
    asyncio.run(here.hub.delete("u", session.row.id))
    assert not list((tmp_path / "shared").iterdir())
    with pytest.raises(PageError):
        there.open(session.row.id)


def test_a_login_holds_in_all_replicas(place: str) -> None:
    here, there = (SharedLogins(PostgresChatStore(place)) for _ in range(2))
    token = here.begin("anna")
    assert (here.user(token), there.user(token)) == ("anna", "anna")
    assert there.user("other") is None
    here.end(token)
    assert here.user(token) is None
    assert SharedLogins(PostgresChatStore(place)).user(token) is None
    assert Logins().user(token) is None


def test_settings_and_titles_are_the_same_everywhere(place: str) -> None:
    here, there = (PostgresChatStore(place) for _ in range(2))
    here.change_setting("u", "tools", lambda *_: ["plot"])
    assert there.settings("u")["tools"] == ["plot"]
    row = here.new_session("u", 'A % of \0 "Größe"')
    there.rename(row.id, "The 50% Größe \ud800")
    assert [r.title for r in here.sessions("u", "größe 50%")] == ["The 50% Größe ?"]
    here.add_usage("v", 5, 0.5)
    there.add_usage("v", 5, 0.5)
    assert here.usage("v") == {"tokens": 10, "cost": 1.0}
    assert [one["turns"] for one in here.all_usage() if one["user"] == "v"] == [2]
    here.delete(row.id)
    assert there.session("u", row.id) is None


def test_what_one_server_kept_for_itself_is_moved_once(place: str, tmp_path: Path) -> None:
    file, folder = tmp_path / "conversations.sqlite", tmp_path / "sessions"
    own = ChatStore(file)
    row = own.new_session("w", "Wind")
    own.save_turn(ChatTurn(row.id, "What grew?", answer="Wind."))
    own.keep(row.id, "place", {"pinned": True})
    own.close()
    (folder / row.id).mkdir(parents=True)
    (folder / row.id / "a.txt").write_text("a", encoding="utf-8")
    store = PostgresChatStore(place)
    files = SharedFiles(store, folder, None)
    assert [move_conversations(file, store, files) for _ in range(2)] == [1, 0]
    assert [(r.id, r.title) for r in store.sessions("w")] == [(row.id, "Wind")]
    assert [turn.answer for turn in store.turns(row.id)] == ["Wind."]
    assert store.kept(row.id, "place") == {"pinned": True}
    assert list(store.file_digests(row.id)) == ["a.txt"]
    assert not file.exists()


def test_a_database_that_restarts_costs_no_answer(place: str, tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    scenario = Scenario().answer(STORY[:300], timing=SLOW)

    async def both(llm: Any) -> None:
        here, there = (Served(place, tmp_path / name, llm) for name in "ab")
        async with served(here, there):
            session = here.open(here.store.new_session("u").id)
            here.asker.ask(session, "Tell me a story.", [], None)
            far = there.open(session.row.id)
            far.watchers += 1
            await until(lambda: text_of(far))
            with psycopg.connect(place, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            await until(lambda: answers(far) == [STORY[:300].strip()] and far.live is None)

    with ScriptedServer(scenario, plays=None, strict=False) as server:
        asyncio.run(both(server.llm))
