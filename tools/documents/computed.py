"""What a question asks to be computed, or looked up, done by code on rows of the evidence.

Small models know the formula and still write a wrong figure; larger ones spend a call. Growth and
the ratios of textbooks need two or three rows, which stand in the evidence. Each line says from
which figures and passages it comes; what lacks a row is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qwenbelt.tools.documents.definitions import Measure, measures_of
from qwenbelt.tools.documents.grounding import figures_of, shares_a_figure, words_of
from qwenbelt.tools.documents.group_changes import change_lines, is_change, missed_change
from qwenbelt.tools.documents.ratios import (
    BALANCE,
    CASH,
    COSTS,
    FORMULAS,
    INCOME,
    NAMES,
    PARTS,
    ROWS,
    Formula,
)
from qwenbelt.tools.documents.search.queries import understand
from qwenbelt.tools.documents.search.statements import asks_for_parts
from qwenbelt.tools.documents.superlatives import (
    is_superlative,
    missed_superlative,
    superlative_figure,
    superlative_lines,
)
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows, years_in

HIGHER, LOWER = "higher", "lower"
MOST_LINES = 4
MOST_YEARS = 3  # of a line, the latest first
MOST_MEANS = 10  # years that a mean may be of
PERCENT_BELOW = 2.0  # a ratio below is told in per cent too
LARGER = 1.5  # times a figure: the other one is of the whole group
SECOND = 0.8  # how well a second row must fit, against the best
LEAST_FIT = 0.5  # of a row's words that a question about its growth must have
_GROWTH = re.compile(
    r"高成长|成长型|\b(?:grow\w*|grew|growth|chang\w+|increas\w+|decreas\w+|declin\w+|drop\w*|fell|rose|"
    r"ris(?:e|en|ing)|improv\w+|year[- ]over[- ]year|yoy|cagr|compared (?:to|with))\b|"
    r"增长|同比|变化|变动|上升|下降|增加|减少|提高|降低",
    re.I,
)
# growth without a word of what grows is that of revenue
_OF_THE_WHOLE = re.compile(
    r"\b(?:high[- ]growth|fast[- ]growing|grow(?:th|ing|s|n)?) (?:compan|business|stock|firm)\w*|"
    r"\b(?:is|are|was|were) (?:the )?\S+ growing\b|高成长|高增长|成长型",
    re.I,
)
_MEAN_OF_YEARS = re.compile(
    r"\b(?:\d+|two|three|four|five)[- ]years? (?:\w+ )?(?:averages?|mean)\b|"
    r"\b(?:average|mean)\b.{0,80}\b(?:from|between|over|across) (?:the )?(?:years )?"
    r"(?:FY ?)?(?:19|20)?\d\d|"
    r"[两二三四五]年(?:的)?平均|年均值",
    re.I,
)
_PER_YEAR = re.compile(r"\bcagr\b|compound(?:ed)? annual growth|复合(?:年)?增长率|年复合增长", re.I)
_AMOUNT = re.compile(
    r"\b(?:what(?:'s| is| was| were| are)|how (?:much|many|high|large)|amount)\b|多少|是多少|几",
    re.I,
)
# the word before a row's name which makes it another row, as in "subscription revenue"
_WORD_BEFORE = re.compile(
    r"\b(?!total|net|years?|annual|fiscal|consolidated|reported|unadjusted)[A-Za-z][\w&-]+ (?=$)",
    re.I,
)
_ROSE = re.compile(
    r"\b(?:yes|higher|rose|risen|increas\w+|improv\w+|grew|grown|up from)\b|上升|提高|改善|增加",
    re.I,
)
_FELL = re.compile(
    r"\b(?:no|not|lower|fell|fallen|decreas\w+|declin\w+|dropp\w+|worse\w*|down from)\b|"
    r"下降|降低|恶化|减少|没有",
    re.I,
)
_UNITS = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_PRINTED_IN = re.compile(r"(?:\bin |\()(thousand|million|billion)s\b", re.I)
_ASKED_IN = re.compile(r"\bin (?:US\s?D?\s?|\$\s?|dollars? )?(thousand|million|billion)s?\b", re.I)
_RESULT = re.compile(
    r"(?:= |; change (?:from [^:;]+: )?|, (?=[+-][\d,.]+ ?%))([+-]?\d(?:[\d,]*\d)?(?:\.\d+)?)"
)
_PASSAGE = re.compile(r"\[\d{1,3}\]")
_LOOKED_UP = re.compile(r"\[\d+\]: \d{4}: ")
_OF_YEAR = re.compile(r"\b\d{4}: [($€£¥ ]*(\d(?:[\d,]*\d)?(?:\.\d+)?)")
_REASON = re.compile(
    r"\b(?:(?<!explain )why|drove|driv(?:er|en|ing)\w*|reasons?)\b|为什么|为何|原因", re.I
)


@dataclass(frozen=True, slots=True)
class _Amount:
    """A figure of a row in a year.

    Attributes:
        value: of a cost its size.
        printed: as it stands, or how it was made.
        passage: the number of its passage.
        label: of its row.
    """

    value: float
    printed: str
    passage: int
    label: str = ""


_Years = dict[int, _Amount]


def computed_lines(question: str, passages: Mapping[int, str]) -> tuple[str, ...]:
    """Returns what a question asks to be computed, a line each; none where nothing is.

    Args:
        question: what is asked.
        passages: the texts of the evidence by their numbers.
    """
    if _REASON.search(question):
        return ()  # of words, not of figures
    measures = measures_of(question)
    asked = [f for f in FORMULAS if f.asked.search(question) and not _is_defined(f, measures)]
    plain = not asked and not measures and not asks_for_parts(question)
    grows = plain and _GROWTH.search(question)
    looks_up = plain and not grows and _AMOUNT.search(question)
    other = bool(asked or measures)
    changed = dict(change_lines(question, passages)) if not other else {}
    lines = dict(changed)
    if not other and not changed:
        lines.update(superlative_lines(question, passages))
    if not other and not grows and not looks_up:
        return tuple(lines.values())
    rows = [(number, row) for number, text in passages.items() for row in figure_rows(text)]
    for measure in measures:
        line = _measure(measure, rows, question)
        if line:
            lines[measure.name] = line
    for formula in asked:
        line = lines.get(formula.name) or _ratio(formula, rows, question)
        if line:
            lines[formula.name] = line
    if grows and not changed:
        lines.update(_yearly_growth(question, rows) or _growth(question, rows, years_in(question)))
    if looks_up:
        lines.update(_stated(question, rows, passages))
    return tuple(lines.values())[:MOST_LINES]


def _stated(
    question: str, rows: list[tuple[int, FigureRow]], passages: Mapping[int, str]
) -> Iterator[tuple[str, str]]:
    """Yields the rows of statements that a question names, with the years that it asks for."""
    asked = years_in(question)
    for name in _named(question, rows):
        item = _item(name, rows)
        years = [year for year in sorted(item, reverse=True) if year in asked]
        if years:
            one = item[years[0]]
            printed = _unit(passages[one.passage])
            told = "; ".join(
                f"{year}: {item[year].printed}{_in_unit(item[year].value, printed, question)}"
                for year in years
            )
            unit = f" (in {printed}s)" if printed else ""
            yield name, f"{name}: {one.label} [{one.passage}]: {told}{unit}"


def _named(question: str, rows: list[tuple[int, FigureRow]]) -> Iterator[str]:
    """Yields the items that a question names, without those of which it names a part.

    "Subscription revenue" is not revenue, where a row has both words.
    """
    labels = [words_of(row.label) for _, row in rows]
    matches = {name: found for name, one in NAMES.items() if (found := one.search(question))}
    for name, found in matches.items():
        wider = (
            o for o in matches.values() if o.start() < found.start() and o.end() == found.end()
        )
        before = _WORD_BEFORE.search(question[: found.start()])
        kind = words_of(before[0]) if before else set()
        part = any(kind & label and words_of(found[0]) & label for label in labels)
        if not part and not any(wider):  # as revenue is of "cost of revenue"
            yield name


def _unit(text: str) -> str:
    """Returns the unit that a page prints its amounts in, if it is one."""
    units = {unit.lower() for unit in _PRINTED_IN.findall(text)}
    return units.pop() if len(units) == 1 else ""


def _in_unit(value: float, printed: str, question: str) -> str:
    """Returns an amount in the unit that the question asks for, where that is another one."""
    wanted = _ASKED_IN.search(question)
    unit = wanted[1].lower() if wanted else ""
    if not printed or not unit or unit == printed:
        return ""
    return f" = {value * _UNITS[printed] / _UNITS[unit]:,.3f} {unit}"


def _is_defined(formula: Formula, measures: Iterable[Measure]) -> bool:
    """Returns whether the question defines the ratio itself, or in other words the same."""
    return any(formula.asked.search(m.name) or formula.name == m.name for m in measures)


def _items(names: Collection[str], rows: list[tuple[int, FigureRow]]) -> dict[str, _Years]:
    """Returns items by year, those of a statement from one passage; none where one lacks."""
    items: dict[str, _Years] = {}
    for statement in (frozenset(INCOME), frozenset(BALANCE), frozenset(CASH)):
        items.update(_of_one_passage([name for name in names if name in statement], rows))
    return items if all(items.get(name) for name in names) else {}


def _measure(measure: Measure, rows: list[tuple[int, FigureRow]], question: str) -> str:
    """Returns the line of a measure that the question defines, or "" where a figure lacks."""
    items, asked = _items(measure.rows, rows), years_in(question)
    if not items:
        return ""

    def figure(row: str, year: int) -> tuple[float, str] | None:
        amount = items[row].get(year)
        return (amount.value, f"{amount.printed} [{amount.passage}]") if amount else None

    known = sorted(set().union(*items.values()), reverse=True)
    chosen = asked[-1:] if measure.dated else _chosen(known, question)
    if asked and not set(chosen) & set(asked):
        return ""  # of years that are not asked for
    found = {year: one for year in chosen if (one := measure.value(year, figure)) is not None}
    parts = []
    for year, (value, made) in found.items():
        told = _short(value, whole=not measure.is_ratio)
        if measure.percent:
            told = f"{100 * value:,.1f} %"
        elif measure.is_ratio and abs(value) < PERCENT_BELOW:
            told = f"{told} = {100 * value:,.1f} %"
        parts.append(f"{year}: {made} = {told}")
    if not parts:
        return ""
    scale = 100 if measure.percent else 1
    values = {year: scale * value for year, (value, _) in found.items()}
    mean = _mean_of_years(values, question, percent=measure.percent)
    return f"{measure.name}: {'; '.join(parts)}{mean or _direction(values)}"


def _mean_of_years(values: Mapping[int, float], question: str, *, percent: bool) -> str:
    """Returns the mean over the years that a question asks for, or "" where it asks for none."""
    asked = years_in(question)
    if not _MEAN_OF_YEARS.search(question) or len(asked) < 2:
        return ""
    years = range(asked[0], asked[-1] + 1)
    if not all(year in values for year in years):
        return ""
    mean = sum(values[year] for year in years) / len(years)
    told = f"{mean:,.1f} %" if percent else f"{mean:,.2f}"
    return f"; mean of {asked[0]} to {asked[-1]} = {told}"


def _ratio(formula: Formula, rows: list[tuple[int, FigureRow]], question: str) -> str:
    """Returns the line of a formula, or "" where a row lacks."""
    items = _items([name for _, name in (*formula.over, *formula.under)], rows)
    if not items:
        return ""
    if formula.mean:
        items[formula.mean] = _means(items[formula.mean])
    years = sorted(set.intersection(*(set(found) for found in items.values())), reverse=True)
    parts: list[str] = []
    values: dict[int, float] = {}
    for year in _chosen(years, question):
        over, made = _sum(formula.over, items, year)
        under, by = _sum(formula.under, items, year) if formula.under else (1.0, "")
        if under == 0:
            continue
        values[year] = value = over / under * (100 if formula.percent else 1)
        told = f"{value:,.1f} %" if formula.percent else _short(value, whole=not formula.under)
        parts.append(f"{year}: {made}{f' / {by}' if by else ''} = {told}")
    mean = _mean_of_years(values, question, percent=formula.percent)
    return f"{formula.name}: {'; '.join(parts)}{mean or _direction(values)}" if parts else ""


def _direction(values: Mapping[int, float]) -> str:
    """Returns in words where the latest year is: a small model calls 34.6 higher than 36.8."""
    (new, value), *others = values.items()
    if not others or round(value, 2) == round(others[0][1], 2):
        return ""
    words = HIGHER if value > others[0][1] else LOWER
    return f"; {new} is {words} than {others[0][0]}"


def results_of(lines: Iterable[str]) -> list[str]:
    """Returns what lines computed or looked up, without the figures that it was computed from."""
    found: list[str] = []
    for line in lines:
        found += [*_RESULT.findall(line), *superlative_figure(line)]
        if _LOOKED_UP.search(line) and "; change " not in line:
            found += _OF_YEAR.findall(line)
    return found


def contradicted(answer: str, lines: Sequence[str]) -> str:
    """Returns the line that an answer is against, or "": a ratio rose where the line says it fell.

    Or, asked for the largest row of a sum, or the one that changed most, names another one; or has
    figures and none of those that were computed or looked up for the question.
    """
    for line in lines:
        rose, fell = f" is {HIGHER} than " in line, f" is {LOWER} than " in line
        if rose != fell:
            against, with_ = (_FELL, _ROSE) if rose else (_ROSE, _FELL)
            if against.search(answer) and not with_.search(answer):
                return line
    missed = missed_superlative(answer, lines) or missed_change(answer, lines)
    if missed or not any(figures_of(answer)):
        return missed
    rows = [line for line in lines if is_superlative(line) or is_change(line)]
    told = [] if rows else [_PASSAGE.sub(" ", line) for line in lines]
    return lines[0] if told and not shares_a_figure(answer, told) else ""


def _chosen(years: list[int], question: str) -> list[int]:
    """Returns which of descending years are told: those asked for and the one before.

    Or, where a mean of years is asked for, all from the first to the last.
    """
    asked = years_in(question)
    if not asked:
        return years[:MOST_YEARS]
    if len(asked) > 1 and _MEAN_OF_YEARS.search(question):
        return [year for year in years if asked[0] <= year <= asked[-1]][:MOST_MEANS]
    wanted = {*asked, min(asked) - 1} if len(asked) == 1 else set(asked)
    return [year for year in years if year in wanted][:MOST_YEARS] or years[:MOST_YEARS]


def _sum(
    items: Iterable[tuple[int, str]], found: Mapping[str, _Years], year: int
) -> tuple[float, str]:
    total, words = 0.0, ""
    several = len(list(items)) > 1
    for sign, name in items:
        amount = found[name][year]
        total += sign * amount.value
        joint = (" - " if sign < 0 else " + ") if words else ""
        words += f"{joint}{amount.printed} [{amount.passage}]"
    return total, f"({words})" if several else words


def _of_one_passage(names: list[str], rows: list[tuple[int, FigureRow]]) -> dict[str, _Years]:
    """Returns items of one statement, all of the same passage: others tell of parts or others."""
    best: dict[str, _Years] = {}
    for number in dict.fromkeys(number for number, _ in rows):
        own = [entry for entry in rows if entry[0] == number]
        if names and names[0] in BALANCE and _item("operating cash flow", own):
            continue  # it has the changes of these rows
        found = {name: _item(name, own) for name in names}
        if all(found.values()) and _size(found) > _size(best):
            best = found
    if len(names) > 1 and best and _is_part(best, rows):
        return {}  # the one that has them all is a part of the business
    return best


def _is_part(found: Mapping[str, _Years], rows: list[tuple[int, FigureRow]]) -> bool:
    """Returns whether a passage has clearly more of an item, and clearly less of none.

    One that has less of another is a part itself: a group that issues bonds has income of others.
    """
    more: dict[int, set[bool]] = {}
    for number, row in rows:
        names = [n for n in found if any(p.fullmatch(_label(row)) for p in ROWS[n])]
        for year, value in zip(row.years, row.values, strict=False):
            for own in (found[name][year].value for name in names if year in found[name]):
                if value and abs(value) > LARGER * abs(own):
                    more.setdefault(number, set()).add(True)
                elif value and LARGER * abs(value) < abs(own):
                    more.setdefault(number, set()).add(False)
    return any(signs == {True} for signs in more.values())


def _size(found: Mapping[str, _Years]) -> tuple[float, float]:
    """Returns the number of years, then how large the figures are: a group's are the largest."""
    years = min((len(item) for item in found.values()), default=0)
    return years, sum(abs(amount.value) for item in found.values() for amount in item.values())


def _item(name: str, rows: list[tuple[int, FigureRow]]) -> _Years:
    """Returns an item by year: of the label that fits best, the row with the most years."""
    for pattern in ROWS[name]:
        fitting = [(n, row) for n, row in rows if row.years and pattern.fullmatch(_label(row))]
        if fitting:
            number, row = max(fitting, key=lambda entry: len(entry[1].years))
            return {
                year: _amount(name, value, printed, number, row.label)
                for year, value, printed in zip(row.years, row.values, row.printed, strict=True)
                if value is not None
            }
    return _of_parts(name, rows)


def _of_parts(name: str, rows: list[tuple[int, FigureRow]]) -> _Years:
    """Returns an item as the sum of rows that follow each other, where it has no row of its own."""
    parts: list[FigureRow] = []
    passage = 0
    for number, row in rows:
        fits = name in PARTS and row.years and PARTS[name].fullmatch(_label(row))
        if fits and (not parts or (number == passage and row.years == parts[0].years)):
            parts.append(row)
            passage = number
        elif len(parts) > 1:
            break
        else:
            parts = []
    if len(parts) < 2:
        return {}
    found = {}
    for year in parts[0].years:
        values = [part.value(year) for part in parts]
        told = [
            printed.strip("$€£¥ ")
            for part in parts
            for one, printed in zip(part.years, part.printed, strict=True)
            if one == year
        ]
        if None not in values:
            total = sum(value for value in values if value is not None)
            found[year] = _Amount(total, f"({' + '.join(told)})", passage, parts[0].label)
    return found


def _amount(name: str, value: float, printed: str, passage: int, label: str) -> _Amount:
    if name in COSTS:
        return _Amount(abs(value), printed.strip("$€£¥ ()（）-–"), passage, label)
    return _Amount(value, printed.strip("$€£¥ "), passage, label)


def _label(row: FigureRow) -> str:
    return " ".join(re.sub(r"[—–]| - ", " ", row.label).split()).strip(" :：")


def _means(years: _Years) -> _Years:
    """Returns the mean of each year and the one before."""
    out = {}
    for year, amount in years.items():
        before = years.get(year - 1)
        if before is not None:
            words = f"mean of {amount.printed} and {before.printed}"
            out[year] = _Amount((amount.value + before.value) / 2, words, amount.passage)
    return out


def _yearly_growth(question: str, rows: list[tuple[int, FigureRow]]) -> dict[str, str]:
    """Returns the changes of the rows of statements that the question names, by label."""
    asked = years_in(question)
    found: dict[str, str] = {}
    for name in _named(question, rows):
        item = _of_one_passage([name], rows).get(name, {})
        years = [year for year in sorted(item, reverse=True) if not asked or year <= asked[-1]]
        chosen = [year for year in years if year in asked] if len(asked) > 1 else years[:2]
        if len(chosen) < 2 or (asked and chosen[0] != asked[-1]):
            continue
        new, old = item[chosen[0]], item[chosen[-1]]
        if _PER_YEAR.search(question):
            found[name] = _per_year(name, chosen[0], new, chosen[-1], old)
        if name not in found and old.value:
            printed = (chosen[-1], old.value, chosen[0], new.value)
            found[name] = _changed(new.label, new.passage, *printed, "")
    return {name: line for name, line in found.items() if line}


def _per_year(name: str, last: int, new: _Amount, first: int, old: _Amount) -> str:
    """Returns the compound annual growth rate of an item, or "" where there is none."""
    if new.value <= 0 or old.value <= 0:
        return ""
    rate = 100 * ((new.value / old.value) ** (1 / (last - first)) - 1)
    made = f"({new.printed} [{new.passage}] / {old.printed} [{old.passage}])"
    return f"{name} CAGR: {first} to {last}: {made}^(1/{last - first}) - 1 = {rate:,.1f} %"


def _changed(
    label: str, number: int, first: int, old: float, last: int, new: float, by: str
) -> str:
    """Returns the line of a row's change between two years, in per cent or as told."""
    told = f"{label} [{number}]: {first}: {_short(old)}, {last}: {_short(new)}"
    by = by or f"{(new - old) / abs(old) * 100:+,.1f} %"
    return f"{told}; change {_short(new - old)}, {by}"


def _growth(
    question: str, rows: list[tuple[int, FigureRow]], asked: list[int]
) -> Iterator[tuple[str, str]]:
    """Yields the change of the rows that the question is about, by label."""
    query = understand(question)
    own, others = words_of(" ".join(query.terms)), words_of(" ".join(query.others))
    found = [words.search(question) for words in NAMES.values()]
    named = [one[0].lower().replace("&", "and") for one in found if one and " " in one[0]]
    scored = []
    for place, (number, row) in enumerate(rows):
        words = words_of(row.label)
        if named and not any(name in row.label.lower() for name in named):
            continue  # of another row than the one that is named
        fit = len(words & own) + 0.6 * len((words & others) - own)
        columns = max(len(set(row.years)), len(row.dates))
        if columns >= 2 and words and fit / len(words) >= LEAST_FIT:
            scored.append((-fit * (fit / len(words)), place, number, row))
    scored.sort(key=lambda entry: entry[:2])
    if not scored and _OF_THE_WHOLE.search(question):
        revenue = _item("revenue", rows)
        scored = [
            (-1.0, place, number, row)
            for place, (number, row) in enumerate(rows)
            if any((a.passage, a.label) == (number, row.label) for a in revenue.values())
        ]
    best = [entry for entry in scored[:2] if entry[0] <= SECOND * scored[0][0]]
    for _, _, number, row in best:
        if not row.years:
            yield from _dated_growth(number, row)
            continue
        years = sorted(set(row.years), reverse=True)
        chosen = [year for year in years if year in asked] if len(asked) > 1 else years
        if asked and len(chosen) >= 2 and asked[-1] in years and len(asked) == 1:
            chosen = years[years.index(asked[-1]) :]
        if len(chosen) < 2:
            continue
        new, old = row.value(chosen[0]), row.value(chosen[1])
        if new is None or old is None or old == 0:
            continue
        by = "percentage points" if all("%" in printed for printed in row.printed) else ""
        yield (
            row.label.lower(),
            _changed(row.label, number, chosen[1], old, chosen[0], new, by),
        )


def _dated_growth(number: int, row: FigureRow) -> Iterator[tuple[str, str]]:
    """Yields the changes to the first of dated columns, as quarterly reports have them."""
    (day, new), *others = zip(row.dates, row.values, strict=True)
    before = [f"{date}: {_short(value)}" for date, value in others if value is not None]
    if new is None:
        return
    changes = [
        f"; change from {date} to {day}: {_short(new - old)}, {(new - old) / abs(old):+,.1%}"
        for date, old in others
        if old
    ]
    if changes:
        told = "; ".join((f"{day}: {_short(new)}", *before))
        yield row.label.lower(), f"{row.label} [{number}]: {told}{''.join(changes)}"


def _short(value: float, *, whole: bool = True) -> str:
    """Returns a number as people write it: whole amounts as they are, ratios with two decimals."""
    if whole and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}"
