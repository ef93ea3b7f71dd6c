"""A question becomes search terms, without a model.

Words that only say how to answer are left out when others remain; years and quarters are written
out; terms of business are joined by what reports say for them (`glossary`). A code of letters and
digits is looked for as a whole; passages that only have its parts come after those with the code.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qwenbelt.tools.documents.folding import folded
from qwenbelt.tools.documents.search.glossary import other_words
from qwenbelt.tools.documents.search.tokens import STOP_WORDS, codes, tokens
from qwenbelt.tools.documents.store import Match, Scope

# about asking, not about the matter
ASKING = frozenset(
    """answer answers question questions please give gives response respond reply state explain
    assume assuming approach asked ask asking analyst standpoint perspective detail details shown
    information provided provide relying rely base basing based judgment judgments primarily like
    useful something anything someone calculate compute tell find help want wanted using use used
    round rounded decimal decimals place places unit units percents following best abilities ability
    access draw drawing conclusions stated according roughly many much mention mentioned list
    describe show per usd dollars meaningful conventional metric thing things know look looking
    fiscal fy company companies summarize summary
    biggest largest greatest highest lowest smallest best worst main major potential
    able various similar currently""".split()
)
# single Chinese function words; bigrams of them alone carry no meaning
_CJK_STOP = frozenset("的了是在和与及或为有吗呢什么哪个些请问多少如何怎")
_CJK_ASKING = (
    "什么",
    "哪些",
    "哪个",
    "哪一",
    "多少",
    "如何",
    "怎么",
    "怎样",
    "请问",
    "是否",
    "为何",
)
MOST_CAPITALS = 3  # words of a question in capitals that may all be names
LEAST_WORD = 4  # letters of a part of a code that is a word of its own: "python" of "python3"

# the form that a filing has: its name is on every cover and does not discriminate
_FORM = re.compile(
    r"\b(?:form\s+)?(?:10-?[kq]|8-?k|20-?f|6-?k)(?:\s+(?:filings?|reports?))?\b", re.I
)
_SHORT_YEAR = re.compile(r"\bFY[\s'’]?(\d\d)\b", re.I)
_YEAR = re.compile(r"\bFY\s?(?=(?:19|20)\d\d\b)", re.I)
_QUARTER = re.compile(
    r"\b(?:Q([1-4])|([1-4])Q)['’]?\s?(?:of\s)?(?:FY)?\s?((?:19|20)?\d\d)?\b", re.I
)
_HALF = re.compile(r"\bH([12])\s?(?:of\s)?(?:FY)?\s?((?:19|20)\d\d)\b", re.I)
_ORDINAL = {"1": "first", "2": "second", "3": "third", "4": "fourth"}


MOST_PARTS, _LEAST_TERMS = 4, 2
_SENTENCE = re.compile(r"(?<=[.?!;])\s+|(?<=[。？！；])|\n")
# the two sides of a comparison; a side ends at a comma or the end
_SIDES = (
    re.compile(r"\bbetween\s+([^,]{2,80}?)\s+and\s+([^,.?!;]{2,80})", re.I),
    re.compile(r"\bcompare\s+([^,]{2,80}?)\s+(?:and|with|to|against)\s+([^,.?!;]{2,80})", re.I),
    re.compile(
        r"([^\s,][^,]{2,80}?)\s+(?:vs\.?|versus|compared (?:to|with))\s+([^,.?!;]{2,80})", re.I
    ),
    re.compile(r"(?:比较|对比)([^，。？]{1,40}?)(?:和|与|跟)([^，。？的]{1,40})"),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for.

    Attributes:
        terms: words of the question.
        others: words that documents may use instead.
        parts: words and numbers of the question's codes; a passage with "C" and "150" is not about
            the C150, but better than none.
    """

    terms: tuple[str, ...]
    others: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """All distinct terms, the question's own first."""
        return list(dict.fromkeys((*self.terms, *self.others)))


# why a margin changed
_CHANGE = re.compile(
    r"\b(?:why|drove|driv\w+|reasons?|caus\w+|explain|due to)\b|为什么|为何|原因", re.I
)
_COST = "cost of sales, cost of products sold as a percent of net sales increased or decreased"
_EXPENSES = (
    "selling, general and administrative expenses as a percent of net sales increased or decreased"
)
_MARGINS = (
    (re.compile(r"\bgross (?:profit )?margins?\b", re.I), (_COST,)),
    (
        re.compile(r"\boperating (?:profit )?margins?\b|\bebitd?a? margins?\b", re.I),
        (_COST, _EXPENSES),
    ),
    (re.compile(r"毛利率"), ("营业成本 占营业收入 上升 下降",)),
    (re.compile(r"营业利润率"), ("营业成本 占营业收入", "销售费用 管理费用 占营业收入")),
)


@functools.lru_cache(maxsize=64)  # a search asks several times
def understand(question: str) -> Query:
    """Returns the terms of a question or of key words."""
    written = _written_out(question)
    text = folded(written)
    if not any(c.islower() for c in text) and len(text.split()) > MOST_CAPITALS:
        text = text.lower()  # all in capitals: WHO is a question word there
    found = list(dict.fromkeys(tokens(text)))
    kept = [t for t in found if t not in STOP_WORDS and not _is_empty(t)]
    matter = [t for t in kept if t not in ASKING]
    own = (matter if len(matter) >= 2 else kept) or found
    others = [
        t for t in tokens(other_words(f"{written} {text}")) if t not in STOP_WORDS and t not in own
    ]
    parts = _parts_of_codes(text)
    return Query(
        tuple(t for t in own if t not in parts),
        tuple(dict.fromkeys(others)),
        tuple(t for t in own if t in parts),
    )


def _parts_of_codes(text: str) -> set[str]:
    """Returns what of a text is only in its codes; whole words count on their own."""
    parts: list[str] = []
    for code in codes(text):
        if code.strict:
            parts += code.parts
            parts += [t for t in code.tokens if t != max(code.tokens, key=len)]  # "INV-2024" of it
            text = re.sub(re.escape(code.text), " ", text, flags=re.I)
    rest = set(tokens(text))
    return {t for t in parts if t not in rest and not (len(t) >= LEAST_WORD and t.isalpha())}


def find_terms(
    match: Callable[[Sequence[str], int, Scope], list[Match]], query: Query
) -> Callable[[int, Scope], list[Match]]:
    """Returns the search for a query's terms.

    Passages with the parts of a code come after those with the terms: their scores are scaled to
    stay below.
    """

    def find(limit: int, scope: Scope) -> list[Match]:
        found = match(query.all, limit, scope)
        if not query.parts or len(found) >= limit:
            return found
        seen = {m.passage.id for m in found}
        after = [m for m in match(query.parts, limit, scope) if m.passage.id not in seen]
        least = min((m.score for m in found), default=1.0)
        most = max((m.score for m in after), default=1.0)
        after = [Match(m.passage, 0.5 * least * m.score / (most or 1.0)) for m in after]
        return [*found, *after][:limit]

    return find


def question_parts(question: str) -> list[str]:
    """Returns what a question asks for besides its whole: its sentences, the sides it compares.

    None for a question of one part; at most `MOST_PARTS`.
    """
    sentences = [part.strip() for part in _SENTENCE.split(question) if part.strip()]
    parts = sentences if len(sentences) > 1 else []
    for sentence in sentences:
        for pattern in _SIDES:
            found = pattern.search(sentence)
            if found:
                rest = f"{sentence[: found.start()]} {sentence[found.end() :]}".strip()
                parts += [f"{rest} {side}".strip() for side in found.groups()]
                break
    parts += _lines_of_margins(question)
    whole = set(understand(question).terms)
    good = []
    for part in parts:
        terms = set(understand(part).terms)
        if len(terms) >= _LEAST_TERMS and terms != whole:
            good.append(part)
    return list(dict.fromkeys(good))[:MOST_PARTS]


def _lines_of_margins(question: str) -> list[str]:
    """Returns what moves a margin: reports give the reasons line by line, in parts of sales."""
    if not _CHANGE.search(question):
        return []
    for margin, lines in _MARGINS:
        if margin.search(question):
            return list(lines)
    return []


def _is_empty(token: str) -> bool:
    asking, stop = _in_one_form()
    return token in asking or stop.issuperset(token)


@functools.cache
def _in_one_form() -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(map(folded, _CJK_ASKING)), frozenset(map(folded, _CJK_STOP))


def _written_out(question: str) -> str:
    text = _QUARTER.sub(_quarter, question)
    text = _HALF.sub(lambda m: f"{_ORDINAL[m[1]]} half six months {m[2]}", text)
    bare = _FORM.sub(" ", text)
    text = bare if bare.strip() else text
    return _YEAR.sub("", _SHORT_YEAR.sub(r"20\1", text))


def _quarter(match: re.Match[str]) -> str:
    year = match[3] or ""
    year = f"20{year}" if len(year) == 2 else year
    return f"{_ORDINAL[match[1] or match[2]]} quarter {year}"
