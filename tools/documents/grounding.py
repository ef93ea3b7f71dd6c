"""Checks by code whether an answer is on the pages that it cites.

A figure has to be on a *cited* page, as it is, rounded, or in another unit, or be computed from
figures that do; and its row has to be about what the sentence says: small models copy the right
kind of number from the wrong row. Years that are asked for have to be there as well.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from qwenbelt.tools.documents.directions import contradictions_in, point_changes
from qwenbelt.tools.documents.ratios import FORMULAS
from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.search.stems import shared_stemmer
from qwenbelt.tools.documents.search.tokens import index_text
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows

OK = "ok"
NO_CITATIONS, NOT_ON_PAGE, WRONG_ROW = "no_citations", "not_on_page", "wrong_row"
OTHER_WAY, WRONG_YEAR = "other_way", "wrong_year"
BARE, AGAINST = "bare", "against_computed"  # of an answer as a whole
WRONG_UNIT, NO_YEAR, UNKNOWN_WORD, NO_PAGE = "wrong_unit", "no_year", "unknown_word", "no_page"
OTHERS = 0.6  # of words that documents may use instead, against 1 for the claim's own
CLEARLY = 1.6  # how much better another row must fit before the figure's own is the wrong one
LEAST_OTHER = 1.2  # and how well at least, in words
LEAST_WORDS = 2  # that a claim must say besides its figure
LONG_LINE = 30  # words from which a line is prose: its sentence counts as the row
SMALL = 10  # points, below which some two figures of a page always differ by as much
MOST_VALUES = 16  # figures that a computed one may come from
# a hyphen between words or digits makes no figure (10-K, 2-3), a minus before one does (-74.1 %)
NUMBER = re.compile(
    r"(?:(?<![\w.,/-])|(?<=[\s(\[$€£¥:=~]-)|(?<=^-))(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w/-]|[.,]\d)"
)
_ANY = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
SCALES = (1.0, 100.0, 0.01, 1e3, 1e-3, 1e6, 1e-6, 1e4, 1e-4, 1e8, 1e-8)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_SHORT_YEAR = re.compile(r"\bFY\s?['’]?(\d\d)\b", re.I)
_OF_BEFORE = re.compile(
    r"\b(?:prior|previous|last|preceding|earlier) (?:fiscal )?(?:year|period)|\bthe year before|"
    r"\b(?:compar|versus|vs|against|from|since|between)\w*|上年|去年|前一年|上期|相比|同比|较",
    re.I,
)
_WINTER = re.compile(r"\b(?:Jan|Feb)(?:uary|ruary)?\.? \d{1,2},? (?:19|20)\d\d", re.I)
_IN_UNITS = re.compile(r"\bin (thousand|million|billion)s\b", re.I)
_UNIT_AFTER = re.compile(r"^\s*(?:US\s*)?(?:\$\s*)?(thousand|million|billion)s?\b", re.I)
_POINTS = re.compile(r"\b(?:points?|pts|pp|bps)\b|百分点", re.I)
_POINTS_AFTER = re.compile(r"^\s*(?:percentage[- ]points?|pp\b|个百分点)", re.I)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ABSTAINS = re.compile(
    r"\b(?:not|n't|nowhere|no|cannot|unable)\b[^.]{0,60}\b(?:stat|tell|told|say|said|giv|provid|"
    r"contain|mention|includ|found|find|avail|specif|disclos|report|determin|answer|information|"
    r"appear|stand|data)|没有(?:提及|说明|给出|找到|提供)|未(?:提及|说明|披露|找到|提供)|无法(?:确定|回答)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class CitedText:
    """The text of a page that is cited."""

    page: int
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer with the pages that it cites."""

    text: str
    cited: tuple[CitedText, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundingCheck:
    """What became of a claim.

    Attributes:
        claim: the sentence, or what is missing.
        page: the page that was looked at, or None.
        status: "ok" or what is wrong.
        figure: the figure that it is about, or "".
        computed: the line that code computed and the answer is against, or "".
    """

    claim: str
    page: int | None
    status: str
    figure: str = ""
    computed: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.status == OK

    def to_dict(self) -> dict[str, object]:
        """Returns the entry of `report.json`."""
        return {"claim": self.claim, "page": self.page, "status": self.status}


def abstains(answer: str) -> bool:
    """Returns whether an answer says that the documents do not answer the question."""
    return bool(_ABSTAINS.search(answer))


def check_claims(
    claims: Sequence[Claim],
    question: str,
    *,
    unknown: Sequence[str] = (),
    computed: Iterable[str] = (),
) -> list[GroundingCheck]:
    """Checks the claims of an answer.

    Args:
        claims: its sentences.
        question: what was asked; sentences lean on its words.
        unknown: distinctive words of the question that are nowhere in the documents.
        computed: what tools printed that compute.
    """
    answer = " ".join(claim.text for claim in claims)
    if abstains(answer):
        return []
    if not any(claim.cited for claim in claims):
        return [GroundingCheck(answer[:200], None, NO_CITATIONS)]
    found = [GroundingCheck(word, None, UNKNOWN_WORD) for word in unknown]
    every = tuple({(c.page, c.text): c for claim in claims for c in claim.cited}.values())
    checker = _Checker(question, every, _values(computed))
    figures = False
    for claim in claims:
        page = claim.cited[0].page if claim.cited else None
        for change in contradictions_in(claim.text):
            found.append(GroundingCheck(claim.text, page, OTHER_WAY, change))
        for check in checker.check(claim):
            figures = True
            found.append(check)
    if figures:
        found += _years(question, every)
    return found


def _years(question: str, cited: Sequence[CitedText]) -> list[GroundingCheck]:
    asked = _YEAR.findall(_SHORT_YEAR.sub(r"20\1", question))
    text = "\n".join(page.text for page in cited)
    if not asked or any(year in text or f"’{year[2:]}" in text for year in asked):
        return []
    return [GroundingCheck(", ".join(dict.fromkeys(asked)), None, NO_YEAR)]


class _Checker:
    def __init__(self, question: str, every: tuple[CitedText, ...], computed: list[float]) -> None:
        self._question = question
        self._every = every
        self._computed = computed
        self._standing: list[float] = []  # figures of the answer that are on pages

    def check(self, claim: Claim) -> Iterator[GroundingCheck]:
        """Yields a check for each figure; of a sentence that cites nothing, on all cited pages."""
        pages = claim.cited or self._every
        for match in figures_of(claim.text):
            yield self._figure(claim, pages, match)

    def _figure(
        self, claim: Claim, pages: tuple[CitedText, ...], match: re.Match[str]
    ) -> GroundingCheck:
        text, value, step = match[0], _value(match), _step(match)
        worst = ""
        for page in pages:
            rows = [row for row in _rows(page.text) if _holds_scaled(row.values, value, step)]
            if not rows:
                continue
            self._standing.append(value)
            after = claim.text[match.end() :]
            if _unit_is_wrong(after, text, page.text) or self._is_level(claim, match, page.text):
                worst = WRONG_UNIT
            elif not _row_fits(rows, _rows(page.text), claim.text, self._question):
                worst = worst or WRONG_ROW
            elif _is_of_another_year(page.text, claim.text, value, step):
                worst = worst or WRONG_YEAR
            else:
                return GroundingCheck(claim.text, page.page, OK, text)
        by_chance = worst in (WRONG_ROW, WRONG_YEAR)  # it was computed, and stands elsewhere too
        if by_chance and _holds(sorted(self._computed), value, step):
            worst = ""
        if worst:
            return GroundingCheck(claim.text, pages[0].page, worst, text)
        if self._is_computed(match, claim, pages):
            return GroundingCheck(claim.text, pages[0].page, OK, text)
        return GroundingCheck(claim.text, pages[0].page, NOT_ON_PAGE, text)

    def _is_level(self, claim: Claim, match: re.Match[str], page: str) -> bool:
        """Returns whether percentage points that are told are a page's per cent, and no change.

        Asked by how many points a guidance was raised, a 1.5B gives the growth that it is for.
        """
        if not _POINTS_AFTER.match(claim.text[match.end() :]):
            return False
        printed = re.findall(rf"(?<![\d.,]){re.escape(match[0])}(?![\d.,])\s*(\S*\s*\S*)", page)
        percent = [bool(re.match(r"(?:%|％|per\s?cent\b)(?!\s*points?)", p, re.I)) for p in printed]
        value, step = _value(match), _step(match)
        others = [_value(m) for m in NUMBER.finditer(claim.text) if m.start() != match.start()]
        made = sorted({abs(one - two) for one, two in permutations(others, 2)})
        known = _holds(made, value, step) or _holds(sorted(self._computed), value, step)
        # a bare figure may be one of a column of points, if the page speaks of points at all
        levels = all(percent) or not _POINTS.search(page)
        return any(percent) and levels and not known

    def _is_computed(self, match: re.Match[str], claim: Claim, pages: Sequence[CitedText]) -> bool:
        value, step = _value(match), _step(match)
        if _holds_scaled(sorted(self._computed), value, step):
            return True
        if _needs_more(claim.text, self._question):
            return False
        given = [_value(m) for m in figures_of(claim.text)]
        if value < SMALL and _POINTS_AFTER.match(claim.text[match.end() :]):
            changes = {abs(one - two) for one, two in permutations(given, 2)}
            changes.update(change for page in pages for change in point_changes(page.text))
            return _holds(sorted(changes), value, step)
        near = [v for page in pages for v in _best_values(page, claim.text, self._question)]
        known = list(dict.fromkeys([*self._standing, *given, *near]))
        known = [v for v in known if v != value][:MOST_VALUES]
        shares = sorted(_shares(known))
        return _holds(sorted(_amounts(known)), value, step) or any(
            _holds(shares, value / scale, step / scale) for scale in (1.0, 100.0)
        )


def _needs_more(claim: str, question: str) -> bool:
    """Returns whether a claim is of a ratio that no two figures make, as a quick ratio.

    Whatever two figures make by chance is not that; code that computes it has all its rows.
    """
    named = [f for f in FORMULAS if f.asked.search(claim)]
    named = named or [f for f in FORMULAS if f.asked.search(question)]
    return bool(named) and all(formula.is_of_a_difference for formula in named)


def figures_of(text: str) -> Iterator[re.Match[str]]:
    """Yields the figures of a text: no years, no single digits unless they are per cent."""
    for match in NUMBER.finditer(text):
        whole, decimals = match[1], match[2] or ""
        value = _value(match)
        after = text[match.end() : match.end() + 10].lstrip(" -").lower()
        percent = after.startswith(("%", "％", "percent", "per cent"))
        if not decimals and "," not in whole and 1900 <= value <= 2100:
            continue
        if not decimals and value < 10 and not percent:
            continue
        before = text[max(0, match.start() - 6) : match.start()].lower()
        if before.endswith(("page ", "p. ", "p.", "note ", "item ", "第")):
            continue
        yield match


def shares_a_figure(answer: str, told: Iterable[str]) -> bool:
    """Returns whether a figure of an answer is one of some texts, rounded or in another unit."""
    known = sorted(_value(match) for text in told for match in figures_of(text))
    return any(_holds_scaled(known, _value(m), _step(m)) for m in figures_of(answer))


def _value(match: re.Match[str]) -> float:
    return float(match[1].replace(",", "") + (match[2] or ""))


def _step(match: re.Match[str]) -> float:
    """Returns the size of a figure's last digit."""
    return float(10.0 ** -max(0, len(match[2] or "") - 1))


def _values(texts: Iterable[str]) -> list[float]:
    return [float(n.replace(",", "")) for text in texts for n in _ANY.findall(text)]


def _holds_scaled(known: Sequence[float], value: float, step: float) -> bool:
    return any(_holds(known, value / scale, step / scale) for scale in SCALES)


def _holds(known: Sequence[float], value: float, step: float) -> bool:
    """Returns whether one of ascending numbers rounds to `value` at a step."""
    margin = step * 0.5 + abs(value) * 1e-9
    place = bisect.bisect_left(known, value - margin)
    return place < len(known) and known[place] <= value + margin


def _amounts(values: Sequence[float]) -> Iterator[float]:
    """Yields what usual arithmetic makes of two amounts: difference, sum, mean."""
    for one, two in permutations(values, 2):
        yield abs(one - two)
        yield one + two
        yield (one + two) / 2


def _shares(values: Sequence[float]) -> Iterator[float]:
    """Yields the ratios and growths of two amounts, which may be told as per cent."""
    for one, two in permutations(values, 2):
        if two:
            yield one / two
            yield abs(one - two) / two


@dataclass(frozen=True, slots=True)
class _TableRow:
    """A line of a page, or a sentence of prose: its words and its numbers, ascending."""

    words: frozenset[str]
    values: tuple[float, ...]
    text: str


@lru_cache(maxsize=64)
def _rows(text: str) -> tuple[_TableRow, ...]:
    rows = []
    before = ""
    for line in text.split("\n"):
        parts = _SENTENCE.split(line) if len(line.split()) > LONG_LINE else [line]
        for part in parts:
            values = tuple(sorted(_values([part])))
            words = words_of(part)
            if values and not words:
                words = words_of(before)  # a label that was broken over two lines
            rows.append(_TableRow(words, values, part))
            before = part
    return tuple(rows)


def row_words(text: str) -> list[frozenset[str]]:
    """Returns the words of each line of a page, or of each sentence of its prose, as stems."""
    return [row.words for row in _rows(text)]


@lru_cache(maxsize=4096)
def words_of(text: str) -> frozenset[str]:
    """Returns the stems of a text's words, function words and numbers left out."""
    found = [word for word in index_text(text).split() if not word[0].isdigit()]
    return frozenset(stem for stem in shared_stemmer().stems(found) if stem)


@lru_cache(maxsize=256)
def _weights(claim: str, question: str) -> dict[str, float]:
    """Weighs the words that a row may share with a claim."""
    weights: dict[str, float] = {}
    for text in (question, claim):
        query = understand(text)
        for words, weight in ((query.others, OTHERS), (query.terms, 1.0)):
            for stem in words_of(" ".join(words)):
                weights[stem] = max(weight, weights.get(stem, 0.0))
    return weights


def _fit(row: _TableRow, weights: dict[str, float]) -> float:
    """Returns how well a row's label fits: the words it shares, less if it has many others."""
    shared = sum(weights.get(word, 0.0) for word in row.words)
    if not shared or len(row.words) > LONG_LINE / 2:
        return shared
    return shared * (0.5 + 0.5 * shared / max(shared, float(len(row.words))))


def _row_fits(
    own: Sequence[_TableRow], every: Sequence[_TableRow], claim: str, question: str
) -> bool:
    weights = _weights(claim, question)
    best = max(_fit(row, weights) for row in own)
    if all(not row.words for row in own):
        return True  # no label to go by
    if _names_another(own, every, claim):
        return False
    if len(words_of(claim)) < LEAST_WORDS:
        return True  # a bare figure does not name its row
    if bool(_CJK.search(claim)) != any(_CJK.search(row.text) for row in own):
        return True  # another language: no words can be shared
    if best == 0:
        return False
    mine = {row.text for row in own}
    given = {_value(m) for m in figures_of(claim)}
    others = [
        _fit(row, weights)
        for row in every
        if row.values
        and row.text not in mine
        and len(row.words) <= LONG_LINE / 2
        and not given & set(row.values)
    ]
    other = max(others, default=0.0)
    return not (other >= LEAST_OTHER and other > CLEARLY * best)


def _is_of_another_year(page: str, claim: str, value: float, step: float) -> bool:
    """Returns whether a figure stands in columns of other years than the one that is told.

    What names no year, or several, is left alone, as are years that end in winter: the fiscal
    year 2022 of a retailer ends on a day of January 2023.
    """
    years = {int(year) for year in _YEAR.findall(_SHORT_YEAR.sub(r"20\1", claim))}
    if len(years) != 1 or _OF_BEFORE.search(claim) or _WINTER.search(page):
        return False
    (year,) = years
    others = False
    for row in _rows_with_years(page):
        told = [y for y, v in zip(row.years, row.values, strict=True) if _is_value(v, value, step)]
        if year in told:
            return False
        others = others or bool(told and row.value(year) is not None)
    return others


def _is_value(found: float | None, value: float, step: float) -> bool:
    return found is not None and _holds_scaled([abs(found)], value, step)


@lru_cache(maxsize=64)
def _rows_with_years(text: str) -> tuple[FigureRow, ...]:
    return tuple(row for row in figure_rows(text) if row.years)


def _names_another(own: Sequence[_TableRow], every: Sequence[_TableRow], claim: str) -> bool:
    """Returns whether a claim has the whole label of another row, and of none of the figure's."""
    said = words_of(claim)
    if any(row.words <= said or len(row.words) > LONG_LINE / 2 for row in own):
        return False
    given = {_value(m) for m in figures_of(claim)}
    return any(
        row.values and row.words <= said and not given & set(row.values)
        for row in every
        if len(row.words) >= LEAST_WORDS or (row.words and row.words == said)
    )


def _best_values(page: CitedText, claim: str, question: str) -> list[float]:
    """Returns the numbers of the rows that fit a claim best."""
    weights = _weights(claim, question)
    rows = sorted(_rows(page.text), key=lambda row: -_fit(row, weights) if row.values else 0.0)
    return [value for row in rows[:3] for value in _without_years(row.text)[-4:]]


def _without_years(text: str) -> list[float]:
    return sorted(_values(n for n in _ANY.findall(text) if not _YEAR.fullmatch(n)))


def _unit_is_wrong(after: str, figure: str, page: str) -> bool:
    """Returns whether a figure is copied as printed but with a unit that its page does not have."""
    named = _UNIT_AFTER.match(after)
    units = {unit.lower() for unit in _IN_UNITS.findall(page)}
    if named is None or len(units) != 1 or figure not in page or "," not in figure:
        return False
    printed = re.search(re.escape(figure) + r"\s*(?:thousand|million|billion)", page, re.I)
    return named[1].lower() not in units and printed is None


def claims_of(parts: Iterable[tuple[str, Sequence[CitedText]]]) -> list[Claim]:
    """Returns the sentences of an answer with what each cites.

    Args:
        parts: stretches of text, each with what is cited right behind it.
    """
    claims: list[Claim] = []
    text = ""
    for part, cited in parts:
        text += part
        if not cited:
            continue
        sentences = [s for s in _SENTENCE.split(text) if s.strip()]
        if not sentences and claims:
            last = claims[-1]  # a mark after the full stop, or a second mark
            claims[-1] = Claim(last.text, (*last.cited, *cited))
        claims += [Claim(s.strip()) for s in sentences[:-1]]
        if sentences:
            claims.append(Claim(sentences[-1].strip(), tuple(cited)))
        text = ""
    rest = [s.strip() for s in _SENTENCE.split(text) if s.strip(" .。;；,，")]
    return [*claims, *(Claim(s) for s in rest)]
