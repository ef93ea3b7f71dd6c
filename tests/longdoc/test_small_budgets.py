"""A budget that does not suffice to read a part is for the passages that a search finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbelt.apps.answers import answer_lines
from qwenbelt.core.errors import LimitExceeded
from qwenbelt.testing import Scenario
from qwenbelt.testing.server.server import ScriptedServer
from qwenbelt.workflows.longdoc import ask_everything

QUESTION = "When did the flour mill burn?"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    import typst

    filler = "Nothing of note happened on the river during the whole of this long year. " * 25
    pages = [filler for _ in range(12)]
    pages[6] = f"The flour mill burned in 1888 and cost 48,200 dollars. {filler}"
    source = "#set page(width: 20cm, height: 30cm)\n" + "\n#pagebreak()\n".join(pages)
    (tmp_path / "book.pdf").write_bytes(typst.compile(source.encode()))
    return tmp_path / "book.pdf"


@pytest.fixture
def served() -> Callable[..., ScriptedServer]:
    def serve(*replies: str) -> ScriptedServer:
        scenario = Scenario()
        for reply in replies:
            scenario.answer(reply)
        return scenario.serve()

    return serve


def test_the_question_is_asked_once_with_what_fits_it_best(
    book: Path, served: Callable[..., ScriptedServer]
) -> None:
    with served("The flour mill burned in 1888 [1].") as server:
        answer = ask_everything(QUESTION, [book], server.llm, budget=3500)
        (asked,) = [exchange.request for exchange in server.requests]
    assert "[1] book.pdf p.7" in asked.user
    assert asked.user.rstrip().endswith(QUESTION)
    assert asked.body["temperature"] == 0
    assert answer.text == "The flour mill burned in 1888 [book.pdf p.7]."
    assert (answer.parts, answer.grounded) == (0, True)
    assert len(answer.left_out) == 12  # no page was read whole
    lines = list(answer_lines(answer, "en"))
    assert answer.passages
    assert f"Passages read: {answer.passages[0][0]} p." in "\n".join(lines)
    assert lines[-2].startswith("Not read as a whole: ")
    assert lines[-1].startswith("About ")
    assert answer.tokens <= 3500


def test_an_answer_that_does_not_stand_there_is_asked_again(
    book: Path, served: Callable[..., ScriptedServer]
) -> None:
    wrong, right = "It cost 99,300 dollars [1].", "It cost 48,200 dollars [1]."
    with served(wrong, right) as server:
        answer = ask_everything("What did the flour mill cost?", [book], server.llm, budget=5000)
        first, second = (exchange.request for exchange in server.requests)
    assert second.body["messages"][: len(first.body["messages"])] == first.body["messages"]
    assert "99,300" in second.user
    assert "48,200" in answer.text
    assert answer.grounded
    notice = second.user
    with served(wrong, notice) as server:
        answer = ask_everything("What did the flour mill cost?", [book], server.llm, budget=5000)
    assert "99,300" in answer.text  # not what it was told
    assert not answer.grounded
    with served(wrong, wrong) as server:
        answer = ask_everything("What did the flour mill cost?", [book], server.llm, budget=5000)
    assert not answer.grounded


@pytest.mark.parametrize(
    ("model", "limit"), [("qwen2.5-coder-1.5b", 600), ("qwen3:8b", None), ("qwen3:1.7b", None)]
)
def test_replies_of_small_models_have_an_end(
    model: str, limit: int | None, book: Path, served: Callable[..., ScriptedServer]
) -> None:
    with served("The flour mill burned in 1888 [1].") as server:
        llm = {**server.llm, "model": model, "dialect": "llamacpp"}
        ask_everything(QUESTION, [book], llm, budget=3500)
        assert server.requests[0].request.body.get("max_tokens") == limit


def test_yes_alone_is_not_verified(book: Path, served: Callable[..., ScriptedServer]) -> None:
    with served("Yes [1].", "Yes [1].") as server:
        answer = ask_everything("Did the flour mill burn?", [book], server.llm, budget=6000)
        assert "“Yes [1].” alone" in server.requests[-1].request.user
    assert not answer.grounded
    assert [check.status for check in answer.checks] == ["bare"]


def test_too_little_for_passages_too_is_refused(
    book: Path, served: Callable[..., ScriptedServer]
) -> None:
    with served() as server, pytest.raises(LimitExceeded, match="does not suffice"):
        ask_everything(QUESTION, [book], server.llm, budget=600)
