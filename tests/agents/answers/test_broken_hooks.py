"""Hooks that hang or return a wrong kind end the run, with one line that names them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from qwenbelt import Budget, Hook
from qwenbelt.agents.hooks import Hooks
from qwenbelt.agents.runtime.elicitation import Elicitor
from qwenbelt.agents.runtime.event_watch import MOST_WAITING, EventWatch
from qwenbelt.agents.runtime.hooked import RunHooks
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import Done, TextDelta, ToolFinished
from qwenbelt.testing import Scenario
from qwenbelt.tools.base import Question

GUARDS = ("before_model", "after_model", "before_tool", "after_tool", "before_answer")


def note(text: str) -> str:
    """Notes a text.

    Args:
        text: the text.
    """
    return f"noted {text}"


def two_turns() -> Scenario:
    return Scenario().turn(calls=[("note", {"text": "a"})]).answer("It is a secret.")


def hanging(name: str, plain: bool, begun: threading.Event, over: threading.Event) -> Any:
    """A hook whose method of a name does not come back before `over`."""

    def waits(self: Any, *given: Any) -> None:
        begun.set()
        over.wait(20)

    async def sleeps(self: Any, *given: Any) -> None:
        begun.set()
        await asyncio.sleep(20)

    return type("Hanging", (Hook,), {name: waits if plain else sleeps})()


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", GUARDS)
def test_a_hook_that_hangs_is_ended_by_the_budget(served: Any, name: str, plain: bool) -> None:
    over = threading.Event()
    hook = hanging(name, plain, threading.Event(), over)
    try:
        agent = served(two_turns(), [note], hooks=[hook], plays=None, budget=Budget(seconds=0.3))
        result = agent.ask("Note it.")
        assert not over.is_set()
    finally:
        over.set()
    assert result.reason == "seconds"
    assert "The hook Hanging had not come back from " + name in result.text
    assert "\n" not in result.text
    assert "secret" not in str(result.trace)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", GUARDS)
def test_a_hook_that_hangs_is_ended_by_a_cancel(served: Any, name: str, plain: bool) -> None:
    begun, over = threading.Event(), threading.Event()
    agent = served(two_turns(), [note], hooks=[hanging(name, plain, begun, over)], plays=None)

    async def run() -> list[Any]:
        running = agent.stream([{"role": "user", "content": "Note it."}])
        events = []

        async def read() -> None:
            async for event in running:
                events.append(event)

        reading = asyncio.ensure_future(read())
        await asyncio.to_thread(begun.wait, 20)
        running.cancel()
        await asyncio.wait_for(reading, 20)
        return events

    try:
        events = asyncio.run(run())
        assert not over.is_set()
    finally:
        over.set()
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "cancelled"
    assert "secret" not in str(events)


@pytest.mark.parametrize("wrong", [5, {"a": 1}, True, object(), ["x"]])
@pytest.mark.parametrize("name", GUARDS)
def test_a_value_of_another_kind_names_the_hook(served: Any, name: str, wrong: Any) -> None:
    hook = type("Odd", (Hook,), {name: lambda self, *given: wrong})
    agent = served(two_turns(), [note], hooks=[hook], plays=None)
    with pytest.raises(ConfigError, match=f"^hooks: Odd.{name} returned ") as caught:
        agent.ask("Note it.")
    assert "\n" not in str(caught.value)
    assert type(wrong).__name__ in str(caught.value)


@pytest.mark.parametrize("name", GUARDS)
def test_an_error_of_any_guard_ends_the_run_and_tells_nothing(served: Any, name: str) -> None:
    def fails(self: Any, *given: Any) -> None:
        raise RuntimeError("no rules loaded")

    agent = served(two_turns(), [note], hooks=[type("Broken", (Hook,), {name: fails})], plays=None)
    events: list[Any] = []

    async def read() -> None:
        async for event in agent.stream([{"role": "user", "content": "Note it."}]):
            events.append(event)

    with pytest.raises(RuntimeError, match="no rules loaded"):
        asyncio.run(read())
    assert events[-1].reason == "error"
    assert "secret" not in str(events)
    for event in events:
        if isinstance(event, ToolFinished) and name.endswith("tool"):
            assert (event.status, "noted a" in event.result) == ("failed", False)


def test_plain_hooks_of_calls_side_by_side_run_one_after_another(served: Any) -> None:
    inside: list[int] = []
    most: list[int] = []

    class Counting(Hook):
        def before_tool(self, call: Any) -> None:
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()

    calls = [("note", {"text": str(n)}) for n in range(4)]
    served(Scenario().turn(calls=calls).answer("Done."), [note], hooks=[Counting()]).ask("Note.")
    assert most == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["hangs", "wrong", "raises"])
def test_a_question_of_a_server_is_declined_where_its_hook_breaks(kind: str) -> None:
    class Odd(Hook):
        async def on_elicitation(self, request: Any) -> Any:
            if kind == "raises":
                raise RuntimeError("no rules")
            return await asyncio.sleep(20 if kind == "hangs" else 0, 5)

    async def ask() -> tuple[Any, RunHooks]:
        hooks = RunHooks(Hooks([Odd()]), lambda: 0.2)
        elicitor = Elicitor(lambda event: None, hooks, heard=True)
        question = Question("shop", "Which size?", {"type": "object", "properties": {}})
        answer = elicitor.ask(asyncio.get_running_loop(), question)
        return await asyncio.wait_for(asyncio.wrap_future(answer), 20), hooks

    values, hooks = asyncio.run(ask())
    assert values is None
    words = {"hangs": "from on_elicitation", "wrong": "Odd.on_elicitation returned int"}
    with pytest.raises(Exception, match=words.get(kind, "no rules")):
        hooks.check()  # the run ends once the call has


def test_an_on_event_that_blocks_holds_up_nothing_and_sees_the_events_in_order(
    served: Any,
) -> None:
    go_on, seen = threading.Event(), []

    class Slow(Hook):
        def on_event(self, event: Any) -> None:
            go_on.wait(30)
            seen.append(event)

    agent = served(two_turns(), [note], hooks=[Slow()], plays=None)
    try:
        told = agent.ask("Note it.").trace
        assert told[-1].reason == "answer"
        assert seen == []  # the run has ended without it
    finally:
        go_on.set()
    deadline = time.monotonic() + 20
    while len(seen) < len(told) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [event.kind for event in seen] == [event.kind for event in told]


def test_events_that_nobody_takes_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    go_on, seen = threading.Event(), []

    def slow(event: Any) -> None:
        go_on.wait(30)
        seen.append(event)

    async def run() -> None:
        watch = EventWatch([slow])
        for number in range(2 * MOST_WAITING):
            watch.see(TextDelta(str(number)))
        watch.see(Done("answer", "", ""))
        go_on.set()
        over = asyncio.Event()
        watch.then(over.set, 20)
        await over.wait()

    asyncio.run(run())
    assert MOST_WAITING <= len(seen) <= MOST_WAITING + 2
    assert seen[-1].kind == "done"
    assert caplog.text.count("events behind") == 1
