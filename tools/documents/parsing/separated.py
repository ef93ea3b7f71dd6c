"""Tables of separated values become blocks; the dialect is what parses most evenly."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.pagination import Block, Note, Paragraph, TableRows

MAX_CELLS = 5_000_000
MAX_FIELD = 10_000_000  # characters of one field
_SAMPLE = 65_536
_SEPARATORS = "\t;|,"  # the first wins where several parse as evenly
_NAMED = re.compile(r"\A\s*\"?sep=(.|\\t)\"?[ \t]*(?:\r\n|\r|\n|\Z)", re.I)
_ESCAPED = re.compile(r"\\\"(?![,;\t|\r\n]|\Z)")  # inside of a value
MAX_LINES = 50  # in one field: more means that a quote was never closed
_PREAMBLE = 20  # rows above the header

Rows = list[list[str]]


class SeparatedDialect(NamedTuple):
    """How values are separated and quoted."""

    separator: str
    quoted: bool = True
    escaped: bool = False

    def rows(self, text: str) -> Rows:
        """Returns the rows of a text."""
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            doublequote=not self.escaped,
            escapechar="\\" if self.escaped else None,
            skipinitialspace=self.separator != "\t",
        )
        return [row for row in reader if any(row)]


def separated_blocks(text: str, suffix: str) -> Iterator[Block]:
    """Yields the table of a CSV or TSV file, and what is above it."""
    csv.field_size_limit(MAX_FIELD)
    named = _NAMED.match(text)
    if named:
        text = text[named.end() :]
        separator = "\t" if named[1] == "\\t" else named[1]
        dialect = _quoting(text[:_SAMPLE], separator)
    else:
        dialect = _quoting(text[:_SAMPLE], "\t") if suffix == ".tsv" else _likeliest(text)
    try:
        rows = dialect.rows(text)
        if any(cell.count("\n") > MAX_LINES for row in rows for cell in row):
            rows = dialect._replace(quoted=False).rows(text)
            yield Note("A quote that is never closed was read as a character.")
    except csv.Error:
        yield Paragraph(text)  # not as regular as its name promises: still text
        return
    if sum(map(len, rows)) > MAX_CELLS:
        raise InputError(f"has more than {MAX_CELLS} cells.")
    rows = [[cell.strip() for cell in row] for row in rows]
    above = _above(rows)
    for row in above:
        yield Paragraph("  ".join(filter(None, row)))
    yield TableRows(rows[len(above) :])


def _above(rows: Rows) -> Rows:
    """Returns the rows above a table's header: they have one value where the table has several."""
    widths = Counter(sum(1 for cell in row if cell) for row in rows[:1000])
    if not widths or widths.most_common(1)[0][0] < 2:
        return []
    above = list(takewhile(lambda row: sum(1 for c in row if c) == 1, rows[: _PREAMBLE + 1]))
    fits = len(above) <= _PREAMBLE and len(above) < len(rows)
    return above if fits else []


def _likeliest(text: str) -> SeparatedDialect:
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE and "\n" in sample:
        sample = sample[: sample.rfind("\n")]
    tried = [_quoting(sample, separator) for separator in _SEPARATORS]
    return max(tried, key=lambda dialect: _evenness(dialect, sample))


def _evenness(dialect: SeparatedDialect, sample: str) -> float:
    """Returns the share of rows that have the commonest number of values, if that is above 1."""
    try:
        rows = dialect.rows(sample)
    except csv.Error:
        return 0.0
    widths = Counter(map(len, rows))
    wide = {width: count for width, count in widths.items() if width > 1}
    if not wide:
        return 0.0
    share = max(wide.values()) / len(rows)
    if dialect.separator == "," and ";" in sample:
        commas = sample.count(",")
        decimal = len(re.findall(r"\d,\d", sample))
        share -= 0.5 if decimal > 0.5 * commas else 0.0
    return share


def _quoting(sample: str, separator: str) -> SeparatedDialect:
    escaped = _ESCAPED.search(sample) is not None and '""' not in sample
    return SeparatedDialect(separator, True, escaped)
