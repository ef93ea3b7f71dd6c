"""A conversation that goes back to an earlier turn goes on with the variables of that turn."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import CodeInterpreter, FnCallAgent, Session, ToolContext
from qwenbelt.apps import cli
from qwenbelt.core.events import ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.base import result_items, result_text
from qwenbelt.tools.code_interpreter.sandbox.level import layers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="states are kept on Linux")
Turn = Callable[..., str]


def name(path: str) -> str:
    """Returns the name of the state after turns, which are letters here."""
    return hashlib.sha256(path.encode()).hexdigest()[:32] if path else "0" * 32


@pytest.fixture(params=["namespaces", "landlock"])
def turn(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turn]:
    """Runs a cell in a turn; `path` are the turns up to this one, a letter each."""
    if not getattr(layers(), request.param):
        pytest.skip(f"no {request.param} here")
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    tool = CodeInterpreter({"isolation": request.param})

    def run(path: str, code: str, *, before: str | None = None, session: str = "one") -> str:
        folder = tmp_path / session
        folder.mkdir(exist_ok=True)
        states = (name(path), name(path[:-1] if before is None else before))
        context = ToolContext(session=f"{tmp_path.name}-{session}", folder=folder)
        told = tool.call({"code": code}, context=context, states=states)
        return result_text(result_items(told))

    yield run
    tool.close()


def test_an_edited_turn_goes_on_from_the_turn_before(turn: Turn) -> None:
    turn("a", "import math\nrows = [1, 2]\nsame = rows\ndef double(x):\n    return 2 * x")
    turn("ab", "rows.append(3)\nsecret = 7")
    assert turn("ab", "print(rows)").strip() == "[1, 2, 3]"  # another cell of the same turn
    assert "[1, 2] True 8 3" in turn(
        "ac", "print(rows, rows is same, double(4), math.floor(3.5)); rows.append(9)"
    )
    assert "NameError" in turn("ac", "secret")
    assert "[1, 2, 3] 7" in turn("abd", "print(rows, secret)")  # and back to the first branch
    assert "[1, 2]" in turn("ae", "print(rows)")


def test_a_branch_is_another_session_with_the_same_variables(turn: Turn) -> None:
    turn("a", "x = 1\nlock = __import__('threading').Lock()")
    told = turn("ab", "print(x); x = 5", session="two")
    assert "1" in told
    assert "lock (lock)" in told  # what could not be kept is said
    assert turn("ac", "print(x)").strip() == "1"


def test_turns_without_code_change_nothing(turn: Turn) -> None:
    turn("a", "x = 1")
    assert turn("abc", "print(x); x = 2", before="a").strip() == "1"
    assert turn("abd", "print(x)", before="a").startswith("1\n")
    assert "NameError" in turn("z", "x")


def test_what_was_not_kept_is_said(turn: Turn) -> None:
    told = turn("ab", "print('fresh')")
    assert "fresh" in told
    assert "not kept" in told


def test_classes_and_frames_are_kept_and_what_is_too_large_is_said(turn: Turn) -> None:
    turn(
        "a",
        "import numpy as np, pandas as pd\n"
        "class Box:\n    def __init__(self, n): self.n = n\n"
        "box = Box(3); frame = pd.DataFrame({'a': [1, 2]}); big = np.ones(12_000_000)\n"
        "lines = (line for line in 'ab')",
    )
    turn("b", "1")
    told = turn("ac", "print(box.n, frame['a'].sum())")
    assert "big (too large)" in told
    assert "lines (generator)" in told


def test_the_chat_names_states_by_the_path_and_branches_share_them(tmp_path: Path) -> None:
    from qwenbelt.apps.gui.hub import SessionRegistry
    from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
    from qwenbelt.tools.code_interpreter.states.kept_states import NO_CODE_YET

    registry = SessionRegistry(ChatStore(tmp_path / "chats.db"), tmp_path)
    row = registry.store.new_session("anna", "talk")
    chat = registry.open("anna", row.id)
    ran = [{"event": "tool_started", "name": "code_interpreter"}]
    first = ChatTurn(row.id, "one", None, events=ran)
    second = ChatTurn(row.id, "two", first.id)
    retried = ChatTurn(row.id, "two", first.id, created=second.created + 1)
    for one in (first, second, retried):
        registry.store.save_turn(one)
        chat.turns[one.id] = one

    def states(of: Any, turn: ChatTurn) -> tuple[str, str]:
        of.row.leaf = turn.id
        return of._states(turn)

    after_first, none = states(chat, first)
    assert none == NO_CODE_YET
    after_second, before_second = states(chat, second)
    after_retry, before_retry = states(chat, retried)
    assert before_second == before_retry == after_first
    assert len({after_first, after_second, after_retry}) == 3
    branch = registry.open("anna", registry.branch(chat, retried).id)
    third = ChatTurn(branch.row.id, "three", branch.path()[-1].id)
    branch.turns[third.id] = third
    assert states(branch, third)[1] == after_first


def test_forks_of_a_session_and_turns_taken_back(tmp_path: Path, monkeypatch: Any) -> None:
    if not layers().namespaces:
        pytest.skip("no namespaces here")
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    agents = []

    def say(code: str, session: Session) -> str:
        scenario = Scenario().turn(calls=[("code_interpreter", {"code": code})]).answer("Done.")
        with ScriptedServer(scenario) as server:
            agent = FnCallAgent(["code_interpreter"], llm=server.llm, folder=tmp_path)
            agents.append(agent)
            found = agent.ask("go", session=session)
        return next(e.result for e in found.trace if isinstance(e, ToolFinished))

    main = Session(tmp_path / "chats.db", f"main-{tmp_path.name}")
    assert say("x = 1; print(x)", main) == "1"
    assert say("x += 1; print(x)", main) == "2"
    assert say("x += 10; print(x)", main.fork(at=1)).startswith("11\n")
    assert say("x += 100; print(x)", main) == "102"
    main.rewind(2)
    assert say("x += 10; print(x)", main).startswith("11\n")
    for agent in agents:
        agent.function_map["code_interpreter"].close()


def test_the_terminal_takes_turns_back_with_their_variables(
    tmp_path: Path, monkeypatch: Any
) -> None:
    for name in ("QWENBELT_WORKSPACE", "QWENBELT_CACHE", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    scenario = Scenario()
    for code in ("x = 1", "x += 1; print('two', x)", "x += 1; print('again', x)", "print(x)"):
        scenario.turn(calls=[("code_interpreter", {"code": code})]).answer("ok")
    said = io.StringIO("set it\nadd one\n/retry\n/undo\nshow it\n")
    monkeypatch.setattr("sys.stdin", said)
    with ScriptedServer(scenario, plays=None, strict=False) as server:
        options = ("-e", f"openai:m@{server.url}", "-t", "code_interpreter", "--approve", "auto")
        assert cli.run(["chat", *options]) == 0
        results = [
            [m["content"].split("\n")[0] for m in r.request.messages if m["role"] == "tool"]
            for r in server.requests
        ]
    assert [found[-1] for found in results[3::2]] == ["two 2", "again 2", "1"]
