"""Figures that documents state differently: the same line of two tables, with other numbers.

A document says "Net sales" a hundred times, of quarters, regions and plans, so that a name and a
year alone prove little. Two columns are known to say the same when nearly all lines that they share
agree; then the line that does not is told. Lines that stand alone are compared where nothing else
can be meant: see `stated_lines`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from qwenbelt.tools.documents.folding import caseless
from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.documents.stated_lines import (
    SHORT,
    Printed,
    StatedFigure,
    bare_numbers,
    is_telling,
    lines_that_differ,
    printed_numbers,
    scale_of,
    stated_lines,
)
from qwenbelt.tools.documents.strings import say

LEAST_AGREE = 3  # lines of two columns that agree before another line can be wrong
LEAST_WITHOUT_YEAR = 5  # where nothing above them says that they are of the same year
LEAST_DIGITS = 2  # of a number that proves something
MOST_DIFFER = 0.25  # of the lines that two columns share
MOST_PLACES = 16  # of a line and number; more often it is a zero or a note's number
MOST_TOLD = 200
_LABEL = re.compile(r"[^\W\d_]{2}")
_DROPPED = re.compile(r"\(\w{1,2}\)|\[\d{1,2}\]|[*†‡§:：.]+$|\.{3,}|[^\w%&/+ ()-]")
_OTHER_BASIS = re.compile(
    r"(?i)\b(?:adjusted|non[- ]?gaap|core|pro[- ]?forma|constant[- ]currency|budget(?:ed)?"
    r"|plan(?:ned)?|forecast|guidance|target|estimated?|comparable|organic|scenario)\b|调整后|预算|计划|预测|目标|估计|备考"
)
_RESTATED = re.compile(
    r"(?i)\b(?:restat\w+|recast|re-?classif\w+|as revised|previously (?:reported|stated)|corrected"
    r"|correction of)\b|重述|追溯调整|重分类|更正|修订后"
)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
ABOVE = 200  # characters above a table that say its unit
_FILLING = re.compile(
    r"(?i)\b(?:in|of|usd|eur|rmb|us|as|at|the|for|ended?|ending|fiscal|fy|year|unaudited|audited|actual|thousands?"
    r"|millions?|billions?|december|june|march|september)\b|[$€£¥￥]|人民币|[百千万亿]*元|年度?|单位|本期|截至"
    r"|\b\d{1,2}\b"
)
_YEAR_CELL = re.compile(r"^((?:19|20)\d\d)年?度?$")
_SPAN = re.compile(
    r"(?i)\b(?:three|six|nine|twelve|\d{1,2})[- ](?:months?|weeks?)\b|\bquarter\b|\bQ[1-4]\b"
    r"|\byears?\b|[一二三四]季度|半年|前三季度|\d{1,2}个月"
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The same figure, stated differently in two places.

    Attributes:
        label: the line, as the first place writes it.
        period: the year or period that both places name, or "".
        places: both places.
        restated: whether one of the pages says that figures were restated or corrected.
    """

    label: str
    period: str
    places: tuple[StatedFigure, StatedFigure]
    restated: bool = False

    @property
    def title(self) -> str:
        """The line and its period."""
        label = self.label.rstrip(" :：.")
        return f"{label}, {self.period}" if self.period else label

    def to_dict(self) -> dict[str, object]:
        """Returns the entry of `report.json`."""
        places = [{"file": p.file, "page": p.page, "figure": p.text} for p in self.places]
        return {
            "label": self.label,
            "period": self.period,
            "places": places,
            "restated": self.restated,
        }


def told_in_words(one: Disagreement, language: str) -> str:
    """Returns a disagreement as a part of a sentence."""
    first, second = one.places
    text = say(
        "differs",
        language,
        label=one.title,
        one=first.text,
        file=first.file,
        page=first.page,
        two=second.text,
        other=second.file,
        there=second.page,
    )
    return text + (say("restated", language) if one.restated else "")


class _Column(NamedTuple):
    """A column of numbers: the table, the cell of a row, and which of the cell's numbers."""

    table: int
    cell: int
    place: int


@dataclass(slots=True)
class StatedTable:
    """A table's numbers by line and column.

    Attributes:
        file: the document's name.
        page: from 1.
        lines: what a line may be called, and its row; names of several rows are left out.
        numbers: of each row, by cell and place in the cell.
        labels: of each name, as written.
        quotes: of each row, the words on the page.
        heads: what stands above each cell.
        restated: whether its page says that figures were restated.
    """

    file: str
    page: int
    lines: dict[str, int]
    numbers: list[dict[tuple[int, int], Printed]]
    labels: dict[str, str]
    quotes: list[str]
    heads: dict[int, str]
    restated: bool


@dataclass(slots=True)
class StatedPages:
    """What the pages of one document state, in tables and in single lines."""

    tables: list[StatedTable]
    lines: list[StatedFigure]


def stated_on(file: str, pages: Iterable[Page]) -> StatedPages:
    """Reads what the pages of a document state."""
    tables: list[StatedTable] = []
    lines: list[StatedFigure] = []
    count = 0
    for page in pages:
        count += 1
        restated = bool(_RESTATED.search(page.text))
        for table in page.tables:
            rows = [[" ".join(cell.split()) for cell in row] for row in table.rows]
            tables += _read_table(file, page, table, rows)
            if count <= SHORT:
                lines += _cells(file, page, table, rows)
        if count <= SHORT:
            lines += stated_lines(file, page, restated)
    return StatedPages(tables, lines if count <= SHORT else [])


def disagreements(documents: Sequence[StatedPages], most: int = MOST_TOLD) -> list[Disagreement]:
    """Returns what the documents, or the pages of one, state differently.

    Args:
        documents: what each states.
        most: how many are returned; those between documents come first.
    """
    tables = [table for document in documents for table in document.tables]
    found = _of_columns(tables)
    found += lines_that_differ_in(documents)
    told: dict[frozenset[tuple[str, int, str]], Disagreement] = {}
    for one in found:
        told.setdefault(frozenset((p.file, p.page, p.quote) for p in one.places), one)
    inside = [one.places[0].file == one.places[1].file for one in told.values()]
    ordered = sorted(zip(inside, told.values(), strict=True), key=lambda entry: entry[0])
    return [one for _, one in ordered][:most]


def lines_that_differ_in(documents: Sequence[StatedPages]) -> Iterator[Disagreement]:
    """Yields single lines that are stated differently."""
    every = [line for document in documents for line in document.lines]
    for one, two in lines_that_differ(every):
        yield Disagreement(one.label, one.period, (one, two), one.restated or two.restated)


# ---- reading tables -----------------------------------------------------------------------------


def _cells(
    file: str, page: Page, table: Table, rows: Sequence[Sequence[str]]
) -> Iterator[StatedFigure]:
    """Yields the figures of a table whose year is above them or at the beginning of their row."""
    start = next((n for n, row in enumerate(rows) if _body(row)), len(rows))
    heads = _heads(rows[:start])
    text = page.text[table.start : table.end] if table.end > table.start else page.text
    above = page.text[max(0, table.start - ABOVE) : table.start]
    scale = scale_of(" ".join((table.caption, above, *heads.values())))
    restated = bool(_RESTATED.search(page.text))
    for row in rows[start:]:
        names = _labels_of(row)
        year = found[0] if (found := _YEAR_CELL.findall(row[0])) else ""
        quote = _line_with(text, row)
        if not quote:
            continue
        for (cell, place), number in _numbers_of(row).items():
            head = heads.get(cell, "")
            found = [year] if year else _YEAR.findall(head)
            label = head if year else " ".join(names[:1])
            if place or number.is_year or len(set(found)) != 1 or not is_telling(label):
                continue
            spans = sorted({span.casefold() for span in _SPAN.findall(head)})
            about = "" if year else _SPAN.sub(" ", _YEAR.sub(" ", head))
            period = " ".join([found[0], *spans])
            yield StatedFigure(
                *(file, page.number, label, period, number.times(scale), quote),
                restated=restated,
                about=_FILLING.sub(" ", about),
                cell=True,
            )


def _body(row: Sequence[str]) -> bool:
    """Whether a row has a name, or a year in front, and figures."""
    named = bool(_labels_of(row)) or bool(row and _YEAR_CELL.match(row[0]))
    return named and any(not number.is_year for number in _numbers_of(row).values())


def _read_table(
    file: str, page: Page, table: Table, rows: Sequence[Sequence[str]]
) -> Iterator[StatedTable]:
    numbers = [_numbers_of(row) for row in rows]
    body = [n for n, row in enumerate(rows) if _body(row) and _labels_of(row)]
    if len(body) < LEAST_AGREE + 1:
        return
    names: dict[str, int] = {}
    labels: dict[str, str] = {}
    twice: set[str] = set()
    for n in body:
        for label in dict.fromkeys(_labels_of(rows[n])):
            name = plain_label(label)
            if names.setdefault(name, n) != n:
                twice.add(name)
            labels[name] = label
    text = page.text[table.start : table.end] if table.end > table.start else page.text
    yield StatedTable(
        file,
        page.number,
        {name: n for name, n in names.items() if name not in twice},
        numbers,
        labels,
        [_line_with(text, row) for row in rows],
        _heads(rows[: body[0]]),
        bool(_RESTATED.search(page.text)),
    )


def plain_label(text: str) -> str:
    """Returns a line's name as it is compared: without notes, signs and case."""
    return " ".join(_DROPPED.sub(" ", caseless(text)).split())


def _labels_of(row: Sequence[str]) -> list[str]:
    """Returns the cells of a row that name it."""
    return [cell for cell in row if _LABEL.search(cell) and not printed_numbers(cell)]


def _numbers_of(row: Sequence[str]) -> dict[tuple[int, int], Printed]:
    return {
        (cell, place): number
        for cell, text in enumerate(row)
        for place, number in enumerate(printed_numbers(text))
    }


def _heads(rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """Returns what stands above each column; a cell without words belongs to the one before it."""
    heads: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        before = ""
        for cell, text in enumerate(row):
            before = text or (before if cell > 1 else "")
            if before and before not in heads[cell]:
                heads[cell].append(before)
    return {cell: " ".join(words) for cell, words in heads.items()}


def _line_with(text: str, row: Sequence[str]) -> str:
    """Returns the line of a page that shows a row's numbers and one of its names, or ""."""
    numbers = {bare for cell in row if printed_numbers(cell) for bare in bare_numbers(cell)}
    names = [cell[:30] for cell in _labels_of(row) or row[:1]]
    for line in text.split("\n"):
        plain = " ".join(line.split())
        if any(name in plain for name in names) and numbers.issubset(bare_numbers(plain)):
            return line.strip()
    return ""


# ---- columns that say the same ------------------------------------------------------------------


def _of_columns(tables: Sequence[StatedTable]) -> list[Disagreement]:
    found = []
    for (one, two), agreed in _alike(tables).items():
        first, second = tables[one.table], tables[two.table]
        if not _may_be_the_same(first.heads.get(one.cell, ""), second.heads.get(two.cell, "")):
            continue
        period = _period(first.heads.get(one.cell, ""), second.heads.get(two.cell, ""))
        if len(agreed) < (LEAST_AGREE if period else LEAST_WITHOUT_YEAR):
            continue
        differing = list(_differing(first, one, second, two, period))
        if differing and len(differing) <= MOST_DIFFER * (len(differing) + len(agreed)):
            found += differing
    return found


def _alike(tables: Sequence[StatedTable]) -> dict[tuple[_Column, _Column], set[str]]:
    """Returns pairs of columns that agree in several lines, each in the best of the other table."""
    places: dict[tuple[str, str], list[_Column]] = defaultdict(list)
    for number, table in enumerate(tables):
        for name, row in table.lines.items():
            for (cell, place), printed in table.numbers[row].items():
                if printed.size >= LEAST_DIGITS and not printed.is_year:
                    places[name, printed.digits].append(_Column(number, cell, place))
    agreed: dict[tuple[_Column, _Column], set[str]] = defaultdict(set)
    for (_, digits), columns in places.items():
        if len(columns) <= MOST_PLACES:
            for one, two in combinations(columns, 2):
                if one.table != two.table:
                    agreed[one, two].add(digits)
    best: dict[tuple[_Column, int], int] = Counter()
    for (one, two), lines in agreed.items():
        best[one, two.table] = max(best[one, two.table], len(lines))
        best[two, one.table] = max(best[two, one.table], len(lines))
    return {
        (one, two): lines
        for (one, two), lines in agreed.items()
        if len(lines) >= LEAST_AGREE and len(lines) == best[one, two.table] == best[two, one.table]
    }


def _may_be_the_same(one: str, two: str) -> bool:
    """Whether what stands above two columns does not tell them apart."""
    if bool(_OTHER_BASIS.search(one)) != bool(_OTHER_BASIS.search(two)):
        return False
    for pattern in (_YEAR, _SPAN):
        first, second = ({m.casefold() for m in pattern.findall(t)} for t in (one, two))
        if first and second and not first & second:
            return False
    return True


def _differing(
    first: StatedTable, one: _Column, second: StatedTable, two: _Column, period: str
) -> Iterator[Disagreement]:
    scale = _scale(first, one, second, two)
    seen: set[tuple[int, int]] = set()
    for name, row in first.lines.items():
        other = second.lines.get(name)
        if other is None or (row, other) in seen:
            continue
        seen.add((row, other))
        here, there = first.numbers[row].get(one[1:]), second.numbers[other].get(two[1:])
        if here is None or there is None or here.agrees(there, scale):
            continue
        if min(here.size, there.size) < LEAST_DIGITS:
            continue
        if first.quotes[row] and second.quotes[other]:
            yield Disagreement(
                first.labels[name],
                period,
                (
                    _stated(first, name, here, period),
                    _stated(second, name, there, period),
                ),
                first.restated or second.restated,
            )


def _scale(first: StatedTable, one: _Column, second: StatedTable, two: _Column) -> int:
    """Returns by how many powers of ten the second column's numbers are printed smaller."""
    powers: Counter[int] = Counter()
    for name, row in first.lines.items():
        other = second.lines.get(name)
        here = first.numbers[row].get(one[1:])
        there = second.numbers[other].get(two[1:]) if other is not None else None
        if here is not None and there is not None and here.digits == there.digits:
            powers[here.power - there.power] += 1
    return powers.most_common(1)[0][0] if powers else 0


def _stated(table: StatedTable, name: str, printed: Printed, period: str) -> StatedFigure:
    return StatedFigure(
        table.file,
        table.page,
        table.labels[name],
        period,
        printed,
        table.quotes[table.lines[name]],
        restated=table.restated,
    )


def _period(one: str, two: str) -> str:
    """Returns the years that stand above both columns."""
    shared = set(_YEAR.findall(one)) & set(_YEAR.findall(two))
    return ", ".join(sorted(shared)) if len(shared) == 1 else ""
