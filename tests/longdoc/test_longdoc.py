"""All of a long document is read for a question, in parts, side by side, within a budget."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import InputError, LimitExceeded, QwenbeltError
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.workflows.longdoc import ask_everything

FACT = re.compile(r"The (\w+) mill burned in (\d{4})\.")


class Reader:
    """A model object as qwen-agent's: it copies the facts that it sees, with their places."""

    def __init__(self, fail: int = 0, seconds: float = 0.0) -> None:
        self.prompts: list[str] = []
        self.fail, self.seconds = fail, seconds
        self.running = self.most = 0
        self._lock = threading.Lock()

    def chat(self, messages: list[dict[str, Any]], stream: bool) -> list[dict[str, Any]]:
        prompt = str(messages[0]["content"])
        with self._lock:
            self.prompts.append(prompt)
            number = len(self.prompts)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        with self._lock:
            self.running -= 1
        if number <= self.fail:
            raise QwenbeltError("the endpoint is busy")
        if "taken from all parts" in prompt or "Merge the facts" in prompt:
            return [{"role": "assistant", "content": prompt.split("\n\n", 1)[1]}]
        lines, place = [], ""
        for line in prompt.splitlines():
            if re.fullmatch(r"\[\S+ p\.\d+\]", line):
                place = line
            lines += [f'"{found.group()}" {place}' for found in FACT.finditer(line)]
        return [{"role": "assistant", "content": "\n".join(lines) or "NONE"}]


@pytest.fixture
def book(make_pdf_pages) -> Path:
    filler = "Nothing of note happened on the river during the whole of this long year. " * 3
    pages = [filler for _ in range(40)]
    for page, name, year in ((3, "paper", 1871), (21, "flour", 1888), (39, "saw", 1902)):
        pages[page - 1] = f"The {name} mill burned in {year}. {filler}"
    return make_pdf_pages("book.pdf", pages)


@pytest.fixture
def make_pdf_pages(tmp_path: Path):
    def make(name: str, pages: list[str]) -> Path:
        import typst

        source = "#set page(width: 12cm, height: 12cm)\n" + "\n#pagebreak()\n".join(pages)
        (tmp_path / name).write_bytes(typst.compile(source.encode()))
        return tmp_path / name

    return make


def test_every_part_is_read_side_by_side_and_quotes_are_checked(book: Path) -> None:
    reader = Reader(seconds=0.05)
    answer = ask_everything("When did mills burn?", [book], reader, part_tokens=400, concurrency=6)
    assert [(f.page, f.verified) for f in answer.findings] == [(3, True), (21, True), (39, True)]
    assert all(year in answer.text for year in ("1871", "1888", "1902"))
    assert answer.parts > 5
    assert not answer.left_out
    assert 1 < reader.most <= 6
    asked = "".join(reader.prompts)
    assert all(f"[book.pdf p.{page}]" in asked for page in range(1, 41))


def test_a_budget_takes_the_best_parts_and_names_the_others(book: Path) -> None:
    reader = Reader()
    answer = ask_everything(
        "When did the flour mill burn?", [book], reader, part_tokens=400, budget=4000
    )
    assert "1888" in answer.text
    assert answer.tokens <= 4000
    assert ("book.pdf", 21) not in answer.left_out
    assert len(answer.left_out) > 10
    with pytest.raises(LimitExceeded):
        ask_everything("When?", [book], reader, budget=300)


def test_parts_that_fail_are_told(book: Path) -> None:
    with DocumentIndex() as index:
        index.add(book)
        answer = ask_everything(
            "When did mills burn?", ["book.pdf"], Reader(fail=1), index=index, part_tokens=400
        )
        (problem,) = answer.problems
        assert "the endpoint is busy" in problem
        assert answer.left_out
        with pytest.raises(QwenbeltError, match="busy"):
            ask_everything("When?", ["book.pdf"], Reader(fail=999), index=index)
    with pytest.raises(InputError, match="missing"):
        ask_everything("When?", [book.parent / "missing.pdf"], Reader())


def test_nothing_found_is_said_without_a_last_request(make_pdf_pages) -> None:
    reader = Reader()
    answer = ask_everything("钱多少？", [make_pdf_pages("a.pdf", ["Nothing here."])], reader)
    assert answer.text == "文档中没有回答该问题的内容。"
    assert len(reader.prompts) == 1
