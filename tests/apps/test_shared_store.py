"""`gui --store`: conversations begun in the terminal are there in the page, and the other way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import FnCallAgent, Session
from qwenbelt.agents.sessions.session import known_sessions
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.shared_store import SharedConversations
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.core.errors import InputError
from qwenbelt.testing import Scenario, ScriptedServer

sys.path.append(str(Path(__file__).resolve().parents[1] / "documents"))
from cluster import store_place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with store_place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scenario = Scenario()
    for _ in range(9):
        scenario.turn(compute=lambda request: {"answer": f"{len(request.messages)} messages"})
    with ScriptedServer(scenario, plays=None, strict=False) as running_server:
        yield running_server


class Page:
    """A page's server without its pages."""

    def __init__(self, place: str, folder: Path, llm: Any, *, by_user: bool = False) -> None:
        store = ChatStore(folder / "page.sqlite")
        self.hub = SessionRegistry(store, folder / "sessions")
        self.hub.shared = SharedConversations(place, store, by_user=by_user)
        self._llm = llm

    def listed(self, user: str = "u") -> list[str]:
        return [row.id for row in self.hub.listed(user)]

    def open(self, session: str, user: str = "u") -> ChatSession:
        assert self.hub.shared is not None
        self.hub.shared._read.clear()
        return self.hub.open(user, session)

    async def ask(self, session: ChatSession, text: str) -> str:
        parent = session.row.leaf
        turn = session.start(text, [], lambda _: FnCallAgent(llm=self._llm), parent)
        assert session.live is not None
        assert session.live.task is not None
        await session.live.task
        return turn.answer


def asked(session: ChatSession) -> list[str]:
    return [turn.question for turn in session.path()]


@pytest.mark.postgres
def test_a_conversation_goes_on_in_the_other_face(
    place: str, server: ScriptedServer, tmp_path: Path
) -> None:
    agent = FnCallAgent(llm=server.llm)
    agent.ask("I am Anna.", session=Session(place, "anna"))

    async def page() -> None:
        here = Page(place, tmp_path / "a", server.llm)
        (found,) = here.listed()
        session = here.open(found)
        assert asked(session) == ["I am Anna."]
        assert session.row.title == "I am Anna."
        assert await here.ask(session, "Who am I?") == "3 messages"
        assert len(Session(place, "anna").turns) == 2
        await asyncio.to_thread(agent.ask, "And now?", session=Session(place, "anna"))
        assert asked(here.open(found)) == ["I am Anna.", "Who am I?", "And now?"]
        session.undo()
        assert len(Session(place, "anna").turns) == 2
        assert len(here.open(found).path()) == 2  # what was taken back does not come again
        own = here.hub.store.new_session("u")
        await here.ask(here.open(own.id), "Begun in the page.")
        assert here.listed() == [own.id, found]

    asyncio.run(page())
    names = {known.name: known.begins for known in known_sessions(place)}
    (web,) = (name for name in names if name.startswith("web-"))
    assert names[web] == "Begun in the page."
    result = agent.ask("Go on.", session=Session(place, web))
    assert result.text == "3 messages"
    # another page on the same store knows both; one that is deleted there is gone everywhere

    async def other() -> None:
        there = Page(place, tmp_path / "b", server.llm)
        rows = there.listed()
        assert sorted(len(there.open(row).path()) for row in rows) == [2, 2]
        for row in rows:
            await there.hub.delete("u", row)
        assert there.listed() == []

    asyncio.run(other())
    assert known_sessions(place) == []


def test_users_with_accounts_see_their_own_alone(server: ScriptedServer, tmp_path: Path) -> None:
    place = str(tmp_path / "chats.db")
    FnCallAgent(llm=server.llm).ask("secret", session=Session(place, "terminal"))

    async def page() -> None:
        here = Page(place, tmp_path / "a", server.llm, by_user=True)
        assert here.listed("anna") == here.listed("bo") == []
        own = here.hub.store.new_session("anna")
        await here.ask(here.open(own.id, "anna"), "mine")
        there = Page(place, tmp_path / "b", server.llm, by_user=True)
        assert len(there.listed("anna")) == 1
        assert there.listed("bo") == []

    asyncio.run(page())


def test_a_store_that_fails_is_said_and_costs_no_answer(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, turns: Any) -> None:
        raise InputError("The sessions cannot be used.")

    monkeypatch.setattr(Session, "put", broken)

    async def page() -> None:
        here = Page(str(tmp_path / "chats.db"), tmp_path / "a", server.llm)
        own = here.hub.store.new_session("u")
        session = here.open(own.id)
        assert await here.ask(session, "Hello.") == "1 messages"
        (turn,) = session.path()
        assert any("cannot be used" in str(event.get("text")) for event in turn.events)

    asyncio.run(page())
    tries: list[str] = []

    def away(place: str) -> Any:
        tries.append(place)
        raise InputError("The sessions cannot be used.")

    monkeypatch.setattr("qwenbelt.apps.gui.kept.shared_store.known_sessions", away)
    here = Page(str(tmp_path / "chats.db"), tmp_path / "b", server.llm)
    assert here.listed() == here.listed("other") == []
    assert len(tries) == 1  # and not again with each page that is shown
    with pytest.raises(InputError):
        SharedConversations(str(tmp_path), ChatStore(":memory:"), by_user=False)
