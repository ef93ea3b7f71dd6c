"""What the documents say on a question, packed into a number of characters: the evidence.

The same question and files give the same evidence, whatever else is in the index. Small documents
are shown whole. Else the statement that the question names or implies comes in full, then the
passages that fit best, several of a page where they fit, fewer of a page that was shown already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qwenbelt.core.spans import RETRIEVAL, tool_span
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.search.hits import Hit
from qwenbelt.tools.documents.search.queries import question_parts
from qwenbelt.tools.documents.search.statements import kinds, wanted_statements
from qwenbelt.tools.documents.search.unknown_words import unknown_words
from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.tools.documents.store import Passage

BUDGET = 9000  # characters: about 3000 tokens of text full of numbers
STATEMENTS = 0.6  # of the budget that statements may take
LEAST_IMPLIED = 0.3  # how much a statement must be asked for to be shown whole
AGAIN = 0.93  # what a passage counts for each passage of its page that is shown already
AGAIN_UNTIL = 10  # passages; with more room, pages are filled up
PART = 0.8  # what a part of the question counts, against the whole
DEPTH = 80  # passages that are looked at
HEAD, JOINT = 45, 3  # characters that a page's line and a gap take
_SPACES = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True, slots=True)
class PageEvidence:
    """What is shown of one page.

    Attributes:
        file: the document's name.
        path: where it is.
        page: from 1.
        text: the passages, in their order on the page; a line with "…" where something is left out.
        section: titles of the sections of the first passage.
        quote: the words that fit the question best, or "".
    """

    file: str
    path: str
    page: int
    text: str
    section: str = ""
    quote: str = ""


@dataclass(slots=True)
class Evidence:
    """The evidence for a question.

    Attributes:
        pages: by document and page.
        whole: whether the documents are shown whole.
        unknown: distinctive words of the question that no page of the documents has.
    """

    pages: list[PageEvidence] = field(default_factory=list)
    whole: bool = False
    unknown: tuple[str, ...] = ()

    def numbered(self, book: SourceBook | None = None) -> str:
        """Returns the evidence as text, each page with the number to cite it by."""
        parts = []
        for place, page in enumerate(self.pages, 1):
            number = place
            if book is not None:
                number = book.number(
                    file=page.file, path=page.path, page=page.page, text=page.text, quote=page.quote
                )
            section = f" ({page.section})" if page.section else ""
            parts.append(f"[{number}] {page.file} p.{page.page}{section}\n{page.text}")
        return "\n\n".join(parts)


def gather_evidence(
    index: DocumentIndex,
    question: str,
    documents: Mapping[str, int],
    *,
    budget: int = BUDGET,
    paths: Mapping[str, str] | None = None,
) -> Evidence:
    """Returns the evidence for a question from documents of an index.

    Args:
        index: the index.
        question: what is asked.
        documents: ids by the names that are shown.
        budget: characters of evidence.
        paths: where the documents are, by name; as the index knows them by default.
    """
    if not documents or not question.strip():
        return Evidence()
    with tool_span("retrieval", RETRIEVAL):
        return _gathered(index, question, documents, budget, paths)


def _gathered(
    index: DocumentIndex,
    question: str,
    documents: Mapping[str, int],
    budget: int,
    paths: Mapping[str, str] | None,
) -> Evidence:
    packer = _Packer(index, documents, dict(paths or {}), budget)
    unknown = packer.unknown(question)
    if packer.take_all():
        return Evidence(packer.pages(), True, unknown)
    packer.take_statements(question)
    packer.take_hits(_ranked(index, question, list(documents.values())))
    return Evidence(packer.pages(), False, unknown)


def _ranked(
    index: DocumentIndex, question: str, documents: Sequence[int]
) -> list[tuple[float, Hit]]:
    """Returns the hits of the question and of its parts, the best first, 1 for the very best."""
    best: dict[int, tuple[float, Hit]] = {}
    for part, weight in [(question, 1.0), *((part, PART) for part in question_parts(question))]:
        hits = index.search(part, DEPTH, files=documents, per_page=None)
        for hit in hits:
            score = weight * hit.score / (hits[0].score or 1.0)
            if hit.chunk not in best or score > best[hit.chunk][0]:
                best[hit.chunk] = (score, hit)
    found = sorted(best.values(), key=lambda entry: (-entry[0], entry[1].document, entry[1].chunk))
    return found[:DEPTH]


class _Packer:
    """Takes passages as long as there is room."""

    def __init__(
        self,
        index: DocumentIndex,
        documents: Mapping[str, int],
        paths: dict[str, str],
        budget: int,
    ) -> None:
        self._index = index
        self._names = {number: name for name, number in documents.items()}
        self._paths = paths
        self._left = budget
        self._taken: dict[tuple[int, int], dict[int, Passage]] = {}
        self._quotes: dict[tuple[int, int], str] = {}
        few = index.focused.few([d for n in documents.values() for d in [index.document(n)]])
        self._held = {n: index.focused.words_of(n) for n in few}
        self._budget = budget

    def unknown(self, question: str) -> tuple[str, ...]:
        """Returns the distinctive words of a question that are on no page."""
        if len(self._held) < len(self._names):
            return ()  # too much to be sure
        return unknown_words(question, list(self._held.values()), self._index.focused.stems)

    def take_all(self) -> bool:
        """Takes everything, if there is room for it."""
        if len(self._held) < len(self._names):
            return False
        passages = [p for held in self._held.values() for p in held.passages]
        if self._cost(passages) > self._left:
            return False
        for passage in passages:
            self._take(passage)
        return True

    def take_statements(self, question: str) -> None:
        """Takes the pages of the statements that the question names or implies."""
        wanted = wanted_statements(question)
        room = STATEMENTS * self._budget
        for held in self._held.values():
            for kind in kinds(k for k, weight in wanted.items() if weight >= LEAST_IMPLIED):
                number = held.statement_page(kind)
                passages = [p for p in held.passages if p.page == number]
                cost = self._cost(passages)
                if passages and cost <= room:
                    room -= cost
                    for passage in passages:
                        self._take(passage)

    def take_hits(self, ranked: Iterable[tuple[float, Hit]]) -> None:
        """Takes the best passages; those of a page that is shown already count a little less."""
        pool = list(ranked)
        shown: dict[tuple[int, int], int] = {}
        texts: set[str] = set()
        for _ in range(len(pool)):
            again = AGAIN if sum(shown.values()) < AGAIN_UNTIL else 1.0
            score, hit = max(
                pool,
                key=lambda e: e[0] * again ** shown.get((e[1].document, e[1].page), 0),
            )
            pool.remove((score, hit))
            place = hit.document, hit.page
            (passage,) = self._index.neighbours(hit.chunk, 0)
            self._quotes.setdefault(place, hit.quote)
            if hit.text not in texts and self._take(passage):
                texts.add(hit.text)
                shown[place] = shown.get(place, 0) + 1

    def _take(self, passage: Passage) -> bool:
        place = passage.document, passage.page
        taken = self._taken.get(place, {})
        if passage.id in taken:
            return False
        cost = self._cost([passage]) - (HEAD if taken else 0)
        if cost > self._left:
            return False
        self._left -= cost
        self._taken.setdefault(place, {})[passage.id] = passage
        return True

    def _cost(self, passages: Iterable[Passage]) -> int:
        given = list(passages)
        heads = {(p.document, p.page): len(p.section) + HEAD for p in reversed(given)}
        return sum(heads.values()) + sum(
            len(_plain(self._text(p))) + len(p.context) + JOINT for p in given
        )

    def _text(self, passage: Passage) -> str:
        held = self._held.get(passage.document)
        if held is not None:
            return held.pages[passage.page].text[passage.start : passage.end]
        (page,) = self._index.pages(passage.document, [passage.page])
        return page.text[passage.start : passage.end]

    def pages(self) -> list[PageEvidence]:
        """Returns what was taken, by document as given and page."""
        order = {number: place for place, number in enumerate(self._names)}
        found = []
        for document, number in sorted(self._taken, key=lambda k: (order[k[0]], k[1])):
            passages = sorted(self._taken[document, number].values(), key=lambda p: p.start)
            name = self._names[document]
            found.append(
                PageEvidence(
                    name,
                    self._paths.get(name) or self._index.document(document).path,
                    number,
                    self._joined(passages),
                    passages[0].section,
                    self._quotes.get((document, number), ""),
                )
            )
        return found

    def _joined(self, passages: Sequence[Passage]) -> str:
        parts: list[str] = []
        end = None
        seen: set[str] = set()
        for passage in passages:
            if end is not None and self._gap(passage, end):
                parts.append("…")
            context = passage.context.strip()
            if context and context not in seen:
                seen.add(context)
                parts.append(context)
            parts.append(_plain(self._text(passage)).strip())
            end = passage.end
        return "\n".join(parts)

    def _gap(self, passage: Passage, end: int) -> bool:
        between = passage._replace(start=end, end=passage.start)
        return bool(self._text(between).strip())


def _plain(text: str) -> str:
    return _SPACES.sub("  ", text)


__all__ = ["BUDGET", "Evidence", "PageEvidence", "gather_evidence"]
