"""Binds the citations of an answer to words on pages.

The model cites passages by the numbers that the document tools gave them. For each mark, the words
of the passage that support the sentence best are looked up on the page itself; the marks are
numbered again in reading order, and a mark whose words are not on the page is kept, but marked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from qwenbelt.tools.documents.citations import find_quote, quote_spans
from qwenbelt.tools.documents.computed import results_of
from qwenbelt.tools.documents.model import Box, Page
from qwenbelt.tools.documents.search.hits import QUOTE_CHARACTERS, best_quote
from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.search.tokens import index_text
from qwenbelt.tools.documents.sources import NumberedSource, SourceBook
from qwenbelt.workflows.report.document import ReportCitation
from qwenbelt.workflows.report.prose import Node, plain_text

# what a number, an identifier (PC, EIA-923), another word, a single digit (more often a count
# than a value), and a word of the question weigh
NUMBER, IDENTIFIER, WORD, COUNT, QUESTION = 6.0, 2.0, 1.0, 0.5, 0.25
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n")
_OWN_LISTS = re.compile(
    r"(?i)^\W*(references?|sources?|citations?|bibliography|works cited"
    r"|参考文献|参考资料|引用|引文|来源|资料来源)\W*$"
)
_BEST_LINES, _MOST_CELLS, _LEAST_CLAIM = 6, 10, 2
_MUCH_MORE = 1.35  # how much more a longer stretch must say than its best line
_IDENTIFIER = re.compile(r"\b[A-Z][A-Z0-9-]+\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"])|(?<=[。！？；])")
_YEAR = re.compile(r"(?<![\d.,])(?:19|20)\d\d(?!\d|[.,]\d)")
_COLUMNS = re.compile(r" {2,}|\t")
_SPACE = re.compile(r"\s+")
_SIGNS_OF_RAISED = re.compile(r"\^|\[([a-z]|\d{1,3}(?:[,;–-]\d{1,3})*)\]")
PageReader = Callable[[NumberedSource], "CitedPage | None"]


@dataclass(frozen=True)
class CitedPage:
    """A page as the document engine reads it, and its text in the order of the file.

    Words that are next to each other in both are found by any reader of the file.
    """

    page: Page
    raw: str

    def holds(self, quote: str) -> bool:
        """Returns whether a quote is in both texts."""
        return _squeezed(quote) in _squeezed(self.raw) and bool(quote_spans(self.page.text, quote))


def _squeezed(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\xad", "")
    return _SIGNS_OF_RAISED.sub(r"\1", _SPACE.sub("", folded))  # the raw text has 451 for 45[1]


@dataclass(frozen=True)
class _Key:
    path: str
    page: int
    quote: str


class Citer:
    """Turns the citation marks of an answer into numbered citations.

    Args:
        book: the passages that the tools showed.
        page_of: reads the page of a source; None when it is not there.
        question: what was asked; its words count a little in choosing what to quote.
        computed: lines that say which figures a computed one is made of; the rows of these are
            quoted for it.

    Attributes:
        citations: those found so far, by their new numbers.
        unknown: numbers that no passage has.
    """

    def __init__(
        self,
        book: SourceBook,
        page_of: PageReader,
        question: str = "",
        computed: Sequence[str] = (),
    ) -> None:
        self._book = book
        self._computed = [(_figures(results_of([line])), line) for line in computed]
        self._page_of = page_of
        self._question = understand(question).terms if question else ()
        self._known: dict[_Key, ReportCitation] = {}
        self.unknown: list[int] = []

    @property
    def citations(self) -> list[ReportCitation]:
        """The citations, ascending."""
        return list(self._known.values())

    def bind(self, blocks: list[Node]) -> list[Node]:
        """Returns the blocks with every mark replaced by its citation's number."""
        return [self._block(block) for block in without_own_lists(blocks)]

    def cite(self, source: NumberedSource, claim: str, quoted: str = "") -> ReportCitation:
        """Returns the citation of a source for a sentence.

        Args:
            source: the passage.
            claim: the sentence that it supports.
            quoted: words that the writer claims are there; the best ones are chosen when empty.
        """
        page = self._page_of(source)
        quote = quoted or self._best(source, page, claim)
        boxes = find_quote(page.page, quote) if page is not None else []
        key = _Key(source.path, source.page, " ".join(quote.split()))
        if key not in self._known:
            self._known[key] = ReportCitation(
                n=len(self._known) + 1,
                file=source.file,
                page=source.page,
                quote=key.quote,
                box=_around(boxes),
                lines=tuple(box.rounded() for box in boxes) if _around(boxes) else (),
                verified=bool(boxes),
                label=page.page.label if page is not None else "",
            )
        return self._known[key]

    def _best(self, source: NumberedSource, page: CitedPage | None, claim: str) -> str:
        """The stretch of the passage that shares most with the claim, and is on the page."""
        terms = self._terms(claim, source.text)
        shared = set(_terms_of(source.text)) & terms.keys()
        if not shared and source.quote:
            return source.quote  # another language, say: what fitted the search must do
        if page is None:
            return _cut(source.text, terms)
        for text in (source.text, page.page.text):
            found = next((q for q in _candidates(text, terms) if page.holds(q)), "")
            if found:
                return found
        return source.quote or _cut(source.text, terms)

    def _terms(self, claim: str, text: str) -> dict[str, float]:
        """Weighs the words of a claim; one that is everywhere in a text weighs little."""
        identifiers = {t for word in _IDENTIFIER.findall(claim) for t in _terms_of(word)}
        lines = [frozenset(_terms_of(line)) for line in text.split("\n") if line.strip()]
        weights = dict.fromkeys(self._question, QUESTION)
        years = set(_YEAR.findall(claim))
        for term in _terms_of(claim):
            own = IDENTIFIER if term in identifiers else WORD
            is_number = term[:1].isdigit() and term not in years
            weights[term] = (NUMBER if len(term) > 1 else COUNT) if is_number else own
        figures = _figures([claim])
        for made, line in self._computed:
            if made & figures:
                weights |= dict.fromkeys(_figures([line]) - made, NUMBER)
        often = {term: sum(term in line for line in lines) for term in weights}
        return {term: weight / max(1, often[term]) ** 0.5 for term, weight in weights.items()}

    # -- the tree -------------------------------------------------------------------------------

    def _block(self, block: Node) -> Node:
        kind = block["kind"]
        if kind in ("heading", "paragraph"):
            return {**block, "inline": self._inline(block["inline"], _Claim())}
        if kind == "figure":
            claim = _Claim(plain_text(block["caption"]))
            return {**block, "caption": self._inline(block["caption"], claim)}
        if kind == "table":
            return {**block, "head": self._row(block["head"]), "rows": self._rows(block["rows"])}
        if kind == "quote":
            return {**block, "blocks": [self._block(inner) for inner in block["blocks"]]}
        if kind == "list":
            items = [[self._block(inner) for inner in item] for item in block["items"]]
            return {**block, "items": items}
        return block

    def _rows(self, rows: list[list[list[Node]]]) -> list[list[list[Node]]]:
        return [self._row(row) for row in rows]

    def _row(self, row: list[list[Node]]) -> list[list[Node]]:
        text = " ".join(plain_text(cell) for cell in row)
        return [self._inline(cell, _Claim(text)) for cell in row]

    def _inline(self, nodes: list[Node], claim: _Claim) -> list[Node]:
        out: list[Node] = []
        for node in nodes:
            if node["kind"] == "cite":
                _append_cite(out, self._mark(node, claim))
            elif "inline" in node:
                out.append({**node, "inline": self._inline(node["inline"], claim)})
            else:
                claim.read(node.get("text", "\n"))
                out.append(node)
        return out

    def _mark(self, node: Node, claim: _Claim) -> Node | None:
        source = self._book.get(node["source"])
        if source is None:
            if node["source"] not in self.unknown:
                self.unknown.append(node["source"])
            return None
        return {"kind": "cite", "n": self.cite(source, claim.marked(), node["quote"]).n}


def _figures(texts: Iterable[str]) -> set[str]:
    """Returns the numbers of texts as the index knows them; no years, no single digits."""
    found = {term for text in texts for term in _terms_of(text)}
    return {t for t in found if t[:1].isdigit() and len(t) > 1 and not _YEAR.fullmatch(t)}


def _terms_of(text: str) -> list[str]:
    """Returns the distinct words of a text as the index knows them."""
    return list(dict.fromkeys(index_text(text).split()))


def _cut(text: str, terms: dict[str, float]) -> str:
    start, end = best_quote(text, terms)
    return text[start:end].strip()


def _candidates(text: str, terms: dict[str, float]) -> Iterator[str]:
    """Yields what could be quoted, the best first.

    A single sentence or line that covers nearly as much as a longer stretch is preferred; pieces of
    lines follow, for tables whose rows are put together from cells.
    """
    stretch = _cut(text, terms)
    lines = [line.strip() for line in text.split("\n")]
    pieces = [piece.strip() for line in lines for piece in _SENTENCE.split(line)] + lines
    fitting = [piece for piece in pieces if len(piece) <= QUOTE_CHARACTERS]
    ranked = _ranked(fitting, terms)[:_BEST_LINES]
    if not ranked or _weight(stretch, terms) > _weight(ranked[0], terms) * _MUCH_MORE:
        yield stretch
    yield from ranked
    yield stretch
    for line in ranked:
        cells = [cell for cell in _COLUMNS.split(line) if cell][:_MOST_CELLS]
        runs = [
            "  ".join(cells[first:last])
            for first in range(len(cells))
            for last in range(first + 1, len(cells) + 1)
        ]
        yield from _ranked(runs, terms)


def _ranked(texts: list[str], terms: dict[str, float]) -> list[str]:
    weights = {text: _weight(text, terms) for text in texts}
    found = [text for text in weights if weights[text] > 0]
    return sorted(found, key=lambda text: (-weights[text], len(text)))


def _weight(text: str, terms: dict[str, float]) -> float:
    return sum(terms.get(term, 0.0) for term in set(_terms_of(text)))


class _Claim:
    """What a mark supports: the words since the last mark, or the whole sentence if they are few.

    With `whole`, it is always the same text.
    """

    def __init__(self, whole: str = "") -> None:
        self._whole = whole
        self._sentence = ""
        self._before = ""
        self._since = ""

    def read(self, text: str) -> None:
        """Reads on; a full stop begins the next sentence."""
        parts = _SENTENCE_END.split(self._sentence + text)
        for part in parts[:-1]:
            if part.strip():
                self._before = part
        self._since = parts[-1] if len(parts) > 1 else self._since + text
        self._sentence = parts[-1]

    def marked(self) -> str:
        """Returns what the mark at this place supports."""
        if self._whole:
            return self._whole
        since, self._since = self._since, ""
        if len(_terms_of(since)) >= _LEAST_CLAIM:
            return since
        return self._sentence if self._sentence.strip() else self._before


def _append_cite(out: list[Node], mark: Node | None) -> None:
    """Adds a mark once; one that was removed takes the space before it along."""
    if mark is None:
        if out and out[-1]["kind"] == "text":
            out[-1] = {**out[-1], "text": out[-1]["text"].rstrip(" ")}
    elif not (out and out[-1] == mark):
        out.append(mark)


def without_own_lists(blocks: list[Node]) -> list[Node]:
    """Leaves out lists of references that the model wrote at the end; the report has its own."""
    for place in range(len(blocks) - 1, -1, -1):
        block = blocks[place]
        if block["kind"] not in ("heading", "paragraph"):
            continue
        if _OWN_LISTS.match(plain_text(block["inline"])):
            return blocks[:place]
        if block["kind"] == "heading":
            break
    return blocks


def _around(boxes: list[Box]) -> tuple[float, float, float, float] | None:
    if not boxes or boxes[0] == Box(0, 0, 0, 0):
        return None
    around = boxes[0]
    for box in boxes[1:]:
        around = around.union(box)
    return around.rounded()
