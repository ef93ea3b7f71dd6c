"""Marks in an answer become numbered citations of words that stand on the page."""

from pathlib import Path
from typing import Any

import pytest

from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.workflows.report.citing import CitedPage, Citer, without_own_lists
from qwenbelt.workflows.report.inputs import read_cited
from qwenbelt.workflows.report.prose import inline_lists, parse_prose, plain_text


@pytest.fixture
def book(steel: Path) -> SourceBook:
    found = SourceBook()
    for number in (1, 2, 3):
        page = read_cited(steel, number)
        assert page is not None
        found.number(file="steel.pdf", path=str(steel), page=number, text=page.page.text)
    return found


def citer(book: SourceBook, question: str = "") -> Citer:
    return Citer(book, lambda source: read_cited(source.path, source.page), question)


def marks(blocks: list[dict[str, Any]]) -> list[int]:
    return [n["n"] for nodes in inline_lists(blocks) for n in nodes if n["kind"] == "cite"]


def test_marks_are_numbered_in_reading_order_and_quote_what_supports_them(
    book: SourceBook,
) -> None:
    found = citer(book)
    blocks = found.bind(parse_prose("B2 reached 400 MPa [2]. The mean of lot A is 412 MPa [1]."))
    assert marks(blocks) == [1, 2]
    first, second = found.citations
    assert (first.page, second.page) == (2, 1)
    assert "B2" in first.quote
    assert "400" in first.quote
    assert "412 MPa" in second.quote
    assert first.verified
    assert second.verified
    assert first.box is not None
    assert first.box[0] < first.box[2]


def test_one_source_may_be_quoted_twice_with_different_words(book: SourceBook) -> None:
    found = citer(book)
    found.bind(parse_prose("Lot A has 412 MPa [1]. Lot B reached 398 MPa on average [1]."))
    assert len(found.citations) == 2
    assert "398" in found.citations[1].quote


def test_the_same_words_are_one_citation(book: SourceBook) -> None:
    found = citer(book)
    blocks = found.bind(parse_prose("Lot A: 412 MPa [1].\n\nAgain, lot A: 412 MPa [1]."))
    assert marks(blocks) == [1, 1]


def test_the_sentence_before_counts_when_the_mark_follows_the_full_stop(book: SourceBook) -> None:
    found = citer(book)
    found.bind(parse_prose("Lot B reached 398 MPa. [1] The yield point is unknown."))
    assert "398" in found.citations[0].quote


def test_a_chinese_claim_finds_chinese_words(book: SourceBook) -> None:
    found = citer(book)
    found.bind(parse_prose("平均抗拉强度为405兆帕[3]。"))
    assert "405" in found.citations[0].quote
    assert found.citations[0].verified


def test_words_that_the_model_quotes_are_checked(book: SourceBook) -> None:
    found = citer(book)
    found.bind(parse_prose('Fine [1 "mean tensile strength of lot A"]. Wrong [1 "is 999 MPa"].'))
    assert [c.verified for c in found.citations] == [True, False]
    assert found.citations[1].quote == "is 999 MPa"
    assert found.citations[1].box is None


def test_unknown_numbers_are_removed_and_told(book: SourceBook) -> None:
    found = citer(book)
    blocks = found.bind(parse_prose("Lot A has 412 MPa [77]. Lot B [0][1]."))
    assert found.unknown == [77, 0]
    assert marks(blocks) == [1]
    assert plain_text(blocks[0]["inline"]).startswith("Lot A has 412 MPa.")


def test_a_page_that_is_gone_leaves_the_citation_unverified(book: SourceBook) -> None:
    def gone(source: object) -> CitedPage | None:
        return None

    found = Citer(book, gone)
    found.bind(parse_prose("Lot A has 412 MPa [1]."))
    assert [c.verified for c in found.citations] == [False]


def test_rows_of_tables_are_claims(book: SourceBook) -> None:
    found = citer(book)
    found.bind(parse_prose("| Lot | MPa |\n|--|--|\n| A2 | 414 [2] |\n| B1 | 396 [2] |"))
    assert ["A2" in found.citations[0].quote, "B1" in found.citations[1].quote] == [True, True]


@pytest.mark.parametrize("title", ["References", "**Sources**", "# 参考文献", "## 来源："])
def test_a_list_of_references_by_the_model_is_left_out(title: str) -> None:
    heading = title if title.startswith("#") else f"## {title}"
    blocks = parse_prose(f"Answer [1].\n\n{heading}\n\n[1] steel.pdf p.1\n")
    assert len(without_own_lists(blocks)) == 1


def test_a_section_on_sources_in_the_middle_stays() -> None:
    blocks = parse_prose("## Sources\n\nText.\n\n## Next\n\nMore.")
    assert without_own_lists(blocks) == blocks


def test_numbers_of_a_run_are_stable() -> None:
    book = SourceBook()
    one = book.number(file="a", path="/a", page=1, text="x")
    assert book.number(file="a", path="/a", page=2, text="x") == one + 1
    assert book.number(file="a", path="/a", page=1, text="x") == one
    assert book.get(0) is None
    assert book.get(3) is None


def test_a_computed_figure_quotes_a_row_that_it_is_made_of(book: SourceBook) -> None:
    line = "Ratio of lots: 2023: 412 [1] / 398 [1] = 1.04"
    claim = "The ratio was 1.04 in the tests of this report [1]."
    plain = citer(book)
    plain.bind(parse_prose(claim))
    told = Citer(book, lambda source: read_cited(source.path, source.page), "", [line])
    told.bind(parse_prose(claim))
    assert not any(figure in plain.citations[0].quote for figure in ("412", "398"))
    assert any(figure in told.citations[0].quote for figure in ("412", "398"))
