"""Lines that are read from the right."""

from __future__ import annotations

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment
from qwenbelt.tools.documents.parsing.pdf.page_text import compose


def _line(*words: tuple[str, float, float]) -> str:
    page = Page(1, 400, 400)
    row = [Fragment(t, x0, 10, x1, 20, False, n) for n, (t, x0, x1) in enumerate(words)]
    compose(page, row, [])
    return page.text.strip()


def test_a_hebrew_line_is_read_from_the_right_and_its_numbers_stay() -> None:
    shown = _line(("מיליון", 20, 60), ("1,234.5", 80, 120), ("הכנסות", 140, 200))
    assert shown == "הכנסות  1,234.5  מיליון"


def test_an_english_line_with_a_hebrew_word_is_read_from_the_left() -> None:
    shown = _line(("Revenue was named", 20, 110), ("הכנסות", 130, 170), ("12", 190, 200))
    assert shown == "Revenue was named  הכנסות  12"
