"""Questions become search terms; texts become tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.citations import quote_spans
from qwenbelt.tools.documents.folding import aligned, folded
from qwenbelt.tools.documents.search.hits import best_quote
from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.search.tokens import index_text, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018年合作", ["2018", "年合", "合作"]),
        ("U.S. sales", ["ᴀus", "sales"]),
        ("$1,577.00 and 3.10", ["1577", "and", "3.1"]),
        ("Ｆｕｌｌ　width", ["full", "width"]),
        ("Qwen模型v2", ["qwen", "模型", "v", "2", "v2"]),
        ("GB/T 50016-2014", ["gb", "t", "50016", "2014", "gbt50016", "gbt500162014"]),
        ("H100-SXM5", ["h", "100", "sxm", "5", "h100", "h100sxm5", "sxm5"]),
        ("WHO asked who", ["ᴀwho", "asked", "who"]),
        ("⻋⻔ ⼾", ["车门", "门户"]),
        ("帳戶餘額", ["帐户", "户余", "余额"]),
        ("Kranken\u00adkasse zero\u200bwidth", ["krankenkasse", "zerowidth"]),
        ("مُحَمَّد", ["محمد"]),
        ("company’s don't", ["company", "don", "t"]),
        ("中\n文", ["中文"]),
        ("Straße STRASSE", ["straße", "strasse", "strasse"]),
        ("Isparta ısparta İLK", ["isparta", "ısparta", "isparta", "ilk"]),
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


def test_parts_of_a_code_are_looked_for_after_it() -> None:
    query = understand("price of the H100 with 100 pins")
    assert set(query.terms) == {"price", "h100", "100", "pins"}  # 100 stands on its own too
    assert query.parts == ("h",)
    assert "python" in understand("python3 packages").terms
    assert understand("10kg load").parts == ()  # an amount may be written "10 kg"


def test_a_question_in_capitals_has_no_names_in_it() -> None:
    assert understand("WHO IS THE AUDITOR OF THE FUND?").terms == ("auditor", "fund")
    assert understand("US GDP").terms == ("ᴀus", "gdp")


@pytest.mark.parametrize(
    ("query", "right", "wrong"),
    [
        ("A320", "The A320 is grounded.", "Part A has 320 seats, a row of A and 320 more. A 320."),
        ("GB/T 50016", "依据GB/T50016-2014执行", "GB、T和50016；T型50016件，GB 50016箱，T，T，GB"),
        ("INV-2024-0017", "Invoice INV-2024-0017 is due.", "INV-2024-0015 INV-2024-0016 " * 9),
        ("INV-2024-0017", "Invoice INV-2024-0017 is due.", "INV 2024: 0017, 2024, 0017 and INV"),
        ("WHO", "The WHO advises.", "Those who know who they are."),
        ("IT budget", "The budget of IT rose.", "The budget: it rose, and it fell. Budget budget."),
        ("乾燥", "干燥剂", "潮湿"),
        ("اهلا محمد", "أَهْلًا مُحَمَّد", "وداعا"),
    ],
)
def test_what_people_type_is_found(tmp_path: Path, query: str, right: str, wrong: str) -> None:
    (tmp_path / "right.txt").write_text(right, encoding="utf-8")
    (tmp_path / "wrong.txt").write_text(wrong, encoding="utf-8")
    for n in range(3):
        (tmp_path / f"other{n}.txt").write_text(f"Nothing of it {n}.", encoding="utf-8")
    with DocumentIndex(workers=0) as index:
        index.add(tmp_path)
        hits = index.search(query)
    assert hits[0].file == "right.txt"


def test_a_quote_shows_the_row_of_the_code(tmp_path: Path) -> None:
    rows = [f"B{n} model C {n} costs {n + 50} euro" for n in range(100, 130)]
    rows[17] = "model C150 costs 9 euro"
    start, end = best_quote("\n".join(rows), ["c150", "costs"])
    assert "C150" in "\n".join(rows)[start:end]
    text = "Kran\u00adken\u00adkasse zahlt.\n帳戶餘額不足。\nThe IT staff."
    for term, line in (("krankenkasse", 0), ("余额", 1), ("ᴀit", 2)):
        start, end = best_quote(text, [term])
        assert text[start:end] in text.split("\n")[line]


@pytest.mark.parametrize(
    ("text", "quote", "right"),
    [
        ("Staff rose to 45[1] people.", "Staff rose to 45 people", True),
        ("Staff rose to 45[1] people.", "Staff rose to 451 people", False),
        ("about 10^6 cells", "about 106 cells", False),
        ("about 10^6 cells", "about 10⁶ cells", True),
        ("about 10⁶ cells", "about 106 cells", False),
        ("CO₂ rose", "CO2 rose", True),
        ("⻛扇⻔需要关闭", "风扇门需要关闭", True),
        ("帳戶餘額不足", "帐户余额不足", True),
        ("Kran\u00adken\u00adkasse", "Krankenkasse", True),
    ],
)
def test_quotes_are_compared_by_what_they_say(text: str, quote: str, right: bool) -> None:
    assert bool(quote_spans(text, quote)) is right


@given(st.text(max_size=200))
def test_aligned_text_keeps_each_character_in_its_place(text: str) -> None:
    assert len(aligned(text)) == len(text)
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("page", "quote"),
    [
        ("In der Hauptstraße 5 wohnt er", "HAUPTSTRASSE 5"),
        ("HAUPTSTRASSE 5 ist leer", "Hauptstraße 5"),
        ("DIYARBAKIR İLİ nüfusu", "Diyarbakır ili"),
        ("le re\u0301sume\u0301 est la\u0300", "résumé est là"),
        ("le résumé est là", "re\u0301sume\u0301 est la\u0300"),
        ("제\u1100\u1161\u11a8 조 계약", "제각 조"),
    ],
)
def test_quotes_are_the_same_in_any_case_and_spelling_of_marks(page: str, quote: str) -> None:
    assert quote_spans(page, quote)
    assert not quote_spans(page, quote.replace("é", "e").replace("5", "6") + "x")


def test_sharp_s_is_found_and_quoted_as_two(tmp_path: Path) -> None:
    text = (
        "Das Wetter ist schön.\n" * 40
        + "Der Preis in der Musterstraße ist 12 Euro.\n"
        + "Regen. " * 60
    )
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with DocumentIndex(tmp_path / "i.db") as index:
        index.add(tmp_path / "a.txt")
        assert "Musterstraße ist 12" in index.search("MUSTERSTRASSE")[0].quote
