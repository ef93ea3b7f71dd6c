"""A question becomes search terms, without a model.

Words that only say how to answer are left out when others remain; years and quarters are written
out; terms of business are joined by what reports say for them (`glossary`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwenbelt.tools.documents.search.glossary import other_words
from qwenbelt.tools.documents.search.tokens import STOP_WORDS, tokens

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
# single Chinese function words; bigrams made of them alone say nothing
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

# the form that a filing has: its name stands on every cover and says nothing of the matter
_FORM = re.compile(r"\b(?:form\s+)?(?:10-?[kq]|8-?k|20-?f|6-?k)(?:\s+(?:filings?|reports?))?\b", re.I)
_SHORT_YEAR = re.compile(r"\bFY[\s'’]?(\d\d)\b", re.I)
_YEAR = re.compile(r"\bFY\s?(?=(?:19|20)\d\d\b)", re.I)
_QUARTER = re.compile(
    r"\b(?:Q([1-4])|([1-4])Q)['’]?\s?(?:of\s)?(?:FY)?\s?((?:19|20)?\d\d)?\b", re.I
)
_HALF = re.compile(r"\bH([12])\s?(?:of\s)?(?:FY)?\s?((?:19|20)\d\d)\b", re.I)
_ORDINAL = {"1": "first", "2": "second", "3": "third", "4": "fourth"}


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for.

    Attributes:
        terms: words of the question.
        others: words that documents may use instead.
    """

    terms: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """All distinct terms, the question's own first."""
        return list(dict.fromkeys((*self.terms, *self.others)))


def understand(question: str) -> Query:
    """Returns the terms of a question or of key words."""
    text = _written_out(question)
    found = list(dict.fromkeys(tokens(text)))
    kept = [t for t in found if t not in STOP_WORDS and not _is_empty(t)]
    matter = [t for t in kept if t not in ASKING]
    own = (matter if len(matter) >= 2 else kept) or found
    others = [t for t in tokens(other_words(text)) if t not in STOP_WORDS and t not in own]
    return Query(tuple(own), tuple(dict.fromkeys(others)))


def _is_empty(token: str) -> bool:
    return token in _CJK_ASKING or set(token) <= _CJK_STOP


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
