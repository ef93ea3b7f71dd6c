"""Ruled tables, with pdfplumber as the oracle."""

from __future__ import annotations

from typing import Any

import pdfplumber
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdfplumber.table import edges_to_intersections, intersections_to_cells

from qwenbelt.tools.documents.parsing.pdf import ruled_tables
from qwenbelt.tools.documents.parsing.pdf.reader import read_pages
from qwenbelt.tools.documents.search.chunks import table_context


def text(x: float, y: float, words: str, size: float = 10) -> str:
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({words}) Tj ET"


def ruled_grid(x: float, y: float, columns: list[float], rows: list[float]) -> str:
    """Stroked rules of a grid from its top left corner (x, y), y from the bottom."""
    right, low = x + sum(columns), y - sum(rows)
    parts, at = (
        [
            f"{x} {y} m {right} {y} l S",
        ],
        y,
    )
    for step in rows:
        at -= step
        parts.append(f"{x} {at} m {right} {at} l S")
    at = x
    for step in [0.0, *columns]:
        at += step
        parts.append(f"{at} {y} m {at} {low} l S")
    return "\n".join(parts)


def test_neighbouring_cells_of_a_narrow_table_stay_apart(make_pdf) -> None:
    # the text fills its cells, so that only the rules tell where one ends
    columns, rows = [34.0, 34.0, 34.0], [14.0, 14.0, 14.0]
    values = [["Rail", "Road", "Sea"], ["104,500", "35,390", "38.4"], ["636,903", "26,597", "1.0"]]
    parts = [ruled_grid(72, 700, columns, rows)]
    for r, row in enumerate(values):
        parts += [text(73 + 34 * c, 690 - 14 * r, v, size=9) for c, v in enumerate(row)]
    path = make_pdf("narrow.pdf", ["\n".join(parts)])
    (page,) = read_pages(path)
    assert page.tables[0].rows == values
    with pdfplumber.open(path) as oracle:
        assert oracle.pages[0].extract_tables() == [values]


@pytest.mark.parametrize(("matrix", "x", "y"), [("0 1 -1 0", 17, -62), ("0 -1 1 0", 9, -6)])
def test_headings_that_stand_on_their_side_are_in_their_cells(
    make_pdf: Any, matrix: str, x: int, y: int
) -> None:
    parts = [ruled_grid(72, 700, [60.0, 26.0, 26.0], [70.0, 20.0, 20.0])]
    for c, words in enumerate(["North total", "South total"]):
        at = f"{72 + 60 + 26 * c + x} {700 + y}"
        parts.append(f"BT /F1 10 Tf {matrix} {at} Tm ({words}) Tj ET")
    for r, row in enumerate([["2022", "12", "98"], ["2023", "13", "99"]]):
        parts += [text([75, 135, 161][c], 616 - 20 * r, v) for c, v in enumerate(row)]
    parts.append("BT /F1 10 Tf 0 1 -1 0 40 300 Tm (A margin's words) Tj ET")
    (page,) = read_pages(make_pdf("turned.pdf", ["\n".join(parts)]))
    assert page.tables[0].rows[0] == ["", "North total", "South total"]
    assert page.text.count("North") == 1
    assert page.text.rstrip().endswith("A margin's words")


def test_ruled_tables_side_by_side_are_both_found(make_pdf) -> None:
    parts = []
    for left in (72, 320):
        parts.append(ruled_grid(left, 700, [90.0, 90.0], [20.0, 20.0]))
        for r in range(2):
            parts += [text(left + 6 + 90 * c, 686 - 20 * r, f"{left} {r}{c}") for c in range(2)]
    (page,) = read_pages(make_pdf("two.pdf", ["\n".join(parts)]))
    assert [table.rows for table in page.tables] == [
        [[f"{left} {r}{c}" for c in range(2)] for r in range(2)] for left in (72, 320)
    ]


def test_signs_and_raised_marks_stay_in_their_cells(make_pdf) -> None:
    parts = [ruled_grid(72, 700, [120.0, 20.0, 60.0, 20.0], [20.0, 20.0])]
    for r, (label, value) in enumerate([("Sales", "1,250"), ("Costs", "(975)")]):
        y = 686 - 20 * r
        cells = [(78, label), (196, "$"), (220, value), (276, "%")]
        parts += [text(x, y, words) for x, words in cells]
        parts.append(text(78 + 28, y + 2, "a", size=6))  # a footnote's mark
    path = make_pdf("signs.pdf", ["\n".join(parts)])
    (page,) = read_pages(path)
    with pdfplumber.open(path) as oracle:
        (theirs,) = oracle.pages[0].extract_tables()
    ours = page.tables[0].rows
    assert [["".join(cell.split()) for cell in row] for row in ours] == theirs
    assert theirs == [["Salesa", "$", "1,250", "%"], ["Costsa", "$", "(975)", "%"]]


@given(
    st.lists(st.tuples(st.booleans(), *[st.integers(0, 6)] * 3), min_size=4, max_size=24),
)
def test_cells_are_those_that_pdfplumber_finds(drawn: list[tuple[bool, int, int, int]]) -> None:
    edges = []
    for level, at, one, other in drawn:
        first, last = 20.0 * min(one, other), 20.0 * max(one, other) + 20
        x0, x1, top, bottom = (
            (first, last, 20 * at, 20 * at) if level else (20 * at, 20 * at, first, last)
        )
        name = "h" if level else "v"
        edges.append({"x0": x0, "x1": x1, "top": top, "bottom": bottom, "orientation": name})
    known = intersections_to_cells(edges_to_intersections(edges, 3.0, 3.0))
    assert ruled_tables._cells(edges) == known


def rules(*lines: tuple[float, float, float, float]) -> str:
    return "\n".join(f"{x0} {y0} m {x1} {y1} l S" for x0, y0, x1, y1 in lines)


def test_cells_that_cover_several_places_fill_them_and_are_shown_once(make_pdf) -> None:
    """Region covers two rows of the header, each year two columns, North two rows below."""
    level = [
        (72, 700, 372, 700),
        (132, 680, 372, 680),
        (72, 660, 372, 660),
        (132, 640, 372, 640),
        (72, 620, 372, 620),
        (72, 600, 372, 600),
    ]
    upright = [(x, 700, x, 600) for x in (72, 132, 252, 372)]
    upright += [(x, 680, x, 600) for x in (192, 312)]
    words = [
        (75, 685, "Region"),
        (135, 685, "2023"),
        (255, 685, "2024"),
        *((x, 665, half) for x, half in zip((135, 195, 255, 315), ("H1", "H2") * 2, strict=True)),
        (75, 645, "North"),
        *((135 + 60 * n, 645, f"1{n}.5") for n in range(4)),
        *((135 + 60 * n, 625, f"2{n}.5") for n in range(4)),
        (75, 605, "South"),
        *((135 + 60 * n, 605, f"3{n}.5") for n in range(4)),
    ]
    content = "\n".join([rules(*level, *upright), *(text(*word) for word in words)])
    path = make_pdf("spans.pdf", [content])
    (page,) = read_pages(path)
    assert page.tables[0].rows == [
        ["Region", "2023", "2023", "2024", "2024"],
        ["Region", "H1", "H2", "H1", "H2"],
        ["North", "10.5", "11.5", "12.5", "13.5"],
        ["North", "20.5", "21.5", "22.5", "23.5"],
        ["South", "30.5", "31.5", "32.5", "33.5"],
    ]
    assert page.text.count("Region") == page.text.count("2023") == page.text.count("North") == 1
    below = page.text.index("20.5")
    assert table_context(page.tables[0], below) == "Region  2023  2024\nRegion  H1  H2  H1  H2"


def test_a_column_that_only_a_wide_header_covers_is_left_out(make_pdf) -> None:
    level = [(72, y, 312, y) for y in (700, 680, 660, 640)]
    upright = [(x, 700, x, 640) for x in (72, 192, 312)] + [(252, 680, 252, 640)]
    words = [(75, 685, "Name"), (195, 685, "Price"), (75, 665, "Bolt"), (195, 665, "4.50")]
    words += [(75, 645, "Nut"), (195, 645, "0.75")]
    content = "\n".join([rules(*level, *upright), *(text(*word) for word in words)])
    (page,) = read_pages(make_pdf("wide.pdf", [content]))
    assert page.tables[0].rows == [["Name", "Price"], ["Bolt", "4.50"], ["Nut", "0.75"]]
