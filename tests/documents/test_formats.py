"""Other formats than PDF: text, Markdown, HTML, CSV, Word, PowerPoint, Excel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex, Page, verify_citation
from qwenbelt.tools.documents.parsing.encodings import decode
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.parsing.pagination import Break, Paragraph, TableRows, Title, pages_of


def read(path: Path) -> list[Page]:
    with open_document(path) as opened:
        return list(opened.read(range(1, opened.pages + 1)))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_markdown_keeps_titles_tables_and_code(tmp_path: Path) -> None:
    text = """# Harbour

Ships come and go.

## Fees

| Ship | Fee |
|------|-----|
| Anna | 12  |

```
# not a title
```
"""
    (page,) = read(write(tmp_path, "a.md", text))
    assert [(h.level, h.title) for h in page.headings] == [(1, "Harbour"), (2, "Fees")]
    assert page.tables[0].rows == [["Ship", "Fee"], ["Anna", "12"]]
    assert "# not a title" in page.text


def test_html_shows_what_a_browser_shows(tmp_path: Path) -> None:
    html = """<html><head><title>Harbour log</title><style>p {color: red}</style></head><body>
    <script>alert("x")</script><h1>Log</h1><p>First <b>bold</b> words.</p><!-- hidden -->
    <div hidden>secret</div><table><tr><th>Day</th><th>Ships</th></tr><tr><td>1</td><td>7</td></tr>
    </table><table><tr><td>just layout</td></tr></table></body></html>"""
    path = write(tmp_path, "a.html", html)
    (page,) = read(path)
    assert "First bold words." in page.text
    assert "just layout" in page.text
    for absent in ("alert", "secret", "hidden", "color"):
        assert absent not in page.text
    assert page.tables[0].rows == [["Day", "Ships"], ["1", "7"]]
    with open_document(path) as opened:
        assert opened.title == "Harbour log"


def test_deeply_nested_html_is_read(tmp_path: Path) -> None:
    html = "<div>" * 20_000 + "deep words" + "</div>" * 20_000
    assert "deep words" in "".join(p.text for p in read(write(tmp_path, "a.html", html)))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_separated_values_are_tables(tmp_path: Path, name: str) -> None:
    mark = "," if name == "a.csv" else "\t"
    rows = [["year", "tons"], *([str(1900 + n), str(n * 10)] for n in range(150))]
    pages = read(write(tmp_path, name, "\n".join(mark.join(row) for row in rows)))
    assert [row for page in pages for t in page.tables for row in t.rows] == rows
    assert "year  tons" in pages[-1].tables[-1].caption


def test_word_file(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_heading("Harbour", 1)
    document.add_paragraph("Ships come and go.")
    document.add_page_break()
    document.add_heading("Fees", 2)
    table = document.add_table(2, 2)
    for row, values in zip(table.rows, (("Ship", "Fee"), ("Anna", "12")), strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    path = tmp_path / "a.docx"
    document.save(str(path))
    first, second = read(path)
    assert first.headings[0].title == "Harbour"
    assert "Ships come and go." in first.text
    assert second.tables[0].rows == [["Ship", "Fee"], ["Anna", "12"]]


def test_slides(tmp_path: Path) -> None:
    import pptx

    deck = pptx.Presentation()
    for number in (1, 2):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = f"Words of slide {number}"
    slide.notes_slide.notes_text_frame.text = "Said aloud"
    path = tmp_path / "a.pptx"
    deck.save(str(path))
    first, second = read(path)
    assert first.headings[0].title == "Slide 1"
    assert "Words of slide 2" in second.text
    assert "Said aloud" in second.text


def test_workbook(tmp_path: Path) -> None:
    import datetime

    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Fees"
    book.active.append(["Ship", "Fee", None, "Day"])
    book.active.append(["Anna", 12.5, None, datetime.datetime(1912, 3, 1)])
    book.create_sheet("Crew").append(["Only", "one"])
    path = tmp_path / "a.xlsx"
    book.save(path)
    first, second = read(path)
    assert first.headings[0].title == "Fees"
    assert first.tables[0].rows == [["Ship", "Fee", "Day"], ["Anna", "12.5", "1912-03-01"]]
    assert second.tables[0].caption == "Crew"


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("港口在冬天关闭，船只不能进入。", ["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
        ("港口在冬天關閉，船隻不能進入。", ["big5"]),
        ("港は冬に閉鎖されました。", ["shift_jis"]),
        ("Гавань была закрыта зимой. ", ["cp1251"]),
    ],
)
def test_encodings(text: str, encodings: list[str]) -> None:
    for encoding in encodings:
        assert decode((text * 5).encode(encoding)).text == text * 5


def test_latin_text_is_guessed() -> None:
    text = "Der Hafen war im Winter geschlossen, weil das Eis zu dick für die Schiffe wäre. " * 5
    assert "für" in decode(text.encode("latin-1")).text


@given(st.binary(max_size=400))
def test_any_bytes_decode(data: bytes) -> None:
    assert isinstance(decode(data).text, str)


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.builds(Paragraph, st.text(max_size=9000)),
            st.builds(Title, st.text(max_size=50), st.integers(1, 6)),
            st.builds(TableRows, st.lists(st.lists(st.text(max_size=20), max_size=4), max_size=90)),
            st.just(Break()),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_pages_are_numbered_and_places_are_inside(blocks, fixed: bool) -> None:
    pages = pages_of(blocks, fixed=fixed)
    assert [p.number for p in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        for table in page.tables:
            assert 0 <= table.start <= table.end <= len(page.text)
            assert len({len(row) for row in table.rows}) <= 1
        for heading in page.headings:
            assert page.text[heading.start :].startswith(heading.title)
    kept = "".join("".join(p.text.split()) for p in pages)
    for block in blocks:
        if isinstance(block, Paragraph):
            assert "".join(block.text.split())[:500] in kept


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx"])
def test_bad_office_files_are_one_line(tmp_path: Path, name: str) -> None:
    cases = {
        b"no archive at all": "damaged or not",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100: "encrypted or in an old Office format",
    }
    for data, reason in cases.items():
        with pytest.raises(InputError, match=reason) as caught:
            read(write(tmp_path, name, data))
        assert "\n" not in str(caught.value)
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "nothing that belongs here")
    with pytest.raises(InputError, match="damaged or not"):
        read(path)


def test_archive_that_unpacks_to_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * 30_000_000)
    with pytest.raises(InputError, match="bomb"):
        read(path)


def test_archive_that_defines_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "laughs.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY a "ha">]><x>&a;</x>')
    with pytest.raises(InputError, match="entities"):
        read(path)


def test_unknown_format_and_binary_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format is not read"):
        read(write(tmp_path, "a.xyz", "words"))
    with pytest.raises(InputError, match="not a text file"):
        read(write(tmp_path, "a.txt", b"\x00\x01\x02 words"))


def test_a_pdf_under_another_name_is_read_as_pdf(tmp_path: Path, report_pdf: Path) -> None:
    path = write(tmp_path, "download", report_pdf.read_bytes())
    assert len(read(path)) == 2


def test_all_formats_are_searched_together(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "The harbour was closed in winter.")
    write(tmp_path, "b.md", "# Lighthouse\n\nThe keeper wrote letters.")
    write(tmp_path, "c.csv", "ship,fee\nAnna,12\nBella,15")
    write(tmp_path, "d.txt", "港口在冬天关闭。")
    with DocumentIndex(tmp_path / "i.db") as index:
        assert {a.state for a in index.add(tmp_path)} == {"added"}
        for query, file in {
            "harbour": "a.txt",
            "keeper of the lighthouse": "b.md",
            "Bella": "c.csv",
            "冬天的港口": "d.txt",
        }.items():
            hit = index.search(query)[0]
            assert (hit.file, hit.page, hit.box) == (file, 1, None)
            assert verify_citation(index, hit.file, hit.page, hit.quote) is not None


def test_big5_is_not_taken_for_gb18030() -> None:
    text = "這是繁體中文的測試文件，內容包含許多常用字。"
    assert decode(text.encode("big5")).text == text
    plain = "这是简体中文的测试文件，内容包含许多常用字。"
    assert decode(plain.encode("gbk")).text == plain
