"""Changes that texts tell, and sentences that contradict themselves: "increased from 931 to 930".

A real 1.5B model says that of two figures which both stand on the page, so that nothing else about
the sentence is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from qwenbelt.tools.documents.table_rows import figure_rows

_UP = r"(?:increas\w*|rose|risen|rises?|rising|grew|grown|grows?|climb\w*|jump\w*)"
_DOWN = r"(?:decreas\w*|declin\w*|fell|fallen|falls?|dropp?\w*|shr[aiu]nk\w*|reduc\w*)"
_FIGURE = (
    r"(?:US\s?)?[$€£¥]?\s?(?P<{0}>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"\s?(?P<{0}_unit>%|％|per\s?cent\w*|percentage points?|thousand|million|billion|bps|[万亿]*)"
)
_A, _B = _FIGURE.format("a"), _FIGURE.format("b")
_BETWEEN = r"(?:[^.;:()\d]|(?:19|20)\d\d\b){0,40}?"
_WAY = rf"\b(?:(?P<up>{_UP})|(?P<down>{_DOWN}))\b{_BETWEEN}"
_WAY_ZH = r"(?:(?P<up>增加|增长|上升|提高|升)|(?P<down>减少|下降|降低|下滑|降))"
_FORMS = (
    re.compile(rf"{_WAY}\bfrom {_A}{_BETWEEN}\bto {_B}", re.I),
    re.compile(rf"{_WAY}\bto {_B}{_BETWEEN}\bfrom {_A}", re.I),
    re.compile(rf"[从由]{_A}[^。；\d]{{0,8}}?{_WAY_ZH}[至到为]{_B}"),
)
BESIDE = 60  # characters between two per cent of a sentence that belong together
_PERCENT = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)[ -]?(?:%|％|per\s?cent\b)", re.I)
_BY_ITSELF = re.compile(
    rf"{_WAY}\bby {_A}{_BETWEEN}\b(?:compared (?:to|with)|from|versus|vs\.?) {_B}", re.I
)


def contradictions_in(sentence: str) -> Iterator[str]:
    """Yields the figures of a change that a sentence says went the other way, or that is none.

    Figures in other units than each other, years, and what may be negative are left alone.
    """
    for form in _FORMS:
        for found in form.finditer(sentence):
            before, after = (_value(found[name]) for name in "ab")
            units = {(found[f"{name}_unit"] or "").lower() for name in "ab"}
            if len(units) > 1 or _is_year(found["a"], before):
                continue
            if before == after or (before > after) == (found["up"] is not None):
                yield f"{found['a']} → {found['b']}"
    for found in _BY_ITSELF.finditer(sentence):
        if (found["a"], found["a_unit"]) == (found["b"], found["b_unit"]):
            yield found["a"]


def point_changes(text: str) -> Iterator[float]:
    """Yields by how many percentage points figures differ that a text sets against each other.

    Two per cent side by side in a sentence, "9 percent (previously 8 percent)", or in a row.
    """
    flat = " ".join(text.split())
    for one, two in pairwise(_PERCENT.finditer(flat)):
        between = flat[one.end() : two.start()]
        if len(between) <= BESIDE and ". " not in between:
            yield abs(_value(one[1]) - _value(two[1]))
    for row in figure_rows(text):
        for new, old in pairwise(row.values):
            if new is not None and old is not None:
                yield abs(new - old)


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _is_year(text: str, value: float) -> bool:
    return text.isdigit() and 1900 <= value <= 2100
