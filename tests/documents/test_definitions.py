"""Measures that a question defines are computed as it defines them, or left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.computed import computed_lines, results_of
from qwenbelt.tools.documents.definitions import measures_of

INCOME = """(Millions)  2022  2021  2020
Net sales  $  1,200  $  1,000  $  800
Cost of sales  900  700  500
Selling, general and administrative expenses  60  50  40
Operating income  100  90  80
Net income  $  40  $  80  $  20"""
BALANCE = """At December 31,  2022  2021
Cash and cash equivalents  80  60
Trade accounts receivable, less allowance of $3 and $2, respectively (Note 7)  200  100
Inventories  300  100
Property, plant and equipment  500  300
Total current assets  900  600
Accounts payable  120  80
Total current liabilities  400  300
Total assets  2,000  1,000
Total liabilities  1,500  700
Total shareholders’ equity  500  300
Total liabilities and equity  2,000  1,000"""
CASH = """Year ended  2022  2021  2020
Net cash provided by operating activities  500  400  300
Depreciation and amortization of property and equipment and capitalized content costs,
operating lease assets, and other  70  60  50
Inventories  (200)  (50)  (40)
Accounts payable  40  30  20
Purchases of property and equipment  (60)  (50)  (40)
Dividends paid  (10)  (8)  (6)
Dividends paid per share  (0.10)  (0.08)  (0.06)"""
ALL = {4: INCOME, 5: BALANCE, 6: CASH}
DPO = (
    "What is the FY2022 days payable outstanding (DPO)? DPO is defined as: 365 * (average accounts "
    "payable between FY2021 and FY2022) / (FY2022 COGS + change in inventory between FY2021 and "
    "FY2022). Round your answer to two decimal places."
)
CYCLE = (
    "What is the FY2022 cash conversion cycle (CCC)? CCC is defined as: DIO + DSO - DPO. DIO is "
    "defined as: 365 * (average inventory between FY2021 and FY2022) / (FY2022 COGS). DSO is "
    "defined as: 365 * (average accounts receivable between FY2021 and FY2022) / (FY2022 revenue). "
    + DPO.partition("? ")[2]
)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (
            DPO,
            [
                "DPO: 2022: 365 * (mean of 120 [5] and 80 [5]) / (900 [4] + (300 [5] - 100 [5]))"
                " = 33.18"
            ],
        ),
        (CYCLE, ["= 93.55", "DIO: 2022: ", "DSO: 2022: ", "DPO: 2022: "]),
        ("What is the days sales outstanding of 2022?", ["/ 1,200 [4] = 45.62"]),
        (
            "What is the FY2022 free cash flow, defined as cash from operations minus capex?",
            ["free cash flow: 2022: 500 [6] - 60 [6] = 440; 2021: 400 [6] - 50 [6] = 350"],
        ),
        (
            "What is the FY2022 ROA? ROA is defined as: FY2022 net income / (average total assets "
            "between FY2021 and FY2022).",
            ["ROA: 2022: 40 [4] / (mean of 2,000 [5] and 1,000 [5]) = 0.03 = 2.7 %"],
        ),
        (
            "What is FY2022 unadjusted operating income + depreciation and amortization?",
            ["operating income + depreciation and amortization: 2022: 100 [4] + 70 [6] = 170"],
        ),
        (
            "X is defined as: revenue / (COGS / average inventory). What is X in 2022?",
            ["X: 2022: 1,200 [4] / (900 [4] / (mean of 300 [5] and 100 [5])) = 266.67"],
        ),
        ("What is FY2022 EBITDA less capex?", ["2022: (100 [4] + 70 [6]) - 60 [6] = 110"]),
        (
            "What is SG&A as a percentage of revenue in FY2022?",
            ["selling, general and administrative / revenue: 2022: 60 [4] / 1,200 [4] = 5.0 %"],
        ),
        ("What percent of total assets was cash & cash equivalents in 2022?", ["= 4.0 %"]),
        (
            "What is the 3 year average of capex as a % of revenue from FY2020 to FY2022?",
            ["2020: 40 [6] / 800 [4] = 5.0 %; mean of 2020 to 2022 = 5.0 %"],
        ),
        (
            "What was the average operating margin between 2020 and 2022?",
            ["mean of 2020 to 2022 = 9.1 %"],
        ),
        (
            "What is the FY2020 - FY2022 2 year total revenue CAGR?",
            ["revenue CAGR: 2020 to 2022: (1,200 [4] / 800 [4])^(1/2) - 1 = 22.5 %"],
        ),
        ("What is the debt-to-equity ratio of 2022?", ["1,500 [5] / 500 [5] = 3.00"]),
        ("What is the cash ratio of 2022?", ["80 [5] / 400 [5] = 0.20 = 20.0 %"]),
        ("What is the operating cash flow ratio of 2022?", ["500 [6] / 400 [5] = 1.25"]),
        ("What is the dividend payout ratio of 2022?", ["2022: 10 [6] / 40 [4] = 25.0 %"]),
        ("What is the retention ratio of 2022?", ["(40 [4] - 10 [6]) / 40 [4] = 0.75 = 75.0 %"]),
        ("2022年应收账款周转天数是多少？", ["= 45.62"]),
        (
            "营运天数的定义为：365 × 平均存货 ÷ 营业成本。2022年的营运天数是多少？",
            ["2022: 365 * (mean of 300 [5] and 100 [5]) / 900 [4] = 81.11"],
        ),
    ],
)
def test_a_measure_is_computed_as_it_is_defined(question: str, told: list[str]) -> None:
    lines = computed_lines(question, ALL)
    assert len(lines) == len(told), lines
    for line, part in zip(lines, told, strict=True):
        assert part in line
    assert results_of(lines)


@pytest.mark.parametrize(
    "question",
    [
        "DOH is defined as: 365 * (average goodwill of dogs) / (FY2022 COGS). What is DOH of 2022?",
        "DOH is defined as: 365 * (COGS. What is DOH in 2022?",
        "DOH is defined as: (net income) / (revenue - revenue). What is DOH in 2022?",
        "DOH is defined as: DIO of DIO. What is DOH in 2022?",
        "What is the DSO of 2022? DSO is defined as: the moon over revenue.",
        "What is FY2019 EBITDA less capex?",  # another year
        "What share of revenue is revenue in 2022?",
    ],
)
def test_what_is_not_understood_is_left_out(question: str) -> None:
    assert not [
        line for line in computed_lines(question, ALL) if line.startswith(("DOH", "EBI", "DSO"))
    ]


def test_a_definition_of_itself_ends() -> None:
    assert not measures_of("DIO is defined as: DIO + DSO. DSO is defined as: DIO + 1. DIO of 2022?")


def test_rows_of_cash_flows_are_changes_and_no_balances() -> None:
    """A cash flow page has more years of inventories, which are what they changed by."""
    (line,) = computed_lines("What is the DIO of 2022?", ALL)
    assert "mean of 300 [5] and 100 [5]" in line
    assert computed_lines("What is the DIO of 2022?", {4: INCOME, 6: CASH}) == ()


def test_a_part_is_not_the_whole() -> None:
    table = "(Millions)  2022  2021\nSubscription revenue  900  700\nTotal revenue  1,200  1,000"
    shown = {1: table}
    assert computed_lines("What was the subscription revenue in 2022?", shown) == ()
    (line,) = computed_lines("How much did subscription revenue grow from 2021 to 2022?", shown)
    assert line.startswith("Subscription revenue [1]: 2021: 700, 2022: 900; change 200")
    (line,) = computed_lines("How much did total revenue grow from 2021 to 2022?", shown)
    assert line.startswith("Total revenue [1]: ")


def test_growth_of_a_named_row_is_that_of_no_other() -> None:
    shown = {1: "(Millions)  2022  2021\nOther (income) expense, net  12  4\nNet income  40  30"}
    question = "By how much did operating income change from 2021 to 2022, in percent?"
    assert computed_lines(question, shown) == ()
    shown[1] += "\nOther operating expense (income), net  8  4\nOperating income  90  60"
    (line,) = computed_lines(question, shown)
    assert line == "Operating income [1]: 2021: 60, 2022: 90; change 30, +50.0 %"


def test_a_group_that_issues_bonds_is_a_part_although_its_income_is_larger() -> None:
    """As Amcor's Obligor Group: the others' income is in its income, their sales are not."""
    bonds = "(Millions)  2022  2021\nNet sales  90  80\nNet income  300  200"
    (line,) = computed_lines("What is the net profit margin of 2022?", {4: INCOME, 8: bonds})
    assert line.startswith("net margin: 2022: 40 [4] / 1,200 [4] = 3.3 %")
    whole = "(Millions)  2022  2021\nNet income  300  200"
    assert computed_lines("Net profit margin of 2022?", {4: INCOME, 8: whole}) == ()


@given(
    st.text(alphabet="0123456789+-*/() []DIOSPFYX.,?:年", max_size=60),
    st.sampled_from(["X is defined as: ", "Define X as ", "X的定义为：", ""]),
)
def test_any_definition_is_read_or_left(text: str, before: str) -> None:
    for measure in measures_of(f"{before}{text} revenue + COGS / average inventory"):
        measure.value(2022, lambda row, year: (float(len(row)), row))
