"""Rows of tables in a page's text: a label, figures, and the years of the columns where told.

A table's cells stand apart by two spaces or a bar, its header above its rows. A row counts only
where its figures are plain: a row with words between them is another kind of table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_ROW = 300  # characters
SHORTEST_BEGUN = 20  # characters of a label that goes on in the next line
LONGEST_HEADER = 14  # words beside the years
_CELLS = re.compile(r"\s{2,}|\s*\|\s*|\t")
_FIGURE = re.compile(r"[-–(]?\s*[$€£¥]?\s*(\(?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*\)?\s*%?\)?")
_SIGNS = frozenset(("$", "€", "£", "¥", "%", ")", "US$", "A$", "C$"))
# beside a label, and no figure: the level of a fair value, the number of a note, a footnote's sign
_ASIDE = re.compile(r"(?:level|notes?|附注)\s*\d[\d, ]*|第[一二三]层次|\([a-z]\)", re.I)
_NOTHING = frozenset(("—", "–", "-", "－"))
_YEAR = re.compile(r"(?<!\d)(?:FY\s?)?((?:19|20)\d\d)(?!\d)", re.I)
_ASKED_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)|\bFY\s?['’]?(\d\d)(?!\d)", re.I)
_WORD = re.compile(r"[^\W\d_]+")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\b{_MONTH} \d{{1,2}}, ?(?:19|20)\d\d\b|\b\d{{1,2}} {_MONTH} (?:19|20)\d\d\b|"
    r"(?<!\d)(?:19|20)\d\d(?:-\d\d-\d\d(?!\d)|年\d{1,2}月\d{1,2}日)"
)
_PERIOD = re.compile(r"^\s*(?:19|20)\d\d(?:\s*年度?)?\s*$")


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A row of a table.

    Attributes:
        label: its first cell.
        values: its figures, left to right; None for a dash.
        years: the year of each figure, or none where the header tells no year for each.
        printed: the figures as they stand.
        dates: the day of each figure, where the header tells one for each, all different.
        heads: the years of the header as they stand, whether or not they fit the figures.
    """

    label: str
    values: tuple[float | None, ...]
    years: tuple[int, ...]
    printed: tuple[str, ...]
    dates: tuple[str, ...] = ()
    heads: tuple[int, ...] = ()

    def value(self, year: int) -> float | None:
        """Returns the figure of a year, or None; the first of several."""
        return self.values[self.years.index(year)] if year in self.years else None


def years_in(question: str) -> list[int]:
    """Returns the years that a question names, ascending: 2023, FY2023, FY23."""
    found = {int(long or f"20{short}") for long, short in _ASKED_YEAR.findall(question)}
    return sorted(found)


def figure_rows(text: str) -> Iterator[FigureRow]:
    """Yields the rows of the tables of a text, top to bottom."""
    header: tuple[int, ...] = ()
    days: tuple[str, ...] = ()
    above = ""
    for line in text.split("\n"):
        begun, above = above, line.strip()
        cells = [cell for cell in _CELLS.split(line.strip(" |")) if cell]
        years = _header(line, cells)
        if years:
            header, days = years, tuple(_DATE.findall(line))
            continue
        row = _row(line, cells)
        if row is not None:
            label, values, printed = row
            if label[:1].islower() and _is_begun(begun):
                label = f"{begun} {label}"
            fits = len(header) == len(values) and len(set(header)) == len(header)
            dated = len(days) == len(values) and len(set(days)) == len(days)
            told, dates = header if fits else (), days if dated else ()
            yield FigureRow(label, values, told, printed, dates, header)


def _is_begun(line: str) -> bool:
    """Returns whether a line is the first part of a label that goes on in the next one."""
    return (
        len(line) >= SHORTEST_BEGUN
        and line[:1].isupper()
        and not line.endswith((".", ":"))
        and len(_CELLS.split(line)) == 1
        and not _FIGURE.fullmatch(line.rpartition(" ")[2])
    )


def _header(line: str, cells: list[str]) -> tuple[int, ...]:
    """Returns the years of a line that is a table's header, or none."""
    years = tuple(int(year) for year in _YEAR.findall(line))
    if not years or len(_WORD.findall(line)) > LONGEST_HEADER:
        return ()
    others = [c for c in cells if not _YEAR.search(c) and _FIGURE.fullmatch(c)]
    if others:
        return ()  # a row about a year, not a header
    if len(years) == 1 and not any(_PERIOD.match(cell) for cell in cells):
        return ()
    return years


def _row(
    line: str, cells: list[str]
) -> tuple[str, tuple[float | None, ...], tuple[str, ...]] | None:
    if len(cells) < 2 or len(line) > LONGEST_ROW or _FIGURE.fullmatch(cells[0]):
        return None
    values: list[float | None] = []
    printed: list[str] = []
    for cell in cells[1:]:
        if cell in _SIGNS or _ASIDE.fullmatch(cell):
            continue
        if cell in _NOTHING:
            values.append(None)
            printed.append(cell)
            continue
        match = _FIGURE.fullmatch(cell.strip("$€£¥ "))
        if match is None:
            return None
        size = float(match[2].replace(",", "") + (match[3] or ""))
        values.append(-size if cell.lstrip("$€£¥ ").startswith(("(", "-", "–")) else size)
        printed.append(cell)
    return (cells[0], tuple(values), tuple(printed)) if printed else None
