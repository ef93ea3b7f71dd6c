"""The loop against the scripted endpoint: broken streams, budgets, endings, errors."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from qwenbelt.agents import Budget, FnCallAgent, Limits, ReActChat
from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.core.events import (
    Done,
    HistoryCompacted,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolStarted,
    Usage,
)
from qwenbelt.testing import Fault, Scenario
from qwenbelt.testing.server.validation import faults_in

Agents = Callable[..., FnCallAgent]
Events = Callable[..., list[Any]]


def done_of(events: list[Any]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def kinds(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbelt.agents.models.retrying.retry_delay", lambda *_: 0.0)


# -- broken streams -----------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "step"), [("native", 1), ("nous", 5)])
def test_a_stream_cut_at_every_byte_leaves_no_effect(
    agent_of: Agents, events_of: Events, recorder: Any, no_waiting: None, form: str, step: int
) -> None:
    """One run: its stream breaks after 0, 1, 2, ... bytes, and is whole at last."""
    read, write = recorder("read", read_only=True), recorder("write")
    calls = [("read", {"i": 1}), ("write", {"i": 2}), ("write", {"i": 3})]
    cuts = range(0, 1500, step)
    faults = [Fault(cut_after=size) for size in cuts]
    scenario = Scenario(wire={"chunk": 40}).turn(calls=calls, faults=faults).answer("done")
    agent = agent_of(
        scenario, [read, write], cfg={"max_retries": 1500, "tool_format": form}, complete=False
    )
    seen: list[int] = []

    def watch(run: Any, event: Any) -> None:
        if isinstance(event, Retrying):
            seen.append(write.count)

    done = done_of(events_of(agent, on_event=watch))
    assert len(seen) > 700 / step
    assert set(seen) == {0}
    assert write.count == 2
    assert read.count > 100 / step  # it did start early, again and again
    assert (done.reason, done.text) == ("answer", "done")
    assert [m["role"] for m in done.messages] == ["assistant"] * 3 + ["function"] * 3 + [
        "assistant"
    ]


def test_a_reply_cut_off_by_its_length_leaves_no_effect(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    read, write = recorder("read", read_only=True), recorder("write")
    calls = [("read", {"i": 1}), ("write", {"i": 2}), ("write", {"i": 3, "say": "x" * 80})]
    scenario = Scenario(wire={"chunk": 8})
    scenario.turn(calls=calls, faults=Fault(truncate_after=60)).answer("sorry")
    agent = agent_of(scenario, [read, write])
    done = done_of(events_of(agent))
    assert (done.reason, write.count) == ("answer", 0)
    results = [m for m in done.messages if m["role"] == "function"]
    assert any("cut off" in m["content"] for m in results)


def test_a_retried_reply_is_told_once(
    agent_of: Agents, events_of: Events, no_waiting: None
) -> None:
    scenario = Scenario().answer(
        "A fairly long answer.", faults=[{"cut_after": 700}, {"status": 503}]
    )
    agent = agent_of(scenario, cfg={"max_retries": 2})
    events = events_of(agent)
    assert len(kinds(events, Retrying)) == 2
    assert done_of(events).text == "A fairly long answer."


# -- budgets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "reason", "model_calls", "tool_calls"),
    [
        ({"model_calls": 3}, "answer", 3, 4),
        ({"tool_calls": 3}, "tool_calls", 3, 3),
        ({"tool_calls": 4}, "tool_calls", 3, 4),
        ({"tokens": 60}, "tokens", 3, 4),
        ({"money": 0.00006, "prices": (1.0, 1.0)}, "money", 3, 4),
    ],
)
def test_budgets_end_a_run_with_an_answer(
    agent_of: Agents,
    events_of: Events,
    recorder: Any,
    budget: dict[str, Any],
    reason: str,
    model_calls: int,
    tool_calls: int,
) -> None:
    tool = recorder(read_only=True)
    calls = [("work", {"i": 1}), ("work", {"i": 2})]
    scenario = Scenario()
    for _ in range(2):
        scenario.turn(calls=calls, usage={"input": 20, "output": 10})
    scenario.answer("Enough.", expect={"user": {"contains": "last step"}})
    agent = agent_of(scenario, [tool], budget=Budget(repeats=0, **budget))
    events = events_of(agent)
    done = done_of(events)
    assert (done.reason, done.text) == (reason, "Enough.")
    assert len(agent.server.requests) == model_calls  # type: ignore[attr-defined]
    assert tool.count == tool_calls
    assert bool(done.detail) is (reason != "answer")
    last = agent.server.requests[-1].request.body  # type: ignore[attr-defined]
    assert last["tool_choice"] == "none"
    if "prices" in budget:
        assert [e.cost for e in kinds(events, Usage)][:2] == pytest.approx([3e-5, 3e-5])


def test_calls_on_the_last_model_call_are_not_run(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario().turn(calls=[("work", {"i": 1})])
    wire = {"calls": "nous"}
    scenario.turn(calls=[("work", {"i": 2})], text="Let me look.", unoffered=True, wire=wire)
    cfg = {"tool_format": "nous"}
    agent = agent_of(scenario, [tool], budget=Budget(model_calls=2), cfg=cfg)
    done = done_of(events_of(agent))
    assert (done.reason, tool.count) == ("model_calls", 1)
    assert "2 model calls" in done.detail
    assert done.text.strip() == "Let me look."
    assert "no more tools" in done.messages[-1]["content"]


def test_the_time_of_a_run_stops_its_tools(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario().turn(calls=[("work", {"d": 30})]).answer("In time.")
    agent = agent_of(scenario, [tool], budget=Budget(seconds=0.5))
    begin = time.monotonic()
    done = done_of(events_of(agent))
    assert time.monotonic() - begin < 15
    assert (done.reason, done.text) == ("seconds", "In time.")


@pytest.mark.parametrize("writes", [True, False])
def test_a_reply_without_an_end_is_cut_off_some_time_after_the_run_s_time(
    agent_of: Agents, events_of: Events, monkeypatch: pytest.MonkeyPatch, writes: bool
) -> None:
    monkeypatch.setattr("qwenbelt.agents.runtime.budget._GRACE", 0.5)
    words = " ".join(f"word{n}" for n in range(40_000))
    pace = {"tokens_per_second": 40} if writes else {"first_token": 600}
    scenario = Scenario().answer(words, timing=pace)
    begin = time.monotonic()
    done = done_of(events_of(agent_of(scenario, [], budget=Budget(seconds=0.5), complete=False)))
    assert time.monotonic() - begin < 30
    assert done.reason == "seconds"
    assert words.startswith(done.text)
    assert writes or not done.text


@pytest.mark.parametrize(
    "values", [{"model_calls": 0}, {"seconds": -1}, {"money": 0.0}, {"tokens": 0}]
)
def test_a_budget_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Budget"):
        Budget(**values)


def test_the_same_call_with_the_same_result_three_times_is_a_loop(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario()
    for _ in range(3):
        scenario.turn(calls=[("work", {"i": 1}), ("work", {"i": 1})])
    scenario.answer("I am stuck.", expect={"user": {"contains": "3 times"}})
    done = done_of(events_of(agent_of(scenario, [tool])))
    assert (done.reason, done.text, tool.count) == ("loop", "I am stuck.", 6)
    assert "same call of work" in done.detail


def test_a_loop_ends_even_when_there_is_no_farewell(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    scenario = Scenario()
    for _ in range(3):
        scenario.turn(calls=[("work", {"i": 1})])
    scenario.answer("never", faults=Fault(status=500))
    done = done_of(events_of(agent_of(scenario, [recorder(read_only=True)], complete=False)))
    assert done.reason == "loop"


def test_what_changes_is_no_loop(
    agent_of: Agents, events_of: Events, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counting(tool: Any) -> Any:
        async def acall(self: Any, arguments: Any, **kwargs: Any) -> str:
            self.count += 1
            return f"{self.count}"

        monkeypatch.setattr(type(tool), "acall", acall)
        return tool

    scenario = Scenario()
    for _ in range(5):
        scenario.turn(calls=[("work", {"i": 1})])
    scenario.answer("ready")
    agent = agent_of(scenario, [counting(recorder(read_only=True))])
    assert done_of(events_of(agent)).reason == "answer"


def test_long_runs_are_not_taken_for_loops(
    agent_of: Agents, events_of: Events, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_MAX_MODEL_CALLS", "101")
    scenario = Scenario()
    for _ in range(5):
        scenario.turn(calls=[("work", {"i": 1})])
    scenario.answer("ready")
    assert done_of(events_of(agent_of(scenario, [recorder(read_only=True)]))).reason == "answer"


# -- replies ------------------------------------------------------------------------------------


def test_an_empty_reply_is_asked_for_again(agent_of: Agents, events_of: Events) -> None:
    scenario = Scenario().answer("").answer("")
    scenario.answer("Here.", expect={"user": {"contains": "empty"}})
    done = done_of(events_of(agent_of(scenario)))
    assert (done.reason, done.text) == ("answer", "Here.")
    assert [m["content"] for m in done.messages] == ["Here."]


def test_a_model_that_says_nothing_ends_the_run(agent_of: Agents, events_of: Events) -> None:
    done = done_of(events_of(agent_of(Scenario().answer("").answer("").answer(""))))
    assert (done.reason, done.text) == ("answer", "")
    assert done.messages == [{"role": "assistant", "content": ""}]
    assert done.detail == "the model's reply was empty"


@pytest.mark.parametrize(
    "arguments",
    ["", "null", '"{\\"i\\": 1}"', '{"i": 1} and more', '{"i": 1}}', '  {"i": 1}\n'],
    ids=["empty", "null", "twice", "trailing", "brace", "space"],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_odd_arguments_run_and_go_back_well_formed(
    agent_of: Agents, events_of: Events, recorder: Any, arguments: str, chunk: int
) -> None:
    tool = recorder(read_only=True)
    scenario = Scenario(wire={"chunk": chunk}).turn(
        calls=[("work", arguments), ("work", {"i": 7})],
        faults=Fault(null_arguments=arguments == "null"),
    )
    scenario.answer("ready")
    agent = agent_of(scenario, [tool], strict=False)
    events = events_of(agent)
    assert done_of(events).text == "ready"
    assert all(event.ok for event in kinds(events, ToolFinished))
    assert tool.count == 2
    assert faults_in(agent.server.requests[-1].request.body) == []  # type: ignore[attr-defined]


def test_several_react_actions_run_side_by_side(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    calls = [("work", {"i": n, "d": 0.3}) for n in range(3)]
    scenario = Scenario().turn(calls=calls).answer("Three.")
    events = events_of(agent_of(scenario, [tool], kind=ReActChat))
    assert tool.most == 3
    assert done_of(events).text == "Three."


@pytest.mark.parametrize("form", ["native", "nous", "react"])
def test_calls_start_while_the_model_still_writes(
    agent_of: Agents, events_of: Events, recorder: Any, form: str
) -> None:
    tool, write = recorder(read_only=True), recorder("write")
    calls = [("work", {"i": 1}), ("write", {"i": 2}), ("work", {"i": 3})]
    scenario = Scenario(timing={"between_calls": 0.3}).turn(calls=calls).answer("ready")
    kind = ReActChat if form == "react" else FnCallAgent
    agent = agent_of(scenario, [tool, write], kind=kind, cfg={"tool_format": form})
    events = events_of(agent)
    exchange = agent.server.requests[0]  # type: ignore[attr-defined]
    starts = {e.call_id: e.started for e in kinds(events, ToolStarted)}
    first, second, _ = list(starts.values())
    order = [e.name for e in kinds(events, ToolStarted)]
    assert order[0] == "work"
    assert first < exchange.sealed[0] + 0.2 < exchange.finished
    assert starts[next(e.call_id for e in kinds(events, ToolFinished) if e.name == "write")] > (
        exchange.finished - 0.05
    )
    assert second is not None


# -- context ------------------------------------------------------------------------------------


def test_results_over_the_cap_can_be_read_page_by_page(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    text = "".join(f"line {n}\n" for n in range(20_000))
    scenario = Scenario(wire={"chunk": 10_000}).turn(calls=[("work", {"say": text})])

    def reading(request: Any) -> Any:
        names = [tool["function"]["name"] for tool in request.body["tools"]]
        assert "read_artifact" in names
        return {
            "calls": [
                ("read_artifact", {"name": "work-1.txt", "find": "line 15000"}),
                ("read_artifact", {"name": "nothing.txt"}),
            ]
        }

    scenario.turn(reading).answer("read")
    agent = agent_of(scenario, [recorder(read_only=True)], limits=Limits(result_bytes=4000))
    events = events_of(agent)
    first, *others = kinds(events, ToolFinished)
    missing, page = sorted((event for event in others), key=lambda event: len(event.result))
    assert len(first.result) < 4300
    assert "line 15001" in page.result
    assert missing.result == "Error: There is no artifact 'nothing.txt'. Known: work-1.txt."


def test_artifacts_outlive_their_run(agent_of: Agents, events_of: Events, recorder: Any) -> None:
    scenario = Scenario().turn(calls=[("work", {"say": "x" * 9000})]).answer("kept")
    agent = agent_of(
        scenario, [recorder(read_only=True)], limits=Limits(result_bytes=4000), plays=None
    )
    first = done_of(events_of(agent)).messages
    again = Scenario().turn(calls=[("read_artifact", {"name": "work-1.txt"})]).answer("read")
    other = agent_of(again, [recorder(read_only=True)])
    agent.llm = other.llm

    async def follow() -> list[Any]:
        asked = [{"role": "user", "content": "go"}, *first, {"role": "user", "content": "more"}]
        return [event async for event in agent.stream(asked)]

    assert "x" * 2500 in kinds(asyncio.run(follow()), ToolFinished)[0].result


def test_a_huge_result_costs_little(recorder: Any) -> None:
    from qwenbelt.agents.runtime.outcome import shaped_outcome

    text = "y" * 2_000_000
    begin = time.perf_counter()
    outcome = shaped_outcome(text, "work", 64 * 1024, lambda tool, kept: "name")
    assert time.perf_counter() - begin < 2
    assert len(outcome.text) < 70_000


def growing(turns: int) -> Scenario:
    """A model that asks for more and more."""
    scenario = Scenario()
    for turn in range(turns):
        scenario.turn(calls=[("work", {"i": turn, "say": f"{turn} " + "fact " * 200})])
    scenario.answer("ready")
    return scenario


def test_a_known_window_is_kept_and_pairs_stay_whole(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    agent = agent_of(growing(8), [recorder(read_only=True)], cfg={"max_input_tokens": 1500})
    events = events_of(agent)
    done = done_of(events)
    assert done.text == "ready"
    gone = kinds(events, HistoryCompacted)
    assert gone
    assert all(event.removed_characters and event.detail for event in gone)
    bodies = [json.dumps(e.request.messages) for e in agent.server.requests]  # type: ignore[attr-defined]
    assert max(len(body) for body in bodies) < 8000  # the server, strict, took every one of them
    full = [m["content"] for m in done.messages if m["role"] == "function"]
    assert all(len(text) > 900 for text in full)  # what people see is whole


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 1500 tokens. However, you requested 1777 tokens.",
        "request (1777 tokens) exceeds the available context size (1500 tokens)",
        "Range of input length should be [1, 1500]",
        "prompt is too long",
    ],
)
def test_a_window_is_learnt_from_the_endpoint(
    agent_of: Agents, events_of: Events, recorder: Any, message: str
) -> None:
    scenario = growing(4)
    scenario.conversations[0].turns.pop()
    fault = Fault(status=400, message=message, code="context_length_exceeded")
    scenario.answer("ready", faults=fault)
    agent = agent_of(scenario, [recorder(read_only=True)])
    events = events_of(agent)
    assert done_of(events).text == "ready"
    assert kinds(events, HistoryCompacted)


def test_a_question_that_never_fits_is_an_error(agent_of: Agents, events_of: Events) -> None:
    fault = Fault(status=400, message="maximum context length is 100 tokens", code="x")
    agent = agent_of(Scenario().answer("no", faults=[fault] * 3), complete=False)
    with pytest.raises(EndpointError, match="context length"):
        events_of(agent, "why? " * 500)
    assert len(agent.server.requests) == 1  # type: ignore[attr-defined]


def test_older_exchanges_are_summed_up_by_the_model(agent_of: Agents, recorder: Any) -> None:
    notes = "The user's dog is called Rex."

    def reply(request: Any) -> str:
        return notes if "has become too long" in str(request.messages[-1]["content"]) else "Rex."

    scenario = Scenario().turn(reply).turn(reply)
    agent = agent_of(
        scenario, cfg={"max_input_tokens": 400}, summarize=True, complete=False, plays=None
    )
    asked = [
        {"role": "user", "content": "My dog is called Rex. " + "Bla. " * 300},
        {"role": "assistant", "content": "Noted. " + "Bla. " * 300},
        {"role": "user", "content": "What is my dog called?"},
    ]

    async def main() -> list[Any]:
        return [event async for event in agent.stream(asked)]

    events = asyncio.run(main())
    assert done_of(events).text == "Rex."
    (gone,) = kinds(events, HistoryCompacted)
    assert "2 messages summed up" in gone.detail
    sent = agent.server.requests[-1].request.messages  # type: ignore[attr-defined]
    assert [m["role"] for m in sent] == ["user"]
    assert notes in sent[0]["content"]
    assert sent[0]["content"].endswith("What is my dog called?")


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=401, message="bad key"), "Check the API key"),
        (Fault(status=404, message="no such model"), "Check the model's name"),
        (Fault(status=400, html=True), "400"),
        (Fault(reset=True), "cannot be reached|broke"),
    ],
)
def test_an_endpoint_that_fails_is_one_line(
    agent_of: Agents, events_of: Events, fault: Fault, words: str
) -> None:
    agent = agent_of(Scenario().answer("no", faults=[fault] * 9), complete=False)
    found: list[Any] = []
    with pytest.raises(EndpointError, match=words) as caught:
        events_of(agent, on_event=lambda run, event: found.append(event))
    assert "\n" not in str(caught.value)
    assert done_of(found).reason == "error"
    assert done_of(found).detail == str(caught.value)
    with pytest.raises(EndpointError):
        agent.run_nonstream([{"role": "user", "content": "go"}])


def test_an_unreachable_endpoint_is_one_line(events_of: Events) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        agent = FnCallAgent(
            llm={"model": "m", "model_server": url, "generate_cfg": {"max_retries": 0}}
        )
        with pytest.raises(EndpointError, match="cannot be reached") as caught:
            events_of(agent)
    assert "\n" not in str(caught.value)


def test_what_was_done_before_an_error_is_kept(
    agent_of: Agents, events_of: Events, recorder: Any
) -> None:
    scenario = Scenario().turn(calls=[("work", {"i": 1})]).answer("no", faults=Fault(status=500))
    agent = agent_of(scenario, [recorder(read_only=True)], complete=False)
    found: list[Any] = []
    with pytest.raises(EndpointError):
        events_of(agent, on_event=lambda run, event: found.append(event))
    assert [m["role"] for m in done_of(found).messages] == ["assistant", "function"]


# -- cost ---------------------------------------------------------------------------------------


def test_long_answers_cost_linear_time(agent_of: Agents, events_of: Events) -> None:
    def seconds(length: int) -> float:
        agent = agent_of(Scenario(wire={"chunk": 4}).answer("word " * length))
        begin = time.process_time()
        events = events_of(agent)
        assert len(kinds(events, TextDelta)) > length
        return time.process_time() - begin

    seconds(100)
    short, long = seconds(2000), seconds(16_000)
    assert long < 8 * short * 2


def test_a_slow_reader_holds_up_nothing(agent_of: Agents, recorder: Any) -> None:
    calls = [("work", {"i": n, "d": 0.1}) for n in range(4)]
    agent = agent_of(Scenario().turn(calls=calls).answer("ready"), [recorder(read_only=True)])

    async def main() -> tuple[list[Any], float]:
        stream = agent.stream([{"role": "user", "content": "go"}])
        found = [await stream.__anext__()]
        begin = time.monotonic()
        await asyncio.sleep(1.0)
        async for event in stream:
            found.append(event)
        return found, begin

    events, begin = asyncio.run(main())
    assert all(event.finished - begin < 0.8 for event in kinds(events, ToolFinished))
    assert done_of(events).text == "ready"


def test_many_runs_of_one_agent_at_once(agent_of: Agents, recorder: Any) -> None:
    scenario = Scenario().turn(calls=[("work", {"i": 1, "d": 0.2})] * 3).answer("ready")
    agent = agent_of(scenario, [recorder(read_only=True)], plays=None, cfg={"seed": 1})
    answers: list[str] = []

    def ask(number: int) -> None:
        question = [{"role": "user", "content": f"go {number}"}]
        answers.append(agent.run_nonstream(question)[-1]["content"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["ready"] * 12
