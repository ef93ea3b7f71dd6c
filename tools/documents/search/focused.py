"""Search within a few documents: only their own words count, not what else is in the index.

The full-text table of an index weighs a word by how many passages of *all* documents have it, so
that what was taken in before changes what is found. Here the words of the chosen documents are
counted alone. There is time, too, for what a large index cannot afford: a passage counts more when
its page is about the question, when words of the question are side by side in it as they do in
the question, and when it is the statement that the question names or implies.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from qwenbelt.tools.documents.disagreement import (
    Disagreement,
    StatedPages,
    disagreements,
    stated_on,
)
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.search.queries import Query, understand
from qwenbelt.tools.documents.search.statements import (
    goes_on,
    kinds,
    statement_score,
    wanted_statements,
)
from qwenbelt.tools.documents.search.stems import shared_stemmer
from qwenbelt.tools.documents.search.tokens import index_text
from qwenbelt.tools.documents.store import Document, DocumentStore, Match, Passage, Scope

MOST_PASSAGES = 12_000  # of the chosen documents; beyond it the index's own search is quicker
FEW_DOCUMENTS = 4  # in an index that is searched by its documents' own words as a whole
FEW_NAMES = 16  # a document may have several
HELD_PASSAGES = 40_000  # whose words are kept for the next question
K1, B = 1.2, 0.75
CONTEXT_WEIGHT = 1.0  # of words in section titles and table headers, against 1 in the passage
OTHERS = 0.6  # of words that documents may use instead of the question's
PAGE = 0.5  # of how well the page as a whole fits
OWN_NAME = 0.5  # of words of the document's name
PAIR = 1.0  # of two words side by side, in parts of their rarity
STATEMENT = 0.45  # of being the statement that is asked for, in parts of the best score
_JOINER = re.compile(r"[_\W]+")
_STUB = 12  # words below which a passage is a stub: a title or a line torn from its table


@dataclass(slots=True)
class _Words:
    """The words of a passage or a page."""

    counts: dict[str, float]
    length: float
    pairs: frozenset[tuple[str, str]] = frozenset()


class _Ranking:
    """Words of passages or pages by word, so that only those that have a word are looked at."""

    def __init__(self, every: Sequence[_Words]) -> None:
        self.places: dict[str, list[tuple[int, float]]] = {}
        for number, words in enumerate(every):
            for stem, count in words.counts.items():
                self.places.setdefault(stem, []).append((number, count))
        mean = sum(w.length for w in every) / max(1, len(every)) or 1.0
        self.shares = [min(1.0, 0.4 + 0.6 * w.length / _STUB) for w in every]  # stubs count less
        self.scales = [K1 * (1 - B + B * max(w.length, _STUB) / mean) for w in every]
        self._fits: dict[str, list[tuple[int, float]]] = {}

    def scores(self, weights: dict[str, float]) -> list[float]:
        """Returns how well each fits weighted stems, by BM25."""
        found = [0.0] * len(self.scales)
        for stem, weight in weights.items():
            for number, fit in self._fits.get(stem) or self._fits_of(stem):
                found[number] += weight * fit
        return found

    def _fits_of(self, stem: str) -> list[tuple[int, float]]:
        """Returns which have a stem and how much it counts in each, which is kept."""
        scales = self.scales
        self._fits[stem] = found = [
            (number, count * (K1 + 1) / (count + scales[number]))
            for number, count in self.places.get(stem, ())
        ]
        return found


@dataclass(slots=True)
class DocumentWords:
    """A document's passages and pages with their words.

    Attributes:
        passages: in reading order.
        pages: its pages by number.
        words: the words of each passage.
        page_words: the words of each page.
        ranking: the passages by word.
        page_ranking: the pages by word, in the order of `page_words`.
        page_places: the place of each passage's page in that order.
        names: stems of its file's name and its title.
        statements: per kind of statement the pages that may be one, once looked for.
        stated: the figures of its pages, once they were compared.
    """

    passages: list[Passage]
    pages: dict[int, Page]
    words: list[_Words] = field(default_factory=list)
    page_words: dict[int, _Words] = field(default_factory=dict)
    ranking: _Ranking = field(default_factory=lambda: _Ranking([]))
    page_ranking: _Ranking = field(default_factory=lambda: _Ranking([]))
    page_places: list[int] = field(default_factory=list)
    names: frozenset[str] = frozenset()
    statements: dict[str, dict[int, float]] = field(default_factory=dict)
    stated: StatedPages | None = None

    def statement_pages(self, kind: str) -> dict[int, float]:
        """Returns the pages that may be a statement, with how much they are one."""
        if kind not in self.statements:
            scores = {n: statement_score(kind, page.text) for n, page in self.pages.items()}
            self.statements[kind] = {n: score for n, score in scores.items() if score > 0}
        return self.statements[kind]

    def statement_page(self, kind: str) -> int | None:
        """Returns the page that is most a statement; the first of equals."""
        pages = self.statement_pages(kind)
        return min(pages, key=lambda n: (-pages[n], n)) if pages else None

    def statement_places(self, kind: str) -> list[int]:
        """Returns the page that is most a statement, then those beside it that are its rest."""
        number = self.statement_page(kind)
        if number is None:
            return []
        beside = (page for page in (number + 1, number - 1) if page in self.pages)
        return [number, *(page for page in beside if goes_on(kind, self.pages[page].text))]


class FocusedSearch:
    """Ranks passages of documents of a store; keeps the words of those searched last."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._held: OrderedDict[int, DocumentWords] = OrderedDict()
        self._compared: tuple[object, list[Disagreement]] | None = None
        self._few: tuple[object, list[Document]] | None = None
        self._lock = threading.Lock()

    def words_of(self, document: int) -> DocumentWords:
        """Returns a document's words."""
        with self._lock:
            found = self._held.get(document)
            if found is None or not self._is_current(document, found):
                found = self._read(document)
                self._held[document] = found
            self._held.move_to_end(document)
            while len(self._held) > 1 and self._size() > HELD_PASSAGES:
                self._held.popitem(last=False)
            return found

    def disagreements(self, names: Mapping[str, int]) -> list[Disagreement]:
        """Returns what documents state differently.

        Args:
            names: their ids by the names that are shown.
        """
        held = {name: self.words_of(document) for name, document in names.items()}
        key = [(name, id(words)) for name, words in held.items()]
        if self._compared is None or self._compared[0] != key:
            for name, words in held.items():
                words.stated = words.stated or stated_on(name, words.pages.values())
            stated = [words.stated for words in held.values() if words.stated is not None]
            self._compared = key, disagreements(stated)
        return self._compared[1]

    def few(self, chosen: Sequence[Document] | None) -> list[int]:
        """Returns the ids of the documents to search in, if they are few enough; else none.

        Args:
            chosen: the documents; None for all of the collection.
        """
        if chosen is None:
            chosen = self._all_if_few()
        if sum(document.chunks for document in chosen) > MOST_PASSAGES:
            return []
        return list(dict.fromkeys(document.id for document in chosen))

    def _all_if_few(self) -> list[Document]:
        state = self._store.state()
        known = self._few
        if known is None or known[0] != state:
            ids = {front[0] for front in self._store.fronts(1, FEW_NAMES)}
            found = self._store.documents() if 0 < len(ids) <= FEW_DOCUMENTS else []
            self._few = known = (state, found)
        return known[1]

    def _is_current(self, document: int, held: DocumentWords) -> bool:
        """Returns whether the passages have the same ids: removed and added again, they are new."""
        first = held.passages[0] if held.passages else None
        return first is not None and self._store.passage(first.id) == first

    def _size(self) -> int:
        return sum(len(held.passages) for held in self._held.values())

    def _read(self, document: int) -> DocumentWords:
        found = DocumentWords([], {page.number: page for page in self._store.pages(document)})
        texts: list[tuple[list[str], list[str]]] = []
        for number, page in found.pages.items():
            for passage in self._store.passages(document, number):
                found.passages.append(passage)
                body = _tokens(page.text[passage.start : passage.end])
                texts.append((body, _tokens(f"{passage.section}\n{passage.context}")))
        shared_stemmer().stems(
            {word for pair in texts for part in pair for word in part}
        )  # at once
        found.names = self._names(document)
        found.words = [self._words(body, context) for body, context in texts]
        for number in found.pages:
            found.page_words[number] = _Words({}, 0.0)
        for passage, words in zip(found.passages, found.words, strict=True):
            whole = found.page_words[passage.page]
            whole.length += words.length
            for stem, count in words.counts.items():
                whole.counts[stem] = whole.counts.get(stem, 0.0) + count
        found.ranking = _Ranking(found.words)
        found.page_ranking = _Ranking(list(found.page_words.values()))
        places = {number: place for place, number in enumerate(found.page_words)}
        found.page_places = [places[passage.page] for passage in found.passages]
        return found

    def _names(self, document: int) -> frozenset[str]:
        words: set[str] = set()
        for known in self._store.find(document):
            named = _tokens(_JOINER.sub(" ", known.file.rpartition(".")[0]))
            named += [t for t in _tokens(known.title) if not t.isdigit()]
            words.update(t for t in named if not t.isdigit())
        return frozenset(self._stemmed(words))

    def _words(self, body: list[str], context: list[str]) -> _Words:
        stems, around = self._stemmed(body), self._stemmed(context)
        counts: dict[str, float] = dict(Counter(stems))
        for stem in set(around):
            counts[stem] = counts.get(stem, 0.0) + CONTEXT_WEIGHT
        pairs = frozenset((*pairwise(stems), *pairwise(around)))
        return _Words(counts, len(stems) + 0.5 * len(around), pairs)

    def _stemmed(self, words: Iterable[str]) -> list[str]:
        return [stem for stem in shared_stemmer().stems(words) if stem]

    def stems(self, text: str) -> list[str]:
        """Returns the stems of a text's words, in order, function words left out."""
        return self._stemmed(_tokens(text))

    # -- ranking --------------------------------------------------------------------------------

    def ranked(
        self, question: str, query: Query, documents: Sequence[int], limit: int, scope: Scope
    ) -> list[Match]:
        """Returns the passages of documents that have any of the query's words, best first.

        Args:
            question: as it was asked, for the statements that it implies.
            query: its words.
            documents: ids, in any order.
            limit: at most this many.
            scope: pages and sections to which passages must belong.
        """
        held = [self.words_of(document) for document in dict.fromkeys(documents)]
        weights = self._weights(query, held)
        if not weights:
            return []
        asked = self.stems(" ".join(query.terms))
        pairs = self._pairs(question, asked, weights)
        found = [_scored(one, weights, pairs) for one in held]
        best = max((max(scores) for scores in found if scores), default=0.0)
        ranked: list[tuple[float, int, int, Passage]] = []
        for one, scores, bonus in zip(held, found, _bonus(question, held), strict=True):
            if bonus:
                scores = [
                    score + best * bonus.get(passage.page, 0.0)
                    for passage, score in zip(one.passages, scores, strict=True)
                ]
            least = _least(scores, limit, scope)
            ranked += [
                (-score, passage.document, passage.id, passage)
                for passage, score in zip(one.passages, scores, strict=True)
                if score > 0 and score >= least
            ]
        ranked.sort()
        chosen = islice((e for e in ranked if _in_scope(e[3], scope)), limit)
        return [Match(passage, -score) for score, _, _, passage in chosen]

    def finder(
        self, question: str, documents: Sequence[int]
    ) -> Callable[[Sequence[str], int, Scope], list[Match]]:
        """Returns a search of documents that is called as a store's `match`."""
        others = frozenset(understand(question).others)

        def match(terms: Sequence[str], limit: int, scope: Scope) -> list[Match]:
            within = documents if scope.documents is None else scope.documents
            own = tuple(t for t in terms if t not in others)
            query = Query(own, tuple(t for t in terms if t in others))
            return self.ranked(question, query, within, limit, scope)

        return match

    def _weights(self, query: Query, held: Sequence[DocumentWords]) -> dict[str, float]:
        """Returns the weight of each stem of the query: its rarity, less for other words.

        A document's own name hardly distinguishes passages inside it.
        """
        own = dict.fromkeys(self.stems(" ".join(query.terms)), 1.0)
        weights = {**dict.fromkeys(self.stems(" ".join(query.others)), OTHERS), **own}
        for stem in weights.keys() & self._names_in(query, held):
            weights[stem] *= OWN_NAME
        total = sum(len(one.words) for one in held)
        out = {}
        for stem, weight in weights.items():
            number = sum(len(one.ranking.places.get(stem, ())) for one in held)
            if number:
                out[stem] = weight * math.log(1 + (total - number + 0.5) / (number + 0.5))
        return out

    def _names_in(self, query: Query, held: Sequence[DocumentWords]) -> set[str]:
        """Returns stems of a query that name the documents; a name may be written as two words."""
        if not held:
            return set()
        names = frozenset.intersection(*(one.names for one in held))
        found = set(names)
        for one, two in pairwise(query.terms):
            if "".join(self.stems(one + two)) in names:
                found.update(self.stems(f"{one} {two}"))
        return found

    def _pairs(
        self, question: str, asked: list[str], weights: dict[str, float]
    ) -> dict[tuple[str, str], float]:
        """Returns words that are side by side in the question, function words left out."""
        stems = self.stems(question)
        known = set(asked)
        return {
            (one, two): PAIR * (weights[one] + weights[two]) / 2
            for one, two in pairwise(stems)
            if one in known and two in known and one in weights and two in weights and one != two
        }


def _least(scores: list[float], limit: int, scope: Scope) -> float:
    """Returns the score below which no passage of a document is among the best."""
    if limit >= len(scores) or scope.pages is not None or scope.section:
        return 0.0
    return sorted(scores, reverse=True)[limit - 1]


def _in_scope(passage: Passage, scope: Scope) -> bool:
    if scope.pages is not None and passage.page not in scope.pages:
        return False
    return not scope.section or scope.section.lower() in passage.section.lower()


def _tokens(text: str) -> list[str]:
    return index_text(text).split()


def _scored(
    one: DocumentWords, weights: dict[str, float], pairs: dict[tuple[str, str], float]
) -> list[float]:
    """Returns the score of each passage of a document."""
    scores = one.ranking.scores(weights)
    beside, shares = [0.0] * len(scores), one.ranking.shares
    for pair, weight in pairs.items():
        for number, _ in one.ranking.places.get(pair[0], ()):
            if pair in one.words[number].pairs:
                beside[number] += weight
    pages = one.page_ranking.scores(weights)
    return [
        (score + more) * share + PAGE * pages[page] if score > 0 else score
        for score, more, share, page in zip(scores, beside, shares, one.page_places, strict=True)
    ]


def _bonus(question: str, held: Iterable[DocumentWords]) -> list[dict[int, float]]:
    """Returns for each document the bonus of pages that are a statement which is needed."""
    wanted = wanted_statements(question)
    out: list[dict[int, float]] = []
    for one in held:
        pages: dict[int, float] = {}
        for kind in kinds(wanted):
            number = one.statement_page(kind)
            if number is not None:
                pages[number] = max(pages.get(number, 0.0), STATEMENT * wanted[kind])
        out.append(pages)
    return out
