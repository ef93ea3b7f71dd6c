"""Measures that a question defines itself, or that are computed from rows of several years.

    DPO is defined as: 365 * (average accounts payable between FY2016 and FY2017) / (FY2017 COGS +
    change in inventory between FY2016 and FY2017).

Analysts define what they ask for, as a measure has several definitions. A definition is read into
an expression over rows of statements and years; one with words that are not understood is left out.
The usual definitions of days payable and the like stand here for questions that give none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from qwenbelt.tools.documents.ratios import NAMES
from qwenbelt.tools.documents.table_rows import years_in

LONGEST = 4000  # characters of a question that are read
MOST_WORDS = 400  # of a definition
DEEPEST = 12  # brackets and names within each other

Value = tuple[float, str]
"""A number, and how it was made in words."""
Lookup = Callable[[str, int], Value | None]
"""Returns a row's figure of a year, or None."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure by its definition.

    Attributes:
        name: as the question calls it.
        parts: numbers, rows and the signs +, -, * and / between them, in postfix order.
        dated: whether the definition names the years itself.
        percent: whether it is told in per cent.
    """

    name: str
    parts: tuple[Operand | float | str, ...]
    dated: bool
    percent: bool = False

    @property
    def is_ratio(self) -> bool:
        """Whether it is one amount over another."""
        return self.parts[-1] == "/"

    @property
    def rows(self) -> frozenset[str]:
        """The names of the rows that it needs."""
        return frozenset(part.row for part in self.parts if isinstance(part, Operand))

    def value(self, year: int, lookup: Lookup) -> Value | None:
        """Returns the measure of a year, or None where a figure lacks or a divisor is 0."""
        stack: list[Value] = []
        for part in self.parts:
            if isinstance(part, float):
                stack.append((part, f"{part:g}"))
            elif isinstance(part, Operand):
                found = part.value(year, lookup)
                if found is None:
                    return None
                stack.append(found)
            else:
                right, left = stack.pop(), stack.pop()
                if part == "/" and right[0] == 0:
                    return None
                stack.append(_joined(left, part, right))
        ((value, words),) = stack
        return value, words.removeprefix("(").removesuffix(")") if _is_one(words) else words


@dataclass(frozen=True, slots=True)
class Operand:
    """A row's figure of a year, the mean of two years or the change between them.

    Attributes:
        row: the name of a row.
        kind: "", "mean" or "change".
        first: the earlier year, or 0 for the one before that which is asked for.
        last: the year, or 0 for the one that is asked for.
    """

    row: str
    kind: str = ""
    first: int = 0
    last: int = 0

    def value(self, year: int, lookup: Lookup) -> Value | None:
        """Returns the operand's value for a year that is asked for."""
        last = self.last or year
        new = lookup(self.row, last)
        if not self.kind or new is None:
            return new
        old = lookup(self.row, self.first or last - 1)
        if old is None:
            return None
        if self.kind == "change":
            return new[0] - old[0], f"({new[1]} - {old[1]})"
        return (new[0] + old[0]) / 2, f"(mean of {new[1]} and {old[1]})"


def _joined(left: Value, sign: str, right: Value) -> Value:
    bare = sign == "/" and not _is_one(right[1]) and re.search(r" [*/] ", right[1])
    made = f"{left[1]} {sign} {f'({right[1]})' if bare else right[1]}"
    if sign in "+-":
        return left[0] + right[0] if sign == "+" else left[0] - right[0], f"({made})"
    return left[0] * right[0] if sign == "*" else left[0] / right[0], made


def _is_one(words: str) -> bool:
    """Returns whether words stand in one pair of brackets as a whole."""
    depth = 0
    for place, sign in enumerate(words):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return place == len(words) - 1 and words.startswith("(")
    return False


# the usual definitions; names within them are those of others
_USUAL: dict[str, tuple[str, str]] = {
    "DPO": (
        r"dpo\b|days payables? outstanding|应付账款周转天数",
        "365 * average accounts payable / COGS",
    ),
    "DSO": (
        r"dso\b|days sales outstanding|应收账款周转天数",
        "365 * average accounts receivable / revenue",
    ),
    "DIO": (
        r"dio\b|days (?:of )?inventor(?:y|ies)(?: outstanding)?|存货周转天数",
        "365 * average inventory / COGS",
    ),
    "cash conversion cycle": (r"cash conversion cycles?|ccc\b|现金周转期", "DIO + DSO - DPO"),
    "operating cash flow ratio": (
        r"operating cash ?flow ratios?|cfo ratios?",
        "operating cash flow / total current liabilities",
    ),
    "cash ratio": (
        r"cash ratios?|现金比率",
        "cash and cash equivalents / total current liabilities",
    ),
    "debt to equity": (
        r"debt[- ](?:to|over)[- ]equity|产权比率",
        "total liabilities / total equity",
    ),
    "retention ratio": (
        r"(?:earnings )?retention ratios?|plowback ratios?",
        "(net income - dividends paid) / net income",
    ),
    "EBITDA": (r"ebitda\b", "operating income + depreciation and amortization"),
    "free cash flow": (r"free cash ?flows?|fcf\b", "operating cash flow - capital expenditures"),
}
_USUAL_NAMES = {name: re.compile(words, re.I) for name, (words, _) in _USUAL.items()}
_ASKED = {
    name: re.compile(rf"(?<![A-Za-z0-9-])(?:{words})", re.I)
    for name, (words, _) in _USUAL.items()
    if name not in ("EBITDA", "free cash flow")  # which are ratios' own
}
_DEFINED = re.compile(
    r"(?P<name>[A-Za-z][\w&%/'’ -]{0,80}?(?:\([\w& -]{2,12}\))?),? (?:(?:is|are|be|here|as) )*"
    r"(?:defined|calculated|computed) (?:as|by|using)(?: follows)?[:,]? *(?P<made>.*)|"
    r"define (?P<name2>[A-Za-z][\w&%/' -]{0,80}?) as(?: follows)?[:,]? *(?P<made2>.*)|"
    r"(?P<name3>[\w一-鿿]{2,20}?)(?:的?定义|计算公式|公式)[为是][:：]? *(?P<made3>.*)",
    re.I | re.S,
)
_YEAR = r"(?:fiscal (?:year )?)?(?:(?:FY\s?['’]?)?(?:19|20)\d\d|FY\s?['’]?\d\d)(?!\d)年?"
_YEARS = re.compile(
    rf"(?:(?:between|from|over|of|for|in|during|at the end of)\s+)?{_YEAR}"
    rf"(?:\s*(?:and|to|[-–]|和|至)\s*{_YEAR})?",
    re.I,
)
_SPACE = re.compile(r"\s*")
_FILLER = re.compile(
    r"(?:\s|[,“”\"]|的|attributable to (?:\w+ )?(?:share|stock)holders\b|"
    r"(?:the|its|their|of|a|an|unadjusted|reported|annual|year[- ]end|end of year|net"
    r"(?= (?:accounts|pp)))\b)*",
    re.I,
)
_MEAN = re.compile(r"(?:averages?|mean)\b(?: of\b)?|avg\.?|平均", re.I)
_CHANGE = re.compile(r"(?:changes? in|increase in|Δ)|(?:变化|变动)额?", re.I)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIGNS = {
    sign: re.compile(words, re.I)
    for sign, words in {
        "+": r"\+|plus\b|and adding\b|加",
        "-": r"[-–−](?=\s)|minus\b|less\b|减",
        "*": r"[*×]|x(?=\s)|times\b|multiplied by\b|乘以?",
        "/": r"[/÷]|divided by\b|over\b(?! the)|除以",
    }.items()
}
_END = re.compile(
    r"\s*(?:$|[.?!;)。？；]|,?\s*(?:and|in|for|of|round|where|rounded|answer)\b)", re.I
)
_TOTAL = re.compile(r"total\s+", re.I)
_PART_OF = re.compile(
    r"(?:%|％|\bpercent(?:age)?|\bshare|\bproportion|\bfraction) of\b|\bdivided by\b", re.I
)
_APART = 60  # characters between two rows of which one is a part


class _Unread(ValueError):
    """A definition has words that are not understood."""


class _Reader:
    """Reads an expression; `parts` has what was read, in postfix order."""

    def __init__(self, text: str, names: Mapping[str, str], depth: int = 0) -> None:
        self.text = text[:MOST_WORDS]
        self.place = 0
        self.parts: list[Operand | float | str] = []
        self.dated = False
        self.signs = 0
        self._names = names
        self._depth = depth

    def expression(self) -> None:
        """Reads sums of products."""
        self._term()
        while sign := self._sign("+-"):
            self._term()
            self.parts.append(sign)

    def _term(self) -> None:
        self._factor()
        while sign := self._sign("*/"):
            self._factor()
            self.parts.append(sign)

    def _sign(self, among: str) -> str:
        self._skip()
        for sign in among:
            if self._match(_SIGNS[sign]):
                self.signs += 1
                return sign
        return ""

    def _factor(self) -> None:
        self._skip(fillers=True)
        if self.text[self.place : self.place + 1] in ("(", "（", "["):
            self._bracket()
            return
        kind = "mean" if self._match(_MEAN) else "change" if self._match(_CHANGE) else ""
        self._skip(fillers=True)
        before = self._years()
        self._skip(fillers=True)
        if not kind and not before and (found := self._match(_NUMBER)):
            self.parts.append(float(found[0]))
            return
        if not kind and self._named():
            return
        row = self._row() or (self._row() if self._match(_TOTAL) else "")
        if not row:
            raise _Unread
        self._skip(fillers=True)
        years = sorted(before or self._years())
        self.dated = self.dated or bool(years)
        if len(years) == 2 and not kind:
            raise _Unread
        first = years[0] if len(years) == 2 else 0
        self.parts.append(Operand(row, kind, first, years[-1] if years else 0))

    def _row(self) -> str:
        return next((name for name, words in NAMES.items() if self._match(words)), "")

    def _bracket(self) -> None:
        if self._depth >= DEEPEST:
            raise _Unread
        self._depth += 1
        self.place += 1
        self.expression()
        self._skip(fillers=True)
        if self.text[self.place : self.place + 1] not in (")", "）", "]"):
            raise _Unread
        self.place += 1
        self._depth -= 1

    def _named(self) -> bool:
        """Reads the name of another measure, as in DIO + DSO - DPO."""
        for name, words in _USUAL_NAMES.items():
            if not self._match(words):
                continue
            if self._depth >= DEEPEST:
                raise _Unread
            made = self._names.get(name, _USUAL[name][1])
            inner = _Reader(made, {**self._names, name: ""}, self._depth + 1)
            inner.expression()
            self.parts += inner.parts
            self.dated = self.dated or inner.dated
            self._skip(fillers=True)
            self._years()
            return True
        return False

    def _years(self) -> list[int]:
        found = self._match(_YEARS)
        return years_in(found[0]) if found else []

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.place)
        if found is None or found.end() == self.place:
            return None
        self.place = found.end()
        return found

    def _skip(self, *, fillers: bool = False) -> None:
        found = (_FILLER if fillers else _SPACE).match(self.text, self.place)
        self.place = found.end() if found else self.place


def measures_of(question: str) -> tuple[Measure, ...]:
    """Returns the measures that a question defines, or whose usual definition it asks for.

    Where it gives definitions, no other is taken for one that is not understood.
    """
    question = question[:LONGEST]
    told = _definitions(question)
    if told:
        names = {usual: made for name, made in told for usual in _usual_of(name)}
        read = (_read(name, made, names) for name, made in told)
        return tuple({one.name: one for one in read if one}.values())
    named = (name for name, words in _ASKED.items() if words.search(question))
    usual = tuple(one for name in named if (one := _read(name, _USUAL[name][1], {})))
    return usual or tuple(_written_out(question)) or tuple(_part_of(question))


def _definitions(question: str) -> list[tuple[str, str]]:
    """Returns what a question defines, and how, the one that is asked for first."""
    found = []
    for sentence in re.split(r"(?<=[.;?。；])(?=\s|[一-鿿])|\n", question):
        match = _DEFINED.search(sentence.strip())
        if match:
            name = match["name"] or match["name2"] or match["name3"]
            made = match["made"] or match["made2"] or match["made3"]
            found.append((_short_name(name), made))
    return found


def _usual_of(name: str) -> list[str]:
    return [usual for usual, words in _USUAL_NAMES.items() if words.search(name)]


def _short_name(name: str) -> str:
    """Returns what is defined, without the words of the question before it."""
    usual = _usual_of(name)
    if usual:
        return usual[0]
    words = re.split(
        r"\b(?:what|is|are|was|the|calculate|compute|for|of|where)\b", name, flags=re.I
    )
    short = re.sub(r"^.*['’]s\b|\bFY ?\d{2,4}\b", " ", words[-1])
    return " ".join(short.split()) or " ".join(name.split())


def _read(name: str, made: str, names: Mapping[str, str]) -> Measure | None:
    reader = _Reader(made, names)
    try:
        reader.expression()
    except _Unread:
        return None
    rest = reader.text[reader.place :]
    if not reader.signs or not _END.match(rest):
        return None
    name = name or " ".join(reader.text[: reader.place].split())
    return Measure(name, tuple(reader.parts), reader.dated)


def _written_out(question: str) -> Iterator[Measure]:
    """Yields what a question writes out: "operating income + D&A", "EBITDA less capex"."""
    starts = sorted(
        found.start()
        for words in (*NAMES.values(), *_USUAL_NAMES.values())
        for found in words.finditer(question)
    )
    for start in starts:
        one = _read("", question[start:], {})
        if one:
            yield one
            return


def _part_of(question: str) -> Iterator[Measure]:
    """Yields one row as a part of another: "capex as a % of revenue", "what share of assets is"."""
    rows = sorted(
        (found.start(), found.end(), name)
        for name, words in NAMES.items()
        for found in words.finditer(question)
    )
    for of in _PART_OF.finditer(question):
        before = [name for _, end, name in rows if of.start() - _APART <= end <= of.start()]
        after = [name for start, _, name in rows if of.end() <= start <= of.end() + _APART]
        pair = [*before[-1:], *after[:1]] if before else after[1::-1]
        if len(pair) == 2 and pair[0] != pair[1]:
            over, under = pair
            parts = (Operand(over), Operand(under), "/")
            yield Measure(f"{over} / {under}", parts, dated=False, percent=True)
            return


__all__ = ["Measure", "measures_of"]
