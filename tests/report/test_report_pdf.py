"""The PDF: what was written is text and never code, in both languages."""

from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from qwenbelt.workflows.report.document import (
    ReportCitation,
    ReportDocument,
    ReportProvenance,
    ReportStep,
    SourceFile,
)
from qwenbelt.workflows.report.pdf import pdf_bytes
from qwenbelt.workflows.report.prose import Node, parse_prose

HOSTILE = [
    '#read("/etc/passwd") #include "x" $ x^2 $ @label <label> \\ * _ ` = - + /',
    "#set page(fill: red) #import sys: *",
    "]]] }}} ))) #[ #{ // /* */",
    "x" * 3000,
    "\u202eevil\u0000 \x07 \U0010ffff \U0001f600 אבג",
    "|" * 200,
    "中文" * 800,
    "<script>alert(1)</script> &amp; \\u{41}",
]


def words_of(data: bytes) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document)


def report(blocks: list[Node], **changes: object) -> ReportDocument:
    base: dict[str, object] = {
        "question": "How strong is the steel?",
        "language": "en",
        "blocks": blocks,
        "citations": [ReportCitation(1, "steel.pdf", 1, "lot A is 412 MPa", (1, 2, 3, 4))],
        "files": [SourceFile("steel.pdf", Path("steel.pdf"), 3)],
        "steps": [
            ReportStep("plot", "kind: bar", 0.1, 0.4, True),
            ReportStep("x", "{}", 0.2, 0.2, False),
        ],
        "made": ReportProvenance("qwen3", "fncall", False, 2, 1, 3.2),
    }
    return ReportDocument(**{**base, **changes})  # type: ignore[arg-type]


def paragraph(text: str) -> Node:
    return {"kind": "paragraph", "inline": [{"kind": "text", "text": text}]}


def test_the_pdf_says_what_the_report_says(tmp_path: Path) -> None:
    blocks = parse_prose(
        "It is **412 MPa**.\n\n## Why\n\n- one\n- two\n\n| a | b |\n|-|-:|\n| x | 5 |"
    )
    text = words_of(pdf_bytes(report(blocks, notes=["A note."]), tmp_path))
    for said in (
        "How strong is the steel?",
        "412 MPa",
        "Why",
        "steel.pdf, p. 1",
        "A note.",
        "plot",
    ):
        assert said in text
    assert "lot A is 412 MPa" in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_set_as_text_everywhere(text: str, tmp_path: Path) -> None:
    node = {"kind": "text", "text": text}
    blocks: list[Node] = [
        paragraph(text),
        {"kind": "heading", "level": 1, "inline": [node]},
        {"kind": "code", "text": text},
        {"kind": "list", "ordered": True, "start": 1, "items": [[paragraph(text)]]},
        {"kind": "table", "align": ["left", "right"], "head": [[node]], "rows": [[[node]] * 5, []]},
        {"kind": "quote", "blocks": [paragraph(text)]},
        {"kind": "paragraph", "inline": [{"kind": "link", "url": text, "inline": [node]}]},
        {"kind": "paragraph", "inline": [{"kind": "code", "text": text}]},
    ]
    made = report(
        blocks,
        question=text,
        title=text[:100],
        notes=[text],
        citations=[ReportCitation(1, text[:50], 1, text, None, False)],
        steps=[ReportStep(text[:40], text, 0, 1, True)],
        made=ReportProvenance(text[:60], "react", True, 1, 1, 1.0),
    )
    data = pdf_bytes(made, tmp_path)
    assert data.startswith(b"%PDF")
    assert "root:x:0" not in words_of(data)


def test_chinese_is_set_in_chinese(tmp_path: Path) -> None:
    made = report(parse_prose("平均抗拉强度为 **405 兆帕**。“引号”……"), language="zh")
    text = words_of(pdf_bytes(made, tmp_path))
    for said in ("平均抗拉强度为", "参考文献", "方法", "第 1 页"):
        assert said in text


def test_a_figure_is_found_in_the_reports_folder_only(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (400, 900), "red").save(tmp_path / "figures" / "a.png")
    figure = {
        "kind": "figure", "path": "figures/a.png", "n": 1, "label": "Figure 1.",
        "caption": [{"kind": "text", "text": "A tall one"}], "alt": "tall",
    }  # fmt: skip
    assert "A tall one" in words_of(pdf_bytes(report([figure]), tmp_path))
    Image.new("RGB", (40, 40)).save(tmp_path.parent / "outside.png")
    with pytest.raises(Exception, match="could not be set"):
        pdf_bytes(report([{**figure, "path": "../outside.png"}]), tmp_path)


def test_an_unverified_citation_is_marked(tmp_path: Path) -> None:
    made = report([paragraph("x")], citations=[ReportCitation(1, "a.pdf", 2, "words", None, False)])
    assert "Not verified" in words_of(pdf_bytes(made, tmp_path))
