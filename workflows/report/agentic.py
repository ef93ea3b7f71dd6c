"""The report that a model writes with the tools."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.kinds import SearchingKind, agent_class
from qwenbelt.agents.small_models import at_zero, is_small_model, reading
from qwenbelt.core.errors import EndpointError, QwenbeltError
from qwenbelt.core.events import Event
from qwenbelt.core.language import Language
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.settings import load_settings
from qwenbelt.core.trace import TraceWriter
from qwenbelt.core.translation import in_language
from qwenbelt.tools.documents.attribution import missing_marks, wrong_as_a_whole
from qwenbelt.tools.documents.computed import results_of
from qwenbelt.tools.documents.evidence import Evidence, gather_evidence
from qwenbelt.tools.documents.grounding import CitedText
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.sources import NumberedSource, SourceBook
from qwenbelt.workflows.report.citing import Citer
from qwenbelt.workflows.report.differing import cited_disagreements
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument, ReportProvenance
from qwenbelt.workflows.report.figures import Gallery
from qwenbelt.workflows.report.grounded import is_grounded, repair_prompt, repeats, report_checks
from qwenbelt.workflows.report.inputs import Documents
from qwenbelt.workflows.report.numbers import numbers_without_source
from qwenbelt.workflows.report.prompts import documents_line, system_prompt
from qwenbelt.workflows.report.prose import Node, parse_prose, plain_text
from qwenbelt.workflows.report.record import RunRecord
from qwenbelt.workflows.report.strings import say

if TYPE_CHECKING:
    from qwenbelt.agents import Budget

Listener = Callable[[Event], None]
Findings = Callable[[Documents, SourceBook], str]
LONGEST_TITLE = 140


@dataclass(frozen=True)
class AgentSetup:
    """How the report's agent is made.

    Attributes:
        llm: the llm dict or model object.
        kind: "fncall" or "react".
        scripted: whether the model's replies were written in advance.
        allow_unsandboxed: whether code may run where there is no sandbox.
        model_calls: requests to the model that the run may make, or None for the setting.
        max_seconds: time of the run, or None.
        max_tokens: tokens of the run, read and written, or None.
        findings: returns what others have found in the documents, its passages numbered in the
            book; it is given to the model with the question.
        replies: the file in which the model's replies are kept, or None; those that are there are
            not asked for again.
    """

    llm: Any
    kind: SearchingKind = "fncall"
    scripted: bool = False
    allow_unsandboxed: bool = False
    model_calls: int | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    findings: Findings | None = None
    replies: Path | None = None


def agentic_report(
    documents: Documents,
    question: str,
    stage: Path,
    setup: AgentSetup,
    language: Language,
    listener: Listener,
) -> ReportDocument:
    """Lets an agent answer, and returns the report; figures and the trace are in `stage`.

    Raises:
        EndpointError: the endpoint fails.
        QwenbeltError: the run ended without an answer.
    """
    record = RunRecord()
    trace = TraceWriter()
    with tempfile.TemporaryDirectory(
        prefix="qwenbelt-report-", ignore_cleanup_errors=True
    ) as folder:
        work = Path(folder)
        book, evidence, asked, llm = _begun(documents, question, setup, language)
        record.results.append(asked)
        record.computed += results_of(evidence.computed(question, book))
        with _agent(documents, setup, llm, book, work, language) as agent:

            def ask(messages: list[dict[str, Any]]) -> tuple[ReportDocument, Gallery]:
                with closing(_events(agent, messages, work, trace, language)) as events:
                    for event in events:
                        record.take(event)
                        listener(event)
                if not record.answer.strip():
                    reason = in_language(record.detail or record.reason or "?", language)
                    raise QwenbeltError(say("no_answer", language, reason=reason))
                record.answer += _uncited(record.answer, question, book)
                made = _compose(documents, question, stage, record, book, language, evidence)
                _check(made[0], documents, evidence, record)
                whole = wrong_as_a_whole(record.answer, evidence.computed(question, book))
                made[0].checks += whole
                made[0].grounded = made[0].grounded and not whole
                return made

            given: list[dict[str, Any]] = [{"role": "user", "content": asked}]
            report, gallery = ask(given)
            if not report.grounded and record.reason == "answer":  # once more, same prefix
                notice = repair_prompt(report.checks, language)
                repair = {"role": "user", "content": notice}
                with suppress(EndpointError):  # then the first answer is all there is
                    again = ask([*given, *record.messages, repair])
                    if not repeats(record.answer, notice):
                        report, gallery = again
        _write_trace(trace, stage / "trace.jsonl", work, gallery.published)
    report.made = ReportProvenance(
        model=record.model,
        agent=setup.kind,
        scripted=setup.scripted,
        model_calls=record.model_calls,
        side_by_side=record.side_by_side,
        seconds=record.ended - record.begun,
    )
    return report


def _uncited(answer: str, question: str, book: SourceBook) -> str:
    passages = {source.number: CitedText(source.page, source.text) for source in book}
    return missing_marks(answer, question, passages)


def _check(
    report: ReportDocument, documents: Documents, evidence: Evidence, record: RunRecord
) -> None:
    """Checks what the model wrote against the pages that it cites."""
    paths = documents.by_name

    def page_text(citation: ReportCitation) -> str:
        page = documents.page(
            NumberedSource(0, citation.file, str(paths[citation.file]), citation.page, "")
        )
        return page.page.text if page is not None else ""

    report.checks = report_checks(
        report, page_text, unknown=evidence.unknown, computed=record.computed
    )
    report.grounded = is_grounded(report.checks)


def _asked(
    documents: Documents, question: str, book: SourceBook, language: Language, *, small: bool
) -> tuple[Evidence, str]:
    """Returns what the documents say on the question, and the message that asks with it.

    A small model is told of nothing but the passages: it has no tools.
    """
    from qwenbelt.agents.evidence import evidence_text

    with DocumentIndex(documents.index) as index:
        numbers = {file.name: index.document(str(file.path)).id for file in documents.files}
        paths = {file.name: str(file.path) for file in documents.files}
        evidence = gather_evidence(index, question, numbers, paths=paths)
    more = not evidence.whole and not small
    named = [] if small else [documents_line(language, [file.name for file in documents.files])]
    text = evidence_text(question, evidence, language, book=book, more=more, lines=named)
    return evidence, text


def _begun(
    documents: Documents, question: str, setup: AgentSetup, language: Language
) -> tuple[SourceBook, Evidence, str, Any]:
    """Returns the passages so far, the evidence, the first message, and the model.

    Where replies are kept, passages have the numbers again that those replies cite; replies to
    another message, such as one with other findings, are dropped.
    """
    from qwenbelt.agents.sessions.reply_log import ReplyLog, kept_replies

    log = ReplyLog(setup.replies) if setup.replies is not None else None
    known: dict[str, Any] = (log.kept or {}) if log is not None else {}
    while True:
        book = SourceBook(NumberedSource(**source) for source in known.get("sources", ()))
        small = _is_small(setup)
        evidence, asked = _asked(documents, question, book, language, small=small)
        if setup.findings is not None:
            asked = f"{asked}\n\n{setup.findings(documents, book)}"
        digest = hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()
        if log is None:
            return book, evidence, asked, _reading(setup)
        if not known or known.get("asked") == digest:
            break
        log.forget()
        log, known = ReplyLog(log.path), {}
    log.state = lambda: {"asked": digest, "sources": [asdict(source) for source in book]}
    return book, evidence, asked, kept_replies(_reading(setup), log)


def _reading(setup: AgentSetup) -> Any:
    return reading(setup.llm) if _is_small(setup) else at_zero(setup.llm)


def _is_small(setup: AgentSetup) -> bool:
    return setup.kind != "react" and is_small_model(setup.llm)


@contextmanager
def _agent(
    documents: Documents,
    setup: AgentSetup,
    llm: Any,
    book: SourceBook,
    work: Path,
    language: Language,
) -> Iterator[Any]:
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
    from qwenbelt.tools.documents.tool import DocumentSearch, ReadDocument
    from qwenbelt.tools.plot.tool import Plot

    if _is_small(setup):
        yield agent_class(setup.kind)(llm=llm, name="report", folder=work, budget=_budget(setup))
        return
    where = {"index": str(documents.index), "password": documents.password, "sources": book}
    tools: list[Any] = [DocumentSearch(where), ReadDocument(where), Plot()]
    code = None
    if can_run_code(setup.allow_unsandboxed):
        code = CodeInterpreter({"allow_unsandboxed": setup.allow_unsandboxed})
        tools.append(code)
    try:
        yield agent_class(setup.kind)(
            function_list=tools,
            llm=llm,
            system_message=system_prompt(language, can_compute=code is not None),
            name="report",
            files=[str(file.path) for file in documents.files],
            folder=work,
            budget=_budget(setup),
        )
    finally:
        if code is not None:
            code.close()


def _budget(setup: AgentSetup) -> Budget:
    from qwenbelt.agents import Budget

    calls = setup.model_calls or load_settings().max_model_calls
    return Budget(model_calls=calls, seconds=setup.max_seconds, tokens=setup.max_tokens)


def can_run_code(allow_unsandboxed: bool) -> bool:
    """Says whether the code interpreter can be offered to a model."""
    from qwenbelt.tools.code_interpreter import isolation_level

    allowed = allow_unsandboxed or load_settings().allow_unsandboxed
    return allowed or isolation_level() != "none"


def _events(
    agent: Any,
    messages: list[dict[str, Any]],
    work: Path,
    trace: TraceWriter,
    language: Language,
) -> Generator[Event, None, None]:
    from qwenbelt.agents.runtime.event_loop_thread import background_loop

    yield from background_loop().iterate(
        lambda: agent.stream(messages, lang=language, folder=work, trace=trace)
    )


def _compose(
    documents: Documents,
    question: str,
    stage: Path,
    record: RunRecord,
    book: SourceBook,
    language: Language,
    evidence: Evidence,
) -> tuple[ReportDocument, Gallery]:
    gallery = Gallery(record.pictures, stage, language)
    citer = Citer(book, documents.page, question, evidence.computed(question, book))
    title, blocks = _titled(parse_prose(record.answer))
    bound = gallery.place(citer.bind(blocks))
    found = evidence.disagreements
    differing = cited_disagreements(found, citer, documents.by_name, language)
    report = ReportDocument(
        question=question,
        language=language,
        blocks=[*bound, *gallery.rest()],
        citations=citer.citations,
        files=documents.files,
        steps=record.steps,
        title=title,
        disagreements=found,
        differing=differing,
    )
    report.notes = _notes(documents, record, citer, gallery, language)
    report.notes += _numbers_note(bound, [question, *record.results], language)
    return report, gallery


def _notes(
    documents: Documents,
    record: RunRecord,
    citer: Citer,
    gallery: Gallery,
    language: Language,
) -> list[str]:
    reasons = [in_language(reason, language) for reason in documents.left_out]
    notes = [say("unreadable", language, reason=reason) for reason in reasons]
    notes += documents.notes(language)
    if record.reason != "answer":
        reason = in_language(record.detail or record.reason, language)
        notes.append(say("cut_short", language, reason=reason))
    if citer.unknown:
        numbers = ", ".join(str(number) for number in citer.unknown)
        notes.append(say("unknown_source", language, numbers=numbers))
    names = dict.fromkeys(gallery.missing)
    return notes + [say("missing_figure", language, name=name) for name in names]


def _numbers_note(blocks: list[Node], sources: list[str], language: Language) -> list[str]:
    unknown = numbers_without_source(blocks, sources)
    return [say("numbers", language, numbers=", ".join(unknown))] if unknown else []


def _titled(blocks: list[Node]) -> tuple[str, list[Node]]:
    """Takes a heading at the top as the title."""
    if blocks and blocks[0]["kind"] == "heading":
        title = " ".join(plain_text(blocks[0]["inline"]).split())
        if 0 < len(title) <= LONGEST_TITLE:
            return title, blocks[1:]
    return "", blocks


def _write_trace(trace: TraceWriter, path: Path, work: Path, published: Mapping[Path, str]) -> None:
    """Writes the trace; pictures are named where the report keeps them, other files by name."""
    trace.flush()
    places = [(str(source), place) for source, place in published.items()]
    places.append((f"{work}/", ""))
    lines = [mask_secrets(_moved(record, places)) for record in trace.lines]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _moved(record: Mapping[str, Any], places: Sequence[tuple[str, str]]) -> str:
    line = json.dumps(record, ensure_ascii=False, default=str)
    for old, new in places:
        line = line.replace(json.dumps(old, ensure_ascii=False)[1:-1], new)
    return line
