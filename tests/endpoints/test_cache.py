"""The explicit cache: where marks are placed, what they cost, and prefixes that stay."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.agents import FnCallAgent, ReActChat, endpoint
from qwenbelt.agents.models.cache_planner import CachePlanner, has_explicit_cache
from qwenbelt.agents.models.deltas import Tokens
from qwenbelt.agents.models.prices import Price
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import Done, Usage
from qwenbelt.testing import Call, ScriptedLLM, ScriptedServer, Trajectory, cost, prefix
from qwenbelt.testing.server.billing import CacheBill
from qwenbelt.tools.base import Tool

LONG = "The harbour is closed in winter. " * 400  # 3300 tokens as the server counts
ASK = [{"role": "user", "content": "How deep is it?"}]


class Depth(Tool):
    name = "depth"
    description = "The depth of a harbour."
    parameters: ClassVar = {"type": "object", "properties": {"name": {"type": "string"}}}
    read_only = True

    def call(self, params: Any, **kwargs: Any) -> str:
        return "12 m. " + "Sand and clay. " * 20


class Survey(Depth):
    name = "survey"

    def call(self, params: Any, **kwargs: Any) -> str:
        return "sounding 12 m; " * 40_000  # longer than a result may be


def dashscope(server: ScriptedServer, **settings: Any) -> dict[str, Any]:
    return endpoint(f"dashscope:qwen3-max@{server.url}", **settings)


def marks(body: dict[str, Any]) -> list[int]:
    found = []
    for number, message in enumerate(body["messages"]):
        content = message.get("content")
        if isinstance(content, list) and any("cache_control" in part for part in content):
            found.append(number)
    return found


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-none-of-anybody")


def conversation(turns: int) -> ScriptedLLM:
    llm = ScriptedLLM(model="qwen3-max")
    for turn in range(turns):
        llm.turn(calls=[Call("depth", {"name": f"north {turn}"})])
        llm.turn(text=f"It is {turn} metres deep.")
    return llm


def talk(server: ScriptedServer, turns: int, system: str = LONG, **settings: Any) -> list[Any]:
    agent = FnCallAgent([Depth()], dashscope(server, **settings), system)
    messages: list[dict[str, Any]] = []
    events: list[Any] = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"How deep is it in the north, {turn}?"})
        run = agent.stream(messages)

        async def read(run: Any = run) -> None:
            async for event in run:
                events.append(event)

        asyncio.run(read())
        messages += run.messages
    return events


def test_fifty_turns_cost_less_than_a_sixth_and_each_prefix_stays() -> None:
    system = LONG * 4  # 13 000 tokens
    bills = {}
    for cache in ("auto", "off"):
        with ScriptedServer(conversation(50), bill="dashscope") as server:
            events = talk(server, 50, system, cache=cache)
        run = Trajectory.from_server(server)
        run.check(prefix(stable=True))
        billed = [e.billed for e in server.requests if e.billed]
        bills[cache] = sum(b.price for b in billed) / sum(b.input for b in billed)
        assert len(billed) == 100
        usages = [e for e in events if isinstance(e, Usage)]
        assert sum(e.cached_tokens for e in usages) == sum(b.cached for b in billed)
        assert sum(e.cache_write_tokens for e in usages) == sum(b.written for b in billed)
        with pytest.raises(AssertionError, match="over budget"):
            run.check(cost(at_most=100))
        run.check(cost(at_most=sum(b.price for b in billed)))
    assert bills["auto"] <= 0.15
    assert 0.18 <= bills["off"] <= 0.3  # the implicit cache, had it never failed


def test_short_conversations_and_other_endpoints_get_no_marks() -> None:
    with ScriptedServer(conversation(2)) as server:
        talk(server, 2, system="Answer.")
    assert not any(marks(e.request.body) for e in server.requests)
    assert not has_explicit_cache("openai", "qwen3-max")
    assert not has_explicit_cache("dashscope", "qwen-turbo-latest")
    with pytest.raises(ConfigError, match="cache must be"):
        FnCallAgent([Depth()], endpoint("dashscope:qwen3-max", cache="on"))


def test_an_endpoint_that_refuses_marks_gets_none_any_more() -> None:
    llm = ScriptedLLM(model="qwen3-max")
    llm.turn(text="12", faults=[{"status": 400, "message": "Unknown field cache_control."}])
    llm.turn(text="13")
    with ScriptedServer(llm) as server:
        events = talk(server, 2)
    assert [e.reason for e in events if isinstance(e, Done)] == ["answer", "answer"]
    assert [bool(marks(e.request.body)) for e in server.requests] == [True, False, False]


def body(*messages: tuple[str, str], tools: int = 0) -> dict[str, Any]:
    declared = [{"name": "t", "description": LONG}] * tools
    return {"tools": declared, "messages": [{"role": r, "content": c} for r, c in messages]}


def test_a_single_question_is_marked_only_when_its_beginning_came_before() -> None:
    now = [0.0]
    planner = CachePlanner(lambda: now[0])
    asked = body(("system", LONG), ("user", "one"))
    assert marks({"messages": planner.marked(asked, goes_on=False)}) == []
    other = body(("system", LONG), ("user", "two"))
    assert marks({"messages": planner.marked(other, goes_on=False)}) == [0]
    now[0] = 1000.0
    assert marks({"messages": planner.marked(other, goes_on=False)}) == []
    assert marks({"messages": planner.marked(asked, goes_on=True)}) == [0, 1]


def test_many_results_of_one_reply_get_marks_within_the_look_back() -> None:
    before = [("system", LONG), ("user", "all harbours")]
    results = [("tool", f"{n} m") for n in range(50)]
    placed = marks({"messages": CachePlanner().marked(body(*before), goes_on=True)})
    whole = body(*before, ("assistant", "I look."), *results)
    later = marks({"messages": CachePlanner().marked(whole, goes_on=True)})
    assert placed == [0, 1]
    assert len(later) <= 4
    assert later[-1] == len(whole["messages"]) - 1
    steps = [placed[-1], *[place for place in later if place > placed[-1]]]
    assert all(b - a <= 20 for a, b in itertools.pairwise(steps))


def test_a_chat_whose_caches_end_unread_is_not_marked_for_nothing() -> None:
    now = [0.0]
    planner = CachePlanner(lambda: now[0])
    messages = [("system", LONG)]
    seen = []
    for turn in range(6):
        messages += [("user", f"question {turn}")]
        seen.append(len(marks({"messages": planner.marked(body(*messages), goes_on=False)})))
        messages += [("assistant", f"answer {turn}")]
        now[0] += 900.0  # the person reads for a quarter of an hour
    assert sum(n > 0 for n in seen[3:]) <= sum(n > 0 for n in seen[:3])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.text(max_size=40)), max_size=90
    ),
    st.integers(0, 2),
    st.booleans(),
)
def test_marks_change_nothing_that_is_read(
    rest: list[tuple[str, str]], tools: int, goes_on: bool
) -> None:
    given = body(("system", LONG), *rest, tools=tools)
    before = repr(given)
    out = CachePlanner().marked(given, goes_on=goes_on)
    assert repr(given) == before
    assert len(marks({"messages": out})) <= 4
    for message, marked in zip(given["messages"], out, strict=True):
        content = marked["content"]
        text = content if isinstance(content, str) else "".join(p["text"] for p in content)
        assert text == message["content"]


def test_what_is_cached_and_written_has_its_price() -> None:
    price = Price(2.0, 8.0, "CNY", 0.2)
    assert price.of(Tokens(1_000_000, 0)) == 2.0
    assert price.of(Tokens(1_000_000, 0, cached=1_000_000)) == pytest.approx(0.4)
    marked = Tokens(1_000_000, 1_000_000, cached=600_000, written=200_000, explicit=True)
    assert price.of(marked) == pytest.approx(2.0 * (0.2 + 0.06 + 0.25) + 8.0)


def test_a_bill_knows_the_cache_life_and_its_look_back() -> None:
    now = [0.0]
    bill = CacheBill("dashscope", lambda: now[0])
    mark = {"cache_control": {"type": "ephemeral"}}
    system = {"role": "system", "content": [{"type": "text", "text": LONG, **mark}]}

    def asked(count: int) -> dict[str, Any]:
        more = [{"role": "user", "content": f"{n}"} for n in range(count)]
        last = {"role": "user", "content": [{"type": "text", "text": "last", **mark}]}
        return {"messages": [{**system, "content": LONG}, *more, last]}

    first = bill.of({"messages": [system]})
    assert (first.cached, first.written > 3000) == (0, True)
    assert bill.of(asked(1)).cached == 0  # the reply of the first has not been sent
    bill.settle(first)
    assert bill.of(asked(1)).cached == first.written
    assert bill.of(asked(25)).cached == 0  # too far behind the mark
    now[0] = 299.0
    assert bill.of(asked(2)).cached == first.written  # and lives on
    now[0] = 598.0
    assert bill.of(asked(3)).cached == first.written
    now[0] = 900.0
    assert bill.of(asked(4)).cached == 0


@pytest.mark.parametrize("form", ["native", "nous", "react"])
@pytest.mark.parametrize("tools", [[Depth()], [Depth(), Survey()]], ids=["short", "artifacts"])
def test_each_request_begins_with_the_one_before(form: str, tools: list[Any]) -> None:
    llm = ScriptedLLM(model="m")
    llm.turn(calls=[Call(tools[-1].name, {"name": "north"})])
    llm.turn(calls=[Call("depth", {"name": "south"}), Call("depth", {"name": "east"})])
    llm.turn(text="Final Answer: 12" if form == "react" else "12 metres.")
    with ScriptedServer(llm, bill="vllm") as server:
        kind = ReActChat if form == "react" else FnCallAgent
        settings = {} if form == "react" else {"generate_cfg": {"tool_format": form}}
        agent = kind(tools, {**server.llm, **settings})
        list(agent.run(ASK))
    run = Trajectory.from_server(server)
    run.check(prefix(stable=True))
    with pytest.raises(AssertionError, match="begins with all"):
        run.check(prefix(stable=False))


def test_mock_bills_and_says_so(tmp_path: Path) -> None:
    import re
    import signal
    import subprocess
    import sys

    import httpx

    file = tmp_path / "s.yaml"
    file.write_text("name: x\nturns:\n  - text: Hello.\n", encoding="utf-8")
    program = "from qwenbelt.apps.cli import main; main()"
    command = [sys.executable, "-c", program, "mock", str(file), "--bill", "dashscope"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://\S+/v1", process.stdout.readline())
        assert url is not None
        text = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
        asked = {"model": "m", "messages": [{"role": "user", "content": [text]}]}
        place = f"{url.group()}/chat/completions"
        usages = [httpx.post(place, json=asked, timeout=60).json()["usage"] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    written = usages[0]["prompt_tokens_details"]["cache_creation_input_tokens"]
    assert written > 3000
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] == written
    assert "2" in said
    assert "0.6" in said  # (1.25 + 0.1) / 2


def test_the_example_says_what_marks_save(capsys: pytest.CaptureFixture[str]) -> None:
    import re
    import runpy

    example = Path(__file__).parents[2] / "examples" / "what_a_cache_saves.py"
    runpy.run_path(str(example), run_name="__main__")
    without, with_marks = map(float, re.findall(r"[01]\.\d\d", capsys.readouterr().out))
    assert with_marks < without < 1
