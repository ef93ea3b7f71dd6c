"""qwen-agent's contract: `run`, its own multi-agent classes, tools and subclasses on our loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qwen_agent.agents import GroupChat, Router
from qwen_agent.llm.schema import ContentItem, Message
from qwen_agent.tools.base import BaseTool

from qwenbelt.agents import Assistant, FnCallAgent, PlanAgent, ReActChat
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.agents.runtime.message_list import MessageList
from qwenbelt.agents.runtime.thread_pool import WorkerPool
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import ModelStarted, TextDelta, ToolCallReady, ToolFinished
from qwenbelt.testing import Scenario
from qwenbelt.tools import Tool

Agents = Callable[..., FnCallAgent]
QUESTION = [{"role": "user", "content": "go"}]


def two_turns(answer: str = "r1 and r2") -> Scenario:
    calls = [("work", {"i": 1}), ("work", {"i": 2})]
    return Scenario().turn(calls=calls, text="Looking.").answer(answer)


# -- run ----------------------------------------------------------------------------------------


def test_run_yields_growing_lists_of_dicts(agent_of: Agents, recorder: Any) -> None:
    agent = agent_of(two_turns(), [recorder(read_only=True)], name="Ann")
    lists = list(agent.run(QUESTION))
    assert all(isinstance(message, dict) for found in lists for message in found)
    last = lists[-1]
    assert [m["role"] for m in last] == ["assistant"] * 3 + ["function"] * 2 + ["assistant"]
    assert [m["name"] for m in last] == ["Ann"] * 3 + ["work"] * 2 + ["Ann"]
    assert last[0]["content"] == "Looking."
    assert last[1]["function_call"] == {"name": "work", "arguments": '{"i": 1}'}
    assert last[3]["extra"]["function_id"] == last[1]["extra"]["function_id"]
    assert last[-1]["content"] == "r1 and r2"
    sizes = [sum(len(str(m["content"])) for m in found) for found in lists]
    assert sizes == sorted(sizes)


def test_run_gives_message_objects_when_it_got_them(agent_of: Agents, recorder: Any) -> None:
    agent = agent_of(two_turns(), [recorder(read_only=True)], plays=2)
    last = agent.run_nonstream([Message("user", "go")])
    assert all(isinstance(message, Message) for message in last)
    assert last[-1].content == "r1 and r2"
    *_, inner = agent._run([Message("user", "go")])
    assert [m.model_dump() for m in inner][-1]["content"] == "r1 and r2"


@pytest.mark.parametrize("kind", [FnCallAgent, ReActChat, Assistant, PlanAgent])
def test_the_drop_ins_take_the_same_arguments(agent_of: Agents, recorder: Any, kind: Any) -> None:
    agent = agent_of(
        two_turns("done"),
        [recorder(read_only=True)],
        kind=kind,
        system_message="You are brief.",
        name="bot",
        description="A bot.",
        files=[],
        rag_cfg={"top_k": 3},
    )
    last = agent.run_nonstream(QUESTION)
    assert last[-1]["content"].endswith("done")
    assert last[-1]["name"] == "bot"
    with pytest.raises(TypeError, match="aprove"):
        kind(llm=agent.llm, aprove="ask")


def test_react_gives_the_transcript_as_one_message(agent_of: Agents, recorder: Any) -> None:
    agent = agent_of(two_turns("3"), [recorder(read_only=True)], kind=ReActChat)
    (message,) = agent.run_nonstream(QUESTION)
    text = message["content"]
    assert (
        text.index("Action: work") < text.index("Observation: r1") < text.index("Observation: r2")
    )
    assert text.endswith("Final Answer: 3")


def test_a_conversation_goes_on_from_what_run_gave(agent_of: Agents, recorder: Any) -> None:
    scenario = two_turns().answer("And r3.", say="more")
    agent = agent_of(scenario, [recorder(read_only=True)])
    messages = [*QUESTION, *agent.run_nonstream(QUESTION), {"role": "user", "content": "more"}]
    assert agent.run_nonstream(messages)[-1]["content"] == "And r3."


def test_an_unknown_tool_is_a_clear_error() -> None:
    llm = {"model": "m", "model_server": "http://127.0.0.1:1/v1"}
    with pytest.raises(ConfigError, match="no tool named 'code_interpeter'"):
        FnCallAgent(["code_interpeter"], llm=llm)


def test_plain_functions_are_tools(agent_of: Agents) -> None:
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    async def double(a: int) -> int:
        """Doubles."""
        return 2 * a

    calls = [("add", {"a": 1, "b": 2}), ("double", {"a": 4}), ("add", {"a": "x", "b": 2})]
    scenario = Scenario().turn(calls=calls)
    wishes = {"add": ["3", {"contains": "Wrong arguments for add: a:"}], "double": "8"}
    scenario.answer("ok", expect={"results": wishes})
    assert agent_of(scenario, [add, double]).run_nonstream(QUESTION)[-1]["content"] == "ok"


# -- cost ---------------------------------------------------------------------------------------


def test_printing_every_list_costs_linear_time(agent_of: Agents) -> None:
    def printed(length: int) -> int:
        agent = agent_of(Scenario(wire={"chunk": 4}).answer("word " * length))
        return sum(len(str(found)) for found in agent.run(QUESTION))

    short, long = printed(1000), printed(16_000)
    assert long < 16 * short * 3


def test_lists_of_many_turns_stay_linear() -> None:
    now = [0.0]
    growing = MessageList(clock=lambda: now[0])
    shown = yields = 0
    for turn in range(200):
        events: list[Any] = [ModelStarted(turn, 0.0)]
        events += [ToolCallReady(f"{turn}-{n}", "work", '{"i": 1}', 0.0) for n in range(8)]
        events += [
            ToolFinished(f"{turn}-{n}", "work", 0.0, 0.0, 0.0, True, False, "r") for n in range(8)
        ]
        for event in events:
            if growing.take(event):
                yields += 1
                shown += len(growing.messages())
    assert yields < 150
    assert shown < 200 * 16 * 25
    assert len(growing.messages()) == 200 * 16
    now[0] += 1.0
    assert growing.take(None)
    assert not growing.take(None)


def test_what_happened_is_shown_although_nothing_follows(agent_of: Agents, recorder: Any) -> None:
    calls = [("work", {"i": n, "d": 0.8}) for n in range(30)]
    agent = agent_of(Scenario().turn(calls=calls).answer("ok"), [recorder(read_only=True)])
    begin, seen = time.monotonic(), 0.0
    for found in agent.run(QUESTION):
        if len(found) == 30 and not seen:
            seen = time.monotonic() - begin
    assert 0 < seen < 0.7  # all calls were shown while they still ran


def test_text_moves_to_the_thoughts_when_the_tag_comes_late() -> None:
    from qwenbelt.core.events import TextRelabelled

    growing = MessageList()
    assert growing.take(TextDelta("hm"))
    assert growing.take(TextRelabelled())
    growing.take(TextDelta("Hi."))
    (message,) = growing.messages()
    assert (message["content"], message["reasoning_content"]) == ("Hi.", "hm")


# -- stock classes ------------------------------------------------------------------------------


def test_the_stock_router_takes_our_agents(agent_of: Agents, recorder: Any) -> None:
    scenario = Scenario()
    scenario.conversation("go", name="chosen").turn(calls=[("work", {"i": 1})]).answer("It is r1.")
    worker = agent_of(scenario, [recorder(read_only=True)], name="worker", description="Works.")
    first = Scenario().answer("Call: worker")
    chooser = agent_of(first)
    router = Router(llm=chooser.llm, agents=[worker])
    last = router.run_nonstream(QUESTION)
    assert (last[-1]["name"], last[-1]["content"]) == ("worker", "It is r1.")


def test_the_stock_group_chat_takes_our_agents(agent_of: Agents, recorder: Any) -> None:
    one = agent_of(Scenario().answer("First."), name="one", description="a")
    two = agent_of(
        Scenario().turn(calls=[("work", {"i": 1})]).answer("Second."),
        [recorder(read_only=True)],
        name="two",
        description="b",
    )
    group = GroupChat(agents=[one, two], agent_selection_method="round_robin")
    last = group.run_nonstream([{"role": "user", "content": "go", "name": "user"}], max_round=2)
    assert {m["name"] for m in last} >= {"one", "two"}
    assert "Second." in [m["content"] for m in last]


class StockTool(BaseTool):  # type: ignore[misc]
    """A tool that knows nothing of us."""

    name = "stock"
    description = "A stock tool."
    parameters: Any = [  # noqa: RUF012
        {"name": "text", "type": "string", "description": "a text", "required": True}
    ]

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Any] = {}

    @property
    def file_access(self) -> bool:
        return True

    def call(self, params: Any, files: Any = None, **kwargs: Any) -> Any:
        text = self._verify_json_format_args(params)["text"]
        if text == "raise":
            raise KeyError("/secret/path")
        self.seen = {"files": files, **kwargs}
        return {"text": text} if text != "items" else [ContentItem(text="a"), ContentItem(text="b")]


def test_stock_tools_get_what_they_are_used_to(agent_of: Agents) -> None:
    tool = StockTool()
    calls = [("stock", {"text": t}) for t in ("x", "items", "raise")] + [("stock", {"txt": "y"})]
    scenario = Scenario().turn(calls=calls)
    scenario.answer("ok")
    agent = agent_of(scenario, [tool], files=["/tmp/a.txt"])
    messages = [{"role": "user", "content": [{"text": "go"}, {"file": "/tmp/b.txt"}]}]
    last = agent.run_nonstream(messages, extra_word=7)
    results = [m["content"] for m in last if m["role"] == "function"]
    assert results[0] == '{"text": "x"}'
    assert results[1] == "a\nb"
    assert results[2] == "Error: KeyError: '/secret/path'"
    assert results[3].startswith("Error: ")
    assert tool.seen["files"] == ["/tmp/b.txt", "/tmp/a.txt"]
    assert tool.seen["extra_word"] == 7
    assert isinstance(tool.seen["messages"][0], Message)
    assert "context" not in tool.seen


class Watching(FnCallAgent):
    """Overrides what qwen-agent lets people override."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.watched: list[tuple[str, Any, Any]] = []
        self.lock = threading.Lock()

    def _call_tool(self, tool_name: str, tool_args: Any = "{}", **kwargs: Any) -> Any:
        result = super()._call_tool(tool_name, tool_args, **kwargs)
        with self.lock:
            self.watched.append((tool_name, tool_args, result))
        return f"<{result}>" if tool_name == "work" else result


def test_a_subclass_that_overrides_call_tool_is_heard(agent_of: Agents, sync_recorder: Any) -> None:
    work, stock = sync_recorder(read_only=True), StockTool()
    calls = [("work", {"i": 1, "d": 0.3}), ("work", {"i": 2, "d": 0.3}), ("work", {"fail": "no"})]
    calls.append(("stock", {"text": "x"}))
    scenario = Scenario().turn(calls=calls)
    wishes = {"work": ["<r1>", "<r2>", "<Error: ValueError: no>"], "stock": {"contains": "x"}}
    scenario.answer("ok", expect={"results": wishes})
    agent = agent_of(scenario, [work, stock], kind=Watching)
    last = agent.run_nonstream(QUESTION)
    assert last[-1]["content"] == "ok"
    assert len(agent.watched) == 4  # type: ignore[attr-defined]
    assert all(isinstance(args, str) for _, args, _ in agent.watched)  # type: ignore[attr-defined]
    (one, two) = (work.ran[1], work.ran[2])
    assert one[0] < two[1]
    assert two[0] < one[1]  # still side by side


class Shouting(FnCallAgent):
    def _run(self, messages: Any, lang: str = "en", **kwargs: Any) -> Iterator[list[Any]]:
        for found in super()._run(messages, lang=lang, **kwargs):
            yield [*found, Message("assistant", "!")]


def test_a_subclass_that_overrides_run_is_heard(agent_of: Agents) -> None:
    last = agent_of(Scenario().answer("hey"), kind=Shouting).run_nonstream(QUESTION)
    assert [m["content"] for m in last] == ["hey", "!"]


# -- agents inside of tools ---------------------------------------------------------------------


class Asking(Tool):
    """Asks another agent, the sync way, from a thread or from the loop itself."""

    description = "Asks."
    read_only = True

    def __init__(self, agent: FnCallAgent, name: str) -> None:
        self.name = name
        super().__init__()
        self.agent = agent
        self.timeout = 20

    def call(self, params: Any, **kwargs: Any) -> Any:
        return self.agent.run_nonstream(QUESTION)[-1]["content"]


class AskingFromTheLoop(Asking):
    async def acall(self, arguments: Any, **kwargs: Any) -> Any:
        return self.call(arguments)


@pytest.mark.parametrize("kind", [Asking, AskingFromTheLoop])
def test_a_tool_may_run_an_agent(agent_of: Agents, recorder: Any, kind: Any) -> None:
    inner = agent_of(two_turns("inner"), [recorder(read_only=True)])
    scenario = Scenario().turn(calls=["ask"]).answer("ok", expect={"results": {"ask": "inner"}})
    outer = agent_of(scenario, [kind(inner, "ask")])
    assert outer.run_nonstream(QUESTION)[-1]["content"] == "ok"


def test_threads_are_kept_and_as_many_as_needed() -> None:
    pool = WorkerPool(kept=2)

    async def main() -> float:
        begin = time.monotonic()
        await asyncio.gather(*(pool.submit(lambda: time.sleep(0.3)) for _ in range(100)))
        return time.monotonic() - begin

    before = threading.active_count()
    assert asyncio.run(main()) < 1.5
    time.sleep(0.2)
    assert threading.active_count() - before <= 3


def test_work_that_was_cancelled_before_it_began_is_not_done() -> None:
    pool, done = WorkerPool(), []

    async def main() -> None:
        future = pool.submit(lambda: done.append(1))
        future.cancel()
        await asyncio.sleep(0.1)

    # the thread may have begun already; try until one was caught in time
    for _ in range(20):
        asyncio.run(main())
    assert len(done) < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own(agent_of: Agents) -> None:
    agent = agent_of(Scenario().answer("hi"), plays=None, complete=False)
    assert agent.run_nonstream(QUESTION)[-1]["content"] == "hi"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = "failed"
        try:
            text = background_loop().run(_hello())
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read() == "hello"
    os.waitpid(child, 0)


async def _hello() -> str:
    return "hello"


# -- plans --------------------------------------------------------------------------------------

STOCK = {"bolt": "steel-8", "nut": "steel-4"}
PRICES = {"steel-8": 12, "steel-4": 5}


def part_of(name: str) -> dict[str, Any]:
    """Finds a part.

    Args:
        name: the part's name
    """
    time.sleep(0.2)
    return {"part": {"id": STOCK[name], "tags": [name]}}


def price_of(part: str) -> dict[str, Any]:
    """Finds the price of a part.

    Args:
        part: the part's id
    """
    time.sleep(0.2)
    return {"price": PRICES[part]}


def total(a: float, b: float) -> float:
    """Adds two prices.

    Args:
        a: one price
        b: another price
    """
    time.sleep(0.2)
    return a + b


def planned(request: Any) -> Any:
    """A model that plans when it is told that it can."""
    if "result_of_a_call" not in json.dumps(request.body["tools"]):
        return {"calls": [("part_of", {"name": "bolt"}), ("part_of", {"name": "nut"})]}
    return {
        "calls": [
            ("part_of", {"name": "bolt"}),
            ("part_of", {"name": "nut"}),
            ("price_of", {"part": {"$result": 1, "path": "part.id"}}),
            ("price_of", {"part": {"$result": 2, "path": "part.id"}}),
            (
                "total",
                {
                    "a": {"$result": 3, "path": "price"},
                    "b": {"$result": 4, "path": "price"},
                },
            ),
        ]
    }


def answer(request: Any) -> str:
    return f"The total is {request.results[-1].text}."


def test_a_plan_takes_fewer_model_calls_and_gives_the_same_answer(agent_of: Agents) -> None:
    tools = [part_of, price_of, total]
    step_by_step = Scenario().turn(planned)
    step_by_step.turn(calls=[("price_of", {"part": "steel-8"}), ("price_of", {"part": "steel-4"})])
    step_by_step.turn(calls=[("total", {"a": 12, "b": 5})]).turn(answer)
    at_once = Scenario().turn(planned).turn(answer)
    found: dict[Any, tuple[str, int]] = {}
    for kind, scenario in ((FnCallAgent, step_by_step), (PlanAgent, at_once)):
        agent = agent_of(scenario, tools, kind=kind)
        text = agent.run_nonstream(QUESTION)[-1]["content"]
        found[kind] = text, len(agent.server.requests)  # type: ignore[attr-defined]
    assert found[FnCallAgent] == ("The total is 17.0.", 4)
    assert found[PlanAgent] == ("The total is 17.0.", 2)


def test_the_model_is_told_how_to_plan(agent_of: Agents) -> None:
    agent = agent_of(
        Scenario().answer("ok"), [total], kind=PlanAgent, system_message="You are brief."
    )
    agent.run_nonstream(QUESTION)
    body = agent.server.requests[0].request.body  # type: ignore[attr-defined]
    system = body["messages"][0]["content"]
    assert system.startswith("You are brief.")
    assert '{"$result": N}' in system
    schema = body["tools"][0]["function"]["parameters"]
    assert schema["properties"]["a"]["description"] == "one price"
    assert schema["properties"]["a"]["anyOf"][1] == {"$ref": "#/$defs/result_of_a_call"}
    assert sys.version_info >= (3, 10)
