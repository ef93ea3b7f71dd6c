"""Questions become search terms; texts become tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.search.tokens import index_text, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018年合作", ["2018", "年合", "合作"]),
        ("U.S. sales", ["us", "sales"]),
        ("$1,577.00 and 3.10", ["1577", "and", "3.1"]),
        ("Ｆｕｌｌ　width", ["full", "width"]),
        ("Qwen模型v2", ["qwen", "模型", "v", "2"]),
        ("company’s don't", ["company", "don", "t"]),
        ("中\n文", ["中文"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert list(tokens(text)) == expected


@given(st.text(max_size=300))
def test_any_text_gives_tokens_that_full_text_search_takes(text: str) -> None:
    for token in tokens(text):
        assert token
        assert not any(c in token for c in '" \n*()^:')


@pytest.mark.parametrize(
    ("question", "term"),
    [
        ("What is the FY21 result?", "2021"),
        ("sales in Q2 of FY2023", "second"),
        ("net PPNE", "plant"),
        ("capex", "expenditures"),
        ("quick ratio", "inventories"),
        ("毛利率是多少", "成本"),
    ],
)
def test_terms_are_written_out(question: str, term: str) -> None:
    assert term in understand(question).all


def test_words_about_answering_are_left_out() -> None:
    query = understand("Answer the question: what drove harvest losses? Give details in units.")
    assert set(query.terms) == {"drove", "harvest", "losses"}
    assert understand("details?").terms == ("details",)
    assert understand("what is it").terms


def test_stop_words_are_not_indexed() -> None:
    assert index_text("The harbour of the town") == "harbour town"
