"""Lines that are read from the right."""

from __future__ import annotations

import numpy as np

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment
from qwenbelt.tools.documents.parsing.pdf.page_text import compose
from qwenbelt.tools.documents.parsing.pdf.pdfium import _in_order


def _line(*words: tuple[str, float, float]) -> str:
    page = Page(1, 400, 400)
    row = [Fragment(t, x0, 10, x1, 20, False, n) for n, (t, x0, x1) in enumerate(words)]
    compose(page, row, [])
    return page.text.strip()


def test_a_hebrew_line_is_read_from_the_right_and_its_numbers_stay() -> None:
    shown = _line(("מיליון", 20, 60), ("1,234.5", 80, 120), ("הכנסות", 140, 200))
    assert shown == "הכנסות  1,234.5  מיליון"


def test_a_code_in_a_hebrew_line_is_one_word() -> None:
    row = (".", 16, 19), ("ABC", 20, 40), ("-12", 40, 57), ("עבור", 60, 90)
    assert _line(*row) == "עבור ABC-12."
    shown = _line(("2023", 20, 40), ("2024", 44, 64), ("בשנת", 68, 90))
    assert shown == "בשנת 2024 2023"  # two numbers are read from the right


def test_an_english_line_with_a_hebrew_word_is_read_from_the_left() -> None:
    shown = _line(("Revenue was named", 20, 110), ("הכנסות", 130, 170), ("12", 190, 200))
    assert shown == "Revenue was named  הכנסות  12"


def test_the_ligature_of_lam_and_alef_is_two_letters_in_their_order() -> None:
    """As pdfium gives them: the letters of one glyph turned around like those of the line."""
    given, right = "\u0627\u0625\u0644\u0646", "\u0627\u0644\u0625\u0646"
    boxes = np.array([[9.0, 0, 12, 9], [5, 0, 9, 9], [5, 0, 9, 9], [0, 0, 5, 9]])
    codes = np.array([ord(c) for c in given], np.uint32)
    assert "".join(map(chr, _in_order(codes, boxes))) == right
    boxes[1, 0] = 7.0  # two glyphs: an alef before a lam, as in the article
    codes = np.array([ord(c) for c in given], np.uint32)
    assert "".join(map(chr, _in_order(codes, boxes))) == given


def test_korean_lines_are_joined_where_the_producer_wrote_no_space() -> None:
    page = Page(1, 400, 400)
    lines = [
        ("바이러스 감염", False),
        ("증이 세계적 유행으로", True),
        ("인정되었다고 하였다", False),
    ]
    rows = [
        Fragment(words, 10, 10 + 12 * n, 200, 20 + 12 * n, False, n, n, spaced)
        for n, (words, spaced) in enumerate(lines)
    ]
    compose(page, rows, [])
    assert page.text.strip() == "바이러스 감염증이 세계적 유행으로 인정되었다고 하였다"
