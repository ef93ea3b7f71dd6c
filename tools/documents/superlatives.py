"""The largest or smallest row of a sum, found by code: "the largest liability" of a balance sheet.

Small models take the first figure that they see, or the total of another table. Which rows make up
a sum is not told by their order: they count where they add up to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qwenbelt.tools.documents.grounding import words_of
from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows, years_in

LARGEST, SMALLEST = "largest of", "smallest of"
MOST_ROWS = 40  # that make up a sum
LEAST_ROWS = 2
LEAST_NAMED = 2  # words of a sum that is not called a total, all of them in the question
MOST_SUMS = 2  # that are told
ROUNDING = 0.6  # of a last digit, for each row
_MOST = (
    r"\b(?:largest|biggest|highest|greatest|most (?:significant|valuable|important))\b|最[大高多]"
)
_LEAST = r"\b(?:smallest|lowest|least)\b|最[小低少]"
_LARGEST, _SMALLEST = re.compile(_MOST, re.I), re.compile(_LEAST, re.I)
_NOT_OF = r"(?:in|of|for|on|at|by|among|within|from|as|during|and|or)\b"
_OF = re.compile(
    rf"(?:{_MOST}|{_LEAST})(?:(?P<of>(?:\s+(?!{_NOT_OF})[\w&/-]+){{1,5}})"
    r"|的?(?P<of_zh>[^\s的，。？?是为在和]{2,12}))",
    re.I,
)
_TOTAL = re.compile(
    r"^(?:grand |sub)?totals?\b|\btotal$|^(?:合计|总计|小计)|(?:合计|总计|总额|小计)$", re.I
)
SUM_WORDS = re.compile(r"\b(?:grand|sub)?totals?\b|合计|总计|总额|小计|总", re.I)
_BRACKETS = re.compile(r"\s*[(（][^()（）]*[)）]")
_LINE = re.compile(rf"^(?:{LARGEST}|{SMALLEST}) [^\n]*?\]: \d{{4}}: (.+?) (-?\d[\d,.]*)(?:;|$)")


@dataclass(frozen=True, slots=True)
class _Sum:
    """Rows of a passage that add up to one: label, figure and how it is printed."""

    label: str
    passage: int
    year: int
    total: float
    rows: tuple[tuple[str, float], ...]


def superlative_lines(question: str, passages: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yields the largest or smallest rows of the sums that a question names, by sum.

    Args:
        question: what is asked.
        passages: the texts of the evidence by their numbers.
    """
    smallest, match = bool(_SMALLEST.search(question)), _OF.search(question)
    if match is None or smallest == bool(_LARGEST.search(question)):
        return
    query = understand(match["of"] or match["of_zh"])
    asked = words_of(" ".join((*query.terms, *query.others)))
    whole = words_of(question)
    years = years_in(question)
    sums: dict[str, _Sum] = {}
    for number, text in passages.items():
        for found in _sums(number, list(figure_rows(text)), asked, whole, years):
            known = sums.get(found.label.lower())
            if known is None or abs(found.total) > abs(known.total):
                sums[found.label.lower()] = found  # the one of the whole group
    closest = max((_named(found.label) for found in sums.values()), default=0)
    best = [found for found in sums.values() if _named(found.label) == closest]
    for found in best[:MOST_SUMS]:
        yield found.label.lower(), _told(found, smallest=smallest)


def _named(label: str) -> int:
    return len(words_of(SUM_WORDS.sub(" ", label)))


def _told(found: _Sum, *, smallest: bool) -> str:
    ordered = sorted(found.rows, key=lambda row: row[1], reverse=not smallest)
    (label, value), (second, less) = ((_BRACKETS.sub("", row), v) for row, v in ordered[:2])
    name = SMALLEST if smallest else LARGEST
    return (
        f"{name} {found.label} [{found.passage}]: {found.year}: {label} {_written(value)}; "
        f"then {second} {_written(less)}"
    )


def _written(value: float) -> str:
    return f"{value:,.10g}" if value != int(value) else f"{int(value):,}"


def _sums(
    number: int,
    rows: Sequence[FigureRow],
    asked: frozenset[str],
    whole: frozenset[str],
    years: Sequence[int],
) -> Iterator[_Sum]:
    for place, row in enumerate(rows):
        words = words_of(SUM_WORDS.sub(" ", row.label))
        # a total need not say so: "Short-term investments" below its parts
        named = len(words) >= LEAST_NAMED and bool(words & asked) and words <= whole
        if not named and not (_TOTAL.search(row.label.strip()) and words and words <= asked):
            continue
        told = [year for year in row.years if year in years] or sorted(row.years)[-1:]
        for year in told[:1]:
            column = row.years.index(year)
            parts = parts_of_sum(rows[:place], row, [column])
            if len(parts) >= LEAST_ROWS:
                labelled = tuple((part.label, part.values[column] or 0.0) for part in parts)
                yield _Sum(row.label, number, year, row.value(year) or 0.0, labelled)


def parts_of_sum(
    before: Sequence[FigureRow], total: FigureRow, columns: Sequence[int]
) -> tuple[FigureRow, ...]:
    """Returns the rows right above a total that add up to it, or none; other totals left out.

    Args:
        before: the rows of the table above the total.
        total: the row that they may add up to.
        columns: the places of the figures that have to add up, each of them.
    """
    left = [total.values[column] for column in columns]
    step = _step(total)
    parts: list[FigureRow] = []
    for row in reversed(before[-MOST_ROWS:]):
        if row.heads != total.heads or len(row.values) != len(total.values) or None in left:
            return ()
        values = [row.values[column] for column in columns]
        if values.count(None) == len(values) or _TOTAL.search(row.label.strip()):
            continue
        parts.append(row)
        left = [(rest or 0.0) - (value or 0.0) for rest, value in zip(left, values, strict=True)]
        room = step * ROUNDING * len(parts)
        if all(abs(rest or 0.0) <= room for rest in left):
            return tuple(reversed(parts))
    return ()


def _step(row: FigureRow) -> float:
    decimals = [len(printed.rstrip("%) ").rpartition(".")[2]) for printed in row.printed]
    dotted = ["." in printed for printed in row.printed]
    return float(
        10.0 ** -max((d for d, has in zip(decimals, dotted, strict=True) if has), default=0)
    )


def is_superlative(line: str) -> bool:
    """Returns whether a line tells the largest or smallest row of a sum."""
    return _LINE.match(line) is not None


def superlative_figure(line: str) -> list[str]:
    """Returns the figure of the row that a line tells as the largest or smallest, if it does."""
    match = _LINE.match(line)
    return [match[2]] if match else []


def missed_superlative(answer: str, lines: Sequence[str]) -> str:
    """Returns the first line on a sum, where an answer has neither row nor figure of any."""
    found = [match for line in lines if (match := _LINE.match(line))]
    said = words_of(answer)
    if any(words_of(match[1]) <= said or match[2] in answer for match in found):
        return ""
    return found[0].string if found else ""
