"""Small models on local servers are told how to read a data file, and asked again after results."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import CodeInterpreter, FnCallAgent
from qwenbelt.agents.evidence import with_evidence
from qwenbelt.core.schemas import told_schema
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.data_files import reading_code

QUESTION = "How many cells are there?"


def count() -> int:
    """Counts the cells."""
    return 12


def requests(*, dialect: str, model: str, calls: int = 1, question: str = QUESTION) -> list[Any]:
    scenario = Scenario()
    for _ in range(calls):
        scenario = scenario.turn(calls=[("count", {})])
    with ScriptedServer(scenario.answer("Twelve.")) as server:
        llm = {"model": model, "model_server": server.url, "api_key": "k", "dialect": dialect}
        agent = FnCallAgent([count], llm=llm)
        assert agent.ask(question).text == "Twelve."
    return [taken.request.messages for taken in server.requests]


@pytest.mark.parametrize("question", [QUESTION, "一共有多少个单元格？"])
def test_the_question_comes_last_again_after_each_result(question: str) -> None:
    first, second, third = requests(
        dialect="llamacpp", model="qwen2.5-coder-1.5b", calls=2, question=question
    )
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    for told in (second[-1], third[-1]):
        assert told["role"] == "user"
        assert told["content"].endswith(question)


@pytest.mark.parametrize(
    ("question", "sentences"),
    [
        (QUESTION, True),
        ("What is the total in data.json?", True),
        ("一共有多少个单元格？", True),
        ("Count them. End with the answer in exactly this form: @cells[number]", False),
        ("How many cells are there? Output format: JSON.", False),
        ("How many cells are there? Give it as JSON.", False),
        ("一共有多少个单元格？请按以下格式回答：@cells[数]", False),
        ("一共有多少个单元格？只输出数字。", False),
    ],
)
def test_where_a_form_is_asked_for_nothing_is_said_of_sentences(
    question: str, sentences: bool
) -> None:
    told = requests(dialect="llamacpp", model="qwen2.5-coder-1.5b", question=question)[-1][-1]
    said = told["content"].removesuffix(question)
    assert ("one or two sentences" in said or "一两句话" in said) is sentences


def broken(times: int) -> int:
    """Counts the cells, or fails."""
    if times < 2:
        raise ValueError("times is too small")
    return 12


def test_after_a_failed_call_it_is_not_told_to_answer_from_the_result() -> None:
    """A real 1.5B invented the accuracy of a model whose code had a SyntaxError."""
    scenario = Scenario()
    for times in (1, 2):
        scenario = scenario.turn(calls=[("broken", {"times": times})])
    with ScriptedServer(scenario.answer("Twelve.")) as server:
        llm = {"model": "qwen2.5-coder-1.5b", "model_server": server.url, "api_key": "k"}
        agent = FnCallAgent([broken], llm={**llm, "dialect": "llamacpp"})
        assert agent.ask(QUESTION).text == "Twelve."
    after_failure, after_result = (taken.request.user for taken in server.requests[1:])
    assert "The call failed" in after_failure
    assert "from this result" in after_result
    assert after_failure.endswith(QUESTION)


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_about_a_table_that_was_not_read_is_asked_for_again_once(
    tmp_path: Path, reads: bool
) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("month,units\n2024-01,3\n2024-02,4\n", encoding="utf-8")
    scenario = Scenario().turn(text="0.85")
    if reads:
        code = "df = pd.read_csv('sales.csv'); print(df['units'].sum())"
        scenario = scenario.turn(calls=[("code_interpreter", {"code": code})])
    with ScriptedServer(scenario.answer("7")) as server, closing(CodeInterpreter()) as interpreter:
        llm = {"model": "qwen2.5", "model_server": server.url, "dialect": "ollama"}
        agent = FnCallAgent([interpreter], llm={**llm, "api_key": "k"})
        agent.evidence_first = True
        assert agent.ask("How many units?", [path]).text == "7"
    told = server.requests[1].request.messages[-1]
    assert "not read" in told["content"]
    assert told["content"].endswith("How many units?")


@pytest.mark.parametrize(
    ("dialect", "model"), [("vllm", "qwen3-8b"), ("llamacpp", "mistral-7b"), ("ollama", "llama3.2")]
)
def test_others_are_not_led(dialect: str, model: str) -> None:
    assert requests(dialect=dialect, model=model)[-1][-1]["role"] == "tool"


@pytest.mark.parametrize("text", ["[1]", " [1], [12].", "[3]\n[4]"])
def test_numbers_of_passages_alone_are_no_answer(text: str) -> None:
    with ScriptedServer(Scenario().turn(text=text).answer("It fell [1].")) as server:
        llm = {"model": "m", "model_server": server.url, "api_key": "k"}
        assert FnCallAgent([], llm=llm).ask("Was there a drop?").text == "It fell [1]."


def told(path: Path, *tools: str) -> str:
    messages = [{"role": "user", "content": QUESTION}]
    (asked,) = with_evidence(messages, {path.name: path}, "en", tools=tools)
    content = asked["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def test_a_data_file_is_read_by_code_where_there_is_a_tool_for_it(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("month,units\n2024-01,3\n", encoding="utf-8")
    text = told(path, "plot", "code_interpreter")
    assert "`import pandas as pd; df = pd.read_csv('sales.csv')`" in text
    assert text.endswith(f"Question: {QUESTION}")
    assert "read_csv" not in told(path, "plot")


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("plain.csv", "a,b\n1,2\n", "utf-8"),
        ("it's.csv", "a,b\n1,2\n", "utf-8"),
        ("mark.csv", "a,b\n1,2\n", "utf-8-sig"),
        ("half.csv", "a;b\n1;2\n", "utf-8"),
        ("tab.tsv", "a\tb\n1\t2\n", "utf-8"),
        ("成绩.csv", "姓名;b\n杨磊;2\n", "gb18030"),
    ],
)
def test_the_code_that_is_told_reads_the_file(
    tmp_path: Path, name: str, text: str, encoding: str
) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    code = f"{reading_code(name, path)}; print(df.columns[1], df['b'].sum())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "b 2\n"


def test_what_is_null_when_left_out_is_not_declared_as_null() -> None:
    null = {"type": "null"}
    schema = {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "string"}, null], "default": None, "description": "An a."},
            "b": {"anyOf": [{"type": "string"}, {"type": "integer"}, null], "default": None},
            "c": {"anyOf": [{"type": "string"}, null], "default": "x"},
            "d": {"anyOf": [{"type": "string"}, null]},
            "e": {"type": "object", "properties": {"f": {"default": None, "type": "number"}}},
            "g": {"default": None, "anyOf": [null]},
            "h": True,
        },
        "required": ["d"],
    }
    assert told_schema(schema) == {
        **schema,
        "properties": {
            **schema["properties"],  # type: ignore[dict-item]
            "a": {"type": "string", "description": "An a."},
            "b": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "e": {"type": "object", "properties": {"f": {"type": "number"}}},
            "g": {"anyOf": [null]},
        },
    }
