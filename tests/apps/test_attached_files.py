"""Files of a conversation of the chat: those that a person gives, and copies of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn


def _no_agent(*_: object, **__: object) -> NoReturn:
    raise AssertionError("nobody is asked here")


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[TurnStarter]:
    store = ChatStore(tmp_path / "c.sqlite")
    yield TurnStarter(SessionRegistry(store, tmp_path / "sessions"), AgentChoice(), _no_agent)
    store.close()


@pytest.fixture
def session(asker: TurnStarter) -> ChatSession:
    return asker.hub.open("u", asker.hub.store.new_session("u").id)


def _file(folder: Path, name: str, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_the_same_file_given_twice_is_one_file(
    tmp_path: Path, asker: TurnStarter, session: ChatSession
) -> None:
    first = _file(tmp_path / "a", "data.csv", "a,b\n")
    second = _file(tmp_path / "b", "data.csv", "a,b\n")
    other = _file(tmp_path / "c", "data.csv", "c,d\n")
    assert asker.attach(session, [first, second]) == ["data.csv"]
    assert asker.attach(session, [other, second]) == ["data-2.csv", "data.csv"]
    assert asker.attach(session, [other]) == ["data-2.csv"]
    assert sorted(path.name for path in session.folder.iterdir()) == ["data-2.csv", "data.csv"]


def test_a_file_never_goes_through_a_link_that_code_has_made(
    tmp_path: Path, asker: TurnStarter, session: ChatSession
) -> None:
    given = _file(tmp_path / "a", "data.csv", "a,b\n")
    session.folder.mkdir(parents=True)
    (session.folder / "data.csv").symlink_to(tmp_path / "outside.csv")
    (session.folder / "data-2.csv").symlink_to(given)
    assert asker.attach(session, [given]) == ["data-3.csv"]
    assert not (tmp_path / "outside.csv").exists()
    assert (session.folder / "data-3.csv").read_text("utf-8") == "a,b\n"


def test_a_branch_copies_files_and_nothing_that_links_lead_to(
    tmp_path: Path, asker: TurnStarter, session: ChatSession
) -> None:
    secret = _file(tmp_path / "home", "id_rsa", "secret")
    _file(session.folder, "data.csv", "a,b\n")
    _file(session.folder / "made", "more.csv", "c\n")
    (session.folder / "key.txt").symlink_to(secret)
    (session.folder / "home").symlink_to(tmp_path / "home")
    (session.folder / "nowhere.txt").symlink_to(tmp_path / "missing")
    os.mkfifo(session.folder / "pipe")
    turn = ChatTurn(session.row.id, "Is it so?")
    asker.hub.store.save_turn(turn)
    asker.hub.store.show_leaf(session.row.id, turn.id)
    row = asker.hub.branch(session, turn)
    copied = asker.hub.workspace / row.id
    files = sorted(str(path.relative_to(copied)) for path in copied.rglob("*"))
    assert files == ["data.csv", "made", "made/more.csv"]
