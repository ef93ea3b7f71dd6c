"""Which row of a group changed most is found by code, and an answer that names another is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.computed import computed_lines, contradicted, results_of

REGIONS = """The following summarizes revenues by geographic area:
Three Months Ended  Six Months Ended
July 2,  July 3,  %  July 2,  July 3,  %
(MILLIONS)  2023  2022  Change  2023  2022  Change
United States  $  6,185 $  11,222  (45) $  14,692 $  20,140  (27)
Europe  2,415  5,480  (56)  5,236  11,569  (55)
Rest of World  1,305  5,034  (74)  3,778  8,320  (55)
Emerging Markets  2,828  6,006  (53)  7,308  13,373  (45)
Revenues  $  12,733 $  27,742  (54) $  31,014 $  53,402  (42)
"""
CATEGORIES = """  Three Months Ended  Six Months Ended
  July 29, 2023  July 30, 2022  July 29, 2023  July 30, 2022
Domestic:
Phones  $  3,674  $  3,964  $  7,362  $  8,249
Appliances  1,384  1,657  2,723  3,247
Games  544  508  1,135  1,081
Total Domestic revenue  $  5,602  $  6,129  $  11,220  $  12,577
International:
Phones  $  309  $  327  $  625  $  671
Appliances  92  104  151  175
Games  50  51  110  128
Total International revenue  $  451  $  482  $  886  $  974
"""


def lines_of(question: str, *texts: str) -> tuple[str, ...]:
    return computed_lines(question, dict(enumerate(texts, 1)))


def test_the_row_that_fell_most_where_changes_stand_between_the_years() -> None:
    (line,) = lines_of("Which region had the biggest drop in revenues in Q2 of 2023?", REGIONS)
    assert line == (
        "Of Revenues [1], Rest of World fell most in 2023: 1,305 against 5,034 = -74.1 %; then "
        "Europe: 2,415 against 5,480 = -55.9 %"
    )
    assert results_of([line]) == ["-74.1", "-55.9"]


def test_the_longer_period_where_it_is_asked_for() -> None:
    question = "Which geographic area declined the most in the first six months of 2023?"
    (line,) = lines_of(question, REGIONS)
    assert "Europe fell most in 2023: 5,236 against 11,569 = -54.7 %" in line
    (line,) = lines_of(
        "Which product category of the international market performed worst in H1?", _abroad()
    )
    assert "Games performed worst: it fell most in 2023: 110 against 128 = -14.1 %" in line


def _abroad() -> str:
    lines = CATEGORIES.splitlines()
    return "\n".join((*lines[:2], *lines[7:]))


def test_the_group_that_is_named() -> None:
    question = "Which category performed best in the {} market in the second quarter?"
    (line,) = lines_of(question.format("domestic"), CATEGORIES)
    assert line.startswith(
        "Of Total Domestic revenue [1], Games performed best: it grew most in 2023: 544 against"
    )
    (line,) = lines_of(question.format("international"), CATEGORIES)
    assert line.startswith(
        "Of Total International revenue [1], Games performed best: it fell least"
    )


THREE_YEARS = """  2023  2022  2021
Games  150  100  110
Phones  90  95  50
Total revenue  240  195  160
"""


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("2023", "Games grew most in 2023: 150 against 100"),
        ("FY22", "Phones grew most in 2022: 95 against 50"),
        ("fiscal 2024", "Games grew most in 2023"),  # may be the name of the year 2023
        ("2019", ""),
        ("2021", ""),  # the year before is not there
    ],
)
def test_the_year_that_is_asked_for(when: str, told: str) -> None:
    lines = lines_of(f"Which product line had the highest growth in {when}?", THREE_YEARS)
    assert told in lines[0] if told else not [one for one in lines if one.startswith("Of ")]


@given(st.text(alphabet="0123456789,.()$%— x年\n", max_size=200))
def test_any_text_has_groups_or_none(text: str) -> None:
    for total in ("Revenues", "Total revenue  3  2", "Sales  5  4  (20)"):
        lines_of("Which region grew most in 2023?", f"2023  2022\nEurope {text}\n{total}")


def test_in_chinese() -> None:
    rows = ("单位：万元  2023年  2022年", "华东  1,200  900", "华南  3,400  3,100", "西部  80  20")
    text = "\n".join((*rows, "营业收入合计  4,680  4,020"))
    (line,) = lines_of("2023年哪个地区的收入增长最快？", text)
    assert "西部 grew most in 2023: 80 against 20 = +300.0 %" in line


@pytest.mark.parametrize(
    "question",
    [
        "What were the revenues of the regions in 2023?",
        "Which region had the biggest drop and which segment the largest growth?",
        "Which region is the largest?",
        "Which region had the biggest drop in operating income in Q2 of 2023?",
        "Which product category had the biggest drop in Q2 of 2023?",
        "Why did the region with the biggest drop decline?",
    ],
)
def test_nothing_where_no_change_is_asked_for(question: str) -> None:
    assert not [line for line in lines_of(question, REGIONS) if "Of Revenues" in line]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1,305", "1,405"),  # the rows do not add up
        ("(74)", "(12)"),  # what stands beside the years is no change
        ("2023  2022  Change", "2022  2023  Change"),
        ("Revenues  $", "Total costs  $"),
    ],
)
def test_a_table_that_is_not_sure_is_left_alone(before: str, after: str) -> None:
    text = REGIONS.replace(before, after)
    question = "Which region had the biggest drop in revenues in Q2 of 2023?"
    assert not [line for line in lines_of(question, text) if line.startswith("Of ")]


def test_a_group_of_things_is_no_answer_to_where() -> None:
    assert lines_of("Which region of the domestic market performed best?", CATEGORIES) == ()


def test_an_answer_with_another_row_contradicted() -> None:
    lines = lines_of("Which region had the biggest drop in revenues in Q2 of 2023?", REGIONS)
    assert contradicted("Europe had the biggest drop, 55.9 % [1].", lines)
    assert not contradicted("Revenues of the Rest of World fell most, by 74 % [1].", lines)
    lines = lines_of("Which category performed best in the domestic market in Q2?", CATEGORIES)
    assert contradicted("Phones performed best [1].", lines)
    assert not contradicted("Games performed best [1].", lines)


def test_the_largest_part_of_a_sum_that_is_not_called_a_total() -> None:
    text = """Fair value level  June 30, 2023  December 31, 2022
Cash and cash equivalents:
Money market funds  Level 1  $  2,195  $  12,009
Commercial paper  Level 2  —  5,992
Cash and cash equivalents  2,195  18,001
Short-term investments:
Government securities  Level 1  57,696  56,835
Corporate bonds  Level 2  416,420  213,875
Short-term investments  474,116  270,710
Total debt investments  $  476,311  $  288,711
"""
    question = (
        "Which debt received the largest investment among the short term investments of 2023?"
    )
    (line,) = lines_of(question, text)
    assert line == (
        "largest of Short-term investments [1]: 2023: Corporate bonds 416,420; then Government "
        "securities 57,696"
    )
