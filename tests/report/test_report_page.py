"""The report's other faces: HTML, summary, key figures, what does not agree, own templates."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.tools.plot.fonts import page_fonts
from qwenbelt.workflows.report.digest import digest, sources
from qwenbelt.workflows.report.document import (
    ReportCitation,
    ReportDocument,
    ReportProvenance,
    ReportStep,
    SourceFile,
)
from qwenbelt.workflows.report.page import html_page
from qwenbelt.workflows.report.pdf import pdf_bytes, pdf_data, read_template
from qwenbelt.workflows.report.prose import Node, parse_prose, plain_text
from qwenbelt.workflows.report.word import word_bytes

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=y> </style> &amp; \u202e'


def cite(n: int) -> Node:
    return {"kind": "cite", "n": n}


def report(text: str, tmp_path: Path, **changes: object) -> ReportDocument:
    (tmp_path / "crops").mkdir(exist_ok=True)
    Image.new("RGB", (60, 20), "yellow").save(tmp_path / "crops" / "citation-1.png")
    box = (1.0, 2.0, 3.0, 4.0)
    known = ReportCitation(
        1, "a.pdf", 3, "lot A is 412 MPa", box, label="iii", lines=(box,),
        crop="crops/citation-1.png", crop_box=(0.0, 0.0, 60.0, 20.0),
    )  # fmt: skip
    base: dict[str, object] = {
        "question": "How strong is the steel?",
        "language": "en",
        "blocks": parse_prose(text),
        "citations": [known, ReportCitation(2, "b.pdf", 1, "no such words", None, False)],
        "files": [SourceFile("a.pdf", Path("a.pdf"), 3)],
        "steps": [ReportStep("plot", "kind: bar", 0.1, 0.4, True)],
        "made": ReportProvenance("qwen3", "fncall", False, 2, 1, 3.2),
    }
    return ReportDocument(**{**base, **changes})  # type: ignore[arg-type]


TEXT = (
    "Lot A reaches **412 MPa**, lot B **398 MPa** of strength.\n\n## Why\n\nThe two tables do not "
    "agree on lot C. The documents do not mention the yield point.\n\n- one\n"
)


def test_the_answer_in_short_comes_first_with_its_figures_in_tiles(tmp_path: Path) -> None:
    parts = digest(report(TEXT, tmp_path))
    assert [block["kind"] for block in parts.lead] == ["paragraph"]
    assert [(tile.value, tile.label) for tile in parts.tiles] == [
        ("412 MPa", "Lot A reaches"),
        ("398 MPa", "Lot B"),
    ] or not parts.tiles  # the question asks for no number
    asked = digest(report(TEXT, tmp_path, question="How much do the lots bear?"))
    assert [tile.value for tile in asked.tiles] == ["412 MPa", "398 MPa"]
    assert [node[0]["text"] for node in parts.disagree] == ["The two tables do not agree on lot C."]
    assert [node[0]["text"] for node in parts.missing] == [
        "The documents do not mention the yield point."
    ]


def test_what_does_not_agree_shows_both_passages_and_nothing_is_said_twice(tmp_path: Path) -> None:
    blocks = parse_prose("The lots hold.\n\n## Why\n\nThe tables do not agree on lot C. More.\n\n")
    blocks += [
        {
            "kind": "paragraph",
            "inline": [
                {"kind": "text", "text": "On lot D the tables do not agree "},
                cite(1),
                cite(2),
            ],
        },
        *parse_prose(
            "## Yield\n\nThe documents do not mention the yield point.\n\n## End\n\nDone."
        ),
    ]
    made = report("", tmp_path, blocks=blocks)
    parts = digest(made)
    assert len(parts.disagree) == 1  # the sentence that cites nothing says no more
    assert [c.n for c in sources(parts.disagree[0], made)] == [1, 2]
    assert len(parts.missing) == 1
    heads = [plain_text(b["inline"]) for b in parts.rest if b["kind"] == "heading"]
    assert heads == ["Why", "End"]  # "Yield" held nothing but what its section says
    compared = [[{"kind": "text", "text": "Lot D: 1 and 2 "}, cite(1), cite(2)]]
    told = digest(report("", tmp_path, blocks=blocks, differing=compared))
    assert told.disagree == compared  # the model's sentence cites the same two passages
    page = html_page(made, tmp_path)
    assert page.count("The documents do not mention the yield point.") == 1
    assert "<dt>" in page.split('class="said disagree"')[1].split("</section>")[0]


def test_the_page_carries_the_characters_that_it_shows(tmp_path: Path) -> None:
    from fontTools.ttLib import TTFont

    page = html_page(report("屈服强度为 412 MPa。", tmp_path, language="zh"), tmp_path)
    held: set[int] = set()
    for data in re.findall(r'url\("data:font/woff;base64,([^"]+)"\)', page):
        with TTFont(io.BytesIO(base64.b64decode(data))) as font:
            held |= font.getBestCmap().keys()
    body = re.sub(r"<[^>]*>", "", page.split("<body>")[1])
    assert {ord(sign) for sign in body if sign > " "} <= held
    assert "font-src data:" in page
    assert len(page) < 200_000


def test_a_report_without_an_answer_has_no_summary(tmp_path: Path) -> None:
    for changes in ({"made": ReportProvenance()}, {"grounded": False}):
        parts = digest(report(TEXT, tmp_path, **changes))
        assert not parts.lead
        assert not parts.disagree
        assert len(parts.rest) == 4


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_loads_nothing_and_shows_each_crop(tmp_path: Path) -> None:
    blocks = [*parse_prose(TEXT), {"kind": "paragraph", "inline": [cite(1), cite(2), cite(9)]}]
    page = html_page(report("", tmp_path, blocks=blocks, notes=[HOSTILE]), tmp_path)
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "iframe", "link"} & {tag for tag, _ in tags.seen}
    assert not re.search(r"(?:src|href|url)[=(]['\"]?https?:", page)
    assert all(not name.startswith("on") for _, attrs in tags.seen for name in attrs)
    assert page.count("crop-1{background-image:url(data:image/png;base64,") == 1
    assert 'class="tip" role="tooltip"' in page
    assert "p. iii (sheet 3)" in page
    assert "Not verified" in page
    assert "<details>" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_what_was_written_is_text_in_the_page(tmp_path: Path) -> None:
    node: Node = {"kind": "text", "text": HOSTILE}
    table: Node = {"kind": "table", "align": ["left"], "head": [[node]], "rows": [[[node]]]}
    heading: Node = {"kind": "heading", "level": 2, "inline": [node]}
    made = report(
        "", tmp_path, blocks=[heading, table, {"kind": "code", "text": HOSTILE}], title=HOSTILE,
        citations=[ReportCitation(1, HOSTILE, 1, HOSTILE, None, False)],
        steps=[ReportStep(HOSTILE, HOSTILE, 0, 1, False)],
    )  # fmt: skip
    page = html_page(made, tmp_path)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") <= 2


def test_a_template_of_ones_own_lays_out_the_pdf(tmp_path: Path) -> None:
    file = tmp_path / "mine.typ"
    file.write_text("#let data = json(bytes(sys.inputs.data))\nMy own: #data.title")
    made = report(TEXT, tmp_path)
    assert pdf_bytes(made, tmp_path, read_template(file)).startswith(b"%PDF")
    file.write_text("#nothing-like-this")
    with pytest.raises(QwenbeltError, match="could not be set"):
        pdf_bytes(made, tmp_path, read_template(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no UTF-8"):
        read_template(file)


def test_decimals_stand_below_each_other(tmp_path: Path) -> None:
    made = report("x\n\n| a | b |\n|-|-:|\n| k | 5 |\n| l | 12.25 |\n| m | n/a |", tmp_path)
    table = next(b for b in pdf_data(made, tmp_path)["blocks"] if b.get("head"))
    rows = [row["cell"] for row in table["rows"]]
    assert rows[1] == [{"kind": "text", "text": "5"}, {"kind": "hidden", "text": ".25"}]
    assert len(rows[3]) == len(rows[5]) == 1


def test_bold_and_italics_are_cuts_of_their_own(tmp_path: Path) -> None:
    fonts = page_fonts()
    assert fonts.latin == ("Source Sans 3",)
    data = pdf_bytes(report("**Bold** and *slanted* words.\n\n# 标题 **粗体**", tmp_path), tmp_path)
    assert data.count(b"/BaseFont") >= 3
    if not fonts.bold_chinese:
        pytest.skip("the extra fonts is not installed")
    assert "Noto Sans CJK SC" in fonts.chinese


def test_the_word_file_says_what_the_report_says(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    blocks = [*parse_prose(TEXT + "\n\n| a | b |\n|-|-:|\n| x\x0b | 5 |")]
    blocks.append({"kind": "paragraph", "inline": [cite(1), cite(2)]})
    asked = report("", tmp_path, blocks=blocks, notes=[HOSTILE], question="How much do they bear?")
    data = word_bytes(asked, tmp_path)
    assert data is not None
    made = docx.Document(io.BytesIO(data))
    text = "\n".join(line.text for line in made.paragraphs)
    for said in ("In short", "412 MPa", "What does not agree", "Not verified", "p. iii (sheet 3)"):
        assert said in text
    assert made.tables[0].cell(0, 0).text.startswith("412 MPa\nLot A reaches")
    assert made.tables[1].cell(1, 1).text == "5"
    assert made.sections[0].page_width.cm == pytest.approx(21.0, abs=0.01)
    assert len(made.inline_shapes) == 1
    assert "reference_1" in made.element.xml
