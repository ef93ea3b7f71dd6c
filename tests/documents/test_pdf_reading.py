"""Reading PDFs: text, order, tables, boxes, bad files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.citations import quote_spans
from qwenbelt.tools.documents.parsing.pdf.reader import pdf_facts, read_pages

PAGE = (612.0, 792.0)


def line(x: float, y: float, words: str, size: float = 10) -> str:
    escaped = words.replace("(", r"\(").replace(")", r"\)")
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET"


def test_paragraph_lines_are_joined_and_placed(report_pdf: Path) -> None:
    first, second = read_pages(report_pdf)
    assert "carry the load. A second canal" in first.text
    start = first.text.index("Engineers")
    (box,) = first.boxes(start, start + len("Engineers"))
    assert box.x0 == pytest.approx(72, abs=1)
    assert box.top < 792 - 686 < box.bottom
    assert second.number == 2


def test_ruled_table_becomes_rows(report_pdf: Path) -> None:
    (table,) = next(read_pages(report_pdf, [2])).tables
    assert table.rows == [
        ["Year", "Tons", "Price"],
        ["1911", "1,250", "3.10"],
        ["1912", "1,975", "2.85"],
    ]
    assert table.page == 2
    assert table.box is not None
    assert table.box.x0 == pytest.approx(72, abs=0.5)
    assert table.box.top == pytest.approx(92, abs=0.5)


def test_two_columns_are_read_one_after_the_other(make_pdf) -> None:
    left = [f"left column sentence number {n} goes here" for n in range(12)]
    right = [f"right column sentence number {n} is there" for n in range(12)]
    content = []
    for n in range(12):  # written across, as some producers do
        content += [line(50, 700 - 14 * n, left[n]), line(320, 700 - 14 * n, right[n])]
    content.append(line(50, 740, "A title that spans the whole width of both of the columns", 18))
    (page,) = read_pages(make_pdf("columns.pdf", ["\n".join(content)]))
    places = [page.text.index(words) for words in ["A title", *left, *right]]
    assert places == sorted(places)


def test_a_line_below_panels_is_not_the_end_of_the_first(make_pdf) -> None:
    content = []
    for n, name in enumerate(("Plan", "Build", "Drive")):
        lines = [name, f"First {name} step is to ask.", f"Second {name} step is to write."]
        for down, words in enumerate([*lines, f"Third {name} step is to check."]):
            content.append(line(72 + 170 * n, 700 - 14 * down, words))
    content.append(line(72, 630, "Line below the panels."))
    (page,) = read_pages(make_pdf("a.pdf", ["\n".join(content)]))
    words = page.text.split()
    ends = [n for n, word in enumerate(words) if word == "check."]
    assert [words[n - 4] for n in ends] == ["Plan", "Build", "Drive"]
    assert words.index("Build") > ends[0]
    assert words.index("Drive") > ends[1]
    assert words[-4:] == ["Line", "below", "the", "panels."]


def test_columns_of_a_table_are_read_by_row(make_pdf) -> None:
    rows = [(f"Item {n}", f"{n * 111}", f"{n * 7}") for n in range(1, 10)]
    content = [
        line(x, 700 - 14 * n, row[c])
        for c, x in enumerate((72, 300, 400))
        for n, row in enumerate(rows)
    ]
    (page,) = read_pages(make_pdf("rows.pdf", ["\n".join(content)]))
    assert page.text.splitlines() == ["  ".join(row) for row in rows]


def test_hyphenated_word_is_joined(make_pdf) -> None:
    content = line(72, 700, "The committee considered the environ-") + line(
        72, 686, "mental consequences of the plan."
    )
    (page,) = read_pages(make_pdf("hyphen.pdf", [content]))
    assert "environmental consequences" in page.text


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_boxes_follow_the_displayed_page(make_pdf, rotate: int) -> None:
    path = make_pdf("turned.pdf", [line(100, 600, "Marker")], rotate=rotate)
    (page,) = read_pages(path)
    assert page.text.strip() == "Marker"
    box = page.box(0, 6)
    assert box is not None
    x, y = (box.x0 + box.x1) / 2, (box.top + box.bottom) / 2
    near = {0: (117, 188), 90: (603, 117), 180: (495, 604), 270: (188, 495)}[rotate]
    assert (page.width, page.height) == (PAGE if rotate % 180 == 0 else PAGE[::-1])
    assert (x, y) == pytest.approx(near, abs=6)


def test_text_in_form_xobject_is_not_lost(make_pdf) -> None:
    stream = line(72, 500, "Text inside a form").encode()
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> "
        b">> /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    )
    path = make_pdf(
        "form.pdf",
        [line(72, 700, "Text outside") + " /Fm0 Do"],
        extra_resources="/XObject << /Fm0 5 0 R >>",
        extra_objects={5: form},
    )
    (page,) = read_pages(path)
    assert "Text outside" in page.text
    assert "Text inside a form" in page.text


def test_outline_is_read(report_pdf: Path) -> None:
    facts = pdf_facts(report_pdf)
    assert facts.pages == 2
    assert [(e.level, e.title, e.page) for e in facts.outline] == [
        (1, "Canals", 1),
        (1, "Grain sales", 2),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is plain text", "not a PDF"),
        (b"%PDF-1.7\n" + b"\x00garbage" * 50, "damaged"),
    ],
)
def test_bad_file_is_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        pdf_facts(path)
    assert "bad.pdf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pdf: no such file"):
        pdf_facts(tmp_path / "nowhere.pdf")
    with pytest.raises(InputError, match="is a folder"):
        pdf_facts(tmp_path)


@given(st.text(min_size=0, max_size=200), st.integers(0, 200), st.integers(1, 60))
def test_every_part_of_a_text_is_found_in_it(text: str, start: int, length: int) -> None:
    part = text[start : start + length]
    spans = quote_spans(text, part)
    if sum(c.isalnum() for c in part) >= 6 and "…" not in part and ".." not in part:
        assert spans
    for low, high in spans:
        assert 0 <= low < high <= len(text)


@pytest.mark.parametrize(
    "quote",
    [
        "an environ-\nmental plan",
        "ENVIRONMENTAL  PLAN",
        "environmental … of “1912”",
        'plan of "1912"',
        "ｐｌａｎ of",
    ],
)
def test_quotes_are_compared_by_letters(quote: str) -> None:
    assert quote_spans("There was an environmental plan of “1912”.", quote)


@pytest.mark.parametrize("quote", ["environmental ban", "1912 … plan", "", "of"])
def test_what_does_not_stand_there_is_refused(quote: str) -> None:
    assert not quote_spans("There was an environmental plan of “1912”.", quote)


def _two_columns(middle: list[str]) -> list[str]:
    content = list(middle)
    for start, name in ((50, "left"), (330, "right")):
        content += [line(start, 700 - 14 * n, sentence(name, n)) for n in range(20)]
    return content


def sentence(name: str, number: int) -> str:
    return f"The {name} text says in line {number} that all is well"


@pytest.mark.parametrize(
    "middle",
    [
        [line(303, 40, "17")],
        [
            line(270, 730, "First Author"),
            line(265, 716, "Some Institute"),
            line(280, 400, "Figure"),
        ],
        [line(180, 745, "A title across both columns of the page", 16), line(300, 735, "and more")],
    ],
)
def test_something_short_in_the_gutter_does_not_hide_it(make_pdf, middle: list[str]) -> None:
    (page,) = read_pages(make_pdf("columns.pdf", ["\n".join(_two_columns(middle))]))
    for name in ("left", "right"):
        words = [sentence(name, n) for n in range(20)]
        missing = [w for w in words if not quote_spans(page.text, w)]
        assert not missing
        assert [page.text.index(w) for w in words] == sorted(page.text.index(w) for w in words)
    assert page.text.index(sentence("left", 3)) < page.text.index(sentence("right", 0))


def test_translations_beside_each_other_are_read_block_by_block(make_pdf) -> None:
    content = []
    for block in range(4):
        for start, name in ((50, "left"), (330, "right")):
            for n in range(5):
                y = 700 - 100 * block - 14 * n
                content.append(line(start, y, f"Block {block} {name} line {n} of this paragraph"))
    (page,) = read_pages(make_pdf("blocks.pdf", ["\n".join(content)]))
    order = [
        page.text.index(f"Block {block} {name} line {n}")
        for block in range(4)
        for name in ("left", "right")
        for n in range(5)
    ]
    assert order == sorted(order)


def test_a_table_that_was_written_by_column_is_read_by_row(make_pdf) -> None:
    content = [
        line(60 + 150 * column, 700 - 16 * row, f"Item {row}" if not column else f"{row * 37}.50")
        for column in range(3)
        for row in range(8)
    ]
    (page,) = read_pages(make_pdf("table.pdf", ["\n".join(content)]))
    assert "Item 5  185.50  185.50" in page.text
