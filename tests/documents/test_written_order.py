"""Pages that are read as their producer wrote them, and text that is drawn twice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from qwenbelt.tools.documents.parsing.pdf.reader import read_pages


def text(x: float, y: float, words: str, size: float = 10) -> str:
    return f"BT /F1 {size} Tf {x} {y} Td ({words}) Tj ET"


def read(file: Path) -> str:
    (page,) = read_pages(file)
    return page.text.strip()


def test_text_that_is_drawn_twice_counts_once(make_pdf) -> None:
    lines = [f"Item {n}: the fee is {n + 40} euro, off all tariffs." for n in range(12)]
    once = [text(72, 700 - 20 * n, words) for n, words in enumerate(lines)]
    twice = [text(72.2, 700 - 20 * n, words) for n, words in enumerate(lines)]
    assert read(make_pdf("a.pdf", ["\n".join(once + twice)])) == "\n".join(lines)


def test_doubled_letters_stay(make_pdf) -> None:
    words = "A loss of 11 111.00 offset all 22 bills."
    assert read(make_pdf("a.pdf", [text(72, 700, words)])) == words


def test_titles_in_the_margin_are_read_as_a_whole(make_pdf) -> None:
    margin = ["2.3.59.5", "(01-16-2020)", "Restoring Tax", "Modules"]
    body = [f"Sentence {n} of the body is told here at some length." for n in range(12)]
    content = [text(60, 700 - 12 * n, words) for n, words in enumerate(margin)]
    content += [text(200, 700 - 12 * n, words) for n, words in enumerate(body)]
    content += [text(60, 500, "2.3.59.6"), text(60, 488, "Formats")]
    content += [text(200, 500, "A sentence beside the second title.")]
    title = "Command codes of the manual, part 2.3.59, with all forms, page 3"
    content += [text(60, 760, title, 12)]  # written last, read first
    shown = read(make_pdf("a.pdf", ["\n".join(content)]))
    assert shown.startswith(title)
    assert "2.3.59.5\n(01-16-2020)\nRestoring Tax\nModules\nSentence 0" in shown


def test_a_table_of_prose_is_read_row_by_row(make_pdf) -> None:
    """Cells of several lines, without rules: each cell whole, then the one beside it."""
    columns, content, y = ((78, 2, 18), (175, 7, 44), (358, 7, 44)), [], 700
    content += [text(x, y, f"Head of column {n}", 8) for n, (x, _, _) in enumerate(columns)]
    for row in range(3):
        y -= 30
        content += [text(x, y + 10, f"Title {row}", 8) for x, _, _ in columns[1:]]
        for column, (x, lines, length) in enumerate(columns):
            for line in range(lines):
                words = f"r{row} c{column} l{line} " + "some more words of a passage here too "
                content.append(text(x, y - 10 * line, words[:length], 8))
        y -= 80
    words = read(make_pdf("a.pdf", ["\n".join(content)])).split()
    cells = [f"{a}{b}" for a, b in pairwise(words) if a in ("r0", "r1", "r2")]
    assert cells == [
        f"r{r}c{c}" for r in range(3) for c, (_, n, _) in enumerate(columns) for _ in range(n)
    ]
