"""Makes a workbook of a table: the data, a summary by group in formulas, and a chart."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

MOST_ROWS = 200_000
FORMULAS = {"sum": "SUMIFS", "mean": "AVERAGEIFS", "count": "COUNTIFS"}


def read(path: Path) -> pd.DataFrame:
    """Returns the table in a file."""
    kind = path.suffix.lower()
    if kind in (".xlsx", ".xlsm"):
        return pd.read_excel(path)
    if kind == ".json":
        return pd.read_json(path)
    return pd.read_csv(path, sep="\t" if kind == ".tsv" else None, engine="python")


def put_data(sheet: Worksheet, table: pd.DataFrame) -> None:
    """Writes the table; what begins like a formula stays a text."""
    sheet.append([str(name) for name in table.columns])
    for row in table.itertuples(index=False):
        sheet.append([plain(value) for value in row])
    for cells in sheet.iter_rows():
        for cell in cells:
            if cell.data_type == "f":
                cell.data_type, cell.quotePrefix = "s", True
    for cell in sheet[1]:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDE6F0")
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    for place, name in enumerate(table.columns, 1):
        longest = max([len(str(name)), *(len(str(v)) for v in table[name].head(200))])
        sheet.column_dimensions[get_column_letter(place)].width = min(longest + 2, 50)


def plain(value: object) -> object:
    """Returns a value as a cell takes it."""
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime().replace(tzinfo=None)
    return getattr(value, "item", lambda: value)()


def put_summary(
    book: Workbook, table: pd.DataFrame, group: str, value: str, aggregate: str, title: str
) -> int:
    """Writes a formula for each group and a chart of them; returns the number of groups."""
    sheet = book.create_sheet("Summary", 0)
    sheet["A1"], sheet["A1"].font = title, Font(bold=True, size=14)
    sheet.append([])
    sheet.append([group, f"{aggregate} of {value}"])
    groups = sorted(table[group].dropna().unique(), key=str)
    last = len(table) + 1
    keys = get_column_letter(list(table.columns).index(group) + 1)
    numbers = get_column_letter(list(table.columns).index(value) + 1)
    key_range, number_range = (
        f"Data!${keys}$2:${keys}${last}",
        f"Data!${numbers}$2:${numbers}${last}",
    )
    for row, name in enumerate(groups, 4):
        cell = sheet.cell(row, 1, plain(name))
        if cell.data_type == "f":
            cell.data_type, cell.quotePrefix = "s", True
        inside = f"{key_range},$A{row}"
        if aggregate != "count":
            inside = f"{number_range},{inside}"
        sheet.cell(row, 2, f"={FORMULAS[aggregate]}({inside})").number_format = "#,##0.00"
    end = 3 + len(groups)
    if aggregate != "mean":
        sheet.cell(end + 1, 1, "Total").font = Font(bold=True)
        sheet.cell(end + 1, 2, f"=SUM(B4:B{end})").number_format = "#,##0.00"
    for cell in sheet[3]:
        cell.font = Font(bold=True)
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 28, 20
    chart = BarChart()
    chart.title, chart.legend = title, None
    chart.add_data(Reference(sheet, min_col=2, min_row=4, max_row=end))
    chart.set_categories(Reference(sheet, min_col=1, min_row=4, max_row=end))
    sheet.add_chart(chart, "D3")
    return len(groups)


def main() -> None:
    """Reads the command line and makes the workbook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--columns", action="store_true", help="only list the columns")
    parser.add_argument("--group")
    parser.add_argument("--value")
    parser.add_argument("--aggregate", choices=sorted(FORMULAS), default="sum")
    parser.add_argument("--title", default="")
    parser.add_argument("--out", type=Path, default=Path("report.xlsx"))
    given = parser.parse_args()
    table = read(given.data)
    if given.columns or not given.group:
        print(f"{len(table)} rows")
        for name in table.columns:
            print(f"- {name}: {table[name].dtype}, {table[name].nunique()} different values")
        return
    given.value = given.value or given.group
    for name in (given.group, given.value):
        if name not in table.columns:
            sys.exit(f"There is no column {name!r}. Columns: {', '.join(map(str, table.columns))}")
    if len(table) > MOST_ROWS:
        sys.exit(f"{len(table)} rows are more than {MOST_ROWS}; sum them up first.")
    odd = 0
    if given.aggregate != "count":
        numbers = pd.to_numeric(table[given.value], errors="coerce")
        odd = int(numbers.isna().sum())
        table[given.value] = numbers
    book = Workbook()
    sheet = book.active
    sheet.title = "Data"
    put_data(sheet, table)
    title = given.title or f"{given.aggregate} of {given.value} by {given.group}"
    groups = put_summary(book, table, given.group, given.value, given.aggregate, title)
    book.save(given.out)
    rows = load_workbook(given.out, read_only=True)["Data"].max_row - 1
    by_group = table.groupby(given.group)[given.value].agg(given.aggregate)
    print(f"{given.out}: {rows} rows, {groups} groups")
    for name, number in by_group.head(30).items():
        print(f"- {name}: {number:,.2f}")
    if given.aggregate != "mean":
        print(f"Total: {by_group.sum():,.2f}")
    if odd:
        print(f"{odd} rows have no number in {given.value!r}; they count for nothing.")
    missing = int(table[given.group].isna().sum())
    if missing:
        print(f"{missing} rows have no {given.group!r}; they are in no group.")


if __name__ == "__main__":
    main()
