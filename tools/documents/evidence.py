"""What the documents say on a question, packed into a number of characters: the evidence.

The same question and files give the same evidence, whatever else is in the index. Small documents
are shown whole. Else the statement that the question names or implies comes in full, then the
passages that fit best, several of a page where they fit, fewer of a page that was shown already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from qwenbelt.core.spans import RETRIEVAL, tool_span
from qwenbelt.tools.documents.computed import computed_lines
from qwenbelt.tools.documents.disagreement import Disagreement
from qwenbelt.tools.documents.grounding import words_of
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.search.hits import Hit, sentences
from qwenbelt.tools.documents.search.queries import question_parts, understand
from qwenbelt.tools.documents.search.statements import kinds, wanted_statements
from qwenbelt.tools.documents.search.unknown_words import unknown_words
from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.tools.documents.store import Passage
from qwenbelt.tools.documents.table_rows import figure_rows

BUDGET = 9000  # characters: about 3000 tokens of text full of numbers
STATEMENTS = 0.7  # of the budget that statements may take
LEAST_IMPLIED = 0.3  # how much a statement must be asked for to be shown whole
AGAIN = 0.93  # what a passage counts for each passage of its page that is shown already
AGAIN_UNTIL = 10  # passages; with more room, pages are filled up
PART = 0.8  # what a part of the question counts, against the whole
AMOUNT = 1.2  # what a passage counts that has a word of the question beside an amount, if asked for
DEPTH = 80  # passages that are looked at
HEAD = 18  # characters of a page's line beside names: number, brackets, the lines between
OPENING = 0.6  # of the budget that the first pages may take
PAGES = 0.5  # of the room beyond `BUDGET` that is for the rest of the best pages
LONGEST_TITLE = 60
MOST_TOLD = 5  # figures that do not agree
MOST_HEADERS = 3  # passages at a page's top that may stand before a table: running titles
LONGEST_HEAD = 400  # characters of the lines of heads above a table
_CELLS = re.compile(r"\s{2,}|\t")
_LISTED = re.compile(
    r"\s*(?:[•·▪◦●■–-]|\(?(?:\d{1,2}|[a-z])[.)、]|[（(]?[一二三四五六七八九十]+[)）、])"
)
_SPACES = re.compile(r"[ \t]{2,}")
_DOCUMENT = (
    r"(?:8-?k|10-?[kq]|filing|report|document|file|paper|letter|memo(?:randum)?|contract|"
    r"agreement|announcement|(?:press )?release|article|manual|presentation)s?\b"
)
# a question about a whole document, whose beginning describes its contents
_AS_A_WHOLE = re.compile(
    r"\b(?:agenda|purpose|subject|topic|gist|(?:main|key) (?:points?|messages?|content))\b.{0,40}"
    rf"\b{_DOCUMENT}|\b(?:summar\w+|overview)\b.{{0,20}}\b{_DOCUMENT}|"
    rf"\b{_DOCUMENT}.{{0,20}}\babout\s*\?|"
    r"(?:公告|报告|文件|文档|论文|合同|协议|文章|手册).{0,6}(?:主要内容|主题|议题|概要|摘要|目的|讲了?什么)|"
    r"(?:总结|概括|概述|摘要).{0,8}(?:公告|报告|文件|文档|论文|合同|协议|文章|手册)",
    re.I,
)
_AMOUNT_ASKED = re.compile(
    r"\bhow (?:much|many|large|big|high|long)\b|"
    r"\bwhat (?:share|percent\w*|amount|number|price|rate|gain|sum|total)|"
    r"\bwhat (?:did|does|do|is|was|were|will|are)\b.{0,200}\b(?:pa(?:y|id)|costs?|spen[dt]|worth|"
    r"prices?|receiv\w+|get|earn|amount|bear|revenues?|sales|income|rates?|ratios?|"
    r"margins?|totals?)\b|多少|几[个家人名项次年月天所间]|金额|比例",
    re.I,
)
_AMOUNT = re.compile(
    r"[$€£¥]\s?\d|\d[\d,.]*\s?(?:%|percent|million|billion|bn|[万亿元个家人名项次])|"
    r"\b\d{1,3}(?:,\d{3})+\b|\b\d+\.\d+\b"
)
_Place = tuple[int, int]  # a document's id and a page


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

    @property
    def title(self) -> str:
        """The innermost section's title, cut: the outer ones repeat on every page."""
        inner = self.section.rpartition(" > ")[2].strip()
        return inner if len(inner) <= LONGEST_TITLE else f"{inner[: LONGEST_TITLE - 1].rstrip()}…"


@dataclass(slots=True)
class Evidence:
    """The evidence for a question.

    Attributes:
        pages: by document and page.
        whole: whether the documents are shown whole.
        unknown: distinctive words of the question that no page of the documents has.
        disagreements: figures that the documents state differently, of those that are asked for.
    """

    pages: list[PageEvidence] = field(default_factory=list)
    whole: bool = False
    unknown: tuple[str, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()

    def numbering(self, book: SourceBook | None = None) -> dict[int, PageEvidence]:
        """Returns the pages by the numbers to cite them by, as shown."""
        if book is None:
            return dict(enumerate(self.pages, 1))
        return {
            book.number(
                file=page.file, path=page.path, page=page.page, text=page.text, quote=page.quote
            ): page
            for page in self.pages
        }

    def numbered(self, book: SourceBook | None = None) -> str:
        """Returns the evidence as text, each page with the number to cite it by."""
        parts = []
        for number, page in self.numbering(book).items():
            section = f" ({page.title})" if page.title else ""
            parts.append(f"[{number}] {page.file} p.{page.page}{section}\n{page.text}")
        return "\n\n".join(parts)

    def computed(self, question: str, book: SourceBook | None = None) -> tuple[str, ...]:
        """Returns what the question asks to be computed, a line each, with passages' numbers."""
        return computed_lines(question, {n: p.text for n, p in self.numbering(book).items()})


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
    differ = disagreements_on(index, question, documents)
    if packer.take_all():
        return Evidence(packer.pages(), True, unknown, differ)
    packer.take_statements(question)
    packer.take_opening(question)
    packer.take_hits(_ranked(index, question, list(documents.values())))
    return Evidence(packer.pages(), False, unknown, differ)


def disagreements_on(
    index: DocumentIndex, question: str, documents: Mapping[str, int]
) -> tuple[Disagreement, ...]:
    """Returns the figures asked for that documents, or pages of one, state differently.

    Args:
        index: the index.
        question: what is asked.
        documents: ids by the names that are shown.
    """
    chosen = [index.document(number) for number in documents.values()]
    if len(index.focused.few(chosen)) < len(documents):
        return ()  # too many to compare at each question
    asked = words_of(question)
    return tuple(
        one
        for one in index.focused.disagreements(documents)
        if asked & words_of(" ".join((one.label, *(p.quote for p in one.places))))
    )[:MOST_TOLD]


def _ranked(
    index: DocumentIndex, question: str, documents: Sequence[int]
) -> list[tuple[float, Hit]]:
    """Returns the hits of the question and of its parts, the best first, 1 for the very best."""
    best: dict[int, tuple[float, Hit]] = {}
    beside = _beside_amounts(index, question, documents)
    amounts: dict[int, float] = {}
    for part, weight in [(question, 1.0), *((part, PART) for part in question_parts(question))]:
        hits = index.search(part, DEPTH, files=documents, per_page=None)
        for hit in hits:
            if beside and hit.chunk not in amounts:
                amounts[hit.chunk] = AMOUNT if _has_amount(index, hit.text, beside) else 1.0
            score = weight * hit.score / (hits[0].score or 1.0) * amounts.get(hit.chunk, 1.0)
            if hit.chunk not in best or score > best[hit.chunk][0]:
                best[hit.chunk] = (score, hit)
    found = sorted(best.values(), key=lambda entry: (-entry[0], entry[1].document, entry[1].chunk))
    return found[:DEPTH]


def _beside_amounts(
    index: DocumentIndex, question: str, documents: Sequence[int]
) -> frozenset[str]:
    """Returns stems of which one has to stand beside an amount, where a question asks for one.

    "How much does Zenith pay for Harbor?": twenty passages name Harbor, one says how much.
    """
    if not _AMOUNT_ASKED.search(question):
        return frozenset()
    asked = frozenset(index.focused.stems(" ".join(understand(question).terms)))
    few = index.focused.few([index.document(number) for number in documents])
    return asked.difference(*(index.focused.words_of(number).names for number in few))


def _has_amount(index: DocumentIndex, text: str, stems: frozenset[str]) -> bool:
    """Returns whether a sentence or line of a passage has an amount and one of the stems."""
    lines = (text[start:end] for start, end in sentences(text))
    return any(_AMOUNT.search(s) and not stems.isdisjoint(index.focused.stems(s)) for s in lines)


class _Packer:
    """Takes passages as long as there is room; a passage costs what the text grows by."""

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
        self._taken: dict[_Place, dict[int, Passage]] = {}
        self._sizes: dict[_Place, int] = {}
        self._quotes: dict[_Place, str] = {}
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
        places: dict[_Place, list[Passage]] = {}
        length = 0
        for held in self._held.values():
            for passage in held.passages:
                places.setdefault((passage.document, passage.page), []).append(passage)
                length += passage.end - passage.start
        if length > 2 * self._left or sum(map(self._size, places, places.values())) > self._left:
            return False
        for passages in places.values():
            self._take(passages)
        return True

    def take_statements(self, question: str) -> None:
        """Takes the pages of the statements that the question names or implies."""
        wanted = wanted_statements(question)
        least = self._left - STATEMENTS * self._budget
        for held in self._held.values():
            for kind in kinds(k for k, weight in wanted.items() if weight >= LEAST_IMPLIED):
                for number in held.statement_places(kind):
                    if not self._take([p for p in held.passages if p.page == number], least):
                        break  # its rest alone says little

    def take_opening(self, question: str) -> None:
        """Takes the first passages, where a question is about the document as a whole."""
        if not _AS_A_WHOLE.search(question):
            return
        least = self._left - OPENING * self._budget
        for place in range(max((len(held.passages) for held in self._held.values()), default=0)):
            for held in self._held.values():
                self._take(held.passages[place : place + 1], least)

    def take_hits(self, ranked: Iterable[tuple[float, Hit]]) -> None:
        """Takes the best passages; those of a page that is shown already count a little less.

        Where there is much room, a part of it is left for the rest of the best pages.
        """
        pool = list(ranked)
        pages: dict[_Place, float] = {}
        for score, hit in pool:
            place = hit.document, hit.page
            pages[place] = pages.get(place, 0.0) + score
        least = max(0, self._budget - BUDGET) * PAGES
        shown: dict[_Place, int] = {}
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
            if hit.text not in texts and self._take_with_table(passage, least):
                texts.add(hit.text)
                shown[place] = shown.get(place, 0) + 1
        self._fill_up(sorted(pages, key=lambda place: (-pages[place], place)))

    def _take_with_table(self, passage: Passage, least: float) -> bool:
        """Takes a passage; rows with the heads above them, and heads or a lead-in with their table.

        Where the file does not say that they belong together, as with tables without rules.
        """
        together = self._with_table(passage)
        if len(together) > 1 and self._take(together, least):
            return True
        taken = self._take([passage], least)
        if taken and len(together) == 1 and _announces(self._text(passage)):
            self._take(self._over_the_page(passage), least)
        return taken

    def _with_table(self, passage: Passage) -> list[Passage]:
        """Returns a passage with what it is nothing without, of the same page."""
        before, after = self._beside(passage)
        text = self._text(passage)
        if before and _begins_with_figures(text) and _is_head(self._text(before)):
            return [before, passage]
        below = self._text(after) if after else ""
        headed = _is_head(text) and _begins_with_figures(below)
        announced = _announces(text) and _is_announced(below)
        return [passage, after] if after and (headed or announced) else [passage]

    def _over_the_page(self, passage: Passage) -> list[Passage]:
        """Returns the table at the top of the next page, where a page ends with a passage."""
        held = self._held.get(passage.document)
        if held is None:
            return []
        below = [p for p in held.passages if p.page == passage.page and p.start > passage.start]
        if any(words_of(self._text(p)) for p in below):
            return []  # more than the page's number
        top = [p for p in held.passages if p.page == passage.page + 1][:MOST_HEADERS]
        return [p for p in top if any(figure_rows(self._text(p)))][:1]

    def _beside(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """Returns the passages before and after one on its page."""
        held = self._held.get(passage.document)
        own = [p for p in held.passages if p.page == passage.page] if held else []
        place = next((n for n, p in enumerate(own) if p.id == passage.id), None)
        if place is None:
            return None, None
        return own[place - 1] if place else None, own[place + 1] if place + 1 < len(own) else None

    def _fill_up(self, places: Iterable[_Place]) -> None:
        """Takes what is left of pages, the best first."""
        for document, number in places:
            held = self._held.get(document)
            for passage in held.passages if held is not None else ():
                if passage.page == number:
                    self._take([passage])

    def _take(self, passages: Sequence[Passage], least: float = 0.0) -> bool:
        """Takes passages of one page, if `least` is left of the room after them."""
        if not passages:
            return False
        place = passages[0].document, passages[0].page
        taken = self._taken.get(place, {})
        grown = {**taken, **{p.id: p for p in passages}}
        if len(grown) == len(taken):
            return False
        size = self._size(place, grown.values())
        cost = size - self._sizes.get(place, 0)
        if cost > self._left - least:
            return False
        self._left -= cost
        self._taken[place], self._sizes[place] = grown, size
        return True

    def _size(self, place: _Place, passages: Iterable[Passage]) -> int:
        page = self._page(place, passages)
        return HEAD + len(page.file) + len(page.title) + len(page.text)

    def _page(self, place: _Place, passages: Iterable[Passage]) -> PageEvidence:
        document, number = place
        name, ordered = self._names[document], sorted(passages, key=lambda p: p.start)
        return PageEvidence(
            name,
            self._paths.get(name, ""),
            number,
            self._joined(ordered),
            ordered[0].section,
            self._quotes.get(place, ""),
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
        for place in sorted(self._taken, key=lambda k: (order[k[0]], k[1])):
            page = self._page(place, self._taken[place].values())
            path = page.path or self._index.document(place[0]).path
            found.append(replace(page, path=path))
        return found

    def _joined(self, passages: Sequence[Passage]) -> str:
        parts: list[str] = []
        end = None
        seen: set[str] = set()
        for passage in passages:
            apart = end is None or self._gap(passage, end)
            text, context = _plain(self._text(passage)).strip(), passage.context.strip()
            above = [] if apart else parts[-1].split("\n")[-1:]
            if parts and apart:
                parts.append("…")
            if context and context not in seen:
                seen.add(context)
                parts += _not_shown(context, above, text)
            parts.append(text)
            end = passage.end
        return "\n".join(parts)

    def _gap(self, passage: Passage, end: int) -> bool:
        between = passage._replace(start=end, end=passage.start)
        return bool(self._text(between).strip())


def _is_head(text: str) -> bool:
    """Returns whether a passage is but the lines of heads above a table's rows."""
    last = text.rstrip().rpartition("\n")[2]
    return (
        len(text) <= LONGEST_HEAD
        and len(_CELLS.split(last.strip())) > 1
        and not any(figure_rows(text))
    )


def _announces(text: str) -> bool:
    """Returns whether a passage ends by telling of what stands below it: "… was as follows:"."""
    return text.rstrip().endswith((":", "："))


def _is_announced(text: str) -> bool:
    return bool(_LISTED.match(text)) or any(figure_rows(text))


def _begins_with_figures(text: str) -> bool:
    """Returns whether a passage's first line is a row of a table, and no head stands above it."""
    return any(figure_rows(text.lstrip("\n").partition("\n")[0]))


def _not_shown(context: str, above: Sequence[str], text: str) -> list[str]:
    """Returns the lines of a context that neither end what is shown above nor begin a text."""
    lines = [line for line in context.split("\n") if line.strip()]
    if lines and lines[0].strip() in above:
        lines = lines[1:]
    words = " ".join(lines).split()
    return [] if text.split(maxsplit=len(words))[: len(words)] == words else lines


def _plain(text: str) -> str:
    return _SPACES.sub("  ", text)


__all__ = ["BUDGET", "Evidence", "PageEvidence", "gather_evidence"]
