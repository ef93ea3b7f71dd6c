"""The question is looked up before the model is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qwenbelt.agents.evidence import ShownPages, with_evidence
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.data_files import column_types, file_line
from qwenbelt.tools.documents.evidence import Evidence, PageEvidence


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


def rated(n: int) -> str:
    return f"Mast number {n} is {n + 11} m high and carries {n + 2} lamps for the harbour. " * 3


def asked_again(tmp_path: Path, *questions: str, text: str, **rag: Any) -> tuple[Any, Any]:
    """Asks an Assistant one question after another; returns what was sent and the results."""
    from qwenbelt.agents import Assistant

    path = tmp_path / "masts.txt"
    path.write_text(text, encoding="utf-8")
    scenario = Scenario()
    for _ in questions:
        scenario.turn(text="It is so [1].")
    with ScriptedServer(scenario) as server:
        agent = Assistant(llm=server.llm, files=[str(path)], **rag)
        messages: list[dict[str, Any]] = []
        results = []
        for question in questions:
            messages.append({"role": "user", "content": question})
            results.append(agent.ask(messages))
            messages += results[-1].messages
        return [e.request.body["messages"] for e in server.requests], results


def test_passages_that_stand_above_are_referred_to_and_not_sent_again(tmp_path: Path) -> None:
    sent, results = asked_again(
        tmp_path, "How high is mast 1?", "How high is mast 2?", text=rated(1)
    )
    first, second = sent[0][-1]["content"], sent[1][-1]["content"]
    assert rated(1).strip() in first
    assert "Mast number 1" not in second
    assert "The passages [1] beside earlier questions" in second
    assert second.endswith("Question: How high is mast 2?")
    assert sent[1][: len(sent[0])] == sent[0]
    assert results[1].citations == results[0].citations
    assert [(c.file, c.page) for c in results[1].citations] == [("masts.txt", 1)]


def test_new_passages_have_numbers_of_their_own(tmp_path: Path) -> None:
    files = {f"mast{n}.txt": tmp_path / f"mast{n}.txt" for n in range(1, 30)}
    for n, path in enumerate(files.values(), 1):
        path.write_text(rated(n), encoding="utf-8")
    messages: list[dict[str, Any]] = []
    numbers: dict[str, str] = {}
    for n in (3, 27, 3):
        messages.append({"role": "user", "content": f"How high is mast number {n}?"})
        messages = with_evidence(messages, files, "en", budget=900)
        told = messages[-1]["content"]
        for number, name in re.findall(r"(?m)^\[(\d+)\] (\S+) p\.1", told):
            assert numbers.setdefault(number, name) == name
        assert (f"Mast number {n} is" in told) is (n == 27 or len(messages) == 1)
        messages.append({"role": "assistant", "content": "So it is."})
    assert {"mast3.txt", "mast27.txt"} <= set(numbers.values())


def test_a_page_that_was_shown_in_part_is_shown_with_what_is_new() -> None:
    def page(text: str) -> Evidence:
        return Evidence([PageEvidence("a.pdf", "/a.pdf", 2, text)])

    old, new = "The first part, which is long enough to matter. " * 4, "And the second."
    before = ShownPages([]).tell(page(old))
    told = {"role": "user", "content": "", "extra": {"shown": before.shown}}
    again = ShownPages([told])
    assert again.tell(page(old)).above == [1]
    assert again.tell(page(f"{old}\n{new}")).parts == [f"[1] a.pdf p.2\n…\n{new}"]
    assert again.tell(page(f"{old}\n{new}")).whole == [f"[1] a.pdf p.2\n{old}\n{new}"]
    other = Evidence([PageEvidence("b.pdf", "/b.pdf", 2, old)])
    assert again.tell(other).parts == [f"[2] b.pdf p.2\n{old}"]


def test_a_compaction_gives_back_what_was_only_referred_to(tmp_path: Path) -> None:
    text = "\f".join(rated(n) for n in range(1, 12))
    questions = [f"How high is mast number {n}? {'I wonder. ' * 300}" for n in range(1, 6)]
    with_window = {"generate_cfg": {"max_input_tokens": 5000}}
    from qwenbelt.agents import Assistant

    path = tmp_path / "masts.txt"
    path.write_text(text, encoding="utf-8")
    scenario = Scenario()
    for _ in questions:
        scenario.turn(text="So it is.")
    with ScriptedServer(scenario) as server:
        agent = Assistant(llm={**server.llm, **with_window}, files=[str(path)])
        messages: list[dict[str, Any]] = []
        for question in questions:
            messages.append({"role": "user", "content": question})
            messages += agent.ask(messages).messages
        bodies = [e.request.body["messages"] for e in server.requests]
    for number, body in enumerate(bodies, 1):
        whole = "\n".join(str(m["content"]) for m in body)
        assert f"Mast number {number} is" in whole, f"question {number} lost its passage"
    assert any("beside earlier questions" in str(body[-1]["content"]) for body in bodies)
