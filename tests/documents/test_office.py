# markup stands in long lines
# ruff: noqa: E501
"""Word, PowerPoint and Excel files: values as people see them, each word once, what is left told."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.parsing.numbering import WORD, html_number
from qwenbelt.tools.documents.parsing.office.number_formats import shown
from qwenbelt.tools.documents.parsing.office.sheets import rich_value

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
Change = Callable[[str], str]


def read(path: Path) -> list[Page]:
    with open_document(path) as opened:
        return list(opened.read(range(1, opened.pages + 1)))


def text_of(path: Path) -> str:
    return "\n".join(page.text for page in read(path))


def notes_of(path: Path) -> str:
    return " ".join(note for page in read(path) for note in page.notes)


def repacked(path: Path, change: dict[str, Change], more: dict[str, str] | None = None) -> Path:
    """The file with some parts changed (by the end of their names), and others added."""
    out = path.with_name("re" + path.name)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            for end, how in change.items():
                if name.endswith(end):
                    data = how(data.decode()).encode()
            new.writestr(name, data)
        for name, text in (more or {}).items():
            new.writestr(name, text)
    return out


def word(folder: Path, body: str, more: dict[str, str] | None = None) -> Path:
    """A Word file whose body is given as markup."""
    import docx

    path = folder / "a.docx"
    docx.Document().save(str(path))
    spaces = f"{W} {M}" + (
        ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
        ' xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
        ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    )
    document = f"<w:document {spaces}><w:body>{body}</w:body></w:document>"
    return repacked(path, {"word/document.xml": lambda _: document}, more)


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


UP, DOWN = '<w:vertAlign w:val="superscript"/>', '<w:vertAlign w:val="subscript"/>'


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (run("rose to 45") + run("1", UP) + run(" people"), "rose to 45[1] people"),
        (run("10") + run("6", UP) + run(" m") + run("2", UP), "10^6 m^2"),
        (run("CO") + run("2", DOWN), "CO₂"),
        (run("9", "<w:strike/>") + run(" 5"), "~~9~~ 5"),
        ("<m:oMath><m:f><m:num><m:r><m:t>F</m:t></m:r></m:num><m:den><m:r><m:t>A</m:t></m:r></m:den></m:f></m:oMath>", r"$\frac{F}{A}$"),
        ('<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>' + run(" yes"), "☑ yes"),
        ('<w:r><w:sym w:font="Symbol" w:char="F061"/></w:r>', "α"),
        ("<w:r><w:ruby><w:rt>" + run("かん") + "</w:rt><w:rubyBase>" + run("漢") + "</w:rubyBase></w:ruby></w:r>", "漢(かん)"),
        ('<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData></w:fldChar></w:r>' + run("on"), "☑on"),
        (run("new ") + '<w:del><w:r><w:delText>old</w:delText></w:r></w:del>', "new"),
        ("<mc:AlternateContent><mc:Choice>" + run("one") + "</mc:Choice><mc:Fallback>" + run("one") + "</mc:Fallback></mc:AlternateContent>", "one"),
    ],
)  # fmt: skip
def test_what_words_formatting_says(tmp_path: Path, inside: str, text: str) -> None:
    assert text_of(word(tmp_path, f"<w:p>{inside}</w:p>")).strip() == text


@pytest.mark.parametrize(
    "properties", ["<w:vanish/>", '<w:color w:val="FFFFFF"/>', '<w:sz w:val="2"/>']
)
def test_hidden_text_of_word_is_left_out_and_told(tmp_path: Path, properties: str) -> None:
    path = word(tmp_path, f"<w:p>{run('Price is 5.')}{run('secret words', properties)}</w:p>")
    assert "secret" not in text_of(path)
    assert "Hidden text was left out: 2 words" in notes_of(path)


def test_white_text_on_a_ground_is_seen(tmp_path: Path) -> None:
    white = run("Total", '<w:color w:val="FFFFFF"/>')
    cell = f'<w:tc><w:tcPr><w:shd w:fill="000080"/></w:tcPr><w:p>{white}</w:p></w:tc>'
    row = f"<w:tr>{cell}<w:tc><w:p>{run('7')}</w:p></w:tc></w:tr>"
    assert "Total  7" in text_of(word(tmp_path, f"<w:tbl>{row}{row}</w:tbl>"))


NUMBERING = f"""<w:numbering {W}><w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.(%2)"/></w:lvl>
</w:abstractNum><w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:start w:val="3"/>
<w:numFmt w:val="chineseCounting"/><w:lvlText w:val="第%1条"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/></w:lvlOverride></w:num>
</w:numbering>"""


def numbered(text: str, number: int, level: int = 0) -> str:
    place = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{place}</w:pPr>{run(text)}</w:p>"


def test_automatic_numbers_of_word(tmp_path: Path) -> None:
    import docx

    path = tmp_path / "n.docx"
    document = docx.Document()
    document.save(str(path))
    body = [("one", 1, 0), ("in", 1, 1), ("in", 1, 1), ("two", 1, 0), ("in", 1, 1)]
    markup = "".join(numbered(*entry) for entry in body)
    markup += numbered("义务", 2) + numbered("责任", 2) + numbered("anew", 3)
    document_part = f"<w:document {W}><w:body>{markup}</w:body></w:document>"
    path = repacked(
        path,
        {"word/document.xml": lambda _: document_part, "word/numbering.xml": lambda _: NUMBERING},
    )
    assert text_of(path).split("\n")[:8] == [
        "1. one", "1.(a) in", "1.(b) in", "2. two", "2.(a) in", "第三条 义务", "第四条 责任", "9. anew",
    ]  # fmt: skip


def test_cells_of_word_that_cover_several_places(tmp_path: Path) -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr><w:p>{run(text)}</w:p></w:tc>"

    start, on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = [
        cell("Region") + cell("Units", '<w:gridSpan w:val="2"/>'),
        cell("EU", start) + cell("1") + cell("2"),
        cell("", on) + cell("3") + cell("4"),
    ]
    inner = f"<w:tbl><w:tr>{cell('in1')}{cell('in2')}</w:tr></w:tbl>"
    rows.append(f"<w:tc><w:p/>{inner}<w:p/></w:tc>" + cell("5") + cell("6"))
    path = word(tmp_path, "<w:tbl>" + "".join(f"<w:tr>{r}</w:tr>" for r in rows) + "</w:tbl>")
    (page,) = read(path)
    assert page.tables[0].rows == [
        ["Region", "Units", "Units"],
        ["EU", "1", "2"],
        ["EU", "3", "4"],
        ["in1  in2", "5", "6"],
    ]
    assert page.text.count("EU") == page.text.count("in1") == 1


def test_a_missing_part_costs_that_part(tmp_path: Path) -> None:
    import docx

    path = tmp_path / "a.docx"
    document = docx.Document()
    document.add_paragraph("Body of it.")
    document.sections[0].header.paragraphs[0].text = "Contract HX-1"
    document.save(str(path))
    out = tmp_path / "b.docx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if "header" not in name:
                new.writestr(name, old.read(name))
    assert "[header] Contract HX-1" in text_of(path)
    assert "Body of it." in text_of(out)
    assert "left out: header" in notes_of(out)


CHART = """<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><c:chart><c:plotArea>%s
<c:catAx><c:axId val="1"/><c:title><c:tx><c:rich><a:p><a:r><a:t>Month</a:t></a:r></a:p></c:rich></c:tx></c:title></c:catAx>
<c:valAx><c:axId val="2"/><c:title><c:tx><c:rich><a:p><a:r><a:t>Tons</a:t></a:r></a:p></c:rich></c:tx></c:title></c:valAx>
</c:plotArea></c:chart></c:chartSpace>"""
SERIES = """<c:bar3DChart><c:ser><c:tx><c:v>Ore</c:v></c:tx><c:cat><c:numRef><c:numCache>
<c:formatCode>yyyy\\-mm\\-dd</c:formatCode><c:pt idx="0"><c:v>45000</c:v></c:pt><c:pt idx="1"><c:v>45031</c:v></c:pt>
</c:numCache></c:numRef></c:cat><c:val><c:numRef><c:numCache><c:formatCode>0.0</c:formatCode>
<c:pt idx="0"><c:v>123456789.125</c:v></c:pt><c:pt idx="1"><c:v>0.30000000000000004</c:v></c:pt></c:numCache></c:numRef></c:val>
</c:ser><c:axId val="1"/><c:axId val="2"/></c:bar3DChart>"""
POINTS = """<c:scatterChart><c:ser><c:tx><c:v>S</c:v></c:tx><c:xVal><c:numLit><c:pt idx="0"><c:v>1.5</c:v></c:pt></c:numLit></c:xVal>
<c:yVal><c:numLit><c:pt idx="0"><c:v>-2</c:v></c:pt></c:numLit></c:yVal></c:ser><c:axId val="1"/><c:axId val="2"/></c:scatterChart>"""


def chart(markup: str) -> Any:
    from lxml import etree

    from qwenbelt.tools.documents.parsing.office.charts import chart_blocks

    return list(chart_blocks(etree.fromstring(CHART % markup)))


def test_charts_of_any_kind_give_their_numbers() -> None:
    title, table = chart(SERIES)
    assert title.text == "[Tons]"
    assert table.rows == [["Month", "Ore"], ["2023-03-15", "123456789.125"], ["2023-04-15", "0.3"]]
    assert table.caption == "[Tons]"
    *_, points = chart(POINTS)
    assert points.rows == [["", "Month", "Tons"], ["S", "1.5", "-2"]]
    (note,) = chart("")
    assert "keeps no data" in note.text


def deck(folder: Path) -> Any:
    import pptx

    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[1])
    return made


def test_slides_tell_what_they_hide(tmp_path: Path) -> None:
    from pptx.util import Emu

    made = deck(tmp_path)
    slide = made.slides[0]
    slide.shapes.title.text = "First"
    slide.placeholders[1].text = "Body words"
    table = slide.shapes.add_table(2, 3, Emu(0), Emu(4_000_000), Emu(900), Emu(900)).table
    table.cell(0, 0).merge(table.cell(0, 1))
    for at, text in (((0, 0), "Sum"), ((0, 2), "C"), ((1, 0), "1"), ((1, 1), "2"), ((1, 2), "3")):
        table.cell(*at).text = text
    far = slide.shapes.add_textbox(Emu(99_000_000), Emu(0), Emu(9000), Emu(9000))
    far.text_frame.text = "parked outside words"
    slide._element.set("show", "0")
    path = tmp_path / "a.pptx"
    made.save(str(path))
    (page,) = read(path)
    assert page.headings[0].title == "First [hidden slide]"
    assert page.tables[0].rows == [["Sum", "Sum", "C"], ["1", "2", "3"]]
    assert "Sum  C" in page.text
    assert "parked" not in page.text
    assert any("outside of the slide" in note for note in page.notes)
    assert any("hidden" in note for note in page.notes)


def test_an_odd_shape_costs_itself(tmp_path: Path) -> None:
    made = deck(tmp_path)
    made.slides[0].shapes.title.text = "Title stays"
    made.slides[0].placeholders[1].text = "45x"
    path = tmp_path / "a.pptx"
    made.save(str(path))

    def odd(text: str) -> str:
        text = re.sub(r'<p:ph (type="title"|idx="1")', r'<p:ph idx="77" type="odd"', text)
        raised = '<a:r><a:rPr baseline="30000"/><a:t>1</a:t></a:r>'
        numbered = '<a:p><a:pPr><a:buAutoNum type="arabicPeriod" startAt="4"/></a:pPr>'
        numbered += "<a:r><a:t>fourth</a:t></a:r></a:p>"
        return text.replace(
            "<a:t>45x</a:t></a:r></a:p>", f"<a:t>45</a:t></a:r>{raised}</a:p>{numbered}"
        )

    shown_text = text_of(repacked(path, {"slides/slide1.xml": odd}))
    for words in ("Title stays", "45[1]", "4. fourth"):
        assert words in shown_text


def book(folder: Path, fill: Callable[[Any, Any], None]) -> Path:
    import openpyxl

    made = openpyxl.Workbook()
    fill(made, made.active)
    path = folder / "a.xlsx"
    made.save(path)
    return path


def test_a_sheet_as_people_see_it(tmp_path: Path) -> None:
    from openpyxl.comments import Comment

    def fill(made: Any, sheet: Any) -> None:
        sheet.title = "Fees"
        for row in (
            ["Fees 2024", None, None],
            ["part", "share", "note"],
            ["A", 0.075, "x"],
            ["B", 0.5, "y"],
            ["C", 1, "z"],
        ):
            sheet.append(row)
        sheet.merge_cells("A1:C1")
        sheet.merge_cells("C4:C5")
        for row in (3, 4, 5):
            sheet.cell(row, 2).number_format = "0.0%"
        sheet["A3"].comment = Comment("checked twice", "Ada")
        sheet.row_dimensions[5].hidden = True
        sheet.oddHeader.center.text = "Board only"
        made.create_sheet("Rates").append(["base", 3])
        made["Rates"].sheet_state = "hidden"

    first, second = read(book(tmp_path, fill))
    assert first.tables[0].rows == [
        ["part", "share", "note"],
        ["A", "7.5%", "x"],
        ["B", "50.0%", "y"],
    ]
    assert first.tables[0].caption.startswith("Fees")
    assert "[hidden rows and columns]" in first.tables[1].caption
    assert first.tables[1].rows == [["C", "100.0%", "y"]]
    for words in (
        "[comment by Ada on A3]",
        "checked twice",
        "[header or footer] Board only",
        "Fees 2024",
    ):
        assert words in first.text
    assert second.headings[0].title == "Rates [hidden sheet]"
    assert second.notes


def test_raised_characters_in_a_text_that_is_in_its_cell(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["Sales", "XX"])
    book.save(tmp_path / "plain.xlsx")
    run = "<r><rPr><vertAlign val='superscript'/></rPr><t>1</t></r>"
    cell = f'<c r="B1" t="inlineStr"><is><r><t>45</t></r>{run}<r><t> pieces</t></r></is></c>'
    with (
        zipfile.ZipFile(tmp_path / "plain.xlsx") as old,
        zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name).decode()
            if name.endswith("sheet1.xml"):
                data = re.sub(r'<c r="B1".*?</c>', cell, data)
                assert "superscript" in data
            new.writestr(name, data)
    with open_document(tmp_path / "a.xlsx") as opened:
        assert "45[1] pieces" in next(iter(opened.read([1]))).text


def test_raised_characters_in_a_cell() -> None:
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    up, low = InlineFont(vertAlign="superscript"), InlineFont(vertAlign="subscript")
    pieces = ("45", TextBlock(up, "1"), " in 10", TextBlock(up, "6"), " CO", TextBlock(low, "2"))
    assert rich_value(CellRichText(*pieces)) == "45[1] in 10^6 CO₂"


def test_formulas_that_nobody_computed_are_computed_or_shown(tmp_path: Path) -> None:
    pytest.importorskip("ironcalc")

    def fill(made: Any, sheet: Any) -> None:
        for row in (
            ["a", 100],
            ["b", 150],
            ["sum", "=SUM(B1:B2)"],
            ["now", "=NOW()"],
            ["odd", "=NOSUCH(1)"],
        ):
            sheet.append(row)

    path = book(tmp_path, fill)
    (page,) = read(path)
    assert ["sum", "250"] in page.tables[0].rows
    assert ["now", "=NOW()"] in page.tables[0].rows
    assert ["odd", "=NOSUCH(1)"] in page.tables[0].rows
    assert "computed by IronCalc: 1." in notes_of(path)
    assert "shown as formulas: 2." in notes_of(path)


def test_what_a_sheet_says_of_its_size_is_a_hint(tmp_path: Path) -> None:
    path = book(tmp_path, lambda made, sheet: [sheet.append(["a", "b"]), sheet.append(["1", "2"])])
    path = repacked(path, {"sheet1.xml": lambda t: re.sub('ref="A1:B2"', 'ref="A1"', t)})
    assert read(path)[0].tables[0].rows == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx"])
def test_the_strict_dialect_is_read(tmp_path: Path, kind: str) -> None:
    if kind == "xlsx":
        path = book(
            tmp_path, lambda made, sheet: [sheet.append(["fee", 75]), sheet.append(["x", 1])]
        )
    elif kind == "docx":
        path = word(tmp_path, f"<w:p>{run('The fee is 75.')}</w:p>")
    else:
        made = deck(tmp_path)
        made.slides[0].shapes.title.text = "The fee is 75."
        path = tmp_path / "a.pptx"
        made.save(str(path))

    def strict(text: str) -> str:
        text = re.sub(
            r"http://schemas\.openxmlformats\.org/(officeDocument|\w+ml)/2006/",
            r"http://purl.oclc.org/ooxml/\1/",
            text,
        )
        return text

    path = repacked(path, {".xml": strict, ".rels": strict})
    assert "75" in text_of(path)


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("0.0%", 0.075, "7.5%"),
        ('"$"#,##0.00', 1234.5, "$1,234.50"),
        ("00000", 42, "00042"),
        ("[h]:mm", 1.2604166667, "30:15"),
        ("#,##0.00_);[Red](#,##0.00)", -1234.5, "(1,234.50)"),
        ("[$€-407] #,##0.00", 12.5, "€ 12.50"),
        ("yyyy年m月d日", 45000, "2023年3月15日"),
        ("[$-409]d-mmm-yy;@", 45000, "15-Mar-23"),
        ("mm-dd-yy", 45000, "2023-03-15"),
        ('#,##0.0,,"M"', 12345678, "12.3M"),
        ("# ?/?", 1.5, "1 1/2"),
        ("0.00E+00", 12345.678, "1.23E+04"),
        ("000-00-0000", 123456789, "123-45-6789"),
        ('[>=1000]#,##0,"K";0', 2500, "3K"),
        ('_(* #,##0_);_(* (#,##0);_(* "-"_);_(@_)', 0, "-"),
        ("h:mm AM/PM", 0.75, "6:00 PM"),
        ("mm:ss.0", 0.0123, "17:42.7"),
        ("0.00", 2.675, "2.68"),
        ("[Red]General", 5, "5"),
    ],
)
def test_numbers_as_spreadsheets_show_them(code: str, value: float, text: str) -> None:
    assert shown(value, code) == text


@given(
    st.text(st.sampled_from('0#?.,%;"\\_*[]hmsydE+-/@ $€General上午<>=1'), max_size=12),
    st.floats(-1e18, 1e18) | st.integers(-(10**12), 10**12),
)
def test_any_code_shows_something(code: str, value: float) -> None:
    assert isinstance(shown(value, code), str)


@given(st.integers(1, 3999))
def test_numerals_differ(number: int) -> None:
    assert WORD["lowerRoman"](number) != WORD["lowerRoman"](number + 1)
    assert html_number(number, "A").isupper()


def test_characters_that_a_style_or_their_place_raises(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml import parse_xml

    document = docx.Document()
    mark = document.styles.add_style("Mark", WD_STYLE_TYPE.CHARACTER)
    mark.font.superscript = True
    document.styles.add_style("Own Mark", WD_STYLE_TYPE.CHARACTER).base_style = mark
    paragraph = document.add_paragraph("It rose to 45")
    paragraph.add_run("1", style="Own Mark")
    paragraph.add_run(" people and 2023")
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    moved = parse_xml(f'<w:position xmlns:w="{space}" w:val="8"/>')
    paragraph.add_run("2")._r.get_or_add_rPr().append(moved)
    document.save(tmp_path / "a.docx")
    with open_document(tmp_path / "a.docx") as opened:
        assert "45[1] people and 2023[2]" in next(iter(opened.read([1]))).text


def test_styles_that_only_excel_takes_cost_no_sheet(tmp_path: Path) -> None:
    def fill(workbook: Any, sheet: Any) -> None:
        sheet.append(["share", "zebra"])
        sheet.append([0.075, 2])
        sheet["A2"].number_format = "0.0%"

    path = book(tmp_path, fill)
    without = {"xl/styles.xml": lambda text: re.sub(r"<fill>.*?</fill>", "<fill/>", text)}
    assert text_of(repacked(path, without)) == text_of(path)
    assert "7.5%" in text_of(path)
