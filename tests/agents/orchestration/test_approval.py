"""Who may say whether a call runs, and that nobody else waits for the answer."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from qwenbelt.agents import ApprovalRequest, FnCallAgent
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import ApprovalAsked, Done, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario

Agents = Callable[..., FnCallAgent]
Events = Callable[..., list[Any]]
Run = Callable[[Any], Any]


def kinds(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("policy", "read", "write", "asked"),
    [
        ("auto", True, True, []),
        ("never", True, False, []),
        ("ask", True, True, ["write"]),
        (lambda request: request.read_only, True, False, []),
        (lambda request: None if request.name == "read" else True, True, True, ["read"]),
        (lambda request: 1 / 0, False, False, []),
    ],
)
def test_policies(
    in_virtual_time: Run,
    bench: Any,
    recorder: Any,
    policy: Any,
    read: bool,
    write: bool,
    asked: list[str],
) -> None:
    b = bench([recorder("read", read_only=True), recorder("write")], policy=policy)

    async def main() -> list[Any]:
        b.call("read", "{}")
        b.call("write", "{}")
        b.scheduler.release()
        while len(b.answers) < len(asked):
            await asyncio.sleep(0)
        for answer in b.answers.values():
            answer.set_result(True)
        return list((await b.scheduler.results()).values())

    # functions run in threads, which have no part in simulated time
    outcomes = asyncio.run(main()) if callable(policy) else in_virtual_time(main())
    assert [outcome.ok for outcome in outcomes] == [read, write]
    assert [event.name for event in b.kinds(ApprovalAsked)] == asked
    refused = [outcome.text for outcome in outcomes if not outcome.ok]
    assert all("refused" in text or "could not be decided" in text for text in refused)


def test_the_policy_knows_what_the_tool_declares(bench: Any, recorder: Any) -> None:
    seen: list[ApprovalRequest] = []

    async def policy(request: ApprovalRequest) -> bool:
        seen.append(request)
        return True

    tool = recorder(destructive=True, open_world=True)
    source = recorder("source", read_only=True)
    b = bench([tool, source], policy=policy)

    async def main() -> list[Any]:
        b.call("source", '{"i": 1, "say": "the value"}')
        b.call("work", '{"say": {"$result": 1}}')
        found: list[Any] = await b.results()
        return found

    assert all(outcome.ok for outcome in asyncio.run(main()))
    request = next(r for r in seen if r.name == "work")
    assert (request.read_only, request.destructive, request.open_world) == (False, True, True)
    assert json.loads(request.arguments) == {"say": "the value"}  # what will run, not what it says


def test_a_tools_own_setting_stands_above_the_runs(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    b = bench([recorder("a", approve="auto"), recorder("b", approve="never")], policy="ask")

    async def main() -> list[Any]:
        b.call("a")
        b.call("b")
        return await b.results()

    assert [outcome.ok for outcome in in_virtual_time(main())] == [True, False]


def test_waiting_for_a_person_holds_up_nobody(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    read, write, trusted = (
        recorder("read", read_only=True),
        recorder("write"),
        recorder("trusted", approve="auto"),
    )
    b = bench([read, write, trusted], policy="ask")

    async def main() -> list[Any]:
        begin = asyncio.get_running_loop().time()
        asked = b.call("write", '{"i": 1, "d": 1, "w": ["x"]}')
        b.call("read", '{"i": 1, "d": 1, "r": ["x"]}')
        b.call("trusted", '{"i": 1, "d": 1, "w": ["x"]}')
        b.scheduler.release()
        await asyncio.sleep(10)
        assert read.ran[1][1] - begin == 1
        assert trusted.ran[1][1] - begin == 2
        b.answers[asked].set_result(True)
        return list((await b.scheduler.results()).values())

    assert all(outcome.ok for outcome in in_virtual_time(main()))


def test_a_blocking_function_holds_up_nobody(bench: Any, recorder: Any) -> None:
    gate = threading.Event()

    def policy(request: ApprovalRequest) -> bool:
        return request.read_only or gate.wait(10)

    read = recorder("read", read_only=True)
    b = bench([read, recorder("write")], policy=policy)

    async def main() -> list[Any]:
        b.call("write")
        b.call("read")
        b.scheduler.release()
        while not read.ran:
            await asyncio.sleep(0.01)
        gate.set()
        return list((await b.scheduler.results()).values())

    assert all(outcome.ok for outcome in asyncio.run(main()))


@pytest.mark.parametrize("allowed", [True, False])
def test_a_person_answers_by_the_run_and_the_model_sees_a_refusal(
    agent_of: Agents, events_of: Events, recorder: Any, allowed: bool
) -> None:
    tool = recorder()
    scenario = Scenario().turn(calls=[("work", {"i": 1})])
    wish = {"contains": "r1" if allowed else "refused by the user"}
    scenario.answer("I see.", expect={"results": {"work": wish}})

    def answer(run: Any, event: Any) -> None:
        if isinstance(event, ApprovalAsked):
            run.approve(event.call_id, allowed)
            run.approve(event.call_id, not allowed)  # the first answer counts
            run.approve("nobody", True)

    events = events_of(agent_of(scenario, [tool], approve="ask"), on_event=answer)
    assert kinds(events, ToolFinished)[0].ok is allowed
    assert len(kinds(events, ToolStarted)) == tool.count == int(allowed)


def test_the_agent_can_be_answered_from_another_thread(agent_of: Agents, recorder: Any) -> None:
    tool = recorder()
    agent = agent_of(
        Scenario().turn(calls=[("work", {"i": 1})]).answer("ok"), [tool], approve="ask"
    )

    def on_event(event: Any) -> None:
        if isinstance(event, ApprovalAsked):
            threading.Thread(target=agent.approve, args=(event.call_id, True)).start()

    last = agent.run_nonstream([{"role": "user", "content": "go"}], on_event=on_event)
    assert last[-1]["content"] == "ok"
    assert tool.count == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "count"), [("y\n", 1), ("\n", 0), ("", 0)])
def test_run_asks_at_the_terminal(
    agent_of: Agents,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    count: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setenv("QWENBELT_LANG", "en")
    tool = recorder(destructive=True)
    call = ("work", {"i": 1, "say": "\x1b[2J hidden"})
    agent = agent_of(Scenario().turn(calls=[call]).answer("ok"), [tool], approve="ask")
    agent.run_nonstream([{"role": "user", "content": "go"}])
    shown = capsys.readouterr().err
    assert tool.count == count
    assert "work (may delete or overwrite)" in shown
    assert "\x1b" not in shown


def test_without_a_terminal_nothing_runs_and_the_model_is_told(
    agent_of: Agents, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    tool = recorder()
    scenario = Scenario().turn(calls=[("work", {"i": 1})])
    scenario.answer("ok", expect={"results": {"work": {"contains": "nobody can be asked"}}})
    agent = agent_of(scenario, [tool], approve="ask")
    agent.run_nonstream([{"role": "user", "content": "go"}])
    assert tool.count == 0


def test_a_cancel_ends_what_waits_for_an_answer(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    tool = recorder()
    agent = agent_of(
        Scenario().turn(calls=[("work", {"i": 1})]).answer("no"),
        [tool],
        approve="ask",
        complete=False,
    )
    times: list[float] = []

    def stop(run: Any, event: Any) -> None:
        if isinstance(event, ApprovalAsked):
            run.cancel()
            times.append(time.monotonic())
        if isinstance(event, Done):
            times.append(time.monotonic())

    done = events_of(agent, on_event=stop)[-1]
    assert (done.reason, tool.count) == ("cancelled", 0)
    assert times[1] - times[0] < 5
    assert done.messages[-1]["content"] == "Error: cancelled by the user"


@pytest.mark.parametrize("policy", ["sometimes", 3, None])
def test_a_policy_that_is_none_is_refused(recorder: Any, policy: Any) -> None:
    with pytest.raises(ConfigError, match="approval policy"):
        FnCallAgent(llm={"model": "m", "model_server": "http://127.0.0.1:1/v1"}, approve=policy)
