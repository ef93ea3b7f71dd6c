"""Numbers in an answer that no tool has returned are told."""

import pytest

from qwenbelt.workflows.report.numbers import numbers_without_source
from qwenbelt.workflows.report.prose import parse_prose

RESULTS = ["Net sales $ 3,226.8 100.0% ; share 0.2364 ; mean=19.2083 ; count 47", "售出 32,268 台"]


@pytest.mark.parametrize(
    "answer",
    [
        "Sales were $3,226.8 million.",
        "Sales were $3.2 billion, or 3,227 million.",
        "A share of 23.6 %, or 23.64%.",
        "The mean is 19.21, about 19.2, roughly 19.",
        "In 2023 and FY2022 there were 47 stores on 3 pages.",
        "约 3.2 万台。",
        "See Q4, EIA-923, page 8, 1/3  and v1.25.3.",
        "```\n12345\n```",
    ],
)
def test_numbers_that_tools_returned(answer: str) -> None:
    assert numbers_without_source(parse_prose(answer), RESULTS) == []


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        ("Sales were $3,999.1 million.", ["3,999.1"]),
        ("The mean is 19.31.", ["19.31"]),
        ("| a | b |\n|--|--|\n| x | 88.5 |", ["88.5"]),
        ("- there were 1,234 stores, 1,234 in all, and 48 more", ["1,234", "48"]),
        ("增长 77.7%。", ["77.7"]),
    ],
)
def test_numbers_from_nowhere(answer: str, unknown: list[str]) -> None:
    assert numbers_without_source(parse_prose(answer), RESULTS) == unknown


def test_a_long_list_is_cut() -> None:
    answer = " ".join(f"{n}.77" for n in range(200, 400))
    assert len(numbers_without_source(parse_prose(answer), [])) == 12
