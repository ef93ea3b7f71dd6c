"""An answer's text is checked against what it cites, in both forms of citations."""

from __future__ import annotations

import pytest

from qwenbelt.tools.documents.answer_checks import check_answer
from qwenbelt.tools.documents.grounding import CitedText

SALES = CitedText(4, "in millions  2022  2021\nNet sales  1,577  1,210\nCost of sales  903  771")
QUESTION = "What were net sales in 2022?"


def page(file: str, number: int) -> str | None:
    return SALES.text if (file, number) == ("a.pdf", 4) else None


@pytest.mark.parametrize(
    ("answer", "statuses"),
    [
        ("Net sales were 1,577 million in 2022 [1].", ["ok"]),
        ("Net sales were 1,577 million in 2022 [a.pdf p.4].", ["ok"]),
        ("Net sales were 903 million in 2022 [1].", ["wrong_row"]),
        ("Net sales were 1,999 million in 2022 [1].", ["not_on_page"]),
        ("Net sales were 1,577 million in 2022 [a.pdf p.9].", ["no_citations", "no_page"]),
        ("Net sales were 1,577 million in 2022 [1][7].", ["ok", "no_page"]),
        ("Net sales were 1,577 million in 2022 [1, 7].", ["ok", "no_page"]),
        ("Net sales were 1,577 million in 2022.", ["no_citations"]),
        ("See [the table](a.md); net sales were 1,577 million [1].", ["ok"]),
        ("The documents do not tell this.", []),
    ],
)
def test_figures_are_looked_for_where_they_are_cited(answer: str, statuses: list[str]) -> None:
    checks = check_answer(answer, QUESTION, numbered={1: SALES}, page_text=page)
    assert [check.status for check in checks] == statuses


def test_a_mark_on_answers_about_files_that_cite_nothing() -> None:
    from qwenbelt.apps.answers import is_uncited

    assert is_uncited("Net sales were 12.", ["a.pdf"])
    assert not is_uncited("Net sales were 12 [1].", ["a.pdf"])
    assert not is_uncited("Net sales were 12 [a.pdf p.3].", ["a.pdf"])
    assert not is_uncited("The file does not tell.", ["a.pdf"])
    assert not is_uncited("The mean is 12.", ["a.csv", "b.png"])
    assert not is_uncited("Hello!", [])


def test_percentage_points_that_are_the_level_of_a_page() -> None:
    page = (
        "We now expect core EPS growth of 9 percent (previously 8 percent). This implies core EPS "
        "of $7.27, a 7 percent increase."
    )
    question = "By how many percentage points was the guidance of core EPS growth raised?"

    def statuses(answer: str) -> list[str]:
        return [c.status for c in check_answer(answer, question, numbered={1: CitedText(1, page)})]

    assert statuses("Core EPS growth was raised by 7 percentage points [1].") == ["wrong_unit"]
    assert statuses("Core EPS growth was raised by 1 percentage point [1].") == ["ok"]
    page += " Foreign exchange takes 2 percent."  # 9 and 2 differ by seven
    assert statuses("Core EPS growth was raised by 7 percentage points [1].") == ["wrong_unit"]
    other = page.replace("$7.27, a 7 percent increase", "$6.12")
    found = check_answer(
        "It was raised by 7 percentage points [1].", question, numbered={1: CitedText(1, other)}
    )
    assert [check.status for check in found] == ["not_on_page"]
    page += "\n7 markets took part."
    assert statuses("Core EPS growth was raised by 7 percentage points [1].") == ["wrong_unit"]
    page += "\n  2023  Change (points)\nCore EPS growth  9  7"
    assert statuses("Core EPS growth was raised by 7 percentage points [1].") == ["ok"]
    from_to = "Core EPS growth was raised by 1 percentage point, from 8 percent to 9 percent [1]."
    assert set(statuses(from_to)) == {"ok"}


def test_a_difference_is_no_percentage_and_years_make_no_figures() -> None:
    """A real 1.5B: net sales of 100.0 million "were computed" from the ages of two officers."""
    page = (
        "Susana Gonzalez (54)  Executive VP and Chief Officer  2022 to present\n"
        "Eric Roegner (53)  President, Rigid Packaging  2018 to present\n"
        "Deborah Rasin (56)  Executive VP of sales  2016 to 2022\n"
    )

    def statuses(answer: str, text: str) -> list[str]:
        question = "What were the net sales in fiscal year 2016?"
        return [c.status for c in check_answer(answer, question, numbered={1: CitedText(1, text)})]

    sales = "Net sales in fiscal year 2016 were $100.0 million [1]."
    assert "ok" not in statuses(sales, page)
    table = "Net sales of 2016  1,992  1,794\n"
    right = "Net sales in fiscal year 2016 were 11.0% higher, by 198 million [1]."
    assert set(statuses(right, table)) == {"ok"}


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Margin decreased by 34.8% compared to 34.8% in 2021 [1].", True),
        ("Margin rose from 34.8% to 34.8% [1].", True),
        ("Margin increased by 5.5% compared to 34.8% in 2021 [1].", False),
    ],
)
def test_a_change_that_is_none_is_told(sentence: str, told: bool) -> None:
    page = "Margin  34.8%  34.8%\nMargin change  5.5%\n"
    checks = check_answer(sentence, "How did margin change?", numbered={1: CitedText(1, page)})
    assert ("other_way" in [check.status for check in checks]) == told
