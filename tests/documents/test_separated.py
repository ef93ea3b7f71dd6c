"""Tables of separated values: the dialect is what parses most evenly."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.tools.documents.parsing.pagination import pages_of
from qwenbelt.tools.documents.parsing.separated import separated_blocks


def read(text: str, suffix: str = ".csv") -> tuple[list[list[str]], str, list[str]]:
    pages = pages_of(separated_blocks(text, suffix))
    rows = [row for page in pages for table in page.tables for row in table.rows]
    return rows, pages[0].text, pages[0].notes


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            'id,size\n1,"4"" pipe, steel"\n2,"6, long"\n',
            [["1", '4" pipe, steel'], ["2", "6, long"]],
        ),
        ("sep=;\nname;city\nAda;Bonn\nBob;Kiel\n", [["Ada", "Bonn"], ["Bob", "Kiel"]]),
        ("sep=|\r\nname|city\r\nA,1|B,2\r\n", [["A,1", "B,2"]]),
        ("name;price\nA;1,50\nB;2,75\n", [["A", "1,50"], ["B", "2,75"]]),
        ("1,5;2,5\n3,5;4,5\n5,5;6,5\n", [["3,5", "4,5"], ["5,5", "6,5"]]),
        (
            "id,cmd\n1,cat a | grep b | wc\n2,ls | sort\n",
            [["1", "cat a | grep b | wc"], ["2", "ls | sort"]],
        ),
        ('a,b\n"x\\"y",2\n"z",3\n', [['x"y', "2"], ["z", "3"]]),
        ('a\tb\n4" pipe\t2\n', [['4" pipe', "2"]]),
    ],
)
def test_dialects(text: str, rows: list[list[str]]) -> None:
    assert read(text)[0][1:] == rows


def test_rows_above_the_header_are_text() -> None:
    text = "Report of sales\nMade on 2024-01-02\n\nname,qty,unit\nvalve,412,pc\npump,7,pc\n"
    rows, shown, _ = read(text)
    assert rows[0] == ["name", "qty", "unit"]
    assert shown.startswith("Report of sales\nMade on 2024-01-02\n")


def test_a_quote_that_is_never_closed_costs_no_row() -> None:
    rows, _, notes = read("name,qty\n" + '"open,1\n' + "".join(f"v{n},{n}\n" for n in range(90)))
    assert ["v89", "89"] in rows
    assert notes


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=6)


@given(
    st.lists(st.lists(cells, min_size=3, max_size=3), min_size=4, max_size=8),
    st.sampled_from(",;\t|"),
)
@settings(max_examples=60)
def test_what_the_csv_module_writes_is_read(rows: list[list[str]], separator: str) -> None:
    rows = [[f"x{cell.strip()}" for cell in row] for row in rows]
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    assert read(f"sep={separator}\n{out.getvalue()}")[0] == [[c.strip() for c in r] for r in rows]
