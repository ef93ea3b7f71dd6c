"""Small models on local servers are told how to read a data file, and asked again after results."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwenbelt import CodeInterpreter, FnCallAgent
from qwenbelt.agents.evidence import with_evidence
from qwenbelt.core.events import Done
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
    assert "The call failed: ValueError: times is too small. Correct it" in after_failure
    assert "from this result" in after_result
    assert after_failure.endswith(QUESTION)


def led(scenario: Scenario, *tools: Any, question: str = QUESTION) -> tuple[list[str], Done]:
    """Returns what the model was told last in each request but the first, and the end."""
    with ScriptedServer(scenario) as server:
        llm = {"model": "qwen2.5-coder-1.5b", "model_server": server.url, "api_key": "k"}
        agent = FnCallAgent(list(tools), llm={**llm, "dialect": "llamacpp"})
        done = list(agent.events([{"role": "user", "content": question}]))[-1]
    assert isinstance(done, Done)
    return [taken.request.messages[-1]["content"] for taken in server.requests[1:]], done


@pytest.mark.parametrize(
    ("question", "said"),
    [(QUESTION, "fails each time"), ("一共有多少个单元格？", "照原样再发仍会失败")],
)
def test_a_call_that_fails_again_as_it_was_is_not_wanted_a_third_time(
    question: str, said: str
) -> None:
    """A real 1.5B sent code with a wrong name of a column until it was stopped (seven of 40)."""
    scenario = Scenario()
    for times in (1, 1, 2):
        scenario = scenario.turn(calls=[("broken", {"times": times})])
    told, done = led(scenario.answer("Twelve."), broken, question=question)
    assert [said in one for one in told] == [False, True, False]
    assert "times is too small" in told[1]
    assert told[1].endswith(question)
    assert done.text == "Twelve."


@pytest.mark.parametrize("reply", ["It is 0.00.", ""])
def test_a_reply_after_a_failed_call_is_asked_for_again(reply: str) -> None:
    """A real 1.5B invented `0.00` after a ValueError, and had nothing to say after another."""
    scenario = Scenario().turn(calls=[("broken", {"times": 1})]).turn(text=reply)
    scenario = scenario.turn(calls=[("broken", {"times": 2})]).answer("Twelve.")
    told, done = led(scenario, broken)
    assert told[0] == told[1]
    assert "Correct it and call the tool again" in told[1]
    assert done.text == "Twelve."


def test_who_answers_again_after_a_failed_call_is_let_be() -> None:
    scenario = Scenario().turn(calls=[("broken", {"times": 1})]).turn(text="It is 0.")
    told, done = led(scenario.answer("There is none."), broken)
    assert len(told) == 2  # after the call, and after the reply
    assert (done.reason, done.text) == ("answer", "There is none.")


def test_a_long_reply_after_a_failed_call_says_why() -> None:
    """A real 1.5B wrote the same 600 tokens again when it was asked for a call once more."""
    why = "The count cannot be made, because the number of times is too small for it. " * 5
    scenario = Scenario().turn(calls=[("broken", {"times": 1})]).answer(why)
    assert led(scenario, broken)[1].text == why


def test_what_it_was_told_is_no_answer() -> None:
    """A real 1.5B answered "The call failed: … Correct it and call the tool again."."""
    echo = "The call failed: ValueError: times is too small.\nCorrect it and call the tool again."
    scenario = Scenario().turn(calls=[("broken", {"times": 1})]).turn(text=echo).turn(text=echo)
    told, done = led(scenario.answer(echo), broken)
    assert len(told) == 3
    assert (done.text, done.detail) == ("", "the model's reply was empty")


CODE = "print(12)"
BLOCK = f"You can use this code:\n\n```python\n{CODE}\n```\n\nIt prints the count."


def code_interpreter(code: str) -> str:
    """Runs Python code."""
    if code != CODE:
        raise ValueError("no such column")
    return "12"


@pytest.mark.parametrize(
    ("first", "reply", "is_run"),
    [
        ("df['x']", BLOCK, True),
        (CODE, BLOCK, False),  # no call failed: it shows code
        ("df['x']", BLOCK + BLOCK, False),
        ("df['x']", BLOCK.replace(")", ""), False),
        ("df['x']", "There is no such column.", False),
    ],
)
def test_a_block_of_code_after_a_failed_call_is_its_correction(
    first: str, reply: str, is_run: bool
) -> None:
    """A real 1.5B wrote the corrected code for a person to run."""
    scenario = Scenario().turn(calls=[("code_interpreter", {"code": first})])
    scenario = scenario.turn(text=reply)
    if is_run or first != CODE:
        scenario = scenario.turn(text="Twelve.")
    told, done = led(scenario, code_interpreter)
    results = [m["content"] for m in done.messages if m["role"] == "function"]
    assert results[1:] == ["12"] * is_run
    assert done.reason == "answer"
    assert ("from this result" in told[-1]) is (is_run or first == CODE)


def test_blocks_that_fail_and_fail_are_run_a_few_times_only() -> None:
    scenario = Scenario().turn(calls=[("code_interpreter", {"code": "a"})])
    for code in ("b", "c", "d", "e"):
        scenario = scenario.turn(text=BLOCK.replace(CODE, code))
    _, done = led(scenario, code_interpreter)
    results = [m["content"] for m in done.messages if m["role"] == "function"]
    assert len(results) == 3
    assert done.reason == "answer"
    assert "```python\ne\n" in done.text


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```"])
def test_code_under_the_name_of_no_tool_is_run(fence: str) -> None:
    """A real 0.5B names its calls after what they are to find out (7 of 40 answers)."""
    call = {"name": "count_cells", "arguments": {"code": CODE}}
    scenario = Scenario().turn(text=fence.format(json.dumps(call)))
    _, done = led(scenario.answer("Twelve."), code_interpreter)
    results = [m["content"] for m in done.messages if m["role"] == "function"]
    assert (results, done.text) == (["12"], "Twelve.")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (QUESTION, "There is no tool named cells_total"),
        ("一共有多少个单元格？", "没有名为 cells_total"),
    ],
)
def test_a_call_of_no_tool_is_no_answer(question: str, said: str) -> None:
    call = json.dumps({"name": "cells_total", "arguments": {"total": 578.55}})
    told, done = led(Scenario().turn(text=call).answer("Twelve."), count, question=question)
    assert told[0].startswith(said)
    assert "count" in told[0]
    assert told[0].endswith(question)
    assert done.text == "Twelve."


@pytest.mark.parametrize("asked_again", ['{"name": "Ann", "age": 3}', '{"name": "Ann"', "[1, 2]"])
def test_other_json_is_an_answer(asked_again: str) -> None:
    told, done = led(Scenario().answer(asked_again), count)
    assert (told, done.text) == ([], asked_again)


def test_without_tools_json_of_a_call_is_an_answer() -> None:
    call = json.dumps({"name": "cells_total", "arguments": {"total": 1}})
    assert led(Scenario().answer(call))[1].text == call


def test_failures_that_differ_in_a_number_of_theirs_are_a_loop() -> None:
    """ "Cell In[2]" stands in the error of the second time, so no two were the same."""
    count = iter(range(10))

    def numbered() -> int:
        """Counts the cells, never."""
        raise ValueError(f"failure {next(count)}")

    scenario = Scenario()
    for _ in range(3):
        scenario = scenario.turn(calls=[("numbered", {})])
    assert led(scenario.answer("I cannot."), numbered)[1].reason == "loop"


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
