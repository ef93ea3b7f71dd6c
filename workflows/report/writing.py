"""Writes a report: Markdown, PDF, citations and a record, into one folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import one_line
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument, ReportStep
from qwenbelt.workflows.report.folder import CROPS, FIGURES, RECORD, TABLES
from qwenbelt.workflows.report.markdown import escaped, inline_markdown, write_markdown
from qwenbelt.workflows.report.page import html_page
from qwenbelt.workflows.report.pdf import pdf_bytes
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.summary import banner, facts, method
from qwenbelt.workflows.report.word import word_bytes


def write_report(
    report: ReportDocument, stage: Path, out: Path, *, template: bytes | None = None
) -> None:
    """Writes the report into `stage`: Markdown, HTML, PDF, its citations and its record.

    Args:
        report: the report; its figures are in `stage` already.
        stage: where to write.
        out: where the files will be in the end; paths in the record are relative to it.
        template: a Typst layout of one's own for the PDF.
    """
    citations = [citation.to_dict() for citation in report.citations]
    _write(stage / "citations.json", json.dumps(citations, ensure_ascii=False, indent=1) + "\n")
    _write(stage / "report.md", markdown_text(report))
    record = json.dumps(_record(report, stage, out), ensure_ascii=False, indent=1)
    _write(stage / RECORD, record + "\n")
    (stage / "report.pdf").write_bytes(pdf_bytes(report, stage, template))
    _write(stage / "report.html", html_page(report, stage))
    word = word_bytes(report, stage)
    if word is not None:
        (stage / "report.docx").write_bytes(word)


def _write(path: Path, text: str) -> None:
    path.write_text(mask_secrets(text), encoding="utf-8")


def markdown_text(report: ReportDocument) -> str:
    """Returns the report as Markdown."""
    language = report.language
    parts = [f"# {escaped(report.title or report.question)}"]
    parts.append("\n".join(f"- **{name}:** {escaped(value)}" for name, value in facts(report)))
    if banner(report):
        parts.append(f"> **{banner(report)}**")
    parts.append(write_markdown(report.blocks))
    if report.differing:
        parts.append(f"## {say('disagree', language)}")
        parts.append("\n".join(f"- {inline_markdown(one)}" for one in report.differing))
    if report.citations:
        parts.append(f"## {say('references', language)}")
        parts.append("\n\n".join(_reference(c, report) for c in report.citations))
    if report.notes:
        parts.append(f"## {say('notes', language)}")
        parts.append("\n".join(f"- {escaped(note)}" for note in report.notes))
    parts += [f"## {say('method', language)}", method(report)]
    if report.steps:
        parts.append("\n".join(_steps(report.steps, report)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _reference(citation: ReportCitation, report: ReportDocument) -> str:
    page = citation.place(report.language)
    quote = say("quoted", report.language, quote=escaped(citation.quote))
    line = f"[{citation.n}] **{escaped(citation.file)}**, {page}: {quote}"
    return line if citation.verified else f"{line} — *{say('unverified', report.language)}*"


def _steps(steps: list[ReportStep], report: ReportDocument) -> list[str]:
    language = report.language
    names = [say(name, language) for name in ("call", "with", "time")]
    lines = [f"| # | {' | '.join(names)} |", "|--:|:--|:--|--:|"]
    for number, step in enumerate(steps, 1):
        arguments = escaped(one_line(step.arguments, 160)).replace("|", "\\|")
        time = f"{step.finished - step.started:.2f} s" if step.ok else say("failed", language)
        lines.append(f"| {number} | {step.name} | {arguments} | {time} |")
    return lines


def _record(report: ReportDocument, stage: Path, out: Path) -> dict[str, Any]:
    made = report.made
    folders = (stage / FIGURES, stage / TABLES, stage / CROPS)
    own = [p.relative_to(stage).as_posix() for f in folders if f.is_dir() for p in f.iterdir()]
    return {
        "question": report.question,
        "language": report.language,
        "date": report.date.isoformat(),
        "model": made.model,
        "agent": made.agent,
        "scripted": made.scripted,
        "files": [
            {"file": f.name, "path": _relative(f.path, out), "pages": f.pages} for f in report.files
        ],
        "citations": len(report.citations),
        "verified": sum(c.verified for c in report.citations),
        "grounded": report.grounded,
        "disagreements": [one.to_dict() for one in report.disagreements],
        "checks": [check.to_dict() for check in report.checks],
        "made": sorted(own),
        "notes": report.notes,
    }


def _relative(path: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()
