"""Answers from all pages of documents, as `qwenbelt docs ask` shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.language import Language
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.workflows.longdoc import LongDocumentAnswer

_TEXTS = {
    "verified": ("is on the page", "已在原页核实"),
    "missing": ("is NOT on the page", "原页上没有此文字"),
    "not_grounded": (
        "Not verified: this answer does not stand on the pages that it cites.",
        "未核实：该回答未能在所引页面上证实。",
    ),
    "left_out": ("Not read: {pages}", "未读：{pages}"),
    "uncited": (
        "This answer cites no passage of the files: nothing in it was checked.",
        "该回答没有引用文件中的任何段落：其内容未经核实。",
    ),
    "unread_table": (
        "No tool has read the table: the figures of this answer were not computed.",
        "没有工具读取过该表格：回答中的数字未经计算。",
    ),
    "calls_failed": (
        "Every tool call failed: the figures of this answer rest on none of them.",
        "所有工具调用都失败了：回答中的数字没有任何调用结果支持。",
    ),
    "differs": ("The documents do not agree: {told}", "文档中的数据不一致：{told}"),
    "passages": ("Passages read: {pages}", "已读其中段落：{pages}"),
    "not_whole": ("Not read as a whole: {pages}", "未整页阅读：{pages}"),
    "summary": (
        "Parts read: {parts}; about {tokens} tokens.",
        "已读 {parts} 个部分，约 {tokens} 个 token。",
    ),
    "cost": ("About {tokens} tokens.", "约 {tokens} 个 token。"),
}
_say = Texts(_TEXTS)


def is_uncited(text: str, files: Iterable[str | Path]) -> bool:
    """Returns whether an answer about documents neither cites a passage nor admits to have none."""
    from qwenbelt.tools.data_files import DATA_SUFFIXES
    from qwenbelt.tools.documents.answer_checks import CITATION
    from qwenbelt.tools.documents.grounding import abstains

    pictures = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}
    suffixes = {Path(str(file)).suffix.lower() for file in files}
    if not suffixes - DATA_SUFFIXES - pictures or not text.strip():
        return False
    return CITATION.search(text) is None and not abstains(text)


def doubt_about(
    text: str,
    files: Iterable[str | Path],
    calls: Iterable[str],
    language: str,
    *,
    earlier: Iterable[str | Path] = (),
) -> str:
    """Returns what is said below an answer that nothing stands behind, or "".

    Args:
        text: the answer.
        files: those that came with the question.
        calls: how each call of the run ended, but those from code, as in `ToolFinished.status`.
        language: of the words.
        earlier: files that came with earlier questions; their tables may have been read then.
    """
    from qwenbelt.agents.runtime.outcome import FAILED
    from qwenbelt.tools.data_files import DATA_SUFFIXES
    from qwenbelt.tools.documents.grounding import abstains

    given, ends = list(files), list(calls)
    if is_uncited(text, [*earlier, *given]):
        return _say("uncited", language)
    if "ok" in ends or not any(c.isdigit() for c in text) or abstains(text):
        return ""
    if FAILED.intersection(ends):
        return _say("calls_failed", language)
    tables = any(Path(str(file)).suffix.lower() in DATA_SUFFIXES for file in given)
    return _say("unread_table", language) if tables else ""


def answer_json(answer: LongDocumentAnswer) -> dict[str, Any]:
    """Returns an answer as values that JSON can hold."""
    return {
        "answer": answer.text,
        "findings": [
            {"file": f.file, "page": f.page, "quote": f.quote, "verified": f.verified}
            for f in answer.findings
        ],
        "parts": answer.parts,
        "passages": [{"file": file, "page": page} for file, page in answer.passages],
        "tokens": answer.tokens,
        "left_out": [{"file": file, "page": page} for file, page in answer.left_out],
        "problems": list(answer.problems),
        "grounded": answer.grounded,
        "checks": [check.to_dict() for check in answer.checks],
        "disagreements": [one.to_dict() for one in answer.disagreements],
    }


def answer_lines(answer: LongDocumentAnswer, language: Language) -> Iterator[str]:
    """Yields an answer as lines for a person: the text, its quotes, and what was not read."""
    from qwenbelt.tools.documents.disagreement import told_in_words
    from qwenbelt.workflows.report.grounded import problems

    if not answer.grounded:
        yield _say("not_grounded", language)
        yield from problems(answer.checks, language)
        yield ""
    yield answer.text
    yield ""
    for found in answer.findings:
        state = _say("verified" if found.verified else "missing", language)
        yield f"[{found.file} p.{found.page}] “{found.quote}” ({state})"
    for one in answer.disagreements:
        yield _say("differs", language, told=told_in_words(one, language))
    if answer.passages:
        yield _say("passages", language, pages=_places_by_file(answer.passages))
    if answer.left_out:
        left = "not_whole" if answer.passages else "left_out"
        yield _say(left, language, pages=_places_by_file(answer.left_out))
    yield from answer.problems
    name = "cost" if answer.passages else "summary"
    yield _say(name, language, parts=answer.parts, tokens=answer.tokens)


def _places_by_file(places: Sequence[tuple[str, int]]) -> str:
    """Returns files with their pages, successive ones as a range."""
    parts = []
    ordered = sorted(set(places))
    for (file, _), group in groupby(enumerate(ordered), lambda e: (e[1][0], e[1][1] - e[0])):
        pages = [page for _, (_, page) in group]
        last = f"-{pages[-1]}" if len(pages) > 1 else ""
        parts.append(f"{file} p.{pages[0]}{last}")
    return ", ".join(parts)
