"""Training data: what real runs against the scripted endpoint become."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.apps import cli
from qwenbelt.core.trace import TraceWriter, read_trace
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.workflows.training import example_of, rows

KEY = "sk-abcdefghijklmnopqrstuvwx"


def square(number: int) -> str:
    """Squares a number.

    Args:
        number: any.
    """
    if number > 100:
        raise ValueError("too large")
    return f"{number} * {number} = {number * number}"


def run(folder: Path, name: str, numbers: list[int], answer: str = "Done.") -> Path:
    script = Scenario().turn(calls=[("square", {"number": n}) for n in numbers]).answer(answer)
    path = folder / f"{name}.jsonl"
    with ScriptedServer(script) as server, TraceWriter(path) as trace:
        agent = FnCallAgent([square], llm=server.llm, system_message="You count.")
        question = [{"role": "user", "content": f"Squares, please. My key is {KEY}."}]
        agent.run_nonstream(question, trace=trace)
    return path


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Any:
    def go(*words: str) -> tuple[int, list[dict[str, Any]], str]:
        code = cli.run(["trace", "export", *words])
        seen = capsys.readouterr()
        lines = [json.loads(line) for line in seen.out.splitlines()]
        return code, lines, seen.out + seen.err

    return go


def test_openai(tmp_path: Path, export: Any) -> None:
    run(tmp_path, "a", [3, 4])
    code, (row,), output = export(str(tmp_path), "--format", "openai")
    assert code == 0
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant"]
    calls = row["messages"][2]["tool_calls"]
    assert [c["id"] for c in calls] == [m["tool_call_id"] for m in row["messages"][3:5]]
    assert json.loads(calls[1]["function"]["arguments"]) == {"number": 4}
    assert row["messages"][-1]["content"] == "Done."
    (tool,) = row["tools"]
    assert tool["function"]["name"] == "square", "tools of one's own are declared, too"
    assert tool["function"]["parameters"]["properties"]["number"]["type"] == "integer"
    assert KEY not in output


def test_sharegpt(tmp_path: Path, export: Any) -> None:
    run(tmp_path, "a", [3, 4])
    run(tmp_path, "b", [5])
    _, (two, one), _ = export(str(tmp_path), "--format", "sharegpt")
    senders = [turn["from"] for turn in two["conversations"]]
    assert senders == ["human", "function_call", "observation", "gpt"]
    assert two["system"].startswith("You count.")
    assert [call["name"] for call in json.loads(two["conversations"][1]["value"])] == ["square"] * 2
    assert json.loads(two["conversations"][2]["value"]) == ["3 * 3 = 9", "4 * 4 = 16"]
    call = json.loads(one["conversations"][1]["value"])
    assert call == {"name": "square", "arguments": {"number": 5}}
    assert one["conversations"][2]["value"] == "5 * 5 = 25"


def test_preference_pairs_are_of_one_task(tmp_path: Path, export: Any) -> None:
    run(tmp_path, "good", [3], "Nine.")
    run(tmp_path, "bad", [3, 101], "Perhaps nine.")
    _, (row,), _ = export(str(tmp_path), "--format", "dpo")
    assert row["chosen"][-1]["content"] == "Nine."
    assert row["rejected"][-1]["content"] == "Perhaps nine."
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    (tmp_path / "taste.py").write_text("def f(example):\n    return example.calls\n")
    examples = [example_of(read_trace(tmp_path / f"{n}.jsonl")) for n in ("good", "bad")]
    (row,) = rows(examples, "dpo", lambda example: example.calls)
    assert row["chosen"][-1]["content"] == "Perhaps nine."


def test_doubles_failed_runs_and_failed_checks_are_left_out(tmp_path: Path, export: Any) -> None:
    run(tmp_path, "a", [3])
    run(tmp_path, "b", [3])
    run(tmp_path, "c", [4])
    assert len(export(str(tmp_path), "--format", "openai")[1]) == 2
    check = tmp_path / "check.yaml"
    check.write_text("say: x\nturns: [{answer: y}]\nthen: {calls: [{square: {number: 4}}]}\n")
    _, (row,), _ = export(str(tmp_path), "--format", "openai", "--then", str(check))
    assert "4 * 4 = 16" in row["messages"][3]["content"]


def test_of_several_tests_the_one_that_asks_the_question_counts(
    tmp_path: Path, export: Any
) -> None:
    run(tmp_path, "a", [3])
    run(tmp_path, "b", [4])
    words = [str(tmp_path), "--format", "openai"]
    asked = "Squares, please. My key is [secret]."
    for name, say, number in (("one", asked, 4), ("two", "Another question", 3)):
        then = f"then: {{calls: [{{square: {{number: {number}}}}}]}}\n"
        (tmp_path / f"{name}.yaml").write_text(f'say: "{say}"\nturns: [{{answer: y}}]\n{then}')
        words += ["--then", str(tmp_path / f"{name}.yaml")]
    _, (row,), _ = export(*words)
    assert "4 * 4 = 16" in row["messages"][3]["content"]
    assert export(*words[:3], *words[5:], *words[5:])[1] == [], "no test asks this question"


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "does not hold a whole run"), ('{"event": "done", "t": 1}\n', "whole run")],
)
def test_what_is_no_run_is_one_clear_line(
    tmp_path: Path, export: Any, text: str, said: str
) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    code, lines, told = export(str(tmp_path / "a.jsonl"), "--format", "openai")
    assert (code, lines) == (1, [])
    assert said in told
    assert "Traceback" not in told


def test_a_preference_needs_two_runs(tmp_path: Path, export: Any) -> None:
    run(tmp_path, "a", [3])
    code, _, told = export(str(tmp_path), "--format", "dpo")
    assert code == 1
    assert "two traces of the same question" in told


def test_the_example(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "training_data.py"
    for name, answer in (("a", "Sunny all day long."), ("b", "Sunny.")):
        turns = f"turns: [{{calls: [{{weather: {{city: Lindau}}}}]}}, {{answer: {answer}}}]\n"
        (tmp_path / f"{name}.yaml").write_text(turns, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(example), "scripted:a.yaml", "scripted:b.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    roles = "['user', 'assistant', 'tool', 'assistant']"
    assert done.stdout.splitlines() == [roles, roles, '{"chosen": "Sunny."}']
