"""Map-reduce over documents: every part is read side by side, then the facts are merged.

The idea is qwen-agent's ParallelDocQA; here with pages that stay citable, a budget of tokens, and
quotes that are looked up on the page they are quoted from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qwenbelt.agents.small_models import reading
from qwenbelt.core.errors import EndpointError, InputError, LimitExceeded, QwenbeltError
from qwenbelt.core.language import Language, detect_language
from qwenbelt.tools.documents import DocumentIndex, verify_citation
from qwenbelt.tools.documents.answer_checks import check_answer
from qwenbelt.tools.documents.attribution import supporting_passages, wrong_as_a_whole
from qwenbelt.tools.documents.citations import cited_page
from qwenbelt.tools.documents.computed import results_of
from qwenbelt.tools.documents.disagreement import Disagreement, told_in_words
from qwenbelt.tools.documents.evidence import (
    Evidence,
    PageEvidence,
    disagreements_on,
    gather_evidence,
)
from qwenbelt.tools.documents.grounding import CitedText, GroundingCheck
from qwenbelt.tools.documents.store import Document
from qwenbelt.workflows.longdoc.parts import Cost, PageRange, affordable, parts_of, tokens_in
from qwenbelt.workflows.longdoc.passages import PassageAnswer, answer_from_passages, placed
from qwenbelt.workflows.longdoc.reading import REPLY_TOKENS, PartFailed, TokenMeter, ask_all
from qwenbelt.workflows.longdoc.strings import say
from qwenbelt.workflows.report.grounded import is_grounded, problems, repeats

PART_TOKENS = 6000
BUDGET = 400_000
CONCURRENCY = 8
BUDGET_OF_EVIDENCE = 6000  # characters; of a part's tokens a third
_QUOTED = re.compile(
    r"[\"“「](?P<quote>[^\"”」]{4,400})[\"”」][^\[\n]*\[(?P<file>[^\[\]]+?) p\.(?P<page>\d+)\]"
)
# a reply that quotes nothing and names no place says that its part does not help
_FACT = re.compile(r"[\"“「][^\"”」]{4,}[\"”」]|\bp\.\s?\d")


@dataclass(frozen=True)
class FoundQuote:
    """A quote that the model took from a page; `verified` when it is there."""

    file: str
    page: int
    quote: str
    verified: bool


@dataclass(frozen=True)
class LongDocumentAnswer:
    """What came out.

    Attributes:
        text: the answer.
        findings: the quotes that it rests on, looked up on their pages.
        parts: how many parts were read.
        tokens: roughly how many tokens were sent and received.
        left_out: file and page of what the budget did not allow, or what failed.
        problems: why parts failed, one line each.
        grounded: whether the answer is supported by the pages that it cites.
        checks: what became of each of its claims.
        disagreements: figures that the documents state differently, of those asked for.
        passages: file and page of what was read in passages, where no part was read as a whole.
    """

    text: str
    findings: tuple[FoundQuote, ...] = ()
    parts: int = 0
    tokens: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    grounded: bool = True
    checks: tuple[GroundingCheck, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    passages: tuple[tuple[str, int], ...] = ()


Answer = LongDocumentAnswer  # its name in 0.1
Finding = FoundQuote  # its name in 0.1


def ask_everything(
    question: str,
    files: Sequence[str | Path | int],
    llm: Any = None,
    *,
    index: DocumentIndex | None = None,
    budget: int = BUDGET,
    part_tokens: int = PART_TOKENS,
    concurrency: int = CONCURRENCY,
    progress: Callable[[int, int], None] = lambda done, parts: None,
) -> LongDocumentAnswer:
    """Reads all pages of files for a question, and answers from what was found.

    A budget that does not suffice for one part is for the passages that a search finds: no page is
    read whole then, and all are named as left out, unless the documents are that short.

    Args:
        question: in English or Chinese.
        files: files, folders or URLs; with an index, also names and ids of documents in it.
        llm: an endpoint's spec, an llm dict or a model object.
        index: where the documents are kept; a temporary index without it.
        budget: tokens that may be sent and received in all, roughly.
        part_tokens: how much one request reads.
        concurrency: requests at the same time.
        progress: called with the number of parts read, and of all parts.

    Raises:
        InputError: a file cannot be read.
        LimitExceeded: the budget does not suffice for one part, nor for passages of a search.
        QwenbeltError: no part got an answer; the message gives the reason.
    """
    if index is None:
        with DocumentIndex() as temporary:
            return ask_everything(
                question,
                files,
                llm,
                index=temporary,
                budget=budget,
                part_tokens=part_tokens,
                concurrency=concurrency,
                progress=progress,
            )
    language = detect_language(question)
    documents = [index.document(number) for number in dict.fromkeys(_taken_in(index, files))]
    overhead = tokens_in(say("part", language, question=question, text="")) + REPLY_TOKENS
    parts = parts_of(index, documents, part_tokens)
    reserve = part_tokens + REPLY_TOKENS  # for putting the facts together
    meter = TokenMeter(_model(llm), budget)
    try:
        cost = Cost(budget, reserve, overhead)
        chosen, left = affordable(index, documents, question, parts, cost)
    except LimitExceeded:
        told = answer_from_passages(question, index, documents, meter, language)
        if told is None:
            raise
        return _of_passages(told, meter, parts)
    ask_each = partial(ask_all, meter.ask, concurrency=concurrency, language=language)
    prompts = [say("part", language, question=question, text=part.text) for part in chosen]
    replies = ask_each(prompts, progress=progress)
    reading = _PartReading(question, documents, language, part_tokens, ask_each, meter)
    return _answered(index, reading, chosen, left, replies)


@dataclass(frozen=True)
class _PartReading:
    """What is asked of which documents, and how much one request reads."""

    question: str
    documents: Sequence[Document]
    language: Language
    part_tokens: int
    ask_each: Callable[[Sequence[str]], list[str | PartFailed]]
    meter: TokenMeter


def _answered(
    index: DocumentIndex,
    reading: _PartReading,
    chosen: Sequence[PageRange],
    left: Sequence[PageRange],
    replies: Sequence[str | PartFailed],
) -> LongDocumentAnswer:
    """Puts together what was found in the parts and by a search, and checks it.

    Raises:
        QwenbeltError: no part got an answer.
    """
    question, language, meter = reading.question, reading.language, reading.meter
    failed = [p for p, r in zip(chosen, replies, strict=True) if isinstance(r, PartFailed)]
    reasons = tuple(dict.fromkeys(str(r) for r in replies if isinstance(r, PartFailed)))
    if failed and len(failed) == len(chosen):
        raise QwenbeltError(f"No part of the documents got an answer: {reasons[0]}")
    facts = [r for r in replies if isinstance(r, str) and _FACT.search(r)]
    numbers = {document.file: document.id for document in reading.documents}
    differ = disagreements_on(index, question, numbers)
    found = _evidence(index, question, reading.documents, reading.part_tokens)
    passages = [f"{placed(page)}\n{page.text}" for page in found.pages]
    shown = "\n\n".join([*passages, *_computed(question, found)])
    if facts or shown:
        facts += [told_in_words(one, language) for one in differ]
    text = _put_together(reading, facts, shown)
    text += _uncited(text, question, found.pages)
    lines = found.computed(question)
    text, checks = _checked(index, question, text, facts, shown, language, meter, lines)
    return LongDocumentAnswer(
        text,
        tuple(_findings(index, "\n".join(facts))),
        len(chosen) - len(failed),
        meter.spent,
        _pages([*left, *failed]),
        reasons,
        is_grounded(checks),
        tuple(checks),
        differ,
    )


def _of_passages(
    told: PassageAnswer, meter: TokenMeter, parts: Sequence[PageRange]
) -> LongDocumentAnswer:
    return LongDocumentAnswer(
        told.text,
        tokens=meter.spent,
        left_out=() if told.whole else _pages(parts),
        grounded=is_grounded(told.checks),
        checks=told.checks,
        disagreements=told.disagreements,
        passages=told.places,
    )


def _evidence(
    index: DocumentIndex, question: str, documents: Sequence[Document], part_tokens: int
) -> Evidence:
    """Returns the passages that a search finds, for documents that are more than one request.

    A small model that reads part by part finds nothing useful even in the right one.
    """
    numbers = {document.file: document.id for document in documents}
    budget = min(BUDGET_OF_EVIDENCE, part_tokens)
    found = gather_evidence(index, question, numbers, budget=budget)
    return Evidence() if found.whole else found


def _uncited(answer: str, question: str, pages: Sequence[PageEvidence]) -> str:
    """Returns the marks of the pages that an answer rests on and does not name, or ""."""
    passages = {n: CitedText(page.page, page.text) for n, page in enumerate(pages)}
    found = supporting_passages(answer, question, passages)
    return "".join(f" {placed(pages[n])}" for n in found)


def _computed(question: str, found: Evidence) -> list[str]:
    """Returns what code has computed from the passages, as one more text, or nothing."""
    pages = found.numbering()
    marked = [
        re.sub(r"\[(\d+)\]", lambda number: placed(pages[int(number[1])]), line)
        for line in found.computed(question)
    ]
    lines = "\n".join(marked)
    return [say("computed", detect_language(question), lines=lines)] if marked else []


def _checked(
    index: DocumentIndex,
    question: str,
    text: str,
    facts: list[str],
    shown: str,
    language: Language,
    meter: TokenMeter,
    computed: Sequence[str],
) -> tuple[str, list[GroundingCheck]]:
    """Returns the answer and its checks, after one repair where they fail."""

    def check(answer: str) -> list[GroundingCheck]:
        pages = partial(_page_text, index)
        checks = check_answer(answer, question, page_text=pages, computed=results_of(computed))
        return [*checks, *wrong_as_a_whole(answer, computed)]

    if not (facts or shown):
        return text, []  # it says that nothing was found
    checks = check(text)
    if is_grounded(checks):
        return text, checks
    prompt = say("whole", language, question=question, text=_told(facts, shown, language))
    told = "\n".join(problems(checks, language))
    notice = say("again", language, answer="", problems=told)
    prompt += "\n\n" + say("again", language, answer=text, problems=told)
    try:
        again = meter.ask(prompt)
    except (EndpointError, LimitExceeded):
        return text, checks
    second = check(again)
    better = sum(not c.ok for c in second) < sum(not c.ok for c in checks)
    taken = again and better and not repeats(again, notice)
    return (again, second) if taken else (text, checks)


def _page_text(index: DocumentIndex, file: str, page: int) -> str | None:
    try:
        found = cited_page(index, file, page)
    except InputError:
        return None
    return found.text if found is not None else None


def _told(facts: Sequence[str], shown: str, language: Language) -> str:
    parts = ["\n".join(facts), *([say("searched", language, text=shown)] if shown else [])]
    return "\n\n".join(part for part in parts if part)


def _taken_in(index: DocumentIndex, files: Sequence[str | Path | int]) -> list[int]:
    known: dict[str | int, int] = {}
    for document in index.documents():
        known[document.file] = known[document.id] = document.id
    chosen = [known[file] for file in files if isinstance(file, (str, int)) and file in known]
    added = index.add([str(file) for file in files if file not in known])
    for one in added:
        if one.error:
            raise InputError(one.error)
    return [*chosen, *(one.document for one in added)]


def _put_together(reading: _PartReading, facts: list[str], shown: str) -> str:
    """Merges facts until they fit into one request, then answers."""
    question, language, meter = reading.question, reading.language, reading.meter
    if not facts and not shown:
        return say("nothing", language)
    size = reading.part_tokens - tokens_in(shown)
    while len(facts) > 1 and tokens_in("\n".join(facts)) > size:
        groups = _grouped(facts, size)
        if len(groups) == len(facts):
            break  # nothing is left to merge
        prompts = [say("shorten", language, question=question, text=g) for g in groups]
        facts = [r for r in reading.ask_each(prompts) if isinstance(r, str)] or facts[:1]
    kept = _fitting(facts, size)
    try:
        told = _told([kept], shown, language)
        return meter.ask(say("whole", language, question=question, text=told))
    except EndpointError:
        if not (kept and shown):
            raise
    # the endpoint may refuse what the pages say, as it did when they were read
    return meter.ask(say("whole", language, question=question, text=kept))


def _grouped(facts: list[str], size: int) -> list[str]:
    groups: list[str] = []
    for fact in facts:
        if groups and tokens_in(groups[-1]) + tokens_in(fact) <= size:
            groups[-1] += f"\n{fact}"
        else:
            groups.append(fact)
    return groups


def _fitting(facts: list[str], size: int) -> str:
    """Returns as many of the facts as fit."""
    kept: list[str] = []
    for fact in facts:
        if kept and tokens_in("\n".join([*kept, fact])) > size:
            break
        kept.append(fact)
    return "\n".join(kept)


def _findings(index: DocumentIndex, facts: str) -> list[FoundQuote]:
    found: dict[tuple[str, int, str], FoundQuote] = {}
    for match in _QUOTED.finditer(facts):
        file, page, quote = match["file"].strip(), int(match["page"]), match["quote"].strip()
        try:
            verified = verify_citation(index, file, page, quote) is not None
        except InputError:
            verified = False
        found.setdefault((file, page, quote), FoundQuote(file, page, quote, verified))
    return list(found.values())


def _pages(parts: Sequence[PageRange]) -> tuple[tuple[str, int], ...]:
    return tuple(dict.fromkeys(page for part in parts for page in part.pages))


def _model(llm: Any) -> Any:
    from qwen_agent.llm import get_chat_model

    import qwenbelt.agents.chat_model  # noqa: F401 - registers the chat model
    from qwenbelt.agents.fncall import with_model_type

    given = reading(with_model_type(llm))
    return get_chat_model(given) if isinstance(given, dict) else given
