"""What a question asks to be computed is computed by code, or left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.attribution import supporting_passages
from qwenbelt.tools.documents.computed import computed_lines, contradicted, results_of
from qwenbelt.tools.documents.grounding import CitedText
from qwenbelt.tools.documents.table_rows import figure_rows

INCOME = """Consolidated Statements of Income
(Millions)  2022  2021  2020
Net sales  $  1,200  $  1,000  $  800
Cost of sales  900  (700)  500
Operating income (loss)  (60)  100  —
Net income  $  40  $  80  $  20"""
BALANCE = """At December 31,  2022  2021
Inventories  300  100
Total current assets  900  600
Total current liabilities  400  300
Total assets  2,000  1,000"""
SPLIT = """At December 31,  2022  2021
Inventories, net
Raw materials and supplies  $  100  $  40
Work in process and finished goods  200  60
Prepaid expenses  50  20
Total current assets  900  600
Total current liabilities  400  300"""
PART = """Guarantors only  2022  2021
Inventories  3  1
Total current assets  9  6
Total current liabilities  4  3"""
TAX = """Years Ended December 31,  2022  2021
(Millions)
Pretax income  9,585  10,689
Income tax provision  2,071  2,629"""
CASH = """Year ended  2022  2021
Net cash provided by operating activities  500  400
Purchases of property and equipment  (100)  (50)"""
CHINESE = """项目  2022年  2021年
一、营业总收入  1,200  1,000
营业成本  900  700
净利润  60  50"""


@pytest.mark.parametrize(
    ("question", "passages", "told"),
    [
        (
            "What is the gross margin in FY2022?",
            {4: INCOME},
            ["gross margin: 2022: (1,200 [4] - 900 [4]) / 1,200 [4] = 25.0 %; 2021: "],
        ),
        ("Operating margin in 2022?", {4: INCOME}, ["2022: (60) [4] / 1,200 [4] = -5.0 %"]),
        (
            "Is the free cash flow conversion improving?",
            {4: INCOME, 7: CASH},
            ["2022: (500 [7] - 100 [7]) / 40 [4] = 1,000.0 %", "free cash flow: "],
        ),
        (
            "Calculate the inventory turnover of 2022.",
            {4: INCOME, 5: BALANCE},
            ["2022: 900 [4] / mean of 300 and 100 [5] = 4.50"],
        ),
        ("What is the quick ratio?", {5: BALANCE, 6: PART}, ["2022: (900 [5] - 300 [5]) / 400"]),
        (  # its inventories stand in two rows, without a total
            "What is the quick ratio?",
            {5: SPLIT},
            ["2022: (900 [5] - (100 + 200) [5]) / 400 [5] = 1.50; 2021: (600 [5] - (40 + 60)"],
        ),
        ("How much did net sales grow from 2021 to 2022?", {4: INCOME}, ["change 200, +20.0 %"]),
        ("Net sales growth 2020 to 2022?", {4: INCOME}, ["2020: 800, 2022: 1,200; change 400"]),
        (
            "What was the FY2022 net income in USD billions?",
            {4: INCOME},
            ["net income: Net income [4]: 2022: 40 = 0.040 billion (in millions)"],
        ),
        ("How much was COGS in 2021?", {4: INCOME}, ["Cost of sales [4]: 2021: 700 (in millions)"]),
        ("What are total assets at the end of 2021?", {5: BALANCE}, ["[5]: 2021: 1,000"]),
        (
            "How much has the effective tax rate changed between 2021 and 2022?",
            {3: TAX},
            ["2022: 2,071 [3] / 9,585 [3] = 21.6 %; 2021: 2,629 [3] / 10,689 [3] = 24.6 %"],
        ),
        ("2022年净利润是多少？", {1: CHINESE}, ["净利润 [1]: 2022: 60"]),
        ("2022年毛利率是多少？", {1: CHINESE}, ["(1,200 [1] - 900 [1]) / 1,200 [1] = 25.0 %"]),
        ("2022年净利润同比增长多少？", {1: CHINESE}, ["净利润 [1]: 2021: 50, 2022: 60; change 10"]),
    ],
)
def test_computed(question: str, passages: dict[int, str], told: list[str]) -> None:
    lines = computed_lines(question, passages)
    assert len(lines) == len(told)
    for line, part in zip(lines, told, strict=True):
        assert part in line


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("What drove the gross margin in 2022?", {4: INCOME}),  # words, not figures
        ("Who is the CEO?", {4: INCOME}),
        ("What is the quick ratio?", {4: INCOME}),  # its rows are not there
        ("What is the quick ratio?", {5: BALANCE.replace("Inventories  300  100\n", ""), 6: PART}),
        ("Which segment had the largest growth?", {4: INCOME}),
        ("What is the gross margin?", {4: "Net sales  1,200\nGross profit  300"}),  # no years
        ("How did the margin change?", {}),
        ("What was the net income in 2015?", {4: INCOME}),  # another year
        ("What was the segment's net income in 2022?", {4: INCOME}),
    ],
)
def test_nothing_is_computed_from_less(question: str, passages: dict[int, str]) -> None:
    assert computed_lines(question, passages) == ()


def test_results_are_not_the_figures_behind_them() -> None:
    """Else a figure of the formula would be right in whatever row a claim puts it."""
    lines = computed_lines("What is the quick ratio?", {5: SPLIT})
    assert results_of(lines) == ["1.50", "1.67"]
    lines = computed_lines("How much did net sales grow from 2021 to 2022?", {4: INCOME})
    assert results_of(lines) == ["200", "+20.0"]
    lines = computed_lines("How much was COGS in 2021?", {4: INCOME})
    assert results_of(lines) == ["700"]  # looked up: that is the answer
    lines = computed_lines("Operating margin in 2022?", {4: INCOME})
    assert results_of(lines)[0] == "-5.0"


def test_rates_change_by_points() -> None:
    table = "Year  2022  2021\nComparable sales rate  4.0%  6.5%"
    (line,) = computed_lines("How did the comparable sales rate change in 2022?", {2: table})
    assert line.endswith("change -2.50, percentage points")


def test_a_computed_answer_rests_on_the_rows_that_it_was_computed_from() -> None:
    shown = {4: CitedText(60, INCOME), 5: CitedText(61, BALANCE), 6: CitedText(99, PART)}
    question = "What is the inventory turnover of 2022?"
    answer = "The inventory turnover in 2022 was 4.5 times."
    assert supporting_passages(answer, question, shown) == (4, 5)
    assert supporting_passages(answer.replace("4.5", "7.25"), question, shown) == ()


@given(st.text(alphabet="0123456789,.()$%— |x年FY\n", max_size=200))
def test_any_text_has_rows_or_none(text: str) -> None:
    for row in figure_rows(text):
        assert row.label
        assert len(row.values) == len(row.printed)
        assert len(row.years) in (0, len(row.values))
        assert all(row.value(year) in row.values for year in row.years)
    computed_lines("gross margin growth 2022", {1: text})


@pytest.mark.parametrize(
    ("answer", "against"),
    [
        ("Yes, it improves: 5.0 %.", True),
        ("No, it fell to -5.0 %.", False),
        ("It is lower than before, not improving.", False),
        ("It is -5.0 %.", False),
        ("营业利润率上升了。", True),
    ],
)
def test_an_answer_against_what_was_computed(answer: str, against: bool) -> None:
    lines = computed_lines("Is the operating margin improving in 2022?", {4: INCOME})
    assert "2022 is lower than 2021" in lines[0]
    assert bool(contradicted(answer, lines)) is against
    assert not contradicted(answer, ())


def test_dated_columns_of_a_quarterly_report() -> None:
    text = (
        "  July 29, 2023  January 28, 2023  July 30, 2022\n"
        "Cash and cash equivalents  $  1,093  $  1,874  $  840\n"
    )
    question = "Was there any drop in cash and cash equivalents between FY2023 and Q2 of FY2024?"
    (line,) = computed_lines(question, {4: text})
    assert line == (
        "Cash and cash equivalents [4]: July 29, 2023: 1,093; January 28, 2023: 1,874; "
        "July 30, 2022: 840; change from January 28, 2023 to July 29, 2023: -781, -41.7%; "
        "change from July 30, 2022 to July 29, 2023: 253, +30.1%"
    )
    assert results_of([line]) == ["-781", "-41.7", "253", "+30.1"]
    twice = text.replace("January 28, 2023", "July 29, 2023")  # three and six months
    assert computed_lines(question, {4: twice}) == ()


def test_growth_of_a_company_is_that_of_its_revenue() -> None:
    text = (
        "Statements of Earnings\n(Dollars in Millions)  2022  2021\n"
        "Sales to customers  $  94,943  $  93,775\nCost of products sold  31,089  29,855\n"
    )
    (line,) = computed_lines(
        "Are JnJ's FY2022 financials that of a high growth company?", {2: text}
    )
    assert line.startswith("Sales to customers [2]: 2021: 93,775, 2022: 94,943; change 1,168, +1.2")
    (line,) = computed_lines("强生2022年属于高成长公司吗？", {2: text})
    assert "+1.2 %" in line
    assert computed_lines("How do they think of growth?", {2: text}) == ()


@pytest.mark.parametrize(
    ("answer", "against"),
    [
        ("Total current liabilities were $1,420.5 million [2].", True),  # of another sentence
        ("Total current liabilities were $3,000 million [4].", False),
        ("They were 3.0 billion in 2022 and 2,500 million before [4].", False),
        ("They stand in the balance sheet [4].", False),
    ],
)
def test_an_answer_with_none_of_the_figures_that_were_looked_up(answer: str, against: bool) -> None:
    text = "December 31 (millions)  2022  2021\nTotal current liabilities  3,000  2,500\n"
    lines = computed_lines("What were total current liabilities in 2022?", {4: text})
    assert "Total current liabilities [4]: 2022: 3,000" in lines[0]
    assert bool(contradicted(answer, lines)) is against
