"""qwen-agent's own interface: its registry, its agents and its way of calling the tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from qwen_agent.agents import Assistant, FnCallAgent
from qwen_agent.tools.base import TOOL_REGISTRY

import qwenbelt.agents  # registers our model type
import qwenbelt.tools  # noqa: F401  registers our tools
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def results(answer: list[dict[str, Any]]) -> list[str]:
    found = [m["content"] for m in answer if m["role"] == "function"]
    return [r if isinstance(r, str) else r[0]["text"] for r in found]


@pytest.mark.parametrize("model_type", ["oai", "qwenbelt"])
def test_a_stock_assistant_runs_code_by_the_tools_name(tmp_path, model_type):
    scenario = Scenario()
    scenario.turn(calls=[("code_interpreter", {"code": "sold = [30, 12]\nprint(len(sold))"})])
    scenario.turn(calls=[("code_interpreter", {"code": "sum(sold)"})])
    scenario.answer("42 were sold.")
    with ScriptedServer(scenario) as server:
        tool = {"name": "code_interpreter", "work_dir": str(tmp_path / "work")}
        agent = Assistant(function_list=[tool], llm={**server.llm, "model_type": model_type})
        answer = agent.run_nonstream([{"role": "user", "content": "How many?"}])
        agent.function_map["code_interpreter"].close()
    assert results(answer) == ["2", "42"]
    assert answer[-1]["content"] == "42 were sold."


def test_a_stock_agent_hands_over_the_conversations_files(tmp_path):
    table = tmp_path / "销售.csv"
    table.write_text("month,sold\n1,30\n2,12\n", encoding="utf-8")
    code = "import pandas as pd; int(pd.read_csv('销售.csv')['sold'].sum())"
    scenario = Scenario().turn(calls=[("code_interpreter", {"code": code})]).answer("42.")
    question = {"role": "user", "content": [{"text": "How many?"}, {"file": str(table)}]}
    with ScriptedServer(scenario) as server:
        tool = {"name": "code_interpreter", "work_dir": str(tmp_path / "work")}
        agent = FnCallAgent(function_list=[tool], llm={**server.llm, "model_type": "qwenbelt"})
        answer = agent.run_nonstream([question])
        agent.function_map["code_interpreter"].close()
    assert results(answer) == ["42"]


def test_the_name_is_registered_and_the_call_is_qwen_agents(tmp_path):
    tool = TOOL_REGISTRY["code_interpreter"]({"work_dir": str(tmp_path)})
    assert isinstance(tool, CodeInterpreter)
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "a.txt"
    file.write_text("content", encoding="utf-8")
    result = tool.call("```py\nprint(open('a.txt').read())\n```", files=[str(file)])
    assert result[0].text == "content"
    assert {"name", "description", "parameters"} <= tool.function.keys()
    tool.close()


def test_the_example_without_a_model_runs(tmp_path):
    script = EXAMPLES / "run_code.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "text total 42" in done.stdout
    assert "image" in done.stdout
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")
