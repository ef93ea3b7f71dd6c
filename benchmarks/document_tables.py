"""Compares the cells of ruled tables with those that pdfplumber finds, cell by cell.

    python benchmarks/document_tables.py FILE.pdf|FOLDER... [--every N] [--show N]

A table counts if pdfplumber's `extract_tables()` gives it at least two rows and two columns with
text, and a row with two values, signs such as "$" aside: the shaded column of a statement is none.
A cell is equal if its text is, spaces aside; each of ours is used once. Tables that pdfplumber
misreads are counted apart: those in the fonts Symbol and ZapfDingbats, of which it knows no
characters, mirrored text, which it reads backwards, and shapes whose edges cut words in most cells
with text, which are drawings (words are kept whole here). With `--every N` only every Nth page of a
file is looked at.
"""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pdfplumber

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.pdf.reader import read_pages


@dataclass
class Tally:
    """What was compared of one folder."""

    pages: int = 0
    tables: int = 0
    misread: int = 0
    cells: int = 0
    equal: int = 0
    refused: int = 0
    differing: list[str] = field(default_factory=list)


Rows = list[list[str | None]]
_SIGNS = re.compile(r"[$€£¥￥%()]*")
_UNKNOWN_FONTS = ("Symbol", "ZapfDingbats")


def is_table(rows: Rows) -> bool:
    texts = [["".join((cell or "").split()) for cell in row] for row in rows]
    columns = sum(any(column) for column in zip(*texts, strict=True))
    values = [sum(not _SIGNS.fullmatch(cell) for cell in row) for row in texts]
    return sum(any(row) for row in texts) >= 2 and columns >= 2 and max(values) >= 2


def is_misread(page: Any, table: Any) -> bool:
    """Says whether most of a table is text that pdfplumber cannot read or reads backwards."""
    x0, top, x1, bottom = table.bbox
    inside = [c for c in page.chars if x0 <= c["x0"] < x1 and top <= c["top"] < bottom]
    wrong = sum(c["fontname"] in _UNKNOWN_FONTS or _is_mirrored(c["matrix"]) for c in inside)
    return wrong > len(inside) / 2 or _cuts_words(page, table)


def _cuts_words(page: Any, table: Any) -> bool:
    """Says whether most cells with text have a word across one of their upright edges."""
    words = page.extract_words()
    filled = cutting = 0
    for x0, top, x1, bottom in table.cells:
        here = [
            w
            for w in words
            if top <= (w["top"] + w["bottom"]) / 2 < bottom and w["x0"] < x1 and w["x1"] > x0
        ]
        filled += bool(here)
        cutting += any(w["x0"] < edge - 1 and edge + 1 < w["x1"] for w in here for edge in (x0, x1))
    return cutting > filled / 2


def _is_mirrored(matrix: tuple[float, ...]) -> bool:
    a, b, c, d, *_ = matrix
    return a * d - b * c < 0 or a < 0


def cells(rows: list[list[Any]]) -> Counter[str]:
    texts = ("".join((cell or "").split()) for row in rows for cell in row)
    # "(cid:7)" is what pdfplumber gives where it cannot read a font: nothing to compare with
    return Counter(text for text in texts if text and "(cid:" not in text)


def compare(file: Path, every: int, tally: Tally) -> None:
    for number, wanted, misread in _oracle(file, every):
        tally.pages += 1
        tally.misread += misread
        if not wanted:
            continue
        try:
            page = next(read_pages(file, [number]))
        except InputError:
            tally.refused += 1
            continue
        have = sum((cells(table.rows) for table in page.tables), Counter[str]())
        for rows in wanted:
            need = cells(rows)
            found = need & have
            have -= found
            tally.tables += 1
            tally.cells += need.total()
            tally.equal += found.total()
            if found != need:
                tally.differing.append(f"{file.name} p.{number}: {_difference(need - found)}")


def _difference(missing: Counter[str]) -> str:
    return f"{missing.total()} cells, such as {' | '.join(list(missing)[:4])[:160]}"


def _oracle(file: Path, every: int) -> Iterator[tuple[int, list[Rows], int]]:
    """Yields the number of each page, its tables, and how many more pdfplumber misreads."""
    try:
        with pdfplumber.open(file) as document:
            for page in document.pages[::every]:
                try:
                    found = [(t.extract(), is_misread(page, t)) for t in page.find_tables()]
                except Exception:
                    found = []  # pdfminer stumbles over some of the odd files
                tables = [(rows, wrong) for rows, wrong in found if is_table(rows)]
                right = [rows for rows, wrong in tables if not wrong]
                yield page.page_number, right, len(tables) - len(right)
                page.close()
    except Exception:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="tables that differ, for each source")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print("| source | pages | misread tables | ruled tables | cells | equal | share |")
    print("|---|---|---|---|---|---|---|")
    for source in given.sources:
        tally = Tally()
        for file in sorted(source.rglob("*.pdf")) if source.is_dir() else [source]:
            compare(file, given.every, tally)
        share = tally.equal / max(tally.cells, 1)
        print(
            f"| {source.name} | {tally.pages} | {tally.misread} | {tally.tables} | {tally.cells} "
            f"| {tally.equal} | {share:.4f} |",
            flush=True,
        )
        for line in tally.differing[: given.show]:
            print("    ", line)


if __name__ == "__main__":
    main()
