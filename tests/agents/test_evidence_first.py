"""The question is looked up before the model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwenbelt.agents.evidence import with_evidence
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.data_files import column_types, file_line


def first_message(tmp_path: Path, **files: str) -> list[dict[str, Any]]:
    paths = {}
    for name, text in files.items():
        path = tmp_path / name.replace("_", ".")
        path.write_text(text, encoding="utf-8")
        paths[path.name] = path
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"text": "How high is the mast?"}, {"file": "x.txt"}]},
    ]
    return with_evidence(messages, paths, "en")


def test_passages_stand_in_the_users_message_and_the_question_last(tmp_path: Path) -> None:
    system, asked = first_message(tmp_path, mast_txt="The mast is 12 m high.")
    assert system == {"role": "system", "content": "Be kind."}
    text = asked["content"][-1]["text"]
    assert "[1] mast.txt p.1\nThe mast is 12 m high." in text
    assert text.endswith("Question: How high is the mast?")
    assert asked["content"][0] == {"file": "x.txt"}


def test_a_data_file_is_told_in_a_line(tmp_path: Path) -> None:
    _, asked = first_message(tmp_path, sales_csv="month,units,price\n2024-01,3,1.5\n2024-02,4,2\n")
    line = "sales.csv: 2 rows; columns month (date), units (integer), price (number); "
    assert line + "first row: 2024-01, 3, 1.5" in asked["content"][-1]["text"]


def test_chinese_tables_in_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "成绩.csv"
    path.write_bytes("姓名;分数\n杨磊;85\n".encode("gb18030"))
    assert file_line(path.name, path) == (
        "成绩.csv: 1 rows; columns 姓名 (text), 分数 (integer); first row: 杨磊, 85"
    )
    assert column_types(["a", "b"], [["", "x"], ["1", ""]]) == ["integer", "text"]


def test_assistant_asks_with_evidence_at_temperature_0(tmp_path: Path) -> None:
    from qwenbelt.agents import Assistant

    path = tmp_path / "mast.txt"
    path.write_text("The mast is 12 m high.", encoding="utf-8")
    with ScriptedServer(Scenario().answer("12 m [1].")) as server:
        agent = Assistant(llm=server.llm, files=[str(path)])
        agent.run_nonstream([{"role": "user", "content": "How high is the mast?"}])
        (request,) = server.requests
    assert "The mast is 12 m high." in str(request.request.body["messages"][-1]["content"])
    assert request.request.body["temperature"] == 0
