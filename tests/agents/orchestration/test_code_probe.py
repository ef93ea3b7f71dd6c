"""Whether a model writes code is seen from what it does, and decides where calls come from code."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import CodeInterpreter, FnCallAgent, FunctionTool
from qwenbelt.agents.code_probe import TASKS, probe_code
from qwenbelt.agents.models.capabilities import Capabilities, forget_records, model_capabilities
from qwenbelt.agents.runtime.code.code_mode import code_mode_of
from qwenbelt.core.events import ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.code_interpreter import isolation_level

CELLS = (
    "pages = [tools.read_page(number=n) for n in range(1, 12)]\n"
    "print(max(pages, key=lambda p: p['price'])['number'])",
    "print(sum(tools.price_of(item=i) for i in ('pears', 'plums', 'limes', 'dates')))",
    "print(sum(tools.order_sums(customer=tools.customer_id(name='Bo'))))",
)


def probed(cells: tuple[str | None, ...]) -> bool | None:
    """Returns what a probe finds of a model that writes these cells, or answers at once."""
    scenario = Scenario()
    for task, code in zip(TASKS, cells, strict=False):
        scenario.conversation(task.question)
        if code is not None:
            scenario.turn(calls=[("code_interpreter", {"code": code})])
        scenario.answer(f"It is {task.answer}.")
    with ScriptedServer(scenario) as server:
        llm = dict(server.llm)
        assert probe_code(llm) == ""
        found = model_capabilities(llm["model_server"], llm["model"]).writes_code
        forget_records(llm["model_server"], llm["model"])
    return found


@pytest.mark.skipif(isolation_level() == "none", reason="no sandbox here")
@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (CELLS, True),
        ((CELLS[0], "print(46)"), False),  # right, but not by the functions
        ((None,), False),
        ((CELLS[0], "prices = tools.prices()\nprint(46)"), False),
    ],
    ids=["right", "guesses", "answers at once", "calls what is not there"],
)
def test_three_tasks_are_solved_by_code(cells, found):
    assert probed(cells) is found


def test_without_a_sandbox_it_is_not_known(monkeypatch):
    from qwenbelt.agents import code_probe

    monkeypatch.setattr(code_probe, "isolation_level", lambda: "none")
    assert "no sandbox" in probe_code({"model": "m", "model_server": "http://127.0.0.1:9/v1"})
    assert model_capabilities("http://127.0.0.1:9/v1", "m").writes_code is None


@pytest.mark.parametrize(
    ("tools", "writes", "results", "used"),
    [
        (12, True, 0, True),
        (12, None, 0, False),
        (12, False, 0, False),
        (3, True, 0, False),
        (3, True, 20_000, True),
        (3, None, 20_000, False),
    ],
)
def test_auto_is_where_it_pays(tools, writes, results, used):
    offered: dict[str, Any] = {"code_interpreter": CodeInterpreter()}
    offered |= {f"tool{n}": FunctionTool(reads, read_only=True) for n in range(tools)}
    model = types.SimpleNamespace(known=Capabilities(writes_code=writes))
    talk = [
        {"role": "user", "content": "x" * 50_000},
        {"role": "function", "content": "y" * results},
    ]
    code, _ = code_mode_of("auto", offered, model, talk)
    assert (code is not None) is used


def reads(n: int) -> int:
    """Reads a number."""
    return n + 1


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        (['Here:\n```python\nx = tools.reads(n=1)\nprint(f"it\'s {x}")\n```\nand more'], "it's 2"),
        (["print(tools.reads(n=4))"], "5"),
        (["```python\nprint((\n```", "```\nprint('again')\n```"], "again"),
        (["I cannot.", "```python\nprint('now')\n```"], "now"),
    ],
    ids=["block", "bare", "wrong at first", "no code at first"],
)
def test_the_constrained_form_writes_a_cell_as_code(tmp_path: Path, replies, said):
    scenario = Scenario().answer({"tool": "code_interpreter"})
    for reply in replies:
        scenario.answer(reply)
    scenario.answer({"tool": "answer"}).answer("Done.")
    with ScriptedServer(scenario) as server:
        llm = {**server.llm, "generate_cfg": {"tool_format": "constrained"}}
        agent = FnCallAgent([reads], llm=llm, folder=tmp_path, code_mode=True)
        result = agent.ask("go")
        agent.function_map["code_interpreter"].close()
    (cell,) = [e for e in result.trace if isinstance(e, ToolFinished) and not e.parent]
    assert cell.result.strip() == said
    assert result.text == "Done."
    step = server.requests[1].request.body
    assert "response_format" not in step
    assert "tools.reads(n: int)" in step["messages"][0]["content"]
