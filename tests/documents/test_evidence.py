"""The evidence for a question: the same whatever else is indexed, with the statement asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.evidence import gather_evidence
from qwenbelt.tools.documents.search.queries import question_parts
from qwenbelt.tools.documents.search.statements import (
    BALANCE,
    CASH,
    INCOME,
    goes_on,
    statement_score,
    wanted_statements,
)

BALANCE_SHEET = """Consolidated Balance Sheets
Cash and cash equivalents 1,023
Total current assets 5,308
Goodwill 4,900
Total assets 17,003
Total current liabilities 4,476
Total liabilities 12,913
Total equity 4,090
"""
TALK = "Our total rewards and total well-being are a total success. " * 12


def filing(folder: Path, name: str = "zenith.md") -> Path:
    """A filing of several screens, the balance sheet in its middle."""
    parts = [f"# Part {n}\n\n{TALK}\n\n" for n in range(30)]
    parts.insert(15, f"# Accounts\n\n{BALANCE_SHEET}\n\n".replace("\n", "\n\n"))
    path = folder / name
    path.write_text("".join(parts), encoding="utf-8")
    return path


def evidence_of(index: DocumentIndex, path: Path, question: str, budget: int = 3000) -> str:
    added = index.add_file(path)
    return gather_evidence(index, question, {path.name: added.document}, budget=budget).numbered()


def test_what_else_is_indexed_changes_nothing(tmp_path: Path) -> None:
    path, question = filing(tmp_path), "What are the total assets?"
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        alone = evidence_of(index, path, question)
    with DocumentIndex(tmp_path / "b.db", workers=0) as index:
        for number in range(5):
            other = tmp_path / f"other{number}.md"
            other.write_text("total assets " * 300 + str(number), encoding="utf-8")
            index.add_file(other)
        assert evidence_of(index, path, question) == alone
    assert "17,003" in alone
    assert len(alone) <= 3000


def test_the_row_comes_before_stubs_that_repeat_a_word(tmp_path: Path) -> None:
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        index.add_file(filing(tmp_path))
        assert "17,003" in index.search("total assets")[0].text


def test_a_small_document_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("The mast is 12 m high.\n\nIt is red.", encoding="utf-8")
    with DocumentIndex(workers=0) as index:
        added = index.add_file(path)
        found = gather_evidence(index, "How high is it?", {"note.txt": added.document})
    assert found.whole
    assert "It is red." in found.numbered()
    assert found.numbered().startswith("[1] note.txt p.1")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What did Zenith spend on helicopters?", ("helicopters",)),
        ("How many people work in Finland?", ("Finland",)),
        ("What are the total assets of Zenith?", ()),
        ("Did the growth of total assets accelerate?", ()),
    ],
)
def test_words_that_stand_nowhere_are_told(
    tmp_path: Path, question: str, words: tuple[str, ...]
) -> None:
    path = filing(tmp_path)
    with DocumentIndex(workers=0) as index:
        added = index.add_file(path)
        found = gather_evidence(index, question, {path.name: added.document})
    assert found.unknown == words


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("Has the quick ratio improved?", {BALANCE}),
        ("What does the cash flow statement say of capex?", {CASH}),
        ("Is the gross margin improving?", {INCOME}),
        ("毛利率是多少？", {INCOME}),
        ("What is SG&A as a share of revenue?", {INCOME}),
        ("How much cash was spent on purchases of treasury stock?", {CASH}),
        ("What is the dividend payout ratio?", {INCOME, CASH}),
        ("From the cash flow statement, what is capex as a % of revenue?", {INCOME, CASH}),
        ("What percent of stock repurchases fell into the last quarter?", set()),
        ("What was the change in deferred revenue?", {BALANCE}),
        ("How large are the accrued expenses?", {BALANCE}),
        ("How much were the proceeds from borrowings?", {CASH}),
        ("未分配利润是多少？", {BALANCE}),
        ("销售费用是多少？", {INCOME}),
        ("Who is the auditor?", set()),
    ],
)
def test_questions_imply_statements(question: str, kinds: set[str]) -> None:
    assert set(wanted_statements(question)) == kinds


@pytest.mark.parametrize(
    ("kind", "title", "rest"),
    [
        (BALANCE, "Consolidated Balance Sheets (continued)", True),
        (BALANCE, "Consolidated Balance Sheets (Parenthetical)", False),
        (CASH, "Reconciliation of net income to net cash provided by operations:", True),
        (CASH, "Consolidated Statements of Equity", False),
        (INCOME, "Consolidated Statements of Comprehensive Income", False),
        (BALANCE, "合并资产负债表（续）", True),
    ],
)
def test_the_next_page_is_the_rest_of_a_statement(kind: str, title: str, rest: bool) -> None:
    page = f"{title}\n(Millions)  2022  2021\n" + "\n".join(
        f"Row {n}  1,{n}00  90{n}" for n in range(5)
    )
    assert goes_on(kind, page) is rest
    assert not goes_on(kind, f"{title}\nSee the notes on 1,200 and 1,300.")


def test_a_page_is_a_statement_by_its_lines() -> None:
    assert statement_score(BALANCE, BALANCE_SHEET) > 6
    assert statement_score(INCOME, BALANCE_SHEET) == 0
    assert statement_score(BALANCE, TALK) == 0


def test_the_sides_of_a_comparison_are_parts() -> None:
    parts = question_parts("Compare gross margin of Adobe and operating income of Netflix")
    assert any("Netflix" in part for part in parts)
    assert question_parts("What is the revenue of Adobe?") == []


@pytest.mark.parametrize("budget", [400, 900, 3000, 9000, 20_000])
def test_the_room_is_used_and_never_overdrawn(tmp_path: Path, budget: int) -> None:
    path = filing(tmp_path)
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        shown = evidence_of(index, path, "What are the total assets?", budget)
    assert budget - 1100 <= len(shown) <= budget  # no more is left than a passage needs


def test_a_question_about_all_of_a_document_shows_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "notice.md"
    opening = "The directors will replace the guarantor of the notes by a new company.\n\n"
    path.write_text(f"# Notice\n\n{opening}" + filing(tmp_path).read_text("utf-8"), "utf-8")
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        agenda = evidence_of(index, path, "What is the key agenda of the filing?")
        other = evidence_of(index, path, "What is the total success of Zenith?", 900)
    assert "replace the guarantor" in agenda
    assert "replace the guarantor" not in other


def test_a_name_in_two_words_does_not_outweigh_the_matter(tmp_path: Path) -> None:
    path = tmp_path / "NORTHWIND_2022_8K.md"
    talk = "North Wind is north of any wind. North Wind and its north wind websites matter. " * 9
    matter = "The incoming officer has experience of twelve years at a competitor. " * 3
    parts = [f"# Part {n}\n\n{talk}\n\n" for n in range(12)]
    path.write_text("".join([*parts, f"# Item 5\n\n{matter}\n\n", *parts]), encoding="utf-8")
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        shown = evidence_of(index, path, "What experience has North Wind's new officer?", 1500)
    assert "twelve years" in shown


@pytest.mark.parametrize(
    ("talk", "matter", "question", "figure"),
    [
        (
            "Zenith may not close the Harbor deal; Harbor and Zenith pay their own advisers. " * 8,
            "In March the board agreed on terms under which owners of Harbor get $229 a share.",
            "How much does Zenith pay for Harbor?",
            "$229",
        ),
        (
            "泽能可能无法完成对港湾公司的交易，港湾公司和泽能各自支付顾问。" * 16,
            "三月，董事会同意以 430 亿元取得港湾公司。",
            "泽能为港湾公司支付了多少？",
            "430",
        ),
    ],
)
def test_where_an_amount_is_asked_for_passages_with_one_come_first(
    tmp_path: Path, talk: str, matter: str, question: str, figure: str
) -> None:
    path = tmp_path / "report.md"
    parts = [f"# Part {n}\n\n{talk}\n\n" for n in range(20)]
    parts.insert(17, f"# Terms\n\n{matter}\n\n")
    path.write_text("".join(parts), encoding="utf-8")
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        assert figure in evidence_of(index, path, question, 2000)


def test_what_moved_a_margin_is_looked_for_line_by_line() -> None:
    parts = question_parts("What drove the change of the operating margin in 2022?")
    assert any("cost of sales" in part for part in parts)
    assert any("selling, general" in part for part in parts)
    assert not question_parts("What is the operating margin in 2022?")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What was the total revenue in fiscal 2024?", ("results of 2024",)),
        ("What were total assets in FY24?", ("results of 2024",)),
        ("2024年的总收入是多少？", ("2024 年的业绩",)),
        ("What was the total revenue in 2022?", ()),
        ("How did total assets change from 2022 to 2024?", ()),  # one of them is told
        ("How much debt is due in 2024?", ()),  # what is to come may be told
        ("Which sales are expected for 2024?", ()),
    ],
)
def test_a_year_after_all_that_is_reported(
    tmp_path: Path, question: str, words: tuple[str, ...]
) -> None:
    path = filing(tmp_path)
    notes = "The notes fall due in 2024, and a patent expires then. Total revenue was 9,000."
    dated = path.read_text("utf-8").replace("Balance Sheets\n", "Balance Sheets, 2022 and 2021\n")
    path.write_text(f"{dated}\n{notes}\n", encoding="utf-8")
    with DocumentIndex(workers=0) as index:
        added = index.add_file(path)
        found = gather_evidence(index, question, {path.name: added.document})
        assert found.unknown == words
        path.write_text(path.read_text("utf-8") + "\nSales of fiscal 2024 were 10,000.\n", "utf-8")
        added = index.add_file(path)
        assert gather_evidence(index, question, {path.name: added.document}).unknown == ()


def test_a_table_comes_with_the_lines_of_heads_above_it(tmp_path: Path) -> None:
    """A gap between them makes two passages of heads and rows, and each alone says nothing."""
    import typst

    talk = "The weather in the valley was fine and nobody there spoke of anything but that. " * 10
    said = "Organic sales of each segment were low, as a segment may have them. " * 8
    names = ("Safety", "Transport", "Health", "Consumer", "Whole company")
    cells = "".join(f"[{name}],[1.{n}],[(0.{n})]," for n, name in enumerate(names))
    rows = f"#v(1cm)\n#grid(columns: (6cm, 3cm, 3cm), row-gutter: 6pt, {cells})"
    head = "By business segment #h(1cm) Organic sales #h(1cm) Divestitures"
    page = "\n\n".join((talk, head, rows, talk))
    source = "#set page(width: 20cm, height: 26cm)\n" + "\n#pagebreak()\n".join([page] + [said] * 9)
    path = tmp_path / "report.pdf"
    path.write_bytes(typst.compile(source.encode()))
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        shown = evidence_of(index, path, "Which segment had the lowest organic sales?", 700)
    assert "By business segment  Organic sales  Divestitures\nSafety  1.0  (0.0)" in shown


_LEAD_IN = "The sales of each geographic region in the second quarter were as follows:"


def _announced_table(folder: Path, between: str = "", heads: str = "[],[2022],[2021],") -> Path:
    """A PDF with a lead-in, what stands between, and a table without a word of the lead-in."""
    import typst

    talk = "The weather in the valley was fine and nobody there spoke of anything but that. " * 10
    said = [f"Sales of a region are a matter of part {n}. {talk[:400]}" for n in range(9)]
    cells = "".join(f"[{name}],[{n}4{n}],[{n}7{n}]," for n, name in enumerate(_PLACES, 1))
    table = f"#table(columns: (6cm, 3cm, 3cm), {heads}{cells})"
    lead = f"The weather in the valley was fine again at the end of it. {_LEAD_IN}"
    page = "\n\n".join((talk, lead, between + table, talk))
    source = "\n#pagebreak()\n".join([page, *said])
    path = folder / "report.pdf"
    head = '#set page(width: 20cm, height: 26cm, numbering: "1")\n'
    path.write_bytes(typst.compile((head + source).encode()))
    return path


_PLACES = ("Norway", "Portugal", "Japan", "Chile")


@pytest.mark.parametrize("between", ["", "#pagebreak()\n"])
def test_what_a_passage_announces_comes_with_it(tmp_path: Path, between: str) -> None:
    """Also at the top of the next page: "was as follows:" alone says nothing."""
    path = _announced_table(tmp_path, between)
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        shown = evidence_of(index, path, "Which geographic region had the lowest sales?", 700)
    assert _LEAD_IN in shown.replace("\n", " ")
    for place in _PLACES:
        assert place in shown


def test_heads_of_a_table_are_shown_once(tmp_path: Path) -> None:
    path = _announced_table(tmp_path, heads="[],[],[],[],[2022],[2021],")
    with DocumentIndex(tmp_path / "a.db", workers=0) as index:
        shown = evidence_of(index, path, "What were the sales of Norway and Japan?", 760)
    assert "Norway" in shown
    assert shown.count("2022  2021") == 1
