"""Superscripts and subscripts of PDFs keep their meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.tools.documents.citations import quote_spans
from qwenbelt.tools.documents.parsing.pdf.raised_text import raised
from qwenbelt.tools.documents.parsing.pdf.reader import read_pages


def scripted(parts: list[tuple[str, float]]) -> str:
    """One line whose parts are raised or lowered; those are written smaller."""
    content = ["BT 72 700 Td"]
    for words, rise in parts:
        content.append(f"/F1 {7 if rise else 12} Tf {rise} Ts ({words}) Tj")
    return " ".join([*content, "ET"])


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([("about 10", 0), ("6", 5), (" cells", 0)], "about 10^6 cells"),
        ([("about 10", 0), ("-6", 5), (" m", 0), ("2", 5)], "about 10^-6 m^2"),
        ([("rose to 45", 0), ("1", 5), (" people", 0)], "rose to 45[1] people"),
        ([("in 2023", 0), ("2,3", 5), (" only", 0)], "in 2023[2,3] only"),
        ([("the growth", 0), ("a", 5), (" of sales", 0)], "the growth[a] of sales"),
        ([("CO", 0), ("2", -3), (" and SO", 0), ("4", -3)], "CO₂ and SO₄"),
        ([("the 21", 0), ("st", 5), (" century", 0)], "the 21st century"),
        ([("1", 5), ("Full time only.", 0)], "1 Full time only."),
        ([("Nor", 0), ("t", 5), ("h reg", 0), ("i", 5), ("on sales", 0)], "North region sales"),
    ],
)
def test_raised_and_lowered_characters(make_pdf, parts: list[tuple[str, float]], text: str) -> None:
    (page,) = read_pages(make_pdf("a.pdf", [scripted(parts)]))
    assert page.text.strip() == text


def test_a_footnote_does_not_make_a_number_longer(make_pdf) -> None:
    parts = [("rose to 45", 0), ("1", 5), (" people in 10", 0), ("3", 5), (" days", 0)]
    (page,) = read_pages(make_pdf("a.pdf", [scripted(parts)]))
    assert not quote_spans(page.text, "rose to 451 people")
    assert not quote_spans(page.text, "people in 103 days")
    assert quote_spans(page.text, "rose to 45 people")
    assert quote_spans(page.text, "people in 10^3 days")


@pytest.mark.parametrize(
    ("base", "script", "text"),
    [
        ("x", "n", "^n"),
        ("km", "2", "^2"),
        ("word", "12", "[12]"),
        ("x", "−1", "^-1"),
        ("A", "*", "*"),
    ],
)
def test_exponents_and_footnotes(base: str, script: str, text: str) -> None:
    assert raised(base, script) == text


def test_raised_and_lowered_glyphs_of_the_fonts_own(tmp_path: Path) -> None:
    """As typesetting programs draw them: digits of the text's size, by other glyphs."""
    import typst

    source, target = tmp_path / "a.typ", tmp_path / "a.pdf"
    source.write_text(
        "The town has 1,204#super[3] people in 2019#super[1,2], on 25 m#super[2] of land, "
        "10#super[−3] mol of H#sub[2]O; in sum $10^6$ and $x^2$, 11 of 71 at 1,111.",
        "utf-8",
    )
    typst.compile(str(source), output=str(target))
    (page,) = read_pages(target)
    assert " ".join(page.text.split()).replace("\U0001d465", "x") == (
        "The town has 1,204[3] people in 2019[1,2], on 25 m^2 of land, "
        "10^-3 mol of H₂O; in sum 10^6 and x^2 , 11 of 71 at 1,111."
    )
