import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.plot.numbers import is_number, read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5),
        (" 12 % ", 12),
        ("(1,204)", -1204),
        ("$4.2", 4.2),
        ("-$4.2", -4.2),
        ("US$ 7", 7),
        ("¥1,000", 1000),
        ("−5", -5),
        ("3.2亿", 3.2e8),
        ("12万元", 120000),
        ("１２３．５", 123.5),
        ("1 234 567", 1234567),
        ("1.5e6", 1.5e6),
        (".5", 0.5),
    ],
)
def test_a_number_as_people_write_it(text: str, value: float) -> None:
    assert read_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "  ", "-", "—", "–", "n/a", "N/A", "不适用", "..."])
def test_a_cell_without_a_value(text: str) -> None:
    assert read_number(text) is None
    assert not is_number(text)


@pytest.mark.parametrize(
    "text",
    ["abc", "1,23", "12 - 15", "19 -29", "1.2.3", "e5", "$", "1e999", "2020-01-01", "9" * 65],
)
def test_what_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_number(text)


@given(st.text(max_size=80))
def test_any_text_gives_a_finite_number_none_or_value_error(text: str) -> None:
    try:
        value = read_number(text)
    except ValueError:
        return
    assert value is None or math.isfinite(value)


@given(st.floats(-1e9, 1e9).map(lambda v: round(v, 3)))
def test_formatted_numbers_come_back(value: float) -> None:
    assert read_number(f"{value:,.3f}") == pytest.approx(value)
