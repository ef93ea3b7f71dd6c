"""Right digits from the wrong row: how many does the check of answers catch, what does it doubt?

    python benchmarks/wrong_rows.py --filings FILINGS [--show]

FILINGS has `needed.jsonl` ({"id", "file", "question", "answer", "pages", "needed"} a line) and
`pdfs/`. Each needed figure is looked up on the pages of its answer, and made into claims that cite
its page, with the label of its row:

- **right**: "LABEL was FIGURE." and the figure alone, which must both pass;
- **wrong**: the same sentence with the figure of another row in the same column of the page, of the
  nearest rows above and below and of one that is drawn; all digits stand on the cited page;
- **wrong, as an answer**: the published answer with that figure in place of the needed one;
- **with its year / of another year**: "LABEL was FIGURE in YEAR." of all rows of these pages whose
  columns are years, each figure with each of the years;
- **published**: the published answers themselves, citing their pages, which must pass.

Wrong claims whose figure says the same elsewhere (a row printed twice) are left out. Nothing is
asked of a model.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.tools.documents.computed import computed_lines, results_of
from qwenbelt.tools.documents.grounding import CitedText, Claim, check_claims
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.table_rows import FigureRow, figure_rows

DRAWN, NEAREST = 1, 1  # other rows of a figure: drawn, and on each side
SEED = 1
SHORTEST = 6  # characters of a label that tells a row
_NOTE = re.compile(r"\s*The answer here assumes.*", re.S)  # of those who made the set
_LABEL = re.compile(r"\s*[(\[]?[a-z0-9*]{1,2}[)\]]\s*$")  # a footnote's mark


@dataclass(frozen=True)
class Case:
    """A claim, and whether it is right."""

    kind: str
    claim: str
    question: str
    cited: tuple[CitedText, ...]
    right: bool


def cases_of(row: Mapping[str, Any], pages: Mapping[int, str], draw: random.Random) -> list[Case]:
    """Returns the claims that are made of a question."""
    question, answer = row["question"], _NOTE.sub("", row["answer"])
    cited = tuple(CitedText(page, pages[page]) for page in row["pages"])
    found = [Case("published", answer, question, cited, True)]
    for wanted in row["needed"]:
        for page, rows, at, column in _places(wanted, row["pages"], pages):
            own, one = rows[at], (CitedText(page, pages[page]),)
            figure, label = own.printed[column], _LABEL.sub("", own.label)
            found.append(Case("right", f"{label} was {figure}.", question, one, True))
            found.append(Case("right, bare", figure, question, one, True))
            for other in _others(rows, at, column, draw):
                swapped = other.printed[column]
                found.append(Case("wrong", f"{label} was {swapped}.", question, one, False))
                if figure in answer:
                    said = answer.replace(figure, swapped)
                    found.append(Case("wrong, as an answer", said, question, cited, False))
            break  # the first place of a figure is enough
    return found


def _places(
    wanted: str | Sequence[str], numbers: Sequence[int], pages: Mapping[int, str]
) -> Iterator[tuple[int, list[FigureRow], int, int]]:
    """Yields where a needed figure stands in a row: page, its rows, the row and its column."""
    strings = [wanted] if isinstance(wanted, str) else wanted
    figures = {re.sub(r"[^\d.,]", "", one).strip(".,") for one in strings}
    for number in numbers:
        rows = list(figure_rows(pages[number]))
        for at, row in enumerate(rows):
            for column, printed in enumerate(row.printed):
                if re.sub(r"[^\d.,]", "", printed) in figures and any(
                    c.isalpha() for c in row.label
                ):
                    yield number, rows, at, column


def _others(
    rows: list[FigureRow], at: int, column: int, draw: random.Random
) -> Iterator[FigureRow]:
    """Yields rows with another figure in a column: the nearest on each side, and a drawn one."""
    own = rows[at]
    fit = [
        place
        for place, row in enumerate(rows)
        if len(row.values) == len(own.values)
        and row.values[column] is not None
        and abs(row.values[column] or 0.0) not in {abs(v) for v in own.values if v is not None}
        and row.label != own.label
        and any(c.isalpha() for c in row.label)
        and len(re.sub(r"\D", "", row.printed[column])) > 1  # one digit is no figure to check
    ]
    near = [p for p in fit if p < at][-NEAREST:] + [p for p in fit if p > at][:NEAREST]
    rest = [p for p in fit if p not in near]
    near += draw.sample(rest, min(DRAWN, len(rest)))
    values = set()
    for place in near:
        if rows[place].values[column] not in values:
            values.add(rows[place].values[column])
            yield rows[place]


def with_years(pages: Mapping[int, str]) -> Iterator[Case]:
    """Yields the figures of all rows whose years are known, with their year and with the others."""
    for number, text in pages.items():
        for row in figure_rows(text):
            label = _LABEL.sub("", row.label)
            for year, own in zip(row.years, row.values, strict=False):
                for value, printed in zip(row.values, row.printed, strict=True):
                    if own is None or value is None or len(label) < SHORTEST:
                        continue
                    claim = f"{label} was {printed.strip('$ ')} in {year}."
                    right = value == own
                    kind = "right, with its year" if right else "of another year"
                    yield Case(kind, claim, "", (CitedText(number, text),), right)


def main() -> None:
    """Prints what is caught and what is doubted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filings", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="what was missed, and doubted")
    args = parser.parse_args()
    lines = (args.filings / "needed.jsonl").read_text("utf-8").splitlines()
    known = {r["id"]: r for r in _read(args.filings / "questions.jsonl")}
    questions = [{**known.get(r["id"], {}), **r} for r in map(json.loads, lines) if r["pages"]]
    total: Counter[str] = Counter()
    good: Counter[str] = Counter()
    draw = random.Random(SEED)
    seen: set[tuple[str, int]] = set()
    for row in questions:
        pages = _pages(args.filings / "pdfs" / row["file"], row["pages"])
        fresh = {n: text for n, text in pages.items() if (row["file"], n) not in seen}
        seen.update((row["file"], n) for n in fresh)
        for case in [*cases_of(row, pages, draw), *with_years(fresh)]:
            passages = {number: page.text for number, page in enumerate(case.cited, 1)}
            made = results_of(computed_lines(case.question, passages))  # as the product does
            checks = check_claims([Claim(case.claim, case.cited)], case.question, computed=made)
            doubted = any(not check.ok for check in checks)
            total[case.kind] += 1
            good[case.kind] += doubted != case.right
            if args.show and doubted == case.right:
                why = ", ".join(f"{c.status} {c.figure}" for c in checks if not c.ok)
                print(f"  {row['id']} {case.kind} {why}: {case.claim[:160]!r}")
    print("| claims | judged right |\n|---|---|")
    for kind in sorted(total):
        print(f"| {kind} | {good[kind]} of {total[kind]} |")


def _pages(file: Path, numbers: Sequence[int]) -> dict[int, str]:
    with open_document(file, None) as opened:
        return {page.number: page.text for page in opened.read(numbers)}


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    main()
