"""The whole job: agentic against the scripted endpoint, extractive without one, and bad inputs."""

import json
import os
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from qwenbelt.core.errors import EndpointError, InputError, QwenbeltError
from qwenbelt.core.trace import overlapping_calls, read_trace
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.workflows.report import ReportResult, check_report, report

ASK = "How strong are the lots, on average?"
BARS = {
    "kind": "bar",
    "title": "Mean strength by lot",
    "labels": ["A", "B"],
    "series": [{"name": "MPa", "values": [412, 398]}],
}


def scenario(answer: str, *calls: Any) -> Scenario:
    made = Scenario(ASK)
    made.turn(
        calls=[
            ("document_search", {"query": "mean tensile strength of the lots"}),
            ("read_document", {"file": "steel.pdf", "pages": "2"}),
            ("plot", BARS),
            *calls,
        ]
    )
    return made.answer(answer)


def run(
    steel: Path, out: Path, answer: str, *calls: Any, agent: Any = "fncall", **options: Any
) -> ReportResult:
    with ScriptedServer(scenario(answer, *calls)) as server:
        return report([steel], ASK, out, llm=server.llm, agent=agent, **options)


CITE = r"[${document_search:\[(\d+)\] steel.pdf p.1}]"
GOOD = (
    f"# Strength of the lots\n\nLot A has 412 MPa on average {CITE}, lot B 398 MPa {CITE}.\n\n"
    r"![Mean strength](${plot:\(([^()]+\.png)\)})"
)


@pytest.mark.parametrize("agent", ["fncall", "react"])
def test_the_report_of_an_agent(agent: str, steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(steel, out, GOOD, agent=agent)
    names = sorted(p.name for p in out.iterdir() if p.suffix != ".docx")  # that is an extra
    assert names == [
        "citations.json", "crops", "figures", "report.html", "report.json", "report.md",
        "report.pdf", "trace.jsonl",
    ]  # fmt: skip
    entries = json.loads((out / "citations.json").read_text(encoding="utf-8"))
    assert [e["n"] for e in entries] == [1, 2]
    assert {e["file"] for e in entries} == {"steel.pdf"}
    assert all(e["verified"] and e["page"] == 1 and len(e["box"]) == 4 for e in entries)
    assert "412 MPa" in entries[0]["quote"]
    assert "398 MPa" in entries[1]["quote"]
    text = result.markdown.read_text(encoding="utf-8")
    assert text.startswith("# Strength of the lots\n")
    assert "Lot A has 412 MPa on average [1], lot B 398 MPa [2]." in text
    assert "| 1 | " in text
    assert len(list((out / "figures").glob("*.png"))) == 1
    check = check_report(out)
    assert check.ok, check.problems
    assert (check.citations, check.verified) == (2, 2)
    with pypdfium2.PdfDocument(str(result.pdf)) as pdf:
        assert "Strength of the lots" in pdf[0].get_textpage().get_text_range()


def test_the_trace_shows_calls_side_by_side_and_no_temporary_folder(
    steel: Path, tmp_path: Path
) -> None:
    run(steel, tmp_path / "out", GOOD)
    records = read_trace(tmp_path / "out" / "trace.jsonl")
    assert overlapping_calls(records) >= 2
    finished = [r for r in records if r["event"] == "tool_finished"]
    assert {r["name"] for r in finished} == {"document_search", "read_document", "plot"}
    assert "qwenbelt-report-" not in (tmp_path / "out" / "trace.jsonl").read_text("utf-8")
    drawn = next(r for r in finished if r["name"] == "plot")
    picture = next(i["value"] for i in drawn["items"] if i["kind"] == "image")
    assert (tmp_path / "out" / picture).is_file()


def test_a_chart_that_the_answer_forgets_is_shown_all_the_same(steel: Path, tmp_path: Path) -> None:
    run(steel, tmp_path / "out", f"Lot A has 412 MPa {CITE}.")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "## Figures" in text
    assert "Mean strength by lot" in text


def test_what_the_answer_invents_is_told(steel: Path, tmp_path: Path) -> None:
    answer = (
        'Lot A has 999 MPa [77]. It says so [1 "lot A is 999 MPa"].\n\n'
        "![x](invented.png) ![y](../../../etc/passwd) ![z](https://evil.example/pixel.png)"
    )
    result = run(steel, tmp_path / "out", answer)
    notes = " ".join(result.document.notes)
    assert "no tool result, not even rounded: 999" in notes
    assert "[77]" in notes
    assert "invented.png" in notes
    assert "pixel.png" in notes
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "evil.example" not in text
    assert "999 MPa" not in text.split("## Notes")[0].split("**Not verified", 1)[0]
    assert not result.document.grounded
    check = check_report(tmp_path / "out")
    assert check.problems == [
        "The model's answer did not stand on the pages; the report quotes passages instead."
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "Lot A is better cast than people of the trade had thought.",  # cites nothing
        f"Lot A has 913 MPa {CITE}.",  # a figure that stands nowhere
        f"The lots were cast in 2031 with 398.77 helicopters {CITE}.",
        f"Yes {CITE}.",  # nothing to look up
    ],
)
def test_an_answer_that_does_not_stand_on_the_pages_is_not_given(
    steel: Path, tmp_path: Path, answer: str
) -> None:
    result = run(steel, tmp_path / "out", answer)
    record = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert record["grounded"] is False
    assert any(check["status"] != "ok" for check in record["checks"])
    head = result.markdown.read_text(encoding="utf-8").splitlines()[:15]
    assert any("Not verified" in line for line in head)
    assert answer.split(" [")[0] not in "\n".join(head).split("> **")[0]


def test_a_right_answer_that_names_no_passage_gets_the_one_it_rests_on(
    steel: Path, tmp_path: Path
) -> None:
    result = run(steel, tmp_path / "out", "Lot A has 412 MPa.")
    assert result.document.grounded
    assert [c.page for c in result.document.citations] == [1]
    assert check_report(tmp_path / "out").problems == []


def test_a_notice_that_is_written_down_again_is_no_answer(steel: Path, tmp_path: Path) -> None:
    """As a real 1.5B does."""

    def copies(request: ChatRequest) -> str:
        return request.user.replace("Your answer", "The answer")

    made = scenario("Lot A was cast well, people say of it.").turn(copies)
    with ScriptedServer(made, strict=False) as server:
        result = report([steel], ASK, tmp_path / "out", llm=server.llm)
        assert len(server.requests) > 1
    text = result.markdown.read_text(encoding="utf-8")
    assert not result.document.grounded
    assert "was checked against" not in text
    assert "put the number of its passage" not in text


def test_an_answer_is_mended_when_it_is_told_what_is_wrong(steel: Path, tmp_path: Path) -> None:
    made = scenario("Lot A has 500 MPa.").answer(f"Lot A has 412 MPa {CITE}.")
    with ScriptedServer(made, strict=False) as server:
        result = report([steel], ASK, tmp_path / "out", llm=server.llm)
    assert result.document.grounded
    assert "412 MPa" in result.markdown.read_text(encoding="utf-8")
    assert "cites no passage" in str(server.requests[-1].request.messages[-1]["content"])


def test_code_runs_only_when_it_may(steel: Path, tmp_path: Path) -> None:
    code = ("code_interpreter", {"code": "print(412 - 398)"})
    made = scenario(rf"The difference is ${{code_interpreter}} MPa {CITE}.", code)
    with ScriptedServer(made, strict=False) as server:
        result = report([steel], ASK, tmp_path / "out", llm=server.llm, allow_unsandboxed=True)
    assert "The difference is 14 MPa" in result.markdown.read_text(encoding="utf-8")
    assert [s.ok for s in result.document.steps if s.name == "code_interpreter"] == [True]


def test_the_report_is_in_the_questions_language(steel: Path, tmp_path: Path) -> None:
    made = Scenario("各批次的平均抗拉强度是多少？").turn(
        calls=[("document_search", {"query": "平均抗拉强度"})]
    )
    made.answer(r"平均抗拉强度为 405 兆帕[${document_search:\[(\d+)\] steel.pdf p.3}]。")
    with ScriptedServer(made) as server:
        report([steel], "各批次的平均抗拉强度是多少？", tmp_path / "out", llm=server.llm)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "## 参考文献" in text
    assert "第 3 页" in text
    assert check_report(tmp_path / "out").ok


def test_a_report_is_replaced_and_its_old_figures_go(steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(steel, out, GOOD)
    (out / "figures" / "mine.png").write_bytes(b"kept")
    report([steel], "What was not measured?", out, extractive=True)
    names = [p.name for p in (out / "figures").iterdir()]
    assert "mine.png" in names
    assert not any("mean-strength" in name for name in names)
    assert check_report(out).ok


def test_without_an_endpoint_the_report_is_extractive(steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = report([steel], "What strength and elongation do the lots have?", out)
    assert result.document.made.model is None
    text = result.markdown.read_text(encoding="utf-8")
    assert "Made without a language model" in text
    assert (out / "tables" / "table-1.csv").read_text(encoding="utf-8").splitlines() == [
        "Lot,Strength MPa,Elongation %", "A1,410,12.5", "A2,414,12.1", "B1,396,14.0", "B2,400,13.2",
    ]  # fmt: skip
    names = [p.name for p in (out / "figures").iterdir()]
    assert any("page-2" in name for name in names)
    assert any("results-by-lot" in name or "table" in name for name in names)
    check = check_report(out)
    assert check.ok, check.problems
    assert check.citations >= 2
    assert not (out / "trace.jsonl").exists()


def test_an_extractive_report_in_chinese(steel: Path, tmp_path: Path) -> None:
    result = report([steel], "钢筋的平均抗拉强度是多少？", tmp_path / "out")
    text = result.markdown.read_text(encoding="utf-8")
    assert "本报告未使用语言模型" in text
    assert "405" in text


def test_other_formats_than_pdf(tmp_path: Path) -> None:
    source = tmp_path / "notes.md"
    source.write_text("# Tests\n\nThe mean tensile strength is 412 MPa.\n", encoding="utf-8")
    result = report([source], "What is the mean tensile strength?", tmp_path / "out")
    assert result.document.citations[0].quote == "The mean tensile strength is 412 MPa."
    assert check_report(tmp_path / "out").ok


def test_a_question_that_nothing_fits(steel: Path, tmp_path: Path) -> None:
    result = report([steel], "xylophone?", tmp_path / "out")
    assert result.document.citations == []
    assert "Nothing in the documents" in result.markdown.read_text(encoding="utf-8")


# -- bad inputs ---------------------------------------------------------------------------------


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.pdf"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("just words, no PDF", encoding="utf-8")
    elif kind == "damaged":
        path.write_bytes(b"%PDF-1.7\n1 0 obj <</Type /Catalog>>")
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("extractive", [True, False])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "no such file"),
        ("empty", "is empty"),
        ("text", "is not a PDF"),
        ("damaged", "damaged"),
        ("folder", "is a folder"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_left(
    kind: str, said: str, extractive: bool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    llm = {"model": "m", "model_server": "http://127.0.0.1:9/v1"}
    with pytest.raises(InputError) as caught:
        report([bad_file(kind, tmp_path)], ASK, out, llm=llm, extractive=extractive)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_of_several_files_the_good_ones_are_used_and_the_others_told(
    steel: Path, tmp_path: Path
) -> None:
    bad = bad_file("text", tmp_path)
    result = report([steel, bad], "What was not measured?", tmp_path / "out", extractive=True)
    assert any("is not a PDF" in note for note in result.document.notes)
    assert result.verified >= 1


def test_files_of_the_same_name_are_told_apart(steel: Path, tmp_path: Path) -> None:
    second = tmp_path / "other" / "steel.pdf"
    second.parent.mkdir()
    second.write_bytes(steel.read_bytes() + b"\n% another\n")
    result = report([steel, second], "What was not measured?", tmp_path / "out", extractive=True)
    assert [f.name for f in result.document.files] == ["steel.pdf", "steel-2.pdf"]
    assert check_report(tmp_path / "out").ok


@pytest.mark.parametrize("question", ["", "   \n", "x" * 9000])
def test_a_question_that_cannot_be_used(question: str, steel: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="question"):
        report([steel], question, tmp_path / "out")


def test_a_folder_that_cannot_be_written(steel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        report([steel], ASK, tmp_path / "file" / "out", extractive=True)


def test_an_endpoint_that_fails_leaves_nothing(steel: Path, tmp_path: Path) -> None:
    llm = {"model": "m", "model_server": "http://127.0.0.1:9/v1"}
    llm_cfg = {**llm, "generate_cfg": {"max_retries": 0}}
    with pytest.raises(EndpointError):
        report([steel], ASK, tmp_path / "out", llm=llm_cfg)
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_an_earlier_report_as_it_was(steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report([steel], "What was not measured?", out, extractive=True)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(InputError):
        report([bad_file("text", tmp_path)], ASK, out, extractive=True)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_an_empty_answer_is_an_error(steel: Path, tmp_path: Path) -> None:
    made = Scenario(ASK).answer("").answer("").answer("")
    with ScriptedServer(made) as server, pytest.raises(QwenbeltError, match="without an answer"):
        report([steel], ASK, tmp_path / "out", llm=server.llm)
    assert not (tmp_path / "out").exists()


# -- checking -----------------------------------------------------------------------------------


def test_the_check_finds_what_was_changed(steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report([steel], "What was not measured?", out, extractive=True)
    path = out / "citations.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[0]["quote"] = "The yield point was 500 MPa."
    entries.append({"n": 9, "file": "steel.pdf", "page": 99, "quote": "lot A"})
    entries.append({"n": 10, "file": "gone.pdf", "page": 1, "quote": "lot A"})
    entries.append({"n": 11})
    path.write_text(json.dumps(entries), encoding="utf-8")
    problems = "\n".join(check_report(out).problems)
    for said in ("does not stand on page", "has no page 99", "is not known", "is missing"):
        assert said in problems


def test_the_check_takes_documents_that_were_moved(steel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report([steel], "What was not measured?", out, extractive=True)
    moved = tmp_path / "steel.pdf"
    os.replace(steel, moved)
    with pytest.raises(InputError, match="no such file"):
        check_report(out)
    assert check_report(out, [moved]).ok


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '"x"', "{}"])
def test_a_folder_without_a_report_is_one_line(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "citations.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        check_report(tmp_path)


@pytest.mark.parametrize(
    ("model", "tools"), [("qwen2.5-coder-1.5b", False), ("qwen3:8b", True), ("qwen2.5:14b", True)]
)
def test_a_small_model_is_asked_shortly_and_has_no_tools(
    model: str, tools: bool, steel: Path, tmp_path: Path
) -> None:
    """With the tools and the rules of a report, a real 1.5B wrote headings for minutes."""
    made = Scenario(ASK).answer("Lot A has 412 MPa on average [1].")
    with ScriptedServer(made) as server:
        llm = {**server.llm, "model": model, "dialect": "llamacpp"}
        report([steel], ASK, tmp_path / "out", llm=llm)
    sent = server.requests[0].request
    assert bool(sent.body.get("tools")) == tools
    assert sent.body.get("max_tokens") == (None if tools else 600)
    assert (sent.messages[0]["role"] == "system") == tools
    assert sent.messages[-1]["content"].endswith(ASK)
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["grounded"]
    assert "412 MPa" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
