"""Figures are looked for on the cited page, in a row that is about the claim."""

from __future__ import annotations

import pytest

from qwenbelt.tools.documents.grounding import (
    NO_CITATIONS,
    NO_YEAR,
    NOT_ON_PAGE,
    OK,
    OTHER_WAY,
    UNKNOWN_WORD,
    WRONG_ROW,
    WRONG_UNIT,
    WRONG_YEAR,
    CitedText,
    Claim,
    check_claims,
    claims_of,
    shares_a_figure,
)

PAGE = CitedText(
    7,
    """Consolidated Balance Sheets (in thousands) 2022 2021
Total current assets 5,308,100 5,853,200
Inventories, net 2,213,400 2,439,900
Goodwill 4,900,700 5,100,300
Total current liabilities 4,476,600 5,103,800
The company opened 47 new stores in 2022, and sales rose 12.5% to $9.1 billion.""",
)


def statuses(text: str, question: str = "", unknown: tuple[str, ...] = ()) -> list[str]:
    found = check_claims([Claim(text, (PAGE,))], question, unknown=unknown)
    return [check.status for check in found]


YEARS = """Reconciliation  ($ million)
Twelve Months Ended June 30, 2022  Twelve Months Ended June 30, 2023
Adjusted EBITDA  2,117  2,018
Interest paid, net  (119)  (248)
Leases  31  31"""


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Adjusted EBITDA was $2,117 million in FY 2023.", WRONG_YEAR),
        ("Adjusted EBITDA was $2,117 million in FY22.", OK),
        ("Adjusted EBITDA was $2,018 million in 2023.", OK),
        ("2023年调整后 Adjusted EBITDA 为 2,117。", WRONG_YEAR),
        ("Net interest of 119 was paid in 2023.", WRONG_YEAR),
        ("Leases were 31 in 2023.", OK),  # in both years
        ("Adjusted EBITDA was $2,117 million.", OK),  # it names no year
        ("In 2023 it fell from an adjusted EBITDA of $2,117 million.", OK),
        ("Adjusted EBITDA was $2,117 million in the year before 2023.", OK),
        ("Adjusted EBITDA was $2,117 million in 2022 and 2,018 in 2023.", OK),
    ],
)
def test_a_figure_of_another_year_is_told(text: str, status: str) -> None:
    """A real 1.5B gave the EBITDA of 2022 for that of 2023: right row, other column."""
    checks = check_claims([Claim(text, (CitedText(12, YEARS),))], "")
    assert {check.status for check in checks} == {status}


def test_a_computed_figure_may_stand_under_another_year_by_chance() -> None:
    claim = Claim("Net interest grew to 2.119 times, or by 119 in 2023.", (CitedText(12, YEARS),))
    assert WRONG_YEAR in {check.status for check in check_claims([claim], "")}
    told = {check.status for check in check_claims([claim], "", computed=["119", "2.119"])}
    assert told == {OK}


def test_a_fiscal_year_that_ends_in_winter_is_left_alone() -> None:
    page = (
        "Sales by year\n($ millions)  January 28, 2023  January 29, 2022\nNet sales  8,759  8,968"
    )
    checks = check_claims([Claim("Net sales were 8,759 in 2022.", (CitedText(3, page),))], "")
    assert [check.status for check in checks] == [OK]


@pytest.mark.parametrize(
    "text",
    [
        "Goodwill increased from 5,100,300 to 4,900,700.",
        "Goodwill rose to 4,900,700 in 2022 from 5,100,300 in 2021.",
        "Goodwill declined from 4,900,700 in 2022 to 5,100,300 in 2021.",
        "商誉从5,100,300增加到4,900,700。",
    ],
)
def test_a_change_that_is_the_other_way_is_told(text: str) -> None:
    """A real 1.5B: "the number of stores increased from 931 to 930"."""
    assert OTHER_WAY in statuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "Goodwill fell from 5,100,300 to 4,900,700.",
        "Sales grew from 2021 to 2022.",
        "Sales rose from $1.2 billion to $1,400 million.",  # other units
        "The loss increased from (5) to (10).",
        "Stores increased from 930 to 931, while closings decreased from 2 to 1.",
        "商誉从5,100,300下降到4,900,700。",
        "The ratio improved from 3.0 to 2.5.",  # of debts it does
    ],
)
def test_other_changes_are_left_alone(text: str) -> None:
    assert OTHER_WAY not in statuses(text)


def test_two_figures_make_no_ratio_that_needs_three() -> None:
    """A real 1.5B model's quick ratio was taken: some two figures of a page make any 1.2."""
    said = "The quick ratio improved from 1.1 to 1.2."
    assert statuses(said) == [NOT_ON_PAGE, NOT_ON_PAGE]
    assert statuses("It improved from 1.1 to 1.2.", "Has the quick ratio improved?") == [
        NOT_ON_PAGE,
        NOT_ON_PAGE,
    ]
    assert statuses("The current ratio was 1.2 in 2022.") == [OK]
    claim = Claim("The quick ratio was 0.69.", (PAGE,))
    checks = check_claims([claim], "", computed=["(5,308.1 - 2,213.4) / 4,476.6 = 0.69"])
    assert [check.status for check in checks] == [OK]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Goodwill was 4,900,700 thousand in 2022.", OK),
        ("Goodwill was $4.9 billion in 2022.", OK),
        ("Inventories were 4,900,700 thousand.", WRONG_ROW),
        ("Total current liabilities were 5,308,100.", WRONG_ROW),
        ("Goodwill was 4,911,700.", NOT_ON_PAGE),
        ("Goodwill was 4,900,700 million.", WRONG_UNIT),
        ("It opened 47 new stores.", OK),
        ("Goodwill fell by 199,600 thousand.", OK),
        ("4,900,700", OK),
        ("商誉为 4,900,700。", OK),
    ],
)
def test_a_figure_and_its_row(text: str, status: str) -> None:
    assert statuses(text) == [status]


def test_years_and_words_of_the_question() -> None:
    assert NO_YEAR in statuses("Goodwill was 4,900,700.", "What was goodwill in FY2016?")
    assert NO_YEAR not in statuses("Goodwill was 4,900,700.", "What was goodwill in FY22?")
    assert UNKNOWN_WORD in statuses("Goodwill was 4,900,700.", unknown=("helicopters",))


def test_nothing_cited_and_nothing_claimed() -> None:
    assert [c.status for c in check_claims([Claim("Goodwill was 4.")], "")] == [NO_CITATIONS]
    assert check_claims([Claim("The documents do not tell.")], "") == []


def test_marks_belong_to_the_sentence_before_them() -> None:
    claims = claims_of([("One is 1. Two is 22", ()), ("", (PAGE,)), (". Three is 33.", ())])
    assert [(c.text, len(c.cited)) for c in claims] == [
        ("One is 1.", 0),
        ("Two is 22", 1),
        ("Three is 33.", 0),
    ]


STATEMENT = CitedText(
    3,
    """Consolidated Statements of Income ($ in millions) 2022 2021
Net sales 14,544 12,861
Cost of sales 11,724 10,129
Gross profit 2,820 2,732
Distribution costs 31 47""",
)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Net sales was 11,724.", WRONG_ROW),  # "sales" is a word of both rows
        ("Cost of sales was 14,544.", WRONG_ROW),
        ("Net sales were 14,544, cost of sales 11,724.", OK),
        ("Cost of sales was 11,724 of net sales of 14,544.", OK),
        ("The gross profit, net sales less costs, was 2,820.", OK),
    ],
)
def test_a_claim_that_has_the_whole_label_of_another_row(text: str, status: str) -> None:
    question = "What is the gross margin, from net sales and cost of sales?"
    found = check_claims([Claim(text, (STATEMENT,))], question)
    assert {check.status for check in found} == {status}


@pytest.mark.parametrize("figure", ["-31.7%", "−31.7 %", "(-31.7%)", "-31.7 percent", "31.7%"])
def test_a_figure_with_a_minus_is_looked_up_as_well(figure: str) -> None:
    assert statuses(f"Sales of the stores fell by {figure} in 2022.") == [NOT_ON_PAGE]


@pytest.mark.parametrize("text", ["See form 10-K of 2022.", "It is on pages 12-14.", "Type A-31."])
def test_a_hyphen_in_a_name_or_a_range_makes_no_figure(text: str) -> None:
    assert OK in statuses(text) or statuses(text) == []


@pytest.mark.parametrize(
    ("answer", "shares"),
    [
        ("It was $5,308.1 million.", True),
        ("About 5.3 billion.", True),
        ("It was 4,476,600 thousand, or 5,308,100 with the rest.", True),
        ("It was $1,420.5 million.", False),
        ("It is not so.", False),
    ],
)
def test_figures_that_a_text_shares_with_others(answer: str, shares: bool) -> None:
    assert shares_a_figure(answer, ["2022: 5,308,100 (in thousands)"]) is shares
