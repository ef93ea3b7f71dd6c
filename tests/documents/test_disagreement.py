"""Figures that documents state differently are found, and what only looks alike is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents.evidence import evidence_text
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.disagreement import (
    Disagreement,
    disagreements,
    stated_on,
    told_in_words,
)
from qwenbelt.tools.documents.evidence import gather_evidence
from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.documents.stated_lines import printed_numbers

YEARS = "| | {a} | {b} |\n|--|--:|--:|\n"


def made_of(files: Mapping[str, str], folder: Path) -> list[Disagreement]:
    documents = []
    with DocumentIndex(folder / "index.sqlite") as index:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            index.add([folder / name])
            documents.append(stated_on(name, index.pages(index.document(name).id)))
    return disagreements(documents)


def page_of(number: int, rows: Sequence[Sequence[str]], above: str = "") -> Page:
    text = "\n".join([above, *("  ".join(filter(None, row)) for row in rows)])
    whole = [list(row) for row in rows]
    return Page(number, text=text, tables=[Table(number, None, whole, "", True, 0, len(text))])


TOLD = {
    "a table, its columns in another order": (
        "| | 2022 | 2023 |\n|--|--:|--:|\n| Revenue | 390 | 412 |\n| Net income | 31 | 35 |\n",
        "| | 2023 | 2022 |\n|--|--:|--:|\n| Revenue | 421 | 390 |\n| Net income | 35 | 31 |\n",
        ("Revenue", "2023", "412", "421", False),
    ),
    "sentences": (
        "Revenue in 2023 was $412 million.",
        "In 2023, revenue was $421 million, more than before.",
        ("Revenue", "2023", "$412 million", "$421 million", False),
    ),
    "a sentence and a table": (
        "Revenue in 2023 was $512 million.",
        "| USD million | 2023 |\n|--|--|\n| Revenue | 412 |\n",
        ("Revenue", "2023", "$512 million", "412", False),
    ),
    "years in rows": (
        "| Year | Revenue |\n|--|--|\n| 2021 | 380 |\n| 2022 | 390 |\n| 2023 | 412 |\n",
        "| Year | Revenue |\n|--|--|\n| 2021 | 380 |\n| 2022 | 399 |\n| 2023 | 412 |\n",
        ("Revenue", "2022", "390", "399", False),
    ),
    "Chinese sentences": (
        "2023年营业收入为412万元。",
        "2023年，营业收入为421万元。",
        ("营业收入", "2023", "412万元", "421万元", False),
    ),
    "Chinese tables": (
        "单位：万元\n\n| 项目 | 2022年 | 2023年 |\n|--|--|--|\n| 营业收入 | 390 | 412 |\n"
        "| 净利润 | 31 | 35 |\n",
        "单位：万元\n\n| 项目 | 2022年 | 2023年 |\n|--|--|--|\n| 营业收入 | 390 | 421 |\n"
        "| 净利润 | 31 | 35 |\n",
        ("营业收入", "2023", "412", "421", False),
    ),
    "restated, as the page says": (
        "| | 2022 | 2023 |\n|--|--|--|\n| Revenue | 390 | 412 |\n| Net income | 31 | 35 |\n",
        "Figures of 2022 are restated.\n\n| | 2022 | 2023 |\n|--|--|--|\n| Revenue | 395 | 412 |\n"
        "| Net income | 31 | 35 |\n",
        ("Revenue", "2022", "390", "395", True),
    ),
    "one memo": (
        "# Offer\n\nContract sum: EUR 120,000\n\n# Payment\n\nContract sum: EUR 125,000\n",
        "Nothing.",
        ("Contract sum", "", "EUR 120,000", "EUR 125,000", False),
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_does_not_agree_is_told(name: str, tmp_path: Path) -> None:
    one, two, expected = TOLD[name]
    (found,) = made_of({"a.md": one, "b.md": two}, tmp_path)
    first, second = found.places
    assert (found.label, found.period, first.text, second.text, found.restated) == expected
    assert first.text.split()[-1] in first.quote
    assert found.to_dict()["label"] == found.label


UNTOLD = {
    "rounded": (
        "Revenue in 2023 was $5.3 billion.",
        "| USD million | 2023 |\n|--|--|\n| Revenue | 5,312 |\n",
    ),
    "other units": (
        "| USD thousand | 2023 |\n|--|--|\n| Revenue | 412,300 |\n| Net income | 35,100 |\n",
        "| in millions | 2023 |\n|--|--|\n| Revenue | 412 |\n| Net income | 35 |\n",
    ),
    "other years": (
        "| | 2021 | 2022 |\n|--|--|--|\n| Revenue | 380 | 390 |\n| Net income | 30 | 31 |\n",
        "| | 2023 | 2024 |\n|--|--|--|\n| Revenue | 412 | 430 |\n| Net income | 35 | 36 |\n",
    ),
    "quarters and a year": (
        "| | Q1 2023 | Q2 2023 |\n|--|--|--|\n| Revenue | 100 | 110 |\n| Net income | 12 | 13 |\n",
        "| | 2023 | 2022 |\n|--|--|--|\n| Revenue | 412 | 390 |\n| Net income | 35 | 31 |\n",
    ),
    "adjusted figures": (
        "| | 2022 adjusted | 2023 adjusted |\n|--|--|--|\n"
        "| Revenue | 390 | 412 |\n| Profit | 33 | 39 |\n",
        "| | 2022 | 2023 |\n|--|--|--|\n| Revenue | 390 | 412 |\n| Profit | 31 | 35 |\n",
    ),
    "two plants on the same form": (
        "| | 2023 |\n|--|--|\n| Output MWh | 412 |\n| Staff | 35 |\n| Outages | 12 |\n",
        "| | 2023 |\n|--|--|\n| Output MWh | 512 |\n| Staff | 45 |\n| Outages | 17 |\n",
    ),
    "two invoices": ("Amount due: 412.50 EUR", "Amount due: 99.10 EUR"),
    "a share and an amount": (
        "Growth in 2023 was 12 %.",
        "| | 2023 |\n|--|--|\n| Growth | 412 |\n",
    ),
    "minus signs": (
        "| | 2022 | 2023 |\n|--|--|--|\n| Tax | (31) | (35) |\n| Sales | 390 | 412 |\n",
        "| | 2022 | 2023 |\n|--|--|--|\n| Tax | 31 | 35 |\n| Sales | 390 | 412 |\n",
    ),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_what_only_looks_alike_is_not_told(name: str, tmp_path: Path) -> None:
    one, two = UNTOLD[name]
    assert made_of({"a.md": one, "b.md": two}, tmp_path) == []


def test_two_tables_of_a_long_document_are_compared_by_what_they_share() -> None:
    """As in the bundled PDF: a range in one column here, in two columns there, without a year."""
    fuels = ("ANT", "22", "29"), ("BIT", "19", "29"), ("LIG", "10", "15"), ("SUB", "15", "20")
    more = ("WC", "6.5", "16"), ("PC", "24", "30"), ("RFO", "5.7", "6.8"), ("DFO", "5.3", "6.3")
    one = [("Fuel", "Heat content"), *((f, f"{a} – {b}") for f, a, b in (*fuels, *more))]
    two = [("Code", "Unit", "Lower", "Upper")]
    two += [(f, "tons", a, "6.9" if f == "RFO" else b) for f, a, b in (*more, *fuels)]
    pages = [page_of(8, one), *(Page(n, text="Words.") for n in range(9, 33)), page_of(33, two)]
    (found,) = disagreements([stated_on("a.pdf", pages)])
    assert [(p.page, p.text) for p in found.places] == [(8, "6.8"), (33, "6.9")]
    assert found.places[1].quote == "RFO  tons  5.7  6.9"
    told = told_in_words(found, "zh")
    assert told == "RFO：6.8（a.pdf 第 8 页）与 6.9（a.pdf 第 33 页）"


@given(
    values=st.lists(st.integers(1000, 99999), min_size=8, max_size=12, unique=True).filter(
        lambda v: all(abs(a - b) > 9 for n, a in enumerate(v) for b in v[:n])
    ),
    wrong=st.none() | st.integers(0, 7),
    order=st.randoms(use_true_random=False),
)
def test_of_two_tables_exactly_the_wrong_line_is_told(
    values: list[int], wrong: int | None, order: object
) -> None:
    labels = [f"Item {chr(97 + n)}{chr(97 + n)}{chr(97 + n)}" for n in range(len(values))]
    rows = [(label, f"{value:,}") for label, value in zip(labels, values, strict=True)]
    others = list(rows)
    if wrong is not None:
        others[wrong] = labels[wrong], f"{values[wrong] + 4321:,}"
    order.shuffle(others)  # type: ignore[attr-defined]
    head = ("", "Year ended 2023")
    pages = [stated_on(f, [page_of(1, [head, *r])]) for f, r in (("a", rows), ("b", others))]
    told = [one.label for one in disagreements(pages)]
    assert told == ([] if wrong is None else [labels[wrong]])


def test_a_sign_that_stands_apart_on_the_page_does_not_hide_a_line() -> None:
    rows = [("", "Year ended 2023"), ("Revenues", "$5,504"), ("Costs", "3,752"), ("Tax", "110")]
    rows += [("Interest", "(130)"), ("Profit", "$1,512")]
    pages = []
    for name, revenue in (("a", "5,504"), ("b", "6,504")):
        page = page_of(1, [(row, cell.replace("5,504", revenue)) for row, cell in rows])
        page.text = page.text.replace("$", "$  ").replace("(130)", "(130 )")
        pages.append(stated_on(name, [page]))
    (found,) = disagreements(pages)
    assert [place.text for place in found.places] == ["$5,504", "$6,504"]


def test_numbers_of_cells() -> None:
    def read(cell: str) -> list[tuple[str, int]]:
        return [(number.digits, number.power) for number in printed_numbers(cell)]

    assert read("$ 5,583 $ 4,839") == [("5583", 0), ("4839", 0)]
    assert read("5.7 – 6.9") == [("57", -1), ("69", -1)]
    assert read("(1,200)") == [("12", 2)]
    assert read("12.5 %") == [("125", -1)]
    assert read("US$ 3 million") == [("3", 6)]
    assert read("3.2亿元") == [("32", 7)]
    for words in ("Note 5", "Table 1", "3/25/2023", "2019 Senior Notes due 2024", "", "x" * 90):
        assert printed_numbers(words) == []


def test_the_evidence_of_a_question_tells_it(tmp_path: Path) -> None:
    for name, figure in (("report.md", "412"), ("press.md", "421")):
        text = f"| | 2022 | 2023 |\n|--|--|--|\n| Revenue | 390 | {figure} |\n"
        text += "| Net income | 31 | 35 |\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
    with DocumentIndex(tmp_path / "index.sqlite") as index:
        index.add([tmp_path / "report.md", tmp_path / "press.md"])
        numbers = {name: index.document(name).id for name in ("report.md", "press.md")}
        asked = gather_evidence(index, "What was the revenue of 2023?", numbers)
        other = gather_evidence(index, "Who wrote the report?", numbers)
    (found,) = asked.disagreements
    assert other.disagreements == ()
    text = evidence_text("What was the revenue of 2023?", asked, "en")
    told = "Revenue, 2023: 412 (report.md p.1) and 421 (press.md p.1)"
    assert told_in_words(found, "en") == told
    assert f"The files do not agree: {told}." in text
    assert "do not agree" not in evidence_text("Who?", other, "en")
