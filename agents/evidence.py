"""Evidence first: passages of the conversation's files go into the first message.

A model that has to search before it can answer often does not, and then invents; a small one
always. So the question is looked up before the model is asked: passages of documents, numbered,
and a line about each data file, then the question as the last thing. The system message stays as
it is, so that a server's cache of it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.agents.prompts import EVIDENCE, EVIDENCE_MORE, QUESTION, UNKNOWN_WORDS
from qwenbelt.agents.runtime.kept_views import ASKED
from qwenbelt.core.language import Language
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.data_files import DATA_SUFFIXES, file_line
from qwenbelt.tools.documents.evidence import BUDGET, Evidence, gather_evidence
from qwenbelt.tools.documents.sources import SourceBook

LONGEST_QUESTION = 2000  # characters that are searched for
CHARACTERS_PER_TOKEN = 3  # of text full of numbers


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
    if place is None:
        return list(messages)
    question = text_of_message(messages[place])
    lines = [file_line(name, path) for name, path in files.items() if _is_data(path)]
    documents = {name: path for name, path in files.items() if not _is_data(path)}
    evidence, failed = _look_up(question, documents, budget)
    if not evidence.pages and not lines:
        return list(messages)
    more = "document_search" in tools and not evidence.whole
    text = evidence_text(question, evidence, language, more=more, lines=[*lines, *failed])
    if untrusted is not None:
        untrusted.append("\n\n".join([evidence.numbered(), *lines]))
    return beside_question(messages, place, text)


def beside_question(
    messages: Sequence[dict[str, Any]], place: int, text: str
) -> list[dict[str, Any]]:
    """Returns messages of which one question has another text; its own is kept with it."""
    message = messages[place]
    extra = {**(message.get("extra") or {}), ASKED: text_of_message(message)}
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
    parts = list(lines)
    if evidence.pages:
        note = EVIDENCE_MORE[language] if more else ""
        parts.append(EVIDENCE[language].format(more=note, evidence=evidence.numbered(book)))
    if evidence.unknown:
        joint = "、" if language == "zh" else ", "
        parts.append(UNKNOWN_WORDS[language].format(words=joint.join(evidence.unknown)))
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
