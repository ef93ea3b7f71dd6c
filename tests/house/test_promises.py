"""What people built on is still there: the promised interface, and a project made with 0.1."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

# module -> names and their members (`Class.member`) that must never go
PROMISED = {
    "qwenbelt": (
        "FnCallAgent ReActChat Assistant PlanAgent endpoint load_agent Tool ToolContext Budget "
        "Limits Session Hook Cited Refuse mcp_tools CodeInterpreter Plot DocumentIndex TraceWriter "
        "delegate __version__ "
        "FnCallAgent.run FnCallAgent.run_nonstream FnCallAgent.stream FnCallAgent.ask "
        "FnCallAgent.aask FnCallAgent.events FnCallAgent.as_tool "
        "Session.history Session.fork Session.rewind Session.export "
        "Hook.before_model Hook.after_model Hook.before_tool Hook.after_tool Hook.before_answer "
        "Hook.on_event Hook.on_elicitation Run.answer "
        "Tool.call Tool.acall Tool.resources Tool.read_only Tool.idempotent Tool.timeout"
    ),
    "qwenbelt.agents": "FnCallAgent ReActChat Assistant endpoint",
    "qwenbelt.tools": "Tool",
    "qwenbelt.tools.mcp": "mcp_tools",
    "qwenbelt.tools.search": "ToolIndex ToolIndex.search",
    # names that were public in 0.1 under other names than their classes have today
    "qwenbelt.workflows.report": "Check check_report report ReportResult",
    "qwenbelt.workflows.longdoc": "Answer Finding ask_everything",
}
REGISTERED = (
    "code_interpreter document_search read_document plot image_annotate web_search web_fetch ocr"
)
COMMANDS = (
    "demo report run chat gui serve tools docs mcp inspect batch mock record replay trace doctor "
    "agents label probe model eval"
)


@pytest.mark.parametrize("module", PROMISED)
def test_what_was_promised_is_there(module: str) -> None:
    face = importlib.import_module(module)
    for promised in PROMISED[module].split():
        name, _, member = promised.partition(".")
        found = getattr(face, name)
        assert name in face.__all__
        assert not member or hasattr(found, member), promised


def test_promised_tools_are_registered() -> None:
    import qwenbelt.tools  # noqa: F401  registers them

    registry = importlib.import_module("qwen_agent.tools.base").TOOL_REGISTRY
    assert set(REGISTERED.split()) <= set(registry)


def test_promised_commands_are_there() -> None:
    from qwenbelt.apps.table import COMMANDS as shipped

    assert set(COMMANDS.split()) <= set(shipped)


SHOP = '''
from qwenbelt.agents import FnCallAgent

PRICES = {"apple": 0.5, "pear": 0.75, "melon": 3.0}


def price(item: str) -> str:
    """Tells what one piece costs, in euros.

    Args:
        item: what is bought, in the singular.
    """
    return f"{PRICES[item]:.2f}"


def make(llm):
    return FnCallAgent([price], llm=llm, system_message="You help in a fruit shop.")
'''
# as 0.1 wrote it with `qwenbelt trace to-scenario`
SCENARIO = """
# Saved from a run. The model's replies are played back; every tool runs for real.
# Run it with pytest; edit what should be checked below `then`.
name: basket
say: What do an apple and a melon cost together?
tools:
  - price
turns:
  - calls:
      - price:
          item: apple
      - price:
          item: melon
  - expect:
      results:
        price:
          - '0.50'
          - '3.00'
    answer: An apple is 0.50 and a melon 3.00, together 3.50 euros.
then:
  calls:
    unordered:
      - price
      - price
  answer:
    contains:
      - '0.50'
      - '3.00'
  budget:
    turns: 2
    calls: 2
"""
TESTS = """
from shop import make

from qwenbelt.core.trace import TraceWriter, read_trace
from qwenbelt.testing import Scenario, answer, budget, called, record


def test_prices_are_asked(scripted):
    script = Scenario()
    script.turn(calls=[("price", {"item": "pear"}), ("price", {"item": "apple"})])
    script.answer("Together ${price#1} and ${price#2} euros.")
    server = scripted(script)
    run = record(make(server.llm), "A pear and an apple?", server=server)
    run.check(called("price", {"item": "pear"}), budget(turns=2, calls=2))
    run.check(answer("Together 0.75 and 0.50 euros."))


def test_traces_are_written(scripted, tmp_path):
    server = scripted(Scenario().answer("Hello."))
    with TraceWriter(tmp_path / "run.jsonl") as trace:
        make(server.llm).run_nonstream([{"role": "user", "content": "Hi"}], trace=trace)
    assert [line["event"] for line in read_trace(tmp_path / "run.jsonl")][-1] == "done"
"""
INI = """
[pytest]
pythonpath = .
qwenbelt_agent = shop:make
qwenbelt_network = loopback
"""


def test_a_project_made_with_0_1_still_passes(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "basket.scenario.yaml").write_text(SCENARIO)
    (tmp_path / "test_shop.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(INI)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "3 passed" in found.stdout, found.stdout + found.stderr


def test_each_row_of_the_readme_has_tests_or_benchmarks_behind_it() -> None:
    import re

    import yaml

    root = Path(__file__).resolve().parents[2]
    promises = yaml.safe_load((root / "tests/house/promises.yml").read_text(encoding="utf-8"))
    text = (root / "README.md").read_text(encoding="utf-8")
    table = text.split("## Features", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"(?m)^\| ([^|]+?) \|", table)[1:]
    missing = [path for paths in promises.values() for path in paths if not (root / path).exists()]
    assert missing == []
    for path in {path for paths in promises.values() for path in paths}:
        file = root / path
        tests = file.rglob("test_*.py") if file.is_dir() else [file]
        assert any(
            path.startswith("benchmarks/") or "def test_" in found.read_text("utf-8")
            for found in tests
        ), path
    assert set(promises) <= set(rows), "a promise that the readme no longer makes"
    # a row that was just added may still lack its line here
    assert len(set(rows) - set(promises)) <= len(rows) // 10, set(rows) - set(promises)
