"""Which row of a group changed most, found by code: "which region had the biggest drop?".

Small models take the largest row, or one that a sentence names. A group is rows that add up to a
total in two columns; the columns are this period's and the one before where the heads say so, or
where a column of printed changes in per cent fits them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from qwenbelt.tools.documents.grounding import words_of
from qwenbelt.tools.documents.superlatives import SUM_WORDS, parts_of_sum
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows, years_in

GREW, FELL = "grew", "fell"
LEAST_ROWS = 2
MOST_GROUPS = 2  # that are told
NEAR = 1.01  # percentage points that a printed change may differ from the computed one
_KINDS = (
    r"(?:segments?|regions?|geograph\w+|areas?|markets?|countr(?:y|ies)|categor(?:y|ies)|products?|"
    r"divisions?|business(?:es)?|brands?|lines?|channels?|units?|franchises?)\b"
)
_WHICH = re.compile(rf"\b(?:which|what)\b.{{0,60}}\b{_KINDS}|哪[个些种项].{{0,12}}", re.I)
_OF_PLACES = re.compile(
    r"\b(?:regions?|geograph\w+|areas?|countr(?:y|ies)|continents?)\b|地区|区域|国家|市场", re.I
)
_OF_THINGS = re.compile(
    r"\b(?:categor(?:y|ies)|products?|brands?|channels?|franchises?)\b|产品|品类|类别|品牌|渠道",
    re.I,
)
_PLACE = re.compile(
    r"\b(?:americas?|u\.?s\.?|united|usa|canada|mexico|brazil|europe\w*|emea|asia\w*|apac|pacific|"
    r"china|chinese|japan|korea|india|africa|middle east|latin|rest of|other countries|domestic|"
    r"international|overseas|north|south|east|west|germany|france|kingdom|australia|emerging)\b|"
    r"[东西南北中]部|华[东南西北中]|东北|境内|境外|国内|国外|海外|亚洲|欧洲|美洲|中国|美国|日本|地区|省|市$",
    re.I,
)
_MOST = r"(?:biggest|largest|highest|greatest|most|steepest|sharpest|strongest|fastest)"
_FALL = r"(?:drop|decline|decrease|fall|reduction|contraction)"
_RISE = r"(?:growth|increase|rise|gain|growing|grow|jump)"
_FELL = re.compile(
    rf"\b{_MOST}\b.{{0,30}}\b{_FALL}|\b(?:dropp?ed|declined|decreased|fell|shrank|shrunk)\b.{{0,20}}"
    r"\bthe most\b|\bperform\w* (?:the )?worst\b|\bworst[- ]perform|\bdragg\w+\b|"
    r"(?:下降|降幅|下滑|跌幅|减少|萎缩).{0,4}最|拖累",
    re.I,
)
_ROSE = re.compile(
    rf"\b{_MOST}\b.{{0,30}}\b{_RISE}|\b(?:grew|grown|increased|rose)\b.{{0,20}}\b(?:the )?"
    r"(?:most|fastest)\b|\bperform\w* (?:the )?best\b|\bbest[- ]perform|"
    r"(?:增长|增幅|增速|涨幅|增加).{0,4}最|表现最好",
    re.I,
)
_OTHER_FIGURE = re.compile(
    r"\b(?:incomes?|profits?|profitab\w+|earnings|margins?|costs?|expens\w+|loss(?:es)?|cash|assets?|"
    r"liabilit\w+|ebitda?|backlog|orders|employees|headcount|stores|volumes?)\b|"
    r"利润|成本|费用|毛利|资产|负债|现金|订单|员工|门店|销量|亏损",
    re.I,
)
_LONGER = re.compile(
    r"\b(?:first|six|nine) (?:half|months)\b|\bH1\b|\byear[- ]to[- ]date\b|\bytd\b|上半年|前三季度",
    re.I,
)
_PERFORMED = re.compile(r"\bperform\w*|表现", re.I)
_LINE = re.compile(
    r"^Of .*? \[\d+\], (?P<row>.+?) (?:performed (?:best|worst): it )?"
    rf"(?:{GREW}|{FELL}) (?:most|least) in \d{{4}}: "
)


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that add up to a total, with their figures of two periods.

    Attributes:
        label: of the total.
        year: of the period.
        fit: how many words of the question the total has.
        column: of the period; the one before stands to its right.
    """

    label: str
    passage: int
    year: int
    fit: int
    rows: tuple[FigureRow, ...]
    column: int

    def changes(self) -> list[tuple[float, str, str, str]]:
        """Returns change, label and the two printed figures of each row, lowest first."""
        found = []
        places = self.column, self.column + 1
        for row in self.rows:
            new, old = (row.values[place] or 0.0 for place in places)
            if old:
                new_one, old_one = (row.printed[place].strip("$€£¥ ") for place in places)
                found.append(((new - old) / abs(old), row.label, new_one, old_one))
        return sorted(found)


@cache
def _whole_words() -> frozenset[str]:
    """Returns words that a total may have besides those of the question."""
    return words_of("net worldwide consolidated company global group")


@cache
def _sales_words() -> frozenset[str]:
    """Returns the words of a total of sales: nothing else is meant by "grew" alone."""
    names = ("revenue revenues sales", "营业收入", "主营业务收入", "销售收入", "销售额")
    return frozenset().union(*map(words_of, names))


def change_lines(question: str, passages: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yields the rows that changed most of the groups that a question names, by total.

    Args:
        question: what is asked.
        passages: the texts of the evidence by their numbers.
    """
    fell, rose = bool(_FELL.search(question)), bool(_ROSE.search(question))
    if fell == rose or not _WHICH.search(question):
        return
    asked = words_of(question) | _whole_words()
    if not _OTHER_FIGURE.search(question):
        asked |= _sales_words()
    years, longer = years_in(question), bool(_LONGER.search(question))
    found = [
        group
        for number, text in passages.items()
        for group in _groups(number, list(figure_rows(text)), asked, years, longer=longer)
        if _is_of_kind(group, question)
    ]
    most = max((group.fit for group in found), default=0)
    told: set[str] = set()
    for group in [g for g in found if g.fit == most][:MOST_GROUPS]:
        changes = group.changes()
        if rose:
            changes.reverse()
        # in the words of the question: small models take a line for an answer when it sounds so
        verb = "performed " if _PERFORMED.search(question) else ""
        verb += ("best: it " if rose else "worst: it ") if verb else ""
        line = _told(group, changes, verb, rose=rose) if len(changes) >= LEAST_ROWS else ""
        if line and line not in told:
            told.add(line)
            yield line, line


def _told(
    group: _Group, changes: Sequence[tuple[float, str, str, str]], said: str, *, rose: bool
) -> str:
    """Returns "Of Total revenue [1], Games grew most in 2023: 544 against 508 = +7.1 %; then …"."""
    best = changes[0][0]
    verb = GREW if best > 0 or (best == 0 and rose) else FELL
    most = "most" if (verb == GREW) == rose else "least"
    words = [
        f"{new} against {old} = {change:+.1%}".replace("%", " %") for change, _, new, old in changes
    ]
    return (
        f"Of {group.label} [{group.passage}], {changes[0][1]} {said}{verb} {most} in {group.year}: "
        f"{words[0]}; then {changes[1][1]}: {words[1]}"
    )


def _groups(
    number: int,
    rows: Sequence[FigureRow],
    asked: frozenset[str],
    years: Sequence[int],
    *,
    longer: bool,
) -> Iterator[_Group]:
    for place, total in enumerate(rows):
        words = words_of(SUM_WORDS.sub(" ", total.label))
        if not words or not words <= asked:
            continue
        column = _column(total, years, longer=longer)
        if column is None:
            continue
        parts = parts_of_sum(rows[:place], total, [column, column + 1])
        if len(parts) >= LEAST_ROWS and _are_periods(parts, column):
            once = len(set(total.heads)) == len(total.heads)
            year = total.heads[column if once else 0]
            fit = len(words & (asked - _sales_words()))
            yield _Group(total.label, number, year, fit, parts, column)


def _is_of_kind(group: _Group, question: str) -> bool:
    """Returns whether a group is of places where places are asked for, and of none where things."""
    places = sum(bool(_PLACE.search(row.label)) for row in group.rows)
    if _OF_PLACES.search(question) and not _OF_THINGS.search(question):
        return places > 0
    return not _OF_THINGS.search(question) or places * 2 < len(group.rows)


def _column(total: FigureRow, years: Sequence[int], *, longer: bool) -> int | None:
    """Returns the column of the period that is meant, with the one before beside it."""
    heads = total.heads
    if len(total.values) < len(heads):
        return None
    pairs = [n for n, (new, old) in enumerate(pairwise(heads)) if new == old + 1]
    if len(set(heads)) == len(heads) == len(total.values):
        named = [n for n in pairs if heads[n] in years]
        if named:
            return named[0]
    if not pairs or pairs[0] or (years and max(years) - heads[0] not in (0, 1)):
        return None  # a fiscal year may be named after the next one
    if not longer or heads[2:4] != heads[:2]:  # three months, then six or nine
        return 0
    return len(total.values) // 2 if len(total.values) % 2 == 0 else None


def _are_periods(parts: Sequence[FigureRow], column: int) -> bool:
    """Returns whether two columns are a period and the one before, as their heads or changes say.

    With as many heads as figures each has its year; with more figures, changes in per cent stand
    between them.
    """
    if all(len(part.heads) == len(part.values) for part in parts):
        return True
    for part in parts:
        new, old, printed = part.values[column : column + 3]
        if not old or new is None or printed is None:
            return False
        if abs((new - old) / abs(old) * 100 - printed) > NEAR:
            return False
    return True


def is_change(line: str) -> bool:
    """Returns whether a line tells the row of a group that changed most."""
    return _LINE.match(line) is not None


def missed_change(answer: str, lines: Sequence[str]) -> str:
    """Returns the first line on changes by row, where an answer names none of their rows."""
    found = [match for line in lines if (match := _LINE.match(line))]
    said = words_of(answer)
    if any(words_of(match["row"]) <= said for match in found):
        return ""
    return found[0].string if found else ""
