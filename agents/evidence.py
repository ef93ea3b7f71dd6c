"""Evidence first: passages of the conversation's files go into the first message.

A model that has to search before it can answer often does not, and then invents; a small one
always. So the question is looked up before the model is asked: passages of documents, numbered,
and a line about each data file, then the question as the last thing. The system message stays as
it is, so that a server's cache of it holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.agents.prompts import (
    COMPUTED,
    DATA_BY_CODE,
    DISAGREE,
    EVIDENCE,
    EVIDENCE_ABOVE,
    EVIDENCE_ABOVE_TOO,
    EVIDENCE_MORE,
    QUESTION,
    UNKNOWN_WORDS,
)
from qwenbelt.agents.runtime.kept_views import ALONE, ASKED, LINES, SHOWN, UNKNOWN
from qwenbelt.core.language import Language
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.data_files import DATA_SUFFIXES, file_line, reading_code
from qwenbelt.tools.documents.computed import computed_lines
from qwenbelt.tools.documents.disagreement import told_in_words
from qwenbelt.tools.documents.evidence import BUDGET, Evidence, PageEvidence, gather_evidence
from qwenbelt.tools.documents.sources import SourceBook

_STRETCH = 120  # characters in a row that are worth leaving out
_LEFT_OUT = "…"
LONGEST_QUESTION = 2000  # characters that are searched for
CHARACTERS_PER_TOKEN = 3  # of text full of numbers


class _Told(NamedTuple):
    """The evidence beside one question.

    Attributes:
        parts: pages as text, each with its number; of a page that was shown before, what is new.
        above: the numbers of pages of which all was shown before.
        shown: number, file, page and text of each part.
        whole: the parts as they would be if nothing had been shown before.
        texts: of all pages by their numbers.
    """

    parts: list[str]
    above: list[int]
    shown: list[list[Any]]
    whole: list[str]
    texts: dict[int, str]


class ShownPages:
    """What stands beside earlier questions of a conversation, and so need not be sent again.

    A page keeps its number in a conversation. What was shown is known by notes in the messages,
    and never read from their texts, which hold the words of documents.

    Args:
        messages: the conversation before the question.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._lines: dict[tuple[str, int], set[str]] = {}
        self._told: set[str] = set()
        for message in messages:
            extra = message.get("extra") or {}
            self._told.update(extra.get(LINES) or ())
            for number, file, page, text in extra.get(SHOWN) or ():
                self._numbers[file, page] = number
                self._lines.setdefault((file, page), set()).update(text.split("\n"))

    def has_line(self, line: str) -> bool:
        """Returns whether a remark on a data file stands there already."""
        return line in self._told

    def tell(self, evidence: Evidence) -> _Told:
        """Returns what is to be told of the evidence for a question."""
        told = _Told([], [], [], [], {})
        last = max(self._numbers.values(), default=0)
        for page in evidence.pages:
            known = self._numbers.get((page.file, page.page))
            last += known is None
            number, text = known or last, self._new(page)
            section = f" ({page.title})" if page.title else ""
            head = f"[{number}] {page.file} p.{page.page}{section}\n"
            told.whole.append(f"{head}{page.text}")
            told.texts[number] = page.text
            if text:
                told.parts.append(f"{head}{text}")
                told.shown.append([number, page.file, page.page, text])
            else:
                told.above.append(number)
        return told

    def _new(self, page: PageEvidence) -> str:
        """Returns a page's text without longer stretches that were shown; "" for nothing new."""
        seen = self._lines.get((page.file, page.page))
        if not seen:
            return page.text
        out: list[str] = []
        for known, group in itertools.groupby(page.text.split("\n"), lambda line: line in seen):
            stretch = list(group)
            if known and sum(map(len, stretch)) >= _STRETCH:
                out.append(_LEFT_OUT)
            else:
                out += stretch
        kept = [line for n, line in enumerate(out) if line != _LEFT_OUT or out[n - 1 : n] != [line]]
        return "" if all(line == _LEFT_OUT or line in seen for line in kept) else "\n".join(kept)


def with_evidence(
    messages: Sequence[dict[str, Any]],
    files: Mapping[str, Path],
    language: Language,
    *,
    budget: int = BUDGET,
    tools: Sequence[str] = (),
    untrusted: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Returns messages whose last question has what the files say in front of it.

    Args:
        messages: the conversation.
        files: its files by the names that the model sees.
        language: of the words around the evidence.
        budget: characters of evidence.
        tools: names of the tools that the model has.
        untrusted: what was put in from the files is added to it.
    """
    place = last_question(messages)
    if place is None or ASKED in (messages[place].get("extra") or {}):
        return list(messages)  # it was asked before, and has its passages
    question = text_of_message(messages[place])
    lines = [file_line(name, path) for name, path in files.items() if _is_data(path)]
    documents = {name: path for name, path in files.items() if not _is_data(path)}
    evidence, failed = _look_up(question, documents, budget)
    if not evidence.pages and not lines:
        return list(messages)
    more = "document_search" in tools and not evidence.whole
    above = ShownPages(messages[:place])
    told = above.tell(evidence)
    remarks = [line for line in lines if not above.has_line(line)]
    lead = _data_by_code(files, tools, language)
    beside = [*remarks, *(lead if remarks else ()), *failed]
    text = _around(question, told, evidence, language, more=more, lines=beside)
    notes: dict[str, Any] = {SHOWN: told.shown, LINES: remarks, UNKNOWN: list(evidence.unknown)}
    if told.whole != told.parts or remarks != lines:
        alone = told._replace(parts=told.whole, above=[])
        notes[ALONE] = _around(
            question, alone, evidence, language, more=more, lines=[*lines, *lead, *failed]
        )
    if untrusted is not None:
        untrusted.append("\n\n".join([*told.parts, *remarks]))
    return beside_question(messages, place, text, notes)


def _data_by_code(files: Mapping[str, Path], tools: Sequence[str], language: Language) -> list[str]:
    """Returns how the first data file is read by code, where there is a tool for it."""
    found = next(((name, path) for name, path in files.items() if _is_data(path)), None)
    if found is None or "code_interpreter" not in tools:
        return []
    return [DATA_BY_CODE[language].format(read=reading_code(*found))]


def beside_question(
    messages: Sequence[dict[str, Any]],
    place: int,
    text: str,
    notes: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Returns messages of which one question has another text; its own is kept with it.

    Args:
        messages: the conversation.
        place: where the question is.
        text: what is sent in its place.
        notes: what else is kept with it.
    """
    message = messages[place]
    extra = {**(message.get("extra") or {}), ASKED: text_of_message(message), **(notes or {})}
    asked = {**message, "content": _replaced(message["content"], text), "extra": extra}
    return [*messages[:place], asked, *messages[place + 1 :]]


def evidence_text(
    question: str,
    evidence: Evidence,
    language: Language,
    *,
    book: SourceBook | None = None,
    more: bool = False,
    lines: Sequence[str] = (),
) -> str:
    """Returns the message that asks a question with its evidence; the question comes last.

    Args:
        question: what is asked.
        evidence: what was found.
        language: of the words around it.
        book: numbers the passages for a whole run.
        more: whether the model can look for more.
        lines: the remarks on other files.
    """
    texts = {number: page.text for number, page in evidence.numbering(book).items()}
    numbered = _Told([evidence.numbered(book)] if evidence.pages else [], [], [], [], texts)
    return _around(question, numbered, evidence, language, more=more, lines=lines)


def _around(
    question: str,
    told: _Told,
    evidence: Evidence,
    language: Language,
    *,
    more: bool,
    lines: Sequence[str],
) -> str:
    parts = list(lines)
    note = EVIDENCE_MORE[language] if more else ""
    numbers = ", ".join(f"[{number}]" for number in told.above)
    if told.parts:
        text = "\n\n".join(told.parts)
        parts.append(EVIDENCE[language].format(more=note, evidence=text))
        if numbers:
            parts.append(EVIDENCE_ABOVE_TOO[language].format(numbers=numbers))
    elif numbers:
        parts.append(EVIDENCE_ABOVE[language].format(numbers=numbers, more=note))
    if computed := computed_lines(question, told.texts):
        parts.append(COMPUTED[language].format(lines="\n".join(computed)))
    if evidence.unknown:
        joint = "、" if language == "zh" else ", "
        parts.append(UNKNOWN_WORDS[language].format(words=joint.join(evidence.unknown)))
    if evidence.disagreements:
        figures = [told_in_words(one, language) for one in evidence.disagreements]
        joint = "；" if language == "zh" else "; "
        parts.append(DISAGREE[language].format(figures=joint.join(figures)))
    return "\n\n".join([*parts, f"{QUESTION[language]}{question}"])


def text_of_message(message: Mapping[str, Any]) -> str:
    """Returns the words of a message."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(str(item.get("text") or "") for item in map(_fields, content)).strip()


def budget_of(rag_cfg: Mapping[str, Any]) -> int:
    """Returns the characters of evidence that qwen-agent's `rag_cfg` allows."""
    tokens = rag_cfg.get("max_ref_token")
    return int(tokens) * CHARACTERS_PER_TOKEN if tokens else BUDGET


def _look_up(
    question: str, documents: Mapping[str, Path], budget: int
) -> tuple[Evidence, list[str]]:
    from qwenbelt.tools.documents.library import gather

    if not documents or not question.strip():
        return Evidence(), []
    library = gather({}, ToolContext(files=documents), (), ())
    found = gather_evidence(
        library.index,
        question[:LONGEST_QUESTION],
        library.names,
        budget=budget,
        paths=library.paths,
    )
    return found, library.failed


def _is_data(path: Path) -> bool:
    return path.suffix.lower() in DATA_SUFFIXES


def last_question(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns where the last message of a person is."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user":
            return place
    return None


def _replaced(content: Any, text: str) -> Any:
    """Returns a message's content with its words replaced; pictures and file names stay."""
    if isinstance(content, str):
        return text
    others = [item for item in content if not _fields(item).get("text")]
    return [*others, {"text": text}]


def _fields(item: Any) -> dict[str, Any]:
    return dict(item) if isinstance(item, dict) else dict(item.model_dump())
