"""Figures as they are printed, and single lines that state one: "Contract sum: EUR 120,000"."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from qwenbelt.tools.documents.folding import caseless
from qwenbelt.tools.documents.model import Page

LONGEST_CELL, LONGEST_LINE = 60, 400
SHORT = 24  # pages; in longer documents a name has many meanings
ROUNDED = 1000  # a last digit more or less of so many is how a sum was rounded
FEW = 2  # lines that two documents share, of which none has to agree
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_CURRENCY = r"(?:US\$|HK\$|RMB|USD|EUR|GBP|CNY|CHF|JPY|[$€£¥￥])"
_CJK_UNIT = "元|美元|欧元|港元|吨|人|天|个月|年|家|个|台|套|件|户|小时|公里|米|千瓦|兆瓦"
_UNIT = (
    r"(?:million|billion|thousand|mn?|bn|k|%|％|‰|percent|per cent|bps|x"
    r"|[A-Za-z°µ]{1,6}(?:/[A-Za-z]{1,6})?|days?|months?|years?|tons?|units?|employees|people"
    rf"|[万亿千百]*(?:{_CJK_UNIT})?)"
)
_BEFORE = re.compile(rf"[\s~≈<>±(\-–−+]*{_CURRENCY}?[\s(\-–−]*", re.I)
_BETWEEN = re.compile(rf"\s*{_UNIT}?[\s)*†]*(?:[-–—−~至到]+|to)?[\s(]*{_CURRENCY}?[\s(\-–−]*", re.I)
_AFTER = re.compile(rf"[\s)]*{_UNIT}?(?:\s*{_CURRENCY})?[\s)*†.。]*", re.I)
_YEAR = re.compile(r"(?:19|20)\d\d年?")
_WORDS_OF_YEAR = r"(?:fiscal (?:year )?|the (?:fiscal )?year |FY ?)?"
_VALUE = rf"(?P<value>(?:{_CURRENCY}\s*)?\d[\d,]*(?:\.\d+)?\s*(?:{_UNIT})?(?:\s*{_CURRENCY})?)"
_IS = r"(?:was|were|is|are|amount(?:s|ed) to|totall?ed|reached|came to|comes to|stood at)"
_ABOUT = r"(?:approximately |about |around |exactly )?"
_LABELLED = re.compile(
    rf"^\W*(?P<label>[^\W\d_][^\d:：|]{{1,60}}?)\s*(?:[(（]?(?P<year>(?:19|20)\d\d)年?[)）]?\s*)?"
    rf"[:：]\s*{_ABOUT}{_VALUE}\W*$",
    re.I,
)
_START, _THE = r"(?:^|(?<=[.;!?] ))", r"(?:The |Our |Its )"
_LABEL = r"(?P<label>[A-Za-z][\w&'’/ -]{2,60}?)"
_OF_YEAR = rf"{_WORDS_OF_YEAR}(?P<year>(?:19|20)\d\d),?"
_STATES = rf"{_IS} {_ABOUT}{_VALUE}"
_CJK_LABEL, _CJK_YEAR = r"(?P<label>[^\W\d_]{2,16}?)", r"(?P<year>(?:19|20)\d\d)年(?:度|全年)?"
_SENTENCES = (
    re.compile(
        rf"{_START}{_THE}?{_LABEL} (?:in|for|of|during) {_OF_YEAR} {_STATES}(?=[\s.,;]|$)", re.I
    ),
    re.compile(
        rf"{_START}(?:In|For|During) {_OF_YEAR} {_THE}?{_LABEL} {_STATES}(?=[\s.,;]|$)", re.I
    ),
    re.compile(rf"{_START}{_THE}{_LABEL} {_STATES}(?P<year>)(?=[.;]|$)", re.I),
    re.compile(
        rf"{_CJK_YEAR}[，,]?{_CJK_LABEL}(?:为|是|达到?|共计|合计|总计|约为?)\s*{_VALUE}(?=\W|$)"
    ),
    re.compile(
        rf"(?:^|(?<=[，。；])){_CJK_LABEL}(?:为|共计|合计|总计|约为)(?P<year>)\s*{_VALUE}(?=\W|$)"
    ),
)
_GENERIC = frozenset(
    (
        "total totals subtotal other others net gross sum amount value number it this that which "
        "they we page table note figure item no year date 合计 总计 小计 其他 金额 数量 年份 日期 "
        "页 其中 本 该 共 均 同比"
    ).split()
)
_LEADING = re.compile(r"^(?:the|our|its|company['’]s)\s+")


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as it is printed.

    Attributes:
        text: with its signs and unit.
        digits: its digits without zeros at the ends.
        power: of ten that they are multiplied with.
        last: the power of ten of its last digit.
        unit: "%", a currency or another unit, or "".
        scaled: whether thousands or millions are named beside it or above it.
    """

    text: str
    digits: str
    power: int
    last: int
    unit: str = ""
    scaled: bool = False

    def times(self, power: int) -> Printed:
        """Returns the number as one of a table in thousands or millions."""
        if not power or self.scaled or self.unit == "%":
            return self
        return replace(self, power=self.power + power, last=self.last + power, scaled=True)

    @property
    def size(self) -> int:
        """How many digits are printed, without zeros in front."""
        return len(self.digits) + self.power - self.last if self.digits else 0

    @property
    def is_year(self) -> bool:
        """Whether it may be a year."""
        return bool(_YEAR.fullmatch(self.text))

    def agrees(self, other: Printed, scale: int = 0) -> bool:
        """Whether both are the same number, or one is the other rounded.

        Args:
            other: the other number.
            scale: powers of ten by which the other one is printed smaller.
        """
        last = self.last, other.last + scale
        low = min(self.power, other.power + scale, *last)
        one = int(f"{self.digits or 0}{'0' * (self.power - low)}")
        two = int(f"{other.digits or 0}{'0' * (other.power + scale - low)}")
        step = int(f"1{'0' * (max(last) - low)}")
        if last[0] != last[1]:
            return abs(one - two) <= step
        return one == two or (abs(one - two) <= step and min(one, two) >= ROUNDED * step)


@dataclass(frozen=True, slots=True)
class StatedFigure:
    """A figure and what it is said to be.

    Attributes:
        file: the document's name.
        page: from 1.
        label: what it is, as written.
        period: the year, or "".
        number: the figure.
        quote: the words of the page that state it.
        restated: whether the page says that figures were restated.
        about: what stands above it beside the year: a region, a segment.
        cell: whether it stands in a table.
    """

    file: str
    page: int
    label: str
    period: str
    number: Printed
    quote: str
    restated: bool = False
    about: str = ""
    cell: bool = False

    @property
    def text(self) -> str:
        """The figure as printed."""
        return self.number.text


# ---- numbers ------------------------------------------------------------------------------------

_SCALES = {"thousand": 3, "k": 3, "million": 6, "m": 6, "mn": 6, "billion": 9, "bn": 9}
_CJK_SCALES = {"百": 2, "千": 3, "万": 4, "亿": 8}


def bare_numbers(text: str) -> list[str]:
    """Returns the numbers of a text without signs and units."""
    return _NUMBER.findall(text)


def printed_numbers(cell: str) -> list[Printed]:
    """Returns the numbers of a cell that holds nothing but numbers and their units."""
    text = cell.strip()
    if len(text) > LONGEST_CELL:
        return []
    marks = list(_NUMBER.finditer(text))
    if not marks:
        return []
    ends = [0, *(mark.end() for mark in marks)]
    starts = [*(mark.start() for mark in marks), len(text)]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    if not (_BEFORE.fullmatch(gaps[0]) and _AFTER.fullmatch(gaps[-1])):
        return []
    if not all(gap and _BETWEEN.fullmatch(gap) for gap in gaps[1:-1]):
        return []
    unit = gaps[-1].strip(" )*†.。")
    shared = unit or re.sub(r"[\s(~≈<>±\-–−+]", "", gaps[0])
    return [_printed(mark[0], text if len(marks) == 1 else mark[0], shared) for mark in marks]


def _printed(number: str, text: str, unit: str) -> Printed:
    plain = number.replace(",", "")
    whole, _, decimals = plain.partition(".")
    power = _power(unit)
    digits = (whole + decimals).strip("0")
    zeros = len(whole + decimals) - len((whole + decimals).rstrip("0"))
    last = power - len(decimals)
    return Printed(text.strip(), digits, last + zeros, last, _plain_unit(unit), power > 0)


_IN_UNITS = re.compile(
    r"(?i)\b(?:in|[$€£]|usd|eur|rmb)\s*(?:US)?[$€£]?\s*(thousand|million|billion)s?\b|单位[:：]?\s*(?:人民币)?([百千万亿]+)元"
    r"|[(（]([百千万亿]+)元[)）]"
)


def scale_of(text: str) -> int:
    """Returns the power of ten that "in millions" or 单位：万元 above a table means."""
    match = _IN_UNITS.search(text)
    if match is None:
        return 0
    return _power(match[1] or match[2] or match[3])


def _power(unit: str) -> int:
    words = re.findall(r"[a-z]+", unit.lower())
    latin = next((_SCALES[word] for word in words if word in _SCALES), 0)
    return latin + sum(_CJK_SCALES.get(sign, 0) for sign in unit)


def _plain_unit(unit: str) -> str:
    """Returns a unit without its scale: per cent, a currency, tons."""
    words = re.sub(r"(?i)\b(?:thousand|million|billion|mn|bn|k|m)\b|[百千万亿]", "", unit)
    words = caseless(words).strip(" .)")
    for sign, name in (("us$", "usd"), ("$", "usd"), ("€", "eur"), ("£", "gbp"), ("¥", "cny")):
        words = words.replace(sign, name)
    return {"％": "%", "percent": "%", "per cent": "%", "元": "cny", "rmb": "cny"}.get(words, words)


# ---- lines --------------------------------------------------------------------------------------


def stated_lines(file: str, page: Page, restated: bool = False) -> list[StatedFigure]:
    """Returns what single lines and simple sentences of a page state, outside of tables."""
    found: list[StatedFigure] = []
    inside = [(table.start, table.end) for table in page.tables]
    place = 0
    for line in page.text.split("\n"):
        start, place = place, place + len(line) + 1
        if len(line) > LONGEST_LINE * 4 or any(low <= start < high for low, high in inside):
            continue
        if len(line) <= LONGEST_LINE and (match := _LABELLED.match(line)):
            found += _figure(file, page, match, line.strip(), restated)
        else:
            for pattern in _SENTENCES:
                for match in pattern.finditer(line):
                    found += _figure(file, page, match, match[0].strip(), restated)
    return found


def _figure(
    file: str, page: Page, match: re.Match[str], quote: str, restated: bool
) -> Iterator[StatedFigure]:
    numbers = printed_numbers(match["value"])
    label = " ".join(match["label"].split())
    if len(numbers) == 1 and is_telling(label):
        yield StatedFigure(
            file, page.number, label, match["year"] or "", numbers[0], quote, restated
        )


def is_telling(label: str) -> bool:
    """Whether a label says what its figure is."""
    words = re.findall(r"[^\W\d_]+", caseless(label))
    return any(word not in _GENERIC and len(word) > 1 for word in words)


def plain_name(label: str) -> str:
    """Returns a label as it is compared."""
    return _LEADING.sub("", " ".join(re.findall(r"[\w%&/]+", caseless(label))))


_PageOf = tuple[str, int]


@dataclass(slots=True)
class _Shared:
    """The lines that two pages share."""

    agree: int = 0
    differ: list[tuple[str, StatedFigure, StatedFigure]] = field(default_factory=list)

    def tells(self, *, inside: bool) -> bool:
        """Whether what differs is the same figure, and not that of another plant or segment."""
        if self.agree:
            return self.agree >= len(self.differ)
        return len(self.differ) <= FEW and all(
            not (one.cell or two.cell) if inside else bool(one.period)
            for _, one, two in self.differ
        )


def lines_that_differ(
    lines: Sequence[StatedFigure],
) -> Iterator[tuple[StatedFigure, StatedFigure]]:
    """Yields lines of short documents that state the same with other figures.

    A line counts where a page states it once. At least as many of the lines that two pages share
    have to agree as do not, unless they share but one or two: two plants fill in the same form,
    two segments have the same lines.
    """
    named = _named(lines)
    vague = {key for key, by_page in named.items() if _is_vague(by_page)}
    for key, by_page in named.items():
        if key not in vague:
            yield from _on_one_page(by_page.values())
    told = set()
    for (first, second), pair in _shared(named).items():
        if not pair.tells(inside=first[0] == second[0]):
            continue
        for key, one, two in pair.differ:
            if key not in vague and (key, first[0], second[0]) not in told:
                told.add((key, first[0], second[0]))
                yield one, two


def _named(lines: Sequence[StatedFigure]) -> dict[str, dict[_PageOf, list[StatedFigure]]]:
    named: dict[str, dict[_PageOf, list[StatedFigure]]] = defaultdict(dict)
    for line in lines:
        key = f"{line.period}|{plain_name(line.label)} {plain_name(line.about)}".strip()
        named[key].setdefault((line.file, line.page), []).append(line)
    return named


def _is_vague(by_page: Mapping[_PageOf, Sequence[StatedFigure]]) -> bool:
    """Whether a document says a line of more than two things."""
    by_file: dict[str, list[StatedFigure]] = defaultdict(list)
    for (file, _), stated in by_page.items():
        by_file[file] += stated
    return any(len(_different(stated)) > 2 for stated in by_file.values())


def _on_one_page(
    pages: Iterable[Sequence[StatedFigure]],
) -> Iterator[tuple[StatedFigure, StatedFigure]]:
    """Yields lines that one page, a memo perhaps, states twice."""
    for stated in pages:
        different = _different(stated)
        if len(different) == 2 and not any(line.cell for line in stated):
            if _comparable(*different):
                yield different[0], different[1]


def _shared(
    named: Mapping[str, Mapping[_PageOf, Sequence[StatedFigure]]],
) -> dict[tuple[_PageOf, _PageOf], _Shared]:
    shared: dict[tuple[_PageOf, _PageOf], _Shared] = defaultdict(_Shared)
    for key, by_page in named.items():
        single = {page: s[0] for page, s in by_page.items() if len(_different(s)) == 1}
        for (first, one), (second, two) in combinations(single.items(), 2):
            if _agree(one, two):
                shared[first, second].agree += one.number.size > 1
            elif _comparable(one, two):
                shared[first, second].differ.append((key, one, two))
    return shared


def _different(stated: Sequence[StatedFigure]) -> list[StatedFigure]:
    """Returns one of each figure that a line is said to be."""
    found: list[StatedFigure] = []
    for line in stated:
        if not any(_agree(line, other) for other in found):
            found.append(line)
    return found


def _agree(one: StatedFigure, two: StatedFigure) -> bool:
    """Whether two figures are the same; where but one names thousands, their digits decide."""
    if one.number.agrees(two.number):
        return True
    return one.number.scaled != two.number.scaled and one.number.digits == two.number.digits


def _comparable(one: StatedFigure, two: StatedFigure) -> bool:
    """Whether two figures may be the same: not in other units, not both of one line."""
    first, second = one.number.unit, two.number.unit
    if one.number.scaled != two.number.scaled:
        return False
    same = first == second or not (first and second)
    if "%" in (first, second):
        same = first == second
    return same and (one.quote != two.quote or one.page != two.page or one.file != two.file)
