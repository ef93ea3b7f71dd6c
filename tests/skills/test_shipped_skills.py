"""The skills that are shipped do what they say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import typst

from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.skills import SkillLibrary
from qwenbelt.tools.skills.library import SHIPPED, found_in
from qwenbelt.tools.skills.tool import RunSkillScript


def run(skill: str, script: str, arguments: list[str], folder: Path, *files: Path) -> Any:
    tool = RunSkillScript(SkillLibrary([skill]))
    context = ToolContext(
        session=f"{skill}-{folder.name}", folder=folder, files={file.name: file for file in files}
    )
    call = {"skill": skill, "script": script, "arguments": arguments}
    return tool.call(call, context=context)


def test_all_are_without_a_finding() -> None:
    found = found_in(SHIPPED)
    assert len(found) == 5
    assert [str(one.error) for examined in found for one in examined.findings] == []


def test_xlsx_report(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    data = tmp_path / "sales.csv"
    data.write_text("region,sales\nNorth,10\nSouth,5\nNorth,2.5\n=cmd|x,1\nSouth,n/k\n")
    words = ["sales.csv", "--group", "region", "--value", "sales", "--out", "r.xlsx"]
    done = run("xlsx-report", "build_report.py", words, tmp_path / "w", data)
    assert done.status == "ok", done
    for line in ("5 rows, 3 groups", "- North: 12.50", "Total: 18.50", "1 rows have no number"):
        assert line in done[0].text
    book = load_workbook(tmp_path / "w" / "r.xlsx")
    assert book["Summary"]["B5"].value == "=SUMIFS(Data!$B$2:$B$6,Data!$A$2:$A$6,$A5)"
    assert book["Data"]["A5"].data_type == "s"  # not a formula
    assert book["Summary"]._charts
    wrong = run("xlsx-report", "build_report.py", ["sales.csv", "--group", "x"], tmp_path / "w")
    assert (wrong.status, "no column 'x'" in wrong[0].text) == ("raised", True)


def test_pptx_deck(tmp_path: Path) -> None:
    pptx = pytest.importorskip("pptx", reason="the extra skills")
    from PIL import Image

    report = tmp_path / "report.md"
    Image.new("RGB", (40, 20), "red").save(tmp_path / "f.png")
    report.write_text(
        "# Coal\n\n## Growth\n\nCoal grew by **20 %** [1]. Gas fell.\n\n- one\n\n"
        "![Chart](f.png)\n![No](../x.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "## Sources\n\n[1] x.pdf p.3\n"
    )
    done = run(
        "pptx-deck", "make_deck.py", ["report.md"], tmp_path / "w", report, tmp_path / "f.png"
    )
    assert done.status == "ok", done
    assert "the picture ../x.png is not there" in done[0].text
    deck = pptx.Presentation(str(tmp_path / "w" / "deck.pptx"))
    titles = [slide.shapes.title.text for slide in deck.slides]
    assert titles == ["Coal", "Growth", "Growth", "Chart", "Sources"]
    assert "Coal grew by 20 % [1]." in deck.slides[1].placeholders[1].text_frame.text
    assert "Gas fell" in deck.slides[1].notes_slide.notes_text_frame.text


def test_data_cleaning(tmp_path: Path) -> None:
    data = tmp_path / "messy.csv"
    data.write_text(
        " Name ,Sales,Day,Code,Empty\n"
        'Anna  Lee,"1,200",2024-1-5,007,\n'
        "Bo,(30),5 March 2024,008,\n"
        "Bo,(30),5 March 2024,008,\n"
        "Cy,12%,03/04/2024,009,\nDi,N/A,31/12/2023,010,\n,,,,\n"
    )
    checked = run("data-cleaning", "clean.py", ["messy.csv", "--check"], tmp_path / "w", data)
    assert "Left as it is: Day: 1 x a date that can be read in two ways" in checked[0].text
    assert not (tmp_path / "w" / "cleaned.csv").exists()
    done = run("data-cleaning", "clean.py", ["messy.csv"], tmp_path / "w")
    assert done.status == "ok", done
    rows = list(csv.reader((tmp_path / "w" / "cleaned.csv").read_text().splitlines()))
    assert rows == [
        ["Name", "Sales", "Day", "Code"],
        ["Anna Lee", "1200", "2024-01-05", "007"],
        ["Bo", "-30", "2024-03-05", "008"],
        ["Cy", "0.12", "03/04/2024", "009"],
        ["Di", "", "2023-12-31", "010"],
    ]
    log = list(csv.reader((tmp_path / "w" / "changes.csv").read_text().splitlines()))
    assert ["1", "Sales", "1,200", "1200", "number"] in log
    assert ["3", "", "", "", "duplicate row dropped"] in log


def form(path: Path) -> None:
    """Writes a form with a text, a check box and a choice."""
    from pypdf import PdfWriter
    from pypdf.generic import (
        ArrayObject,
        DictionaryObject,
        FloatObject,
        NameObject,
        NumberObject,
        StreamObject,
        TextStringObject,
    )

    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    look = writer._add_object(StreamObject())
    fields = []
    for place, (name, kind, more) in enumerate(
        [
            ("name", "/Tx", {"/Ff": NumberObject(2), "/MaxLen": NumberObject(9)}),
            ("agree", "/Btn", {}),
            ("size", "/Ch", {"/Opt": ArrayObject(TextStringObject(t) for t in ("S", "M"))}),
        ]
    ):
        box = ArrayObject(FloatObject(n) for n in (20, 20 + 40 * place, 120, 40 + 40 * place))
        widget = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/FT"): NameObject(kind),
                NameObject("/T"): TextStringObject(name),
                NameObject("/Rect"): box,
                **{NameObject(key): value for key, value in more.items()},
            }
        )
        if kind == "/Btn":
            states = DictionaryObject({NameObject("/Yes"): look, NameObject("/Off"): look})
            widget[NameObject("/AP")] = DictionaryObject({NameObject("/N"): states})
        else:
            widget[NameObject("/DA")] = TextStringObject("/Helv 10 Tf 0 g")
        fields.append(writer._add_object(widget))
    page[NameObject("/Annots")] = ArrayObject(fields)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/Helv"): writer._add_object(font)})
    writer._root_object[NameObject("/AcroForm")] = DictionaryObject(
        {
            NameObject("/Fields"): ArrayObject(fields),
            NameObject("/DR"): DictionaryObject({NameObject("/Font"): fonts}),
        }
    )
    writer.write(path)


def test_pdf_form(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="the extra skills")
    path = tmp_path / "form.pdf"
    form(path)
    listed = run("pdf-form", "form.py", ["form.pdf"], tmp_path / "w", path)
    fields = json.loads(listed[0].text)
    assert fields["size"]["choices"] == ["S", "M"]
    assert (fields["name"]["required"], fields["agree"]["kind"]) == (True, "check")
    values = json.dumps({"name": "Anna Lee", "agree": True, "size": "M"})
    done = run("pdf-form", "form.py", ["form.pdf", "--values", values], tmp_path / "w")
    assert done.status == "ok", done
    now = pypdf.PdfReader(tmp_path / "w" / "filled.pdf").get_fields()
    assert {name: str(field["/V"]) for name, field in now.items()} == {
        "name": "Anna Lee",
        "agree": "/Yes",
        "size": "M",
    }
    bad = json.dumps({"name": "much too long", "size": "XL", "nobody": 1})
    wrong = run("pdf-form", "form.py", ["form.pdf", "--values", bad], tmp_path / "w")
    assert wrong.status == "raised"
    for words in ("at most 9 characters", "takes S, M", "no field 'nobody'"):
        assert words in wrong[0].text


PAPER = """
#set page(width: 15cm, height: 20cm)
#set text(10pt)
#text(18pt)[Strength of Mild Steel under Heat]

Anna B. Lee, Wei Chen

Institute of Metals

*Abstract.* We measure steel at heat.

1 Introduction

Published in the Journal of Steel, 2021. doi: 10.1234/js.2021.55.
"""


def test_literature_table(tmp_path: Path) -> None:
    paper, broken = tmp_path / "lee.pdf", tmp_path / "broken.pdf"
    paper.write_bytes(typst.compile(PAPER.encode(), format="pdf"))
    broken.write_bytes(b"%PDF-1.4 nothing")
    words = ["lee.pdf", "broken.pdf"]
    done = run("literature-table", "collect.py", words, tmp_path / "w", paper, broken)
    assert "broken.pdf: cannot be read" in done[0].text
    text = (tmp_path / "w" / "literature.csv").read_text(encoding="utf-8-sig")
    (row,) = csv.DictReader(text.splitlines())
    assert row["title"] == "Strength of Mild Steel under Heat"
    assert row["authors"] == "Anna B. Lee; Wei Chen"
    assert (row["year"], row["doi"], row["pages"]) == ("2021", "10.1234/js.2021.55", "1")
    assert row["abstract"] == "We measure steel at heat."
    assert "doi p.1" in row["where"]
