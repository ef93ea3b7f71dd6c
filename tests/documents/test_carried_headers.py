"""A table that goes on over pages carries its header."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.tools.documents import DocumentIndex

from .conftest import ruled_grid, text

COLUMNS = [72, 200, 330]


def _part(rows: list[list[str]], above: str = "") -> str:
    content = [ruled_grid(72, 700, [128, 130, 130], [20] * len(rows)), above]
    for number, row in enumerate(rows):
        for column, words in enumerate(row):
            content.append(text(COLUMNS[column] + 4, 700 - 20 * number - 14, words))
    return "\n".join(content)


def _rows(first: int) -> list[list[str]]:
    return [[f"Part P{n:03}", f"{n * 3}", f"{n * 7}.50"] for n in range(first, first + 14)]


def test_later_parts_of_a_table_carry_its_header(make_pdf, tmp_path: Path) -> None:
    header = ["Article", "Crates", "Price"]
    other = text(72, 690, "Another story that has nothing to do with it, told in " * 6, 3)
    pages = [
        _part([header, *_rows(1)]),
        _part(_rows(20)),
        _part(_rows(40)),
        other + _part(_rows(60)),
    ]
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(make_pdf("parts.pdf", pages))
        for page, wanted in ((2, True), (3, True), (4, False)):
            (hit,) = index.search(f"part P{20 * page - 15:03}", 1, pages=[page])
            assert ("Crates" in hit.context) == wanted, page
