"""HTML as a browser shows it: hidden text told, values of markup kept, grids filled."""

from __future__ import annotations

import pytest

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.encodings import decode
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.parsing.html.blocks import html_blocks
from qwenbelt.tools.documents.parsing.html.page import html_page
from qwenbelt.tools.documents.parsing.pagination import pages_of
from qwenbelt.tools.documents.parsing.raised import lowered, raised
from qwenbelt.tools.web.readable import readable_page


def shown(body: str, head: str = "") -> Page:
    page = html_page(f"<html><head>{head}</head><body>{body}</body></html>".encode())
    (first, *_) = pages_of(html_blocks(page))
    return first


@pytest.mark.parametrize(
    ("hidden", "head"),
    [
        ('<p style="display: none !important">old</p>', ""),
        ('<p style="visibility:hidden">old</p>', ""),
        ('<p style="opacity: 0.0">old</p>', ""),
        ('<p style="font-size:1px">old</p>', ""),
        ('<p style="position:absolute; left:-9999px">old</p>', ""),
        ('<p style="text-indent:-9999px">old</p>', ""),
        ('<p style="margin-left:-9999px">old</p>', ""),
        ('<p style="clip:rect(0,0,0,0);position:absolute">old</p>', ""),
        ('<p style="height:0;overflow:hidden">old</p>', ""),
        ('<p style="max-height:0;overflow:hidden">old</p>', ""),
        ('<p style="transform: scale(0)">old</p>', ""),
        ('<font color="white">old</font>', ""),
        ('<p style="color:#fff;background:white">old</p>', ""),
        ("<dialog>old</dialog>", ""),
        ('<p class="x">old</p>', "<style>p.x, .y { display: none }</style>"),
        ("<div hidden><p>old</p></div>", ""),
        ("".join(chr(0xE0000 + ord(c)) for c in "old"), ""),
    ],
)
def test_what_a_browser_hides_is_left_out_and_told(hidden: str, head: str) -> None:
    body = f"<p>Price is 5.</p>{hidden}"
    page = shown(body, head)
    assert page.text.strip() == "Price is 5."
    assert any("Hidden text" in note for note in page.notes)
    web = readable_page(f"<html><head>{head}</head><body>{body}</body></html>".encode())
    assert "old" not in web.text
    assert web.notes == page.notes


@pytest.mark.parametrize(
    "body",
    [
        '<p style="display:block">seen</p>',
        '<div style="background:navy"><p style="color:white">seen</p></div>',
        '<div class="dark"><p style="color:white">seen</p></div>',
        '<p style="opacity:0.5">seen</p>',
        '<p style="position:relative; left:5px">seen</p>',
        "<details><summary>more</summary>seen</details>",
    ],
)
def test_what_is_seen_stays(body: str) -> None:
    page = shown(body, "<style>@media print { p { display: none } } p:hover { opacity: 0 }</style>")
    assert "seen" in page.text
    assert not page.notes


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("45<sup>1</sup> in 2023<sup>2</sup>.", "45[1] in 2023[2]."),
        ("10<sup>6</sup> m<sup>2</sup>", "10^6 m^2"),
        ("H<sub>2</sub>O, x<sub>max</sub>", "H₂O, x_{max}"),
        ('<p>see<sup><a href="#n3">3</a></sup>', "see[3]"),
        ("the 5<sup>th</sup>", "the 5th"),
        ('<ol start="3"><li>c<li value="7">g<li>h</ol>', "3. c\n7. g\n8. h"),
        ('<ol type="i" reversed><li>b<li>a</ol>', "ii. b\ni. a"),
        ("<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>を", "漢字(かんじ)を"),
        ("<math><mfrac><mi>F</mi><mi>A</mi></mfrac></math>", r"$\frac{F}{A}$"),
        (
            "<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x_1</annotation>"
            "</semantics></math>",
            "$x_1$",
        ),
        ("<input type=checkbox checked>yes", "☑ yes"),
        ("<del>9</del> 5", "~~9~~ 5"),
        ("<svg><text>42 %</text></svg>", "42 %"),
        ("Inter&shy;national zero&#8203;width", "International zerowidth"),
    ],
)
def test_markup_that_carries_value_is_kept(body: str, text: str) -> None:
    assert shown(body).text.strip() == text


def test_cells_that_cover_several_places_fill_them_and_are_shown_once() -> None:
    page = shown(
        "<table><tr><th colspan=3>Sales 2024<tr><th rowspan=2>Region<th colspan=2>Units"
        "<tr><th>Q1<th>Q2<tr><td rowspan=0>EU<td>1<td>3<tr><td>5<td>7</table>"
    )
    (table,) = page.tables
    assert table.caption == "Sales 2024"
    assert table.rows == [
        ["Region", "Units", "Units"],
        ["Region", "Q1", "Q2"],
        ["EU", "1", "3"],
        ["EU", "5", "7"],
    ]
    assert page.text == "Sales 2024\nRegion  Units\nQ1  Q2\nEU  1  3\n5  7\n"
    web = readable_page(b"<table><tr><td rowspan=2>EU<td>1|2<tr><td>3</table>")
    assert "| EU | 1\\|2 |" in web.text
    assert "| EU | 3 |" in web.text


def test_the_foot_of_a_table_comes_last() -> None:
    page = shown(
        "<table><tfoot><tr><td>Sum<td>29</tfoot><tbody><tr><td>Hub<td>7</tbody>"
        "<thead><tr><th>Name<th>Units</thead></table>"
    )
    assert page.tables[0].rows == [["Name", "Units"], ["Hub", "7"], ["Sum", "29"]]


def test_a_table_in_a_cell_comes_once() -> None:
    inner = "<table><tr><td>in1<td>in2<tr><td>in3<td>in4</table>"
    rows = "".join(f"<tr><th>name {n}<td>a longer value of row {n}" for n in range(5))
    page = shown(f"<table>{rows}<tr><th>nested<td>{inner}</table>")
    for word in ("in1", "in4"):
        assert page.text.count(word) == 1
    assert ["name 3", "a longer value of row 3"] in page.tables[0].rows


@pytest.mark.parametrize(
    ("label", "encoding"), [("gb2312", "gb18030"), ("iso-8859-1", "cp1252"), ("x-sjis", "cp932")]
)
def test_labels_mean_what_browsers_take_them_for(label: str, encoding: str) -> None:
    text = {"gb18030": "王镕㐂", "cp1252": "“€”", "cp932": "①㈱"}[encoding]
    assert decode(text.encode(encoding), label).text == text


@pytest.mark.parametrize("bad", [b"\xff", b"\xff\xfe", b"\x80"])
def test_a_bad_byte_costs_a_character(bad: bytes) -> None:
    before, after = "第一段正常文字，第二段", "仍应保留，第三段结束。"
    found = decode(before.encode("gbk") + bad + after.encode("gbk"), "gb2312")
    assert found.text.startswith(before)
    assert found.text.endswith(after)
    assert any("gb18030" in note for note in found.notes)


THAI = "รายได้เพิ่มขึ้นร้อยละสิบในปีนี้ บริษัทจ้างพนักงานใหม่ "


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (THAI * 3, "cp874"),
        ("name,city\nAda,Bonn\n", "utf-16-le"),
        ("name,city\nAda,Bonn\n", "utf-16-be"),
        ("第一行，中文文本没有标记。\n第二行继续写一些内容。\n第三行。", "utf-16-le"),
        ("ارتفعت إيرادات الشركة بنسبة عشرة بالمئة هذا العام وبقي عدد الموظفين دون تغيير", "cp1256"),
        ("Название;Количество\nПодшипник;12\nБолт;30\n", "cp1251"),
        ("本合同自双方签字之日起生效，有效期三年。甲方应在每月十日前支付货款。", "utf-16-le"),
        ("契約は署名の日から有効です。", "iso2022_jp"),
        ("חוזה זה תקף לשלוש שנים מיום החתימה של הצדדים. " * 2, "cp1255"),
        ("올해 회사의 매출은 십 퍼센트 증가했으며 직원 수는 변하지 않았습니다.", "euc_kr"),
    ],
)
def test_a_guessed_encoding_is_told(text: str, encoding: str) -> None:
    found = decode(text.encode(encoding))
    assert found.text == text
    assert any("guessed" in note for note in found.notes)


def test_one_damaged_byte_does_not_make_utf8_another_encoding() -> None:
    data = bytearray(("正常文字很多" * 40).encode())
    data[100] = 0xFF
    found = decode(bytes(data))
    assert found.encoding == "utf-8"
    assert found.notes


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [
        ("rose to 45", "1", "rose to 45[1]"),
        ("$1,210", "3", "$1,210[3]"),
        ("5 × 10", "-3", "5 × 10^{-3}"),
        ("km", "2", "km^2"),
        ("growth", "1, 2", "growth[1, 2]"),
        ("Name", "a", "Name[a]"),
        ("Acme", "TM", "AcmeTM"),
        ("营业收入", "①", "营业收入[1]"),
        ("x", "n+1", "x^{n+1}"),
    ],
)
def test_raised_text(before: str, text: str, after: str) -> None:
    assert before + raised(before, text) == after


def test_lowered_text() -> None:
    assert [lowered(text) for text in ("2", "i", "max")] == ["₂", "_i", "_{max}"]


def test_nothing_shown_is_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.html"
    path.write_text("<body><iframe src=x></iframe><img src=y></body>")
    with open_document(path) as opened:
        (page,) = opened.read([1])
    assert page.text == ""
    assert len(page.notes) == 2


def test_spans_and_nesting_of_hostile_tables_are_bounded() -> None:
    cells = "<tr>" + "<td rowspan=1000 colspan=1000>x" * 3
    page = shown("<table>" + cells * 300 + "</table>")
    assert sum(len(row) for table in page.tables for row in table.rows) < 400_000
    assert "x" in shown("<table><tr><td>" * 2000 + "x").text


def test_what_styles_raise_or_lower_keeps_its_meaning() -> None:
    head = "<style>.u{vertical-align:super;font-size:.6em}.d{vertical-align:sub}</style>"
    power = "10<span style='vertical-align:super'>6</span>"
    body = f"<p>It rose to 45<span class=u>1</span> people, {power}, CO<span class=d>2</span></p>"
    assert shown(body, head).text.strip() == "It rose to 45[1] people, 10^6, CO₂"
