"""All of a long document is read for a question, in parts, side by side, within a budget."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from qwenbelt.apps.answers import answer_lines
from qwenbelt.apps.commands.docs import docs
from qwenbelt.core.errors import InputError, LimitExceeded, QwenbeltError
from qwenbelt.testing import Scenario
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.server.server import ScriptedServer
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.workflows.longdoc import LongDocumentAnswer, ask_everything

FACT = re.compile(r"The (\w+) mill burned in (\d{4})\.")
PLACE = re.compile(r"\[\S+ p\.\d+\]")


def reply(request: ChatRequest) -> str:
    """What a model might say: the facts that it was shown, with their places."""
    prompt = request.user
    if "taken from all parts" in prompt or "Merge the facts" in prompt:
        return prompt.split("\n\n", 1)[1]
    lines, place = [], ""
    for line in prompt.splitlines():
        if PLACE.fullmatch(line):
            place = line
        lines += [f'"{found.group()}" {place}' for found in FACT.finditer(line)]
    return "\n".join(lines) or "NONE"


@pytest.fixture
def reader() -> Iterator[ScriptedServer]:
    with ScriptedServer(Scenario().turn(reply, timing={"first_token": 0.1}), plays=None) as server:
        yield server


@pytest.fixture
def make_pdf_pages(tmp_path: Path) -> Callable[[str, list[str]], Path]:
    def make(name: str, pages: list[str]) -> Path:
        import typst

        source = "#set page(width: 12cm, height: 12cm)\n" + "\n#pagebreak()\n".join(pages)
        (tmp_path / name).write_bytes(typst.compile(source.encode()))
        return tmp_path / name

    return make


@pytest.fixture
def book(make_pdf_pages: Callable[[str, list[str]], Path]) -> Path:
    filler = "Nothing of note happened on the river during the whole of this long year. " * 3
    pages = [filler for _ in range(40)]
    for page, name, year in ((3, "paper", 1871), (21, "flour", 1888), (39, "saw", 1902)):
        pages[page - 1] = f"The {name} mill burned in {year}. {filler}"
    return make_pdf_pages("book.pdf", pages)


def most_at_once(server: ScriptedServer) -> int:
    spans = [(e.received, e.finished) for e in server.requests]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def asked(server: ScriptedServer) -> str:
    return "\n".join(exchange.request.user for exchange in server.requests)


def test_every_part_is_read_side_by_side_and_quotes_are_checked(
    book: Path, reader: ScriptedServer
) -> None:
    told: list[tuple[int, int]] = []
    answer = ask_everything(
        "When did mills burn?",
        [book],
        reader.llm,
        part_tokens=400,
        concurrency=6,
        progress=lambda *now: told.append(now),
    )
    assert [(f.page, f.verified) for f in answer.findings] == [(3, True), (21, True), (39, True)]
    assert all(year in answer.text for year in ("1871", "1888", "1902"))
    assert told == [(n, answer.parts) for n in range(1, answer.parts + 1)]
    assert answer.parts > 5
    assert not answer.left_out
    assert 1 < most_at_once(reader) <= 6
    assert all(f"[book.pdf p.{page}]" in asked(reader) for page in range(1, 41))
    reader.assert_complete()


def test_a_budget_takes_the_best_parts_and_names_the_others(
    book: Path, reader: ScriptedServer
) -> None:
    answer = ask_everything(
        "When did the flour mill burn?", [book], reader.llm, part_tokens=400, budget=4000
    )
    assert "1888" in answer.text
    assert answer.tokens <= 4000
    assert ("book.pdf", 21) not in answer.left_out
    assert len(answer.left_out) > 10
    with pytest.raises(LimitExceeded):
        ask_everything("When?", [book], reader.llm, budget=300)


def test_parts_that_fail_are_told(book: Path) -> None:
    def fails_on_page_3(request: ChatRequest) -> Any:
        if "[book.pdf p.3]\n" in request.user:
            raise InputError("the model cannot read page 3")
        return reply(request)

    with DocumentIndex() as index, Scenario().turn(fails_on_page_3).serve(plays=None) as server:
        (added,) = index.add(book)
        question = "When did mills burn?"
        answer = ask_everything(
            question, [added.document], server.llm, index=index, part_tokens=400
        )
        (problem,) = answer.problems
        assert "cannot read page 3" in problem
        assert ("book.pdf", 3) in answer.left_out
        assert [f.page for f in answer.findings] == [21, 39]
        with pytest.raises(QwenbeltError, match="cannot read page 3"):
            ask_everything(question, ["book.pdf"], server.llm, index=index, part_tokens=10**5)
        with pytest.raises(InputError, match="missing"):
            ask_everything(question, [book.parent / "missing.pdf"], server.llm)


def test_a_quote_that_does_not_stand_on_its_page_is_marked(book: Path) -> None:
    invented = Scenario().turn(lambda request: '"The glass mill burned in 1999." [book.pdf p.3]')
    with invented.serve(plays=None) as server:
        answer = ask_everything("When did mills burn?", [book], server.llm)
    assert [(f.page, f.verified) for f in answer.findings] == [(3, False)]


def test_nothing_found_is_said_without_a_last_request(
    make_pdf_pages: Callable[[str, list[str]], Path], reader: ScriptedServer
) -> None:
    answer = ask_everything("钱多少？", [make_pdf_pages("a.pdf", ["Nothing here."])], reader.llm)
    assert answer.text == "文档中没有回答该问题的内容。"
    assert len(reader.requests) == 1


def test_the_command(
    book: Path, reader: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    place = ["-e", f"vllm:scripted@{reader.url}", "--index", str(tmp_path / "i.db")]

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(docs, ["ask", "When did mills burn?", *arguments, *place])

    found = json.loads(run(str(book), "--json").stdout)
    assert [f["page"] for f in found["findings"] if f["verified"]] == [3, 21, 39]
    shown = run("book.pdf").stdout  # in the index by now
    assert "(is on the page)" in shown
    assert "Parts read: 1; about" in shown
    refused = run("book.pdf", "--budget", "300")
    assert isinstance(refused.exception, LimitExceeded)
    assert "that takes" in str(refused.exception)


def test_what_was_not_read_is_shown_as_ranges() -> None:
    pages = [("a.pdf", 1), ("a.pdf", 2), ("a.pdf", 3), ("a.pdf", 9), ("b.pdf", 10)]
    answer = LongDocumentAnswer("Yes.", left_out=tuple(pages), parts=2, tokens=9)
    assert "Not read: a.pdf p.1-3, a.pdf p.9, b.pdf p.10" in answer_lines(answer, "en")
    assert "未读：a.pdf p.1-3, a.pdf p.9, b.pdf p.10" in answer_lines(answer, "zh")


def test_the_example(
    book: Path, reader: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "read_all_pages.py"
    runpy.run_path(str(example))["main"]("When did mills burn?", str(book), llm=reader.llm)
    out = capsys.readouterr().out
    assert "“The flour mill burned in 1888.” stands on book.pdf p. 21" in out


def test_a_part_that_does_not_help_needs_no_word_for_it(book: Path) -> None:
    """Small models take a way out that a prompt offers; a reply without a quote is no fact."""

    def rambles(request: ChatRequest) -> str:
        said = reply(request)
        return "This part does not mention any mill." if said == "NONE" else said

    with Scenario().turn(rambles).serve(plays=None) as server:
        answer = ask_everything("When did mills burn?", [book], server.llm, part_tokens=900)
        prompts = [exchange.request.user for exchange in server.requests]
    assert {found.quote for found in answer.findings} == {
        "The paper mill burned in 1871.",
        "The flour mill burned in 1888.",
        "The saw mill burned in 1902.",
    }
    assert "does not mention" not in prompts[-1]
    parts = [prompt for prompt in prompts if prompt.startswith("Below is one part")]
    assert len(parts) > 2
    assert not any("NONE" in prompt for prompt in parts)
    # the text first: a server keeps it for the next question
    asked_at = [prompt.index("When did mills burn?") for prompt in parts]
    assert all("[book.pdf p." in prompt[:at] for at, prompt in zip(asked_at, parts, strict=True))


def test_where_no_part_helps_that_is_the_answer(make_pdf_pages: Any) -> None:
    file = make_pdf_pages("short.pdf", ["The river was quiet."])
    with Scenario().turn(lambda request: "The files do not tell.").serve(plays=None) as server:
        answer = ask_everything("Which risks are named?", [file], server.llm)
    assert answer.text == "Nothing in the documents answers the question."
    assert (answer.grounded, answer.checks, answer.findings) == (True, (), ())


def test_a_figure_that_stands_nowhere_is_asked_for_again_and_then_told(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")

    def invents(request: ChatRequest) -> str:
        if "taken from all parts" not in request.user:
            return "NONE"
        return "The flour mill burned after 4,711 days [book.pdf p.21]."

    with Scenario().turn(invents).serve(plays=None) as server:
        answer = ask_everything(
            "When did the flour mill burn?", [book], server.llm, part_tokens=900
        )
        last = server.requests[-1].request.user
    assert not answer.grounded
    assert [check.status for check in answer.checks] == ["not_on_page"]
    assert "The figure 4,711 stands nowhere" in last  # the repair turn
    assert "The flour mill burned in 1888." in last  # search found it where the reader did not
    assert next(answer_lines(answer, "en")).startswith("Not verified")
    assert next(answer_lines(answer, "zh")).startswith("未核实")
