"""Calls of a cell begin while the model writes it, and a reply that is void leaves nothing."""

from __future__ import annotations

import asyncio
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt import Budget, FnCallAgent, Hook, ReActChat
from qwenbelt.agents.runtime.code.early_calls import CodeText, in_text
from qwenbelt.agents.runtime.code.early_code import EarlyCode
from qwenbelt.core.events import ModelFinished, Retrying, ToolCallReady, ToolFinished, ToolStarted
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools import FunctionTool

QUESTION = [{"role": "user", "content": "go"}]
LONG_TAIL = "".join(f"total_{n} = {n} + {n}\n" for n in range(30))
READS = "pages = [tools.page(n=i) for i in range(1, 4)]\n" + LONG_TAIL + "print(sum(pages))\n"
PACE = {"tokens_per_second": 400}


class Shop:
    """Two tools that count what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.stock = 0

        def page(n: int) -> int:
            """Reads a page."""
            self.asked.append(n)
            return n * 100 + self.stock

        def restock(n: int) -> int:
            """Changes what pages say."""
            self.stock = n
            return n

        self.tools = [FunctionTool(page, read_only=True), restock]


def play(
    tmp_path: Path,
    shop: Shop,
    code: str,
    *,
    turn: Any = None,
    agent: Any = FnCallAgent,
    **options: Any,
) -> list[Any]:
    """Returns the events of a run whose model writes one cell, at a pace."""
    given_turn = {"timing": PACE, **(turn or {})}
    scenario = Scenario().turn(calls=[("code_interpreter", {"code": code})], **given_turn)
    scenario.answer("Done.")
    with ScriptedServer(scenario) as server:
        llm = {**server.llm, "generate_cfg": options.pop("generate_cfg", {})}
        bot = agent(shop.tools, llm=llm, folder=tmp_path, code_mode=True, **options)

        async def main() -> list[Any]:
            return [event async for event in bot.stream(QUESTION)]

        try:
            return asyncio.run(main())
        finally:
            bot.function_map["code_interpreter"].close()


def begun_early(events: list[Any]) -> list[ToolStarted]:
    ended = next(e.finished for e in events if isinstance(e, ModelFinished))
    return [e for e in events if isinstance(e, ToolStarted) and e.parent and e.started < ended]


def said(events: list[Any]) -> str:
    ends = [e for e in events if isinstance(e, ToolFinished) and not e.parent]
    return ends[-1].result.strip()


@pytest.mark.parametrize("form", ["native", "nous", "react"])
def test_calls_begin_while_the_cell_is_written(tmp_path, form):
    shop = Shop()
    kind = ReActChat if form == "react" else FnCallAgent
    config = {} if form == "native" else {"tool_format": form}
    events = play(tmp_path, shop, READS, agent=kind, generate_cfg=config)
    assert said(events) == "600"
    assert sorted(shop.asked) == [1, 2, 3]  # each once: the cell took what was there
    assert len(begun_early(events)) == 3
    cell = next(e for e in events if isinstance(e, ToolFinished) and not e.parent)
    nested = [e for e in events if isinstance(e, (ToolCallReady, ToolStarted, ToolFinished))]
    nested = [e for e in nested if e.call_id != cell.call_id]
    assert {e.parent for e in nested} == {cell.call_id}
    assert len(nested) == 9
    first = next(i for i, e in enumerate(events) if getattr(e, "call_id", "") == cell.call_id)
    assert first < events.index(nested[0])  # nobody hears of a call before what it belongs to


def test_what_the_cell_does_not_call_is_dropped(tmp_path):
    shop = Shop()
    code = "if len('ab') == len(str(id(0))):\n    tools.page(n=7)\n" + LONG_TAIL + "print('x')\n"
    events = play(tmp_path, shop, code)
    assert said(events) == "x"
    assert shop.asked in ([], [7])


def test_what_is_read_after_a_change_is_read_after_it(tmp_path):
    shop = Shop()
    code = "a = tools.page(n=1)\ntools.restock(n=5)\nb = tools.page(n=1)\nprint(a, b)\n" + LONG_TAIL
    events = play(tmp_path, shop, code)
    assert said(events) == "100 105"
    assert len(begun_early(events)) == 1


def test_a_change_in_a_function_makes_what_was_read_count_no_more(tmp_path):
    shop = Shop()
    code = "do = getattr(tools, 'restock')\n" + LONG_TAIL + "[do(5), tools.page(n=1)][1]\n"
    assert said(play(tmp_path, shop, code)) == "105"


@pytest.mark.parametrize(
    "fault", [{"cut_after": len(READS) - 20}, {"error_in_stream": True}], ids=["cut", "error"]
)
def test_a_reply_that_breaks_leaves_nothing(tmp_path, fault):
    shop = Shop()
    events = play(tmp_path, shop, READS, turn={"faults": [fault], "wire": {"chunk": 8}})
    assert any(isinstance(e, Retrying) for e in events)
    assert said(events) == "600"
    nested = [e for e in events if isinstance(e, ToolFinished) and e.parent]
    assert [e.ok for e in nested] == [True] * 3


def test_a_cell_that_is_cut_off_makes_no_call(tmp_path):
    shop = Shop()
    fault = {"truncate_after": len(READS) - 20}
    events = play(tmp_path, shop, READS, turn={"faults": [fault], "wire": {"chunk": 8}})
    assert not [e for e in events if getattr(e, "parent", "") and not isinstance(e, ToolFinished)]


class Watches(Hook):
    """Sees each call before it runs."""

    def before_tool(self, call: Any) -> Any:
        return call


@pytest.mark.parametrize(
    "options",
    [
        {"budget": Budget(tool_calls=50)},
        {"hooks": [Watches()]},
        {"approve": lambda request: True},
    ],
    ids=["budget", "hook", "policy"],
)
def test_nothing_is_ahead_of_who_has_a_say(tmp_path, options):
    shop = Shop()
    events = play(tmp_path, shop, READS, **options)
    assert said(events) == "600"
    assert not begun_early(events)


@pytest.mark.parametrize(
    ("text", "code", "whole"),
    [
        (r'<tool_call>{"name": "py", "arguments": {"code": "a\n\"\u4e2d\\"}}', 'a\n"中\\', True),
        (r'<tool_call>{"name": "py", "arguments": {"code": "a\n\u4e', "a\n", False),
        (r'<tool_call>{"name": "sql", "arguments": {"code": "a"}}', "", False),
        ("<tool_call>\n<function=py>\n<parameter=code>\nx = 1\n</parameter>", "x = 1\n", True),
        (
            "<tool_call>\n<function=py>\n<parameter=code>\nx = 1\ny = 222222222222</para",
            None,
            False,
        ),
        ('Action: py\nAction Input: {"code": "1"}', "1", True),
        ('I would use {"code": "1"}', "", False),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_code_is_read_out_of_every_form(text, code, whole, size):
    reader = CodeText(in_text("py"))
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
    assert reader.whole == whole
    assert (
        "x = 1\ny = 222222222222".startswith(reader.code) if code is None else reader.code == code
    )


# ---- what is found in code ----------------------------------------------------------------------


def found(code: str, sizes: list[int] | None = None) -> Counter[str]:
    """Returns the calls that are found when the code comes in pieces."""
    early, at, calls = EarlyCode(["page", "find"]), 0, []
    for size in sizes or []:
        at = min(len(code), at + size)
        calls += early.read(code[:at])
    calls += early.read(code, whole=True)
    return Counter(f"{name}{args}{sorted(keywords.items())}" for name, args, keywords in calls)


def made(code: str) -> Counter[str]:
    """Returns the calls that running the code makes."""
    calls: Counter[str] = Counter()

    def called(name: str) -> Any:
        def function(*args: Any, **keywords: Any) -> int:
            calls[f"{name}{args}{sorted(keywords.items())}"] += 1
            return 1

        return function

    tools = types.SimpleNamespace(page=called("page"), find=called("find"))
    exec(code, {"tools": tools})
    return calls


numbers = st.integers(0, 9)
lists = st.lists(numbers, max_size=4).map(repr)
STATEMENTS = st.one_of(
    st.builds("names = {}\n".format, lists),
    st.builds("for n in {}:\n    x = tools.page(n=n)\n    print(end=f'')\n".format, lists),
    st.builds("y = [tools.page(n=i + {}) for i in range({}) if i % 2]\n".format, numbers, numbers),
    st.builds("z = [tools.find(q=f'p {{n:>3}}') for n in names]\n".format),
    st.builds("tools.find('it\\'s ({})', n=-{})\n".format, numbers, numbers),
    st.builds("# tools.page(n={})\n'''tools.page(\nn=1)'''\n".format, numbers),
    st.builds("names.append({})\n".format, numbers),
    st.builds("names = [*names[:1], {}]\n".format, numbers),
    st.builds("d = {{k: tools.page(n=k) for k in {}}}\nk = tools.page(n=0)\n".format, lists),
    st.builds("if {} > 4:\n    tools.page(n=1)\nelse:\n    tools.find(q=2)\n".format, numbers),
)


@given(st.lists(STATEMENTS, max_size=6), st.lists(st.integers(1, 40), max_size=60))
def test_what_is_found_is_what_is_called(statements, sizes):
    code = "names = ['a', 'b']\n" + "".join(statements)
    real, early = made(code), found(code, sizes)
    if " > 4" in code:  # a call in a branch that is not taken may be begun
        early -= Counter({"page()[('n', 1)]": 99, "find()[('q', 2)]": 99})
    assert not early - real
    if not any(mark in code for mark in (" > 4", "append", "*names")):
        assert early == real


@given(st.text(alphabet="tools.page(n=1)[]{}'\"#\n\\ fr:!%ab", max_size=200), st.lists(numbers))
def test_any_text_is_read(text, sizes):
    found(text, sizes)


@pytest.mark.parametrize(
    "code",
    [
        "open('x', 'w').write('1')\ntools.page(n=1)\n",
        "!rm x\ntools.page(n=1)\n",
        "%cd /\ntools.page(n=1)\n",
        "tools.restock(n=1)\ntools.page(n=1)\n",
        "import shutil\nshutil.rmtree('x')\nprint(tools.page(n=1))\n",
        "import os as o\no.replace('a', 'b')\ntools.page(n=1)\n",
        "os.replace('a', 'b')\ntools.page(n=1)\n",
        "frame.to_csv('x')\ntools.page(n=1)\n",
        "def f():\n    os.remove('x')\nf()\ntools.page(n=1)\n",
        "with thing():\n    pass\ntools.page(n=1)\n",
    ],
)
def test_after_what_may_change_something_nothing_is_found(code):
    assert not found(code, [1] * len(code))


@pytest.mark.parametrize(
    "code",
    [
        "x = 'a' * 1000000000\n",
        "x = [[1] * 9000] * 9000\n",
        "x = f'{1:1000000000}'\n",
        "x = '{:1000000000}'.format(1)\n",
        "x = list(range(10**9))\n",
        "for i in range(9999):\n    for j in range(9999):\n        tools.page(n=i)\n",
        "x = ('a' * 9000).join(['b'] * 9000)\n",
        "x = 'a'\n" + "x = x + x\n" * 60,
        "x = 9999999\n" + "x = x * x\n" * 60,
        "(" * 5000,
    ],
)
def test_what_is_too_much_to_work_out_ends_it(code):
    found(code + "\ntools.page(n=1)\n")
