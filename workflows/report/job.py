"""`report()`: the whole job, from files and a question to a folder with the report."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.agents.kinds import SearchingKind
from qwenbelt.core.errors import EndpointError, InputError, NoEndpointError, QwenbeltError
from qwenbelt.core.events import Event
from qwenbelt.core.language import Language, detect_language
from qwenbelt.core.settings import load_settings
from qwenbelt.workflows.report.agentic import AgentSetup, Findings, agentic_report
from qwenbelt.workflows.report.crops import with_crops
from qwenbelt.workflows.report.document import ReportDocument
from qwenbelt.workflows.report.extractive import Tell, extractive_report
from qwenbelt.workflows.report.folder import FIGURES, staged
from qwenbelt.workflows.report.grounded import problems
from qwenbelt.workflows.report.inputs import Documents, take_in
from qwenbelt.workflows.report.pdf import read_template
from qwenbelt.workflows.report.writing import write_report

LONGEST_QUESTION = 8000


@dataclass(frozen=True)
class ReportResult:
    """A finished report.

    Attributes:
        folder: where it is.
        document: its contents.
    """

    folder: Path
    document: ReportDocument

    @property
    def markdown(self) -> Path:
        """The report as Markdown."""
        return self.folder / "report.md"

    @property
    def pdf(self) -> Path:
        """The report as PDF."""
        return self.folder / "report.pdf"

    @property
    def docx(self) -> Path | None:
        """The report as a Word file, where the extra `docx` is installed."""
        path = self.folder / "report.docx"
        return path if path.is_file() else None

    @property
    def html(self) -> Path:
        """The report as one page of HTML."""
        return self.folder / "report.html"

    @property
    def verified(self) -> int:
        """How many citations are found on their pages."""
        return sum(citation.verified for citation in self.document.citations)


def report(
    files: Iterable[str | os.PathLike[str]],
    question: str,
    out: str | os.PathLike[str],
    *,
    llm: Any = None,
    endpoint: str | None = None,
    agent: SearchingKind = "fncall",
    extractive: bool = False,
    scripted: bool = False,
    language: Language | None = None,
    password: str | None = None,
    template: str | os.PathLike[str] | None = None,
    allow_unsandboxed: bool = False,
    model_calls: int | None = None,
    max_seconds: float | None = None,
    max_tokens: int | None = None,
    findings: Findings | None = None,
    durable: bool = False,
    fresh: bool = False,
    listener: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str, float | None], None] = lambda text, fraction: None,
) -> ReportResult:
    """Answers a question from documents and writes the report into a folder.

    Without an endpoint (none given, none configured, none found) the report is extractive: the
    best passages unchanged, labelled as made without a model.

    Args:
        files: PDF files.
        question: what to find out.
        out: the folder; a report that is there is replaced.
        llm: an llm dict or chat model, as agents take it; wins over `endpoint`.
        endpoint: an endpoint spec, for example "dashscope:qwen-plus".
        agent: "fncall" or "react".
        extractive: make the report without a model, even where there is an endpoint.
        scripted: the model's replies were written in advance; the report states it.
        language: of the report; the question's by default.
        password: opens encrypted files.
        template: a Typst file of one's own that lays out the PDF.
        allow_unsandboxed: let the model run code even where there is no sandbox.
        model_calls: requests to the model that the run may make.
        max_seconds: time of the run, after which the model has to answer.
        max_tokens: tokens of the run, read and written, after which it has to.
        findings: returns what others have found in the documents, see `AgentSetup`.
        durable: keep the model's replies until the report is there: the same call goes on.
        fresh: begin anew, whatever replies are kept.
        listener: is given every event of the run.
        tell: called with progress outside the run: a text, and the fraction done or None.

    Raises:
        InputError: a file or the question cannot be used, or the folder cannot be written.
        EndpointError: the endpoint fails.
        ConfigError: the endpoint is not understood or lacks a key.
        QwenbeltError: the run ended without an answer.
    """
    question = _one_question(question)
    language = language or detect_language(question)
    layout = read_template(template) if template is not None else None
    chosen = None if extractive else _chosen_llm(llm, endpoint)
    kept: Path | None = None
    with staged(out) as stage, tempfile.TemporaryDirectory(prefix="qwenbelt-index-") as folder:
        work = Path(folder)
        documents = take_in(map(Path, files), folder=work, password=password, tell=tell)
        if chosen is None:
            made = extractive_report(documents, question, stage, work, language, tell)
        else:
            bounds = (model_calls, max_seconds, max_tokens)
            if durable:
                job = [question, language, agent, findings is not None, _model_of(chosen)]
                kept = _kept_place(job, documents, fresh)
            setup = AgentSetup(chosen, agent, scripted, allow_unsandboxed, *bounds, findings, kept)
            with _dropped_without_answer(kept):
                made = agentic_report(documents, question, stage, setup, language, listener)
            if not made.grounded:
                made = _without_answer(made, documents, stage, work, tell)
        made.citations = with_crops(made.citations, made.files, stage, password)
        write_report(made, stage, Path(out).expanduser(), template=layout)
    if kept is not None:
        kept.unlink(missing_ok=True)
    return ReportResult(Path(out).expanduser(), made)


@contextmanager
def _dropped_without_answer(kept: Path | None) -> Iterator[None]:
    """Removes replies that led to no answer: repeated, they would lead there again."""
    try:
        yield
    except EndpointError:  # an outage, or the person's to mend
        raise
    except QwenbeltError:
        if kept is not None:
            kept.unlink(missing_ok=True)
        raise


def _one_question(question: str) -> str:
    question = " ".join(question.split())
    if not question:
        raise InputError("The question is empty.", fix="Say what the report should answer.")
    if len(question) > LONGEST_QUESTION:
        raise InputError(f"The question is over {LONGEST_QUESTION} characters.")
    return question


def _kept_place(job: list[Any], documents: Documents, fresh: bool) -> Path:
    """Returns the file of the replies of a report about these files as they are now."""
    paths = [file.path for file in documents.files]
    stamps = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    digest = hashlib.sha256(json.dumps([job, stamps]).encode("utf-8", "replace")).hexdigest()
    place = load_settings().workspace / "reports" / f"{digest[:24]}.jsonl"
    if fresh:
        place.unlink(missing_ok=True)
    return place


def _model_of(llm: Any) -> list[str]:
    """Returns what names a model, without its key."""
    known = llm if isinstance(llm, Mapping) else getattr(llm, "cfg", None) or {}
    return [str(known.get(name) or "") for name in ("model", "model_server", "dialect")]


def _without_answer(
    made: ReportDocument, documents: Documents, stage: Path, work: Path, tell: Tell
) -> ReportDocument:
    """Returns the extractive report in place of an answer that the pages do not support."""
    for figure in (stage / FIGURES).iterdir():
        figure.unlink()
    found = extractive_report(documents, made.question, stage, work, made.language, tell)
    notes = [*problems(made.checks, made.language), *made.notes, *found.notes]
    found.notes = list(dict.fromkeys(notes))
    found.made, found.steps = made.made, made.steps
    found.grounded, found.checks = False, made.checks
    return found


def _chosen_llm(llm: Any, spec: str | None) -> Any:
    """Returns the llm to use, or None where there is none."""
    if llm is not None:
        return llm
    from qwenbelt.agents import endpoint

    try:
        return endpoint(spec)
    except NoEndpointError:
        return None
