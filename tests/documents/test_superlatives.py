"""The largest row of a sum is found by code, and an answer that names another is told."""

from __future__ import annotations

import pytest

from qwenbelt.tools.documents.computed import computed_lines, contradicted

BALANCE = """Consolidated balance sheets
December 31 (Millions)  2022  2021
Assets
Cash and cash equivalents  $  8,100  $  7,200
Investment securities (includes pledged: 2022, $12)  44,578  32,591
Total assets  $  52,678  $  39,791
Liabilities
Customer deposits  $  10,239  $  14,382
Accounts payable  12,133  10,574
Long-term debt  9,573  8,675
Total liabilities  $  31,945  $  33,631
"""
PARENT = """As of December 31 (Millions)  2022  2021
Accounts payable  2,271  2,107
Long-term debt  9,432  8,314
Total liabilities  11,703  10,421
"""


def lines_of(question: str, *texts: str) -> tuple[str, ...]:
    return computed_lines(question, dict(enumerate(texts, 1)))


def test_the_largest_row_of_the_sum_that_is_named() -> None:
    (line,) = lines_of("What was the largest liability in 2022?", BALANCE, PARENT)
    assert line == (
        "largest of Total liabilities [1]: 2022: Accounts payable 12,133; then Customer deposits "
        "10,239"
    )
    (line,) = lines_of("What was the largest liability in FY21?", BALANCE, PARENT)
    assert "2021: Customer deposits 14,382" in line
    (line,) = lines_of("Which was the smallest asset of 2022?", PARENT, BALANCE)
    assert line.startswith("smallest of Total assets [2]: 2022: Cash and cash equivalents 8,100")
    assert "Investment securities 44,578" in line  # without what stands in its brackets


def test_in_chinese() -> None:
    rows = ("单位：万元  2023  2022", "短期借款  1,200  900", "应付账款  3,400  3,100")
    text = "\n".join((*rows, "负债合计  4,600  4,000"))
    (line,) = lines_of("2023年最大的负债是什么？", text)
    assert "应付账款 3,400" in line


@pytest.mark.parametrize(
    "question",
    [
        "What was the total of liabilities in 2022?",
        "What is the largest risk in 2022?",
        "What are the largest and the smallest liability in 2022?",
    ],
)
def test_nothing_where_no_sum_is_meant(question: str) -> None:
    assert not [line for line in lines_of(question, BALANCE) if " of Total " in line]


def test_rows_that_do_not_add_up_are_no_sum() -> None:
    text = BALANCE.replace("9,573", "9,999")
    assert lines_of("What was the largest liability in 2022?", text) == ()


def test_an_answer_with_another_row_contradicted() -> None:
    lines = lines_of("What was the largest liability in 2022?", BALANCE, PARENT)
    assert contradicted("The largest liability was $9,432 million [2].", lines)
    assert contradicted("The largest liability was long-term debt [1].", lines)
    assert not contradicted("Accounts payable, $12,133 million [1].", lines)
    assert not contradicted("The largest liability in 2022 was $12,133 million [1].", lines)
