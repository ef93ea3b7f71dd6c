"""`research()`: a plan, searchers side by side over the documents, and a cited report of it.

The plan and each finding are kept as they come: the same research started again resumes with
them, and asks no finished searcher a second time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.agents.sessions.reply_log import ReplyLog, can_be_kept, kept_replies
from qwenbelt.core.errors import AnswerInvalid, EndpointError, QwenbeltError, one_line
from qwenbelt.core.events import Done, Event
from qwenbelt.core.files import write_text
from qwenbelt.core.language import Language, detect_language
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.sources import NumberedSource, SourceBook
from qwenbelt.workflows.report.inputs import Documents
from qwenbelt.workflows.report.job import ReportResult, report
from qwenbelt.workflows.research.prompts import FOUND, NOT_FOUND, PLANNER, SEARCHER
from qwenbelt.workflows.research.web_pages import web_pages

MOST_QUESTIONS = 8
_CITED = re.compile(r"\[(\d+)\]")


class ResearchPlan(BaseModel):
    """The questions into which a question is split."""

    questions: list[str] = Field(min_length=1, max_length=MOST_QUESTIONS)


@dataclass
class ResearchState:
    """What is kept of a research that is not done.

    Attributes:
        path: the file that holds it.
        questions: the plan; empty before there is one.
        findings: by question: the text, and the passages by their numbers in it.
    """

    path: Path
    questions: list[str] = field(default_factory=list)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, question: str, files: Sequence[Path]) -> ResearchState:
        """Returns what is kept of the research on a question in these files, as they are now."""
        stamps = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
        digest = hashlib.sha256(json.dumps([question, stamps]).encode()).hexdigest()[:24]
        state = cls(load_settings().workspace / "research" / f"{digest}.json")
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(state.path.read_text(encoding="utf-8"))
            state.questions, state.findings = list(known["questions"]), dict(known["findings"])
        return state

    def keep(self) -> None:
        """Writes it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = {"questions": self.questions, "findings": self.findings}
        write_text(self.path, json.dumps(known, ensure_ascii=False))

    def replies(self, question: str) -> ReplyLog:
        """Returns the replies of a searcher that is not done."""
        digest = hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()[:12]
        return ReplyLog(self.path.with_name(f"{self.path.stem}-{digest}.jsonl"))

    def forget(self) -> None:
        """Removes it."""
        self.path.unlink(missing_ok=True)
        for replies in self.path.parent.glob(f"{self.path.stem}-*.jsonl"):
            replies.unlink(missing_ok=True)


def research(
    question: str,
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    llm: Any = None,
    endpoint: str | None = None,
    language: Language | None = None,
    password: str | None = None,
    questions: int = MOST_QUESTIONS,
    web: bool = False,
    scripted: bool = False,
    fresh: bool = False,
    listener: Callable[[Event], None] = lambda event: None,
    tell: Callable[[str, float | None], None] = lambda text, fraction: None,
) -> ReportResult:
    """Looks into a question in documents from several sides and writes a report into a folder.

    Args:
        question: what to find out.
        files: the documents.
        out: the folder; a report that is there is replaced.
        llm: an llm dict or chat model; wins over `endpoint`.
        endpoint: an endpoint spec.
        language: of the report; the question's by default.
        password: opens encrypted files.
        questions: into how many questions it may be split.
        web: search the web too; copies of the pages that were read are kept in `out/web`.
        scripted: the model's replies were written in advance; the report states it.
        fresh: start over, whatever is kept of an earlier start.
        listener: is given every event of all runs.
        tell: called with progress: a text, and the fraction done or None.

    Raises:
        InputError: a file or the question cannot be used, or the folder cannot be written.
        EndpointError: the endpoint fails.
        ConfigError: there is no endpoint, or no search provider for `web`.
        QwenbeltError: no searcher found anything, or the writer ended without an answer.
    """
    from qwenbelt.agents.fncall import with_model_type

    question = " ".join(question.split())
    spoken = language or detect_language(question)
    if llm is None:
        llm = with_model_type(endpoint)
    paths = [Path(file) for file in files]
    if web:
        place = Path(out).expanduser()
        given = {"llm": llm, "language": spoken, "fresh": fresh, "tell": tell}
        paths += web_pages(question, place, **given)

    def findings(documents: Documents, book: SourceBook) -> str:
        readable = [file.path for file in documents.files]
        state = ResearchState.of(question, readable)
        kept.append(state)
        if fresh and len(kept) == 1:
            state.forget()
            state.questions, state.findings = [], {}
        team = _Team(documents, llm, spoken, state, listener, tell)
        team.plan(question, min(max(questions, 1), MOST_QUESTIONS))
        team.search()
        return team.told(book)

    kept: list[ResearchState] = []
    made = report(
        paths,
        question,
        out,
        llm=llm,
        language=spoken,
        password=password,
        scripted=scripted,
        findings=findings,
        durable=can_be_kept(llm),
        fresh=fresh,
        listener=listener,
        tell=tell,
    )
    for state in kept:
        state.forget()
    return made


class _Team:
    """The planner and the searchers of one research."""

    def __init__(
        self,
        documents: Documents,
        llm: Any,
        language: Language,
        state: ResearchState,
        listener: Callable[[Event], None],
        tell: Callable[[str, float | None], None],
    ) -> None:
        self._documents = documents
        self._llm = llm
        self._language = language
        self._state = state
        self._listener = listener
        self._tell = tell
        self._names = ", ".join(file.name for file in documents.files)
        self._failed: dict[str, QwenbeltError] = {}
        self._keeping = asyncio.Lock()

    def plan(self, question: str, most: int) -> None:
        """Splits the question, unless that is kept; where the model cannot, it stays whole."""
        from qwenbelt.agents import FnCallAgent

        if self._state.questions:
            return
        if most == 1:
            self._state.questions = [question]
            return
        said = PLANNER[self._language].format(most=most, names=self._names)
        planner = FnCallAgent(llm=self._llm, system_message=said, name="planner")
        try:
            found = planner.ask(question, answer=ResearchPlan, lang=self._language).value
            asked = [" ".join(one.split()) for one in found.questions]
        except AnswerInvalid:
            asked = [question]
        self._state.questions = list(dict.fromkeys(one for one in asked if one))[:most]
        self._state.questions = self._state.questions or [question]
        self._state.keep()

    def search(self) -> None:
        """Lets a searcher look up each question that has no finding yet, side by side.

        Raises:
            QwenbeltError: none of all of them found anything.
        """
        from qwenbelt.agents.runtime.event_loop_thread import background_loop

        left = [one for one in self._state.questions if one not in self._state.findings]
        background_loop().run(self._search_all(left))
        if not self._state.findings:
            raise next(iter(self._failed.values()))

    async def _search_all(self, left: Sequence[str]) -> None:
        await asyncio.gather(*(self._search_one(one) for one in left))

    async def _search_one(self, question: str) -> None:
        from qwenbelt.agents import FnCallAgent
        from qwenbelt.tools.documents.tool import DocumentSearch, ReadDocument

        log = self._state.replies(question)
        book = SourceBook(NumberedSource(**source) for source in log.kept or ())
        log.state = lambda: [asdict(source) for source in book]
        documents = self._documents
        where = {"index": str(documents.index), "password": documents.password, "sources": book}
        agent = FnCallAgent(
            [DocumentSearch(where), ReadDocument(where)],
            llm=kept_replies(self._llm, log) if can_be_kept(self._llm) else self._llm,
            system_message=SEARCHER[self._language].format(names=self._names),
            name="searcher",
            files=[str(file.path) for file in documents.files],
        )
        done: Done | None = None
        try:
            run = agent.stream([{"role": "user", "content": question}], lang=self._language)
            async with aclosing(run) as events:
                async for event in events:
                    self._listener(event)
                    done = event if isinstance(event, Done) else done
        except QwenbeltError as error:  # one that fails must not cost the others
            self._failed[question] = error
            return
        if done is None or not done.text.strip():
            why = one_line((done.detail or done.reason) if done else "?")
            log.forget()  # the same replies would end there again
            self._failed[question] = EndpointError(f"A searcher ended without an answer ({why}).")
            return
        sources = {str(source.number): asdict(source) for source in book}
        self._state.findings[question] = {"text": done.text, "sources": sources}
        async with self._keeping:  # searchers that end together write one file
            await asyncio.to_thread(self._state.keep)
        log.forget()
        count = len(self._state.findings)
        self._tell(one_line(question, 80), count / len(self._state.questions))

    def told(self, book: SourceBook) -> str:
        """Returns the findings, their passages under numbers of the report's book."""
        parts = [FOUND[self._language]]
        for question in self._state.questions:
            finding = self._state.findings.get(question)
            if finding is None:
                why = NOT_FOUND[self._language].format(why=self._failed[question])
                parts.append(f"## {question}\n{why}")
            else:
                text, passages = _renumbered(finding, book)
                parts.append("\n".join([f"## {question}", text, *passages]))
        return "\n\n".join(parts)


def _renumbered(finding: dict[str, Any], book: SourceBook) -> tuple[str, list[str]]:
    """Returns a finding's text and the passages that it cites, with the book's numbers.

    A number without a passage is left out: it would point to another one.
    """
    passages: dict[int, str] = {}

    def number(match: re.Match[str]) -> str:
        source = finding["sources"].get(match[1])
        if source is None:
            return ""
        given = {key: source[key] for key in ("file", "path", "page", "text", "quote")}
        new = book.number(**given)
        passages[new] = f"[{new}] {source['file']} p.{source['page']}\n{source['text']}"
        return f"[{new}]"

    return _CITED.sub(number, finding["text"]), list(passages.values())
