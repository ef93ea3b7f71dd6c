"""Answers from the passages that a search finds, where a budget does not allow reading a part.

The question is asked as `Assistant` asks it, once, and once more over the same words where the
answer does not stand on the pages that it cites.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qwenbelt.agents.evidence import evidence_text
from qwenbelt.core.errors import EndpointError, LimitExceeded
from qwenbelt.core.language import Language
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.answer_checks import CITATION, check_answer
from qwenbelt.tools.documents.attribution import missing_marks, wrong_as_a_whole
from qwenbelt.tools.documents.computed import results_of
from qwenbelt.tools.documents.disagreement import Disagreement
from qwenbelt.tools.documents.evidence import BUDGET, Evidence, PageEvidence, gather_evidence
from qwenbelt.tools.documents.grounding import CitedText, GroundingCheck
from qwenbelt.tools.documents.store import Document
from qwenbelt.workflows.longdoc.parts import tokens_in
from qwenbelt.workflows.longdoc.reading import REPLY_TOKENS, TokenMeter
from qwenbelt.workflows.report.grounded import is_grounded, repair_prompt, repeats

LEAST = 1500  # characters of evidence that are worth asking about


@dataclass(frozen=True, slots=True)
class PassageAnswer:
    """An answer from passages.

    Attributes:
        text: the answer, with the places that it cites.
        checks: what became of each of its claims.
        disagreements: figures that the documents state differently, of those asked for.
        whole: whether the passages were all that the documents say.
        places: file and page of each passage.
    """

    text: str
    checks: tuple[GroundingCheck, ...]
    disagreements: tuple[Disagreement, ...]
    whole: bool
    places: tuple[tuple[str, int], ...]


def answer_from_passages(
    question: str,
    index: DocumentIndex,
    documents: Sequence[Document],
    meter: TokenMeter,
    language: Language,
) -> PassageAnswer | None:
    """Returns an answer from the passages that fit a question best.

    Returns:
        None where the budget does not suffice for this either, or nothing fits the question.

    Raises:
        EndpointError: the model could not be asked.
    """
    numbers = {document.file: document.id for document in documents}
    found = _evidence(question, index, numbers, meter.budget, language)
    if found is None:
        return None
    lines = found.computed(question)
    computed = results_of(lines)
    pages = found.numbering()
    passages = {number: CitedText(page.page, page.text) for number, page in pages.items()}

    def cited(answer: str) -> str:
        return answer + missing_marks(answer, question, passages)

    def check(answer: str) -> list[GroundingCheck]:
        checks = check_answer(
            answer, question, numbered=passages, unknown=found.unknown, computed=computed
        )
        return [*checks, *wrong_as_a_whole(answer, lines)]

    asked = [("user", evidence_text(question, found, language))]
    text = cited(meter.tell(asked))
    checks = check(text)
    if not is_grounded(checks):
        notice = repair_prompt(checks, language)
        again = [*asked, ("assistant", text), ("user", notice)]
        try:
            second = cited(meter.tell(again))
        except (EndpointError, LimitExceeded):
            second = ""
        anew = check(second)
        better = sum(not c.ok for c in anew) < sum(not c.ok for c in checks)
        if second and better and not repeats(second, notice):
            text, checks = second, anew
    places = tuple((page.file, page.page) for page in found.pages)
    text = _placed(text, pages)
    return PassageAnswer(text, tuple(checks), found.disagreements, found.whole, places)


def _evidence(
    question: str,
    index: DocumentIndex,
    numbers: Mapping[str, int],
    tokens: int,
    language: Language,
) -> Evidence | None:
    """Returns as much evidence as a budget of tokens allows, or None."""
    characters = BUDGET
    while characters >= LEAST:
        found = gather_evidence(index, question, numbers, budget=characters)
        if not found.pages:
            return None
        if tokens_in(evidence_text(question, found, language)) + REPLY_TOKENS <= tokens:
            return found
        characters //= 2
    return None


def _placed(answer: str, pages: Mapping[int, PageEvidence]) -> str:
    """Returns an answer with file and page in place of the numbers of its passages."""

    def places(mark: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", mark["numbers"] or "")]
        return " ".join(placed(pages[n]) for n in numbers if n in pages) or mark[0]

    return CITATION.sub(places, answer)


def placed(page: PageEvidence) -> str:
    """Returns the place of a page as answers cite it."""
    return f"[{page.file} p.{page.page}]"
