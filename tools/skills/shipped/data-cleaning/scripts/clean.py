"""Finds what is wrong with a table, mends what is certain, and logs every change."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pandas as pd

NOTHING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "—", "#n/a", "无"}
SHARE = 0.8  # of a column's values that must be of a kind before the others are read so
_NUMBER = re.compile(r"^[-+(]?\s*[$€£¥]?\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*(%?)\s*\)?$")
_ISO = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$")
_PLAIN = re.compile(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})$")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_WORDS = re.compile(r"^(\d{1,2})\s+([A-Za-z]{3})[a-z]*\.?,?\s+(\d{4})$")
_WORDS_US = re.compile(r"^([A-Za-z]{3})[a-z]*\.?\s+(\d{1,2}),?\s+(\d{4})$")


class Cleaning:
    """A table on its way to be clean."""

    def __init__(self, table: pd.DataFrame, order: str) -> None:
        self.table = table
        self.rows = list(range(1, len(table) + 1))  # numbers in the file
        self.order = order
        self.log: list[tuple[object, str, object, object, str]] = []
        self.open: Counter[tuple[str, str]] = Counter()

    def run(self) -> None:
        """Does all steps."""
        self._heads()
        for name in list(self.table.columns):
            self._column(name)
        self._empty()
        self._twice()

    def _heads(self) -> None:
        seen: Counter[str] = Counter()
        heads = []
        for place, name in enumerate(self.table.columns, 1):
            new = " ".join(str(name).split()) or f"column_{place}"
            seen[new] += 1
            if seen[new] > 1:
                new = f"{new}_{seen[new]}"
            if new != name:
                self.log.append(("head", new, name, new, "name of a column"))
            heads.append(new)
        self.table.columns = heads

    def _column(self, name: str) -> None:
        texts = []
        for row, value in zip(self.rows, self.table[name], strict=True):
            text = " ".join(str(value).replace("\u00a0", " ").split())
            if text.lower() in NOTHING:
                if value != "":
                    self.log.append((row, name, value, "", "stands for nothing"))
                text = ""
            elif text != value:
                self.log.append((row, name, value, text, "spaces"))
            texts.append(text)
        there = [text for text in texts if text]
        for read, rule in ((self._number, "number"), (self._date, "date")):
            good = sum(read(text) not in (None, "?") for text in there)
            unclear = sum(read(text) == "?" for text in there)
            if there and (good + unclear) / len(there) >= SHARE:
                texts = self._read(name, texts, read, rule)
                break
        self.table[name] = texts

    def _read(self, name: str, texts: list[str], read: object, rule: str) -> list[str]:
        out = []
        for row, text in zip(self.rows, texts, strict=True):
            new = read(text) if text else text  # type: ignore[operator]
            if new == "?":
                self.open[name, f"a {rule} that can be read in two ways"] += 1
                new = text
            elif new is None:
                self.open[name, f"no {rule}, among others that are"] += 1
                new = text
            elif new != text:
                self.log.append((row, name, text, new, rule))
            out.append(new)
        return out

    @staticmethod
    def _number(text: str) -> str | None:
        match = _NUMBER.match(text)
        if match is None or re.match(r"0\d", match[1]):  # 00123 is a code
            return None
        if text.startswith("(") != text.endswith(")"):
            return None
        sign = "-" if text.startswith(("-", "(")) else ""
        number = f"{sign}{match[1].replace(',', '')}{match[2] or ''}"
        return number if not match[3] else f"{round(float(number) / 100, 12):.12g}"

    def _date(self, text: str) -> str | None:
        """Returns a date as ISO has it, "?" where the order of day and month is open."""
        try:
            if match := _ISO.match(text):
                return date(*(int(part) for part in match.groups())).isoformat()
            if match := _WORDS.match(text):
                return date(int(match[3]), _month(match[2]), int(match[1])).isoformat()
            if match := _WORDS_US.match(text):
                return date(int(match[3]), _month(match[1]), int(match[2])).isoformat()
            if match := _PLAIN.match(text):
                one, two, year = (int(part) for part in match.groups())
                if one <= 12 and two <= 12 and one != two and not self.order:
                    return "?"
                month_first = two > 12 or (one <= 12 and self.order == "month")
                day, month = (two, one) if month_first else (one, two)
                return date(year, month, day).isoformat()
        except ValueError:
            return None
        return None

    def _empty(self) -> None:
        for name in [n for n in self.table.columns if (self.table[n] == "").all()]:
            self.log.append(("column", name, "", "", "empty column dropped"))
            self.table = self.table.drop(columns=[name])
        self._drop((self.table == "").all(axis=1), "empty row dropped")

    def _twice(self) -> None:
        self._drop(self.table.duplicated(), "duplicate row dropped")

    def _drop(self, which: pd.Series, rule: str) -> None:  # type: ignore[type-arg]
        self.log += [
            (row, "", "", "", rule) for row, gone in zip(self.rows, which, strict=True) if gone
        ]
        self.rows = [row for row, gone in zip(self.rows, which, strict=True) if not gone]
        self.table = self.table[~which]


def _month(word: str) -> int:
    return _MONTHS.index(word.lower()) + 1  # ValueError for another word


def read(path: Path) -> pd.DataFrame:
    """Returns a table, every value as the text that is in the file."""
    options = {"dtype": str, "keep_default_na": False}
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return pd.read_excel(path, **options).fillna("")
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030", "latin-1"):
        try:
            raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    separator = "\t" if path.suffix.lower() == ".tsv" else None
    table = pd.read_csv(path, sep=separator, engine="python", encoding=encoding, **options)
    return table.fillna("")


def main() -> None:
    """Reads the command line and cleans the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--check", action="store_true", help="only say what is found")
    parser.add_argument("--out", type=Path, default=Path("cleaned.csv"))
    parser.add_argument("--log", type=Path, default=Path("changes.csv"))
    parser.add_argument("--day-first", action="store_true")
    parser.add_argument("--month-first", action="store_true")
    given = parser.parse_args()
    if given.day_first and given.month_first:
        sys.exit("Give one of --day-first and --month-first.")
    order = "day" if given.day_first else "month" if given.month_first else ""
    cleaning = Cleaning(read(given.data), order)
    before = len(cleaning.table)
    cleaning.run()
    print(f"{before} rows, {len(cleaning.table)} after; {len(cleaning.log)} changes")
    for (name, rule), count in Counter((e[1], e[4]) for e in cleaning.log).most_common(60):
        print(f"- {name or 'rows'}: {rule}: {count}")
    for (name, why), count in cleaning.open.items():
        print(f"Left as it is: {name}: {count} x {why}")
    if given.check:
        return
    cleaning.table.to_csv(given.out, index=False)
    with given.log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "column", "before", "after", "rule"])
        writer.writerows(cleaning.log)
    print(f"{given.out}; {given.log}")


if __name__ == "__main__":
    main()
