"""Code mode: one tool is offered, and every call from code takes the way of any other call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import Budget, FnCallAgent, Hook, Limits, ReActChat, Refuse, Tool
from qwenbelt.agents.runtime.code.code_mode import code_names, stub
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import ApprovalAsked, Done, RunStarted, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer

QUESTION = [{"role": "user", "content": "go"}]


def read_page(n: int) -> dict[str, int]:
    """Reads a page.

    Args:
        n: its number.
    """
    return {"page": n, "price": 100 - n}


def send(to: str, urgent: bool = False) -> bool:
    """Sends something."""
    return True


async def wait(seconds: float) -> float:
    """Waits."""
    await asyncio.sleep(seconds)
    return seconds


def plain(text: str) -> str:
    """Gives text back."""
    return text


class Recorded(Tool):
    """Writes a resource."""

    name = "my-tool"
    description = "Records."
    parameters: Any = {"type": "object", "properties": {"n": {"type": "integer"}}}  # noqa: RUF012
    running = 0
    most = 0

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        return set(), {"file:x"}

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.02)
        self.running -= 1
        return json.dumps({"n": arguments["n"]})


class Ran:
    """What came of a run."""

    def __init__(self, events: list[Any], requests: list[Any]) -> None:
        self.events, self.requests = events, requests
        self.ends = [e for e in events if isinstance(e, ToolFinished)]
        self.nested = [e for e in self.ends if e.parent]
        self.done: Done = events[-1]

    @property
    def said(self) -> str:
        return next(e.result for e in self.ends if not e.parent)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs one cell by an agent in code mode."""
    agents: list[FnCallAgent] = []

    def go(
        code: str,
        tools: Any = (read_page, send, wait, plain),
        kind: type[FnCallAgent] = FnCallAgent,
        until: Any = None,
        **options: Any,
    ) -> Ran:
        scenario = Scenario().turn(calls=[("code_interpreter", {"code": code})]).answer("Done.")
        with ScriptedServer(scenario) as server:
            llm = dict(server.llm)
            if kind is ReActChat:
                llm["generate_cfg"] = {"tool_format": "react"}
            options.setdefault("code_mode", True)
            agent = kind(list(tools), llm=llm, folder=tmp_path, **options)
            agents.append(agent)

            async def main() -> list[Any]:
                events = []
                stream = agent.stream(QUESTION)
                async for event in stream:
                    events.append(event)
                    if until is not None:
                        until(event, stream)
                return events

            return Ran(asyncio.run(main()), list(server.requests))

    yield go
    for agent in agents:
        agent.function_map["code_interpreter"].close()


def test_one_tool_is_offered_and_its_calls_have_a_parent(run: Run) -> None:
    ran = run(
        "pages = await asyncio.gather(*(tools.read_page(n=i) for i in range(1, 21)))\n"
        "best = min(pages, key=lambda p: p['price'])\n"
        "print(best['page'], tools.send('x'), type(tools.plain('{}')), tools.wait(seconds=0))",
    )
    assert ran.said.strip() == "20 True <class 'str'> 0.0"
    assert len(ran.requests) == 2
    started = next(e for e in ran.events if isinstance(e, RunStarted))
    assert started.tools == ("code_interpreter",)
    assert "tools.read_page(n: int)  # Reads a page." in started.declarations[0]["description"]
    outer = next(e for e in ran.ends if not e.parent)
    assert {e.parent for e in ran.nested} == {outer.call_id}
    assert len({e.call_id for e in ran.nested}) == len(ran.nested) == 23
    begun = [e for e in ran.events if isinstance(e, ToolStarted) and e.parent]
    assert {e.parent for e in begun} == {outer.call_id}
    assert ran.done.text == "Done."


def test_react_too(run: Run) -> None:
    ran = run("print(tools.read_page(3)['price'])", kind=ReActChat)
    assert ran.said.strip() == "97"


def test_a_policy_is_asked_for_every_call_and_names_are_the_tools_own(run: Run) -> None:
    asked: list[tuple[str, str]] = []

    def policy(request: Any) -> bool:
        asked.append((request.name, request.arguments))
        return request.name != "send"

    ran = run(
        "tools.harmless = tools.send\ntools.send.__name__ = 'read_page'\n"
        "for f in (tools.harmless, tools.send):\n"
        "    try: f(to='x')\n    except tools.ToolRefused as error: print('no:', error)\n"
        "print(tools.read_page(n=1))",
        approve=policy,
    )
    assert ran.said.count("no: ") == 2
    assert [e.status for e in ran.nested] == ["refused", "refused", "ok"]
    assert [name for name, _ in asked] == ["code_interpreter", "send", "send", "read_page"]


def test_a_person_is_asked_one_by_one(run: Run) -> None:
    def answer(event: Any, stream: Any) -> None:
        if isinstance(event, ApprovalAsked):
            stream.approve(event.call_id, event.parent == "" or "yes" in event.arguments)

    ran = run(
        "got = await asyncio.gather(*(tools.send(t) for t in ('yes', 'no', 'yes 2')), "
        "return_exceptions=True)\nprint([type(g).__name__ for g in got])",
        approve="ask",
        until=answer,
    )
    assert ran.said.strip() == "['bool', 'ToolRefused', 'bool']"


def test_budgets_and_limits_count_calls_from_code(run: Run) -> None:
    code = (
        "n = 0\ntry:\n    while n < 50: tools.plain(text='x'); n += 1\n"
        "except tools.ToolError as e: print(n, e)"
    )
    ran = run(code, budget=Budget(tool_calls=8))
    assert ran.said.startswith("7 "), "the cell itself is a call too"
    assert ran.done.reason == "tool_calls"
    ran = run(code, limits=Limits(nested_calls=5))
    assert ran.said.startswith("5 a cell may make 5 calls")


def test_resources_and_slots_hold_for_calls_from_code(run: Run) -> None:
    tool = Recorded()
    ran = run(
        "r = await asyncio.gather(*(tools.my_tool(n=i) for i in range(6)))\nprint(r[5]['n'])",
        [tool, wait],
        limits=Limits(in_flight=1),
    )
    assert (ran.said.strip(), tool.most) == ("5", 1)
    assert {e.name for e in ran.nested} == {"my-tool"}


def test_a_cancel_ends_the_cell_and_its_calls(run: Run) -> None:
    begin = 0.0

    def cancel(event: Any, stream: Any) -> None:
        nonlocal begin
        if isinstance(event, ToolStarted) and event.name == "wait" and not begin:
            begin = time.monotonic()
            stream.cancel()

    ran = run("print('began', flush=True)\ntools.wait(seconds=30)", until=cancel)
    assert ran.done.reason == "cancelled"
    assert {e.status for e in ran.ends} == {"cancelled"}
    assert time.monotonic() - begin < 10


def test_a_limit_of_a_tool_is_an_error_in_code(run: Run) -> None:
    class Slow(Recorded):
        name = "slow"
        timeout = 0.1

        async def acall(self, arguments: Any, **kwargs: Any) -> str:
            await asyncio.sleep(30)
            return ""

    ran = run("try: tools.slow()\nexcept tools.ToolTimeout as e: print('late', e)", [Slow()])
    assert ran.said.startswith("late slow took longer than 0.1 s")


def test_some_tools_from_code_and_others_not(run: Run) -> None:
    ran = run("print(dir(tools).count('read_page'), dir(tools).count('send'))",
              code_mode=["read_page"])  # fmt: skip
    started = next(e for e in ran.events if isinstance(e, RunStarted))
    assert set(started.tools) == {"send", "wait", "plain", "code_interpreter"}
    assert ran.said.strip() == "1 0"


def test_tables_pictures_and_json_are_values(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    import sqlite3

    database = sqlite3.connect(tmp_path / "a.db")
    database.execute("create table t (name text, n int)")
    database.executemany("insert into t values (?, ?)", [("a", 1), ("b", 2)])
    database.commit()
    database.close()
    ran = run(
        "rows = tools.sql_query(sql='select * from t', database='a.db')\n"
        "print(type(rows).__name__, list(rows.columns), rows.n.sum())\n"
        "p = tools.plot(kind='bar', labels=['x'], series=[{'values': [1]}])\n"
        "print(type(p).__name__, p.pictures[0].size[0] > 100)",
        ["sql_query", "plot"],
    )
    assert ran.said.splitlines()[:2] == ["DataFrame ['name', 'n'] 3", "ToolText True"]


def test_search_from_code_gives_numbered_sources(run: Run, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The harbour of Bergen has 12 cranes.", encoding="utf-8")
    ran = run(
        "found = tools.document_search(query='cranes in Bergen')\nprint(found)",
        ["document_search"],
        files=[str(note)],
    )
    assert "12 cranes" in ran.said
    assert "12 cranes" in ran.nested[0].result
    assert "[1]" in ran.nested[0].result


def test_hooks_see_calls_from_code(run: Run) -> None:
    class Redact(Hook):
        def before_tool(self, call: Any) -> Any:
            return Refuse("not this one") if call.name == "send" else None

        def after_tool(self, call: Any, outcome: Any) -> Any:
            return "[redacted]" if "secret" in outcome.text else None

    ran = run(
        "print(tools.plain('a secret'))\ntry: tools.send('x')\n"
        "except tools.ToolRefused as e: print(e)",
        hooks=[Redact()],
    )
    assert ran.said.splitlines() == ["[redacted]", "not this one"]


def test_names_that_python_takes() -> None:
    names = ["web-fetch", "web_fetch", "class", "1st", "a.b", "a_b", "查询"]
    made = code_names(dict.fromkeys(names, None))
    assert len(made) == len(names)
    assert all(name.isidentifier() for name in made)
    assert "web_fetch" in made


def test_stubs_are_short() -> None:
    entry = {
        "name": "f",
        "description": "First line.\n" + "x" * 500,
        "parameters": {
            "properties": {
                "q": {"type": "string"},
                "k": {"type": "integer", "default": 5},
                "kind": {"enum": ["a", "b"]},
                "x": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            },
            "required": ["q"],
        },
    }
    line = stub(entry)
    assert line.startswith("tools.f(q: str, k: int = 5, kind: Literal['a', 'b'] = None, x: float")
    assert len(line) < 300


def test_what_is_no_tool_is_said() -> None:
    with pytest.raises(ConfigError, match="no_such"):
        FnCallAgent([plain], llm={"model": "m", "model_server": "http://127.0.0.1:9/v1"},
                    code_mode=["no_such"])  # fmt: skip
