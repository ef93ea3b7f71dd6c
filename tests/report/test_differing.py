"""What two documents state differently is a section of the report, with both passages cited."""

from __future__ import annotations

import json
from pathlib import Path

import pypdfium2
import pytest
import typst

from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.workflows.report import check_report, report

ASK = "What was the revenue of 2023?"
TABLE = """#set page(width: 400pt, height: 300pt)
= {title}
#table(columns: 3,
  [], [2022], [2023],
  [Revenue], [390], [{revenue}],
  [Net income], [31], [35],
  [Staff], [1,204], [1,310],
)
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    for name, revenue in (("report", 412), ("press", 421)):
        text = TABLE.format(title=name.title(), revenue=revenue)
        (folder / f"{name}.pdf").write_bytes(typst.compile(text.encode()))
    return [folder / "report.pdf", folder / "press.pdf"]


def checked(out: Path, language: str) -> None:
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    (told,) = record["disagreements"]
    assert (told["label"], told["period"], told["restated"]) == ("Revenue", "2023", False)
    assert [p["figure"] for p in told["places"]] == ["412", "421"]
    cited = json.loads((out / "citations.json").read_text(encoding="utf-8"))
    for place in told["places"]:
        rows = [c for c in cited if c["file"] == place["file"] and "Revenue" in c["quote"]]
        assert all(one["verified"] and place["figure"] in one["quote"] for one in rows)
        assert any((out / one["crop"]).is_file() for one in rows)
    head = "What does not agree" if language == "en" else "不一致之处"
    text = (out / "report.md").read_text(encoding="utf-8").split(f"## {head}\n")[1]
    said = "- Revenue, 2023: **412**" if language == "en" else "- Revenue, 2023：**412**"
    assert text.strip().startswith(said)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count('class="said disagree"') == 1
    with pypdfium2.PdfDocument(str(out / "report.pdf")) as pdf:
        assert any(head in sheet.get_textpage().get_text_range() for sheet in pdf)


def test_without_a_model(two: list[Path], tmp_path: Path) -> None:
    report(two, ASK, tmp_path / "out", extractive=True)
    checked(tmp_path / "out", "en")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_model_says_too_is_told_once(
    two: list[Path], tmp_path: Path, language: str
) -> None:
    scenario = Scenario(ASK)
    scenario.turn(calls=[("document_search", {"query": "revenue 2023"})])
    mark = r"[${document_search:\[(\d+)\] report.pdf p.1}]"
    other = r"[${document_search:\[(\d+)\] press.pdf p.1}]"
    scenario.answer(
        f"The revenue of 2023 was 412 {mark}.\n\n## Why\n\nThe report has 412 {mark}.\n\n"
        f"The documents do not agree on the revenue of 2023: 412 {mark} and 421 {other}."
    )
    out = tmp_path / "out"
    with ScriptedServer(scenario) as server:
        report(two, ASK, out, llm=server.llm, language=language)
        (first, *_) = server.requests
    told = {"en": "412 (report.pdf p.1)", "zh": "412（report.pdf 第 1 页）"}[language]
    assert told in str(first.request.messages)  # the model is told
    checked(out, language)
    section = (out / "report.html").read_text(encoding="utf-8").split('class="said disagree"')[1]
    assert section.split("</section>")[0].count("<div>") == 1
    assert check_report(out).ok
