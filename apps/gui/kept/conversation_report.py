"""A conversation as a report: PDF, Word or HTML, its citations checked once more."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.safe_html import CITATION
from qwenbelt.apps.gui.panes.cited_pages import cited_words
from qwenbelt.apps.gui.strings import PageError, say
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.language import Language

KINDS = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
_BEFORE = 400  # characters before a citation, by which its words are found


def conversation_report(session: ChatSession, kind: str, language: Language) -> bytes:
    """Returns the report as a file's bytes.

    Args:
        session: the conversation.
        kind: "pdf", "docx" or "html".
        language: of the headings.

    Raises:
        PageError: nothing was answered yet, or what writes the kind is not installed.
    """
    from qwenbelt.workflows.report.page import html_page
    from qwenbelt.workflows.report.pdf import pdf_bytes
    from qwenbelt.workflows.report.word import word_bytes

    with tempfile.TemporaryDirectory(prefix="qwenbelt-report-") as folder:
        stage = Path(folder)
        report = _report(session, stage, language)
        if kind == "html":
            return html_page(report, stage).encode("utf-8", "replace")
        found = pdf_bytes(report, stage) if kind == "pdf" else word_bytes(report, stage)
        if found is None:
            raise PageError("no_word")
        return found


def _report(session: ChatSession, stage: Path, language: Language) -> Any:
    from qwenbelt.tools.documents.parsing.formats import open_document
    from qwenbelt.workflows.report.document import (
        ReportDocument,
        ReportProvenance,
        SourceFile,
    )
    from qwenbelt.workflows.report.figures import Gallery, Picture
    from qwenbelt.workflows.report.prose import parse_prose

    turns = [turn for turn in session.path() if turn.answer.strip()]
    if not turns:
        raise PageError("nothing_answered")
    citer = _Citer(session)
    texts = [f"## {_one_heading(turn.question)}\n\n{citer.numbered(turn.answer)}" for turn in turns]
    pictures = {}
    if session.folder.is_dir():
        named = (session.file(path.name) for path in session.folder.glob("*.png"))
        pictures = {path.name: Picture(path) for path in named if path is not None}
    gallery = Gallery(pictures, stage, language)
    files = []
    for name in dict.fromkeys(citation.file for citation in citer.citations):
        path = session.file(name)
        if path is not None:
            with open_document(path) as opened:
                files.append(SourceFile(name, path, opened.pages))
    title = session.row.title or say("untitled", language)
    lost = sum(not citation.verified for citation in citer.citations)
    report = ReportDocument(
        question=title,
        language=language,
        blocks=_cited(gallery.place(parse_prose("\n\n".join(texts)))),
        citations=citer.citations,
        files=files,
        steps=[],
        made=ReportProvenance(model=_models(session)),
        title=title,
    )
    if lost:
        report.notes.append(say("report_unfound", language, count=lost))
    return report


class _Citer:
    """Numbers the citations of the answers; each is looked up on its page."""

    def __init__(self, session: ChatSession) -> None:
        self.citations: list[Any] = []
        self._session = session

    def numbered(self, answer: str) -> str:
        """Returns an answer with its citations as numbers."""
        out, at = [], 0
        for found in CITATION.finditer(answer):
            number = self._number(
                found["file"].strip(), int(found["page"]), answer[: found.start()]
            )
            if number:
                out += [answer[at : found.start()], f"[{number}]"]
                at = found.end()
        return "".join([*out, answer[at:]])

    def _number(self, file: str, page: int, before: str) -> int:
        from qwenbelt.workflows.report.document import ReportCitation

        path = self._session.file(file)
        if path is None:
            return 0
        words = re.split(r"\n\s*\n", before[-_BEFORE:])[-1]
        try:
            quote = cited_words(path, page, words)
        except QwenbeltError:
            quote = ""
        number = len(self.citations) + 1
        self.citations.append(
            ReportCitation(number, file, page, quote or words.strip()[-200:], verified=bool(quote))
        )
        return number


def _cited(node: Any) -> Any:
    """Returns the blocks with citations as the writers take them."""
    if isinstance(node, list):
        return [_cited(one) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("kind") == "cite" and "source" in node:
        return {"kind": "cite", "n": node["source"]}
    return {name: _cited(value) for name, value in node.items()}


def _one_heading(question: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(question.split()))[:300]


def _models(session: ChatSession) -> str | None:
    names = [
        str(record.get("model") or "").rpartition("/")[2]
        for turn in session.path()
        for record in turn.events
        if record.get("event") == "run_started"
    ]
    return ", ".join(dict.fromkeys(filter(None, names))) or None
