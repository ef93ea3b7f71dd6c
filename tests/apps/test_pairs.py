"""Two models that answer one question beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.core.events import ApprovalAsked, Done, Event


class HeldRun:
    """A run that asks about one call and ends when it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.allowed: list[str] = []
        self.reason = "answer"
        self.over = asyncio.Event()

    def approve(self, call_id: str, allowed: bool) -> None:
        self.allowed.append(call_id)

    def cancel(self) -> None:
        self.reason = "cancelled"
        self.over.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield ApprovalAsked("call-1", "web_fetch", "{}", "reaches outside", "")
        await self.over.wait()
        yield Done(self.reason, f"said by {self.name}")


class Agents:
    """Makes agents whose runs the test ends."""

    def __init__(self) -> None:
        self.runs: list[HeldRun] = []
        self.tools: list[dict[str, Any]] = []

    def __call__(self, choice: AgentChoice, made: dict[str, Any], **settings: Any) -> Any:
        tools = {
            "web_fetch": SimpleNamespace(name="web_fetch", read_only=True),
            "file_write": SimpleNamespace(name="file_write", read_only=False),
        }
        self.tools.append(tools)

        def stream(messages: Any, **options: Any) -> HeldRun:
            self.runs.append(HeldRun(str(choice.endpoint)))
            return self.runs[-1]

        return SimpleNamespace(function_map=tools, stream=stream)

    def run(self, name: str) -> HeldRun:
        return next(run for run in reversed(self.runs) if run.name == name)


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def asker(tmp_path: Path, agents: Agents) -> Iterator[TurnStarter]:
    store = ChatStore(tmp_path / "c.sqlite")
    hub = SessionRegistry(store, tmp_path / "sessions")
    yield TurnStarter(hub, AgentChoice(endpoint="ollama:one"), agents)
    store.close()


async def asked(asker: TurnStarter, agents: Agents) -> ChatSession:
    """Asks a question of two models; returns when both run."""
    row = asker.hub.store.new_session("me")
    session = asker.hub.open("me", row.id)
    asker.choose_here(session, {"beside": "ollama:two"})
    asker.send(session, "Who?", [])
    while len(session._asked) < 2:
        await asyncio.sleep(0.001)
    return session


async def all_over(session: ChatSession) -> None:
    while session.live is not None:
        await asyncio.sleep(0.001)


def test_the_second_has_tools_that_only_read_and_both_are_kept(
    asker: TurnStarter, agents: Agents
) -> None:
    async def talk() -> None:
        session = await asked(asker, agents)
        first, second = session.turns.values()
        assert sorted(map(sorted, agents.tools)) == [["file_write", "web_fetch"], ["web_fetch"]]
        pair = session.pairs.of(second.id)
        assert pair is not None
        assert pair.off == ["file_write"]
        session.approve("call-1", True, second.id)  # both wait for an answer of the same name
        assert [agents.run(f"ollama:{name}").allowed for name in ("one", "two")] == [[], ["call-1"]]
        asker.send(session, "And then?", [])
        agents.run("ollama:one").over.set()
        while session.beside is not None:
            await asyncio.sleep(0.001)
        assert session.live is not None  # the other still comes: the message waits for it as well
        assert [entry.text for entry in session.queue] == ["And then?"]
        session.queue.clear()
        agents.run("ollama:two").over.set()
        await all_over(session)
        session.go_on_with(second.id)
        known = asker.hub.store.turns(session.row.id)
        assert [turn.answer for turn in known] == ["said by ollama:one", "said by ollama:two"]
        assert [turn.id for turn in session.path()] == [second.id]
        asker.hub._sessions.clear()  # as after a restart
        again = asker.hub.open("me", session.row.id).pairs.of(first.id)
        assert again is not None
        assert (again.kept, again.models) == (second.id, ["one", "two"])

    asyncio.run(talk())


def test_stop_ends_both_and_a_choice_ends_the_other(asker: TurnStarter, agents: Agents) -> None:
    async def talk() -> None:
        session = await asked(asker, agents)
        session.stop()
        await all_over(session)
        assert [run.reason for run in agents.runs] == ["cancelled"] * 2
        agents.runs.clear()
        session = await asked(asker, agents)
        second = list(session.turns)[-1]
        session.go_on_with(second)
        agents.run("ollama:two").over.set()
        await all_over(session)
        assert agents.run("ollama:one").reason == "cancelled"
        assert session.turns[second].answer == "said by ollama:two"
        with pytest.raises(PageError):
            session.go_on_with("no-such-turn")

    asyncio.run(talk())


def test_an_endpoint_that_is_not_offered_is_refused(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "c.sqlite")
    hub = SessionRegistry(store, tmp_path / "sessions")
    asker = TurnStarter(hub, AgentChoice(endpoint="ollama:one"), Agents(), free_endpoints=False)
    session = hub.open("me", store.new_session("me").id)
    with pytest.raises(PageError, match="endpoint"):
        asker.choose_here(session, {"beside": "https://elsewhere.example/v1"})
    store.close()
