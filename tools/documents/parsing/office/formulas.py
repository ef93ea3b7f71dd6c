"""Formulas of workbooks that no program has computed: shown, and computed by IronCalc.

It (MIT or Apache-2.0) is the extra `sheets`. What changes with time or chance stays a formula.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.core.extras import fix_of, missing_modules
from qwenbelt.tools.documents.parsing.office.number_formats import general, shown
from qwenbelt.tools.documents.parsing.pagination import Note

MAX_BYTES = 20 * 1024 * 1024  # of a workbook that is computed
MAX_UNSOLVED = 200_000
_UNSTEADY = re.compile(r"\b(?:NOW|TODAY|RAND|RANDBETWEEN|RANDARRAY|INFO|CELL)\s*\(", re.I)
_OUTSIDE = re.compile(r"\[[^\]]+\]|\b(?:INDIRECT|WEBSERVICE|HYPERLINK)\s*\(", re.I)


class Formulas:
    """The formulas of a workbook without stored results."""

    def __init__(self, source: Path | io.BytesIO) -> None:
        self._source = source
        self._cells: dict[str, list[tuple[int, int, str, str]]] = {}
        self._model: Any = None
        self._numbers: dict[str, int] = {}
        self._computed = self._shown = 0
        if _has_unsolved(source):
            self._find()

    def unsolved(self, sheet: str) -> Iterator[tuple[int, int, str]]:
        """Yields row, column and what to show of each formula without a result."""
        for row, column, formula, code in self._cells.get(sheet, ()):
            value = self._value(sheet, row, column, formula, code)
            if value:
                self._computed += 1
                yield row, column, value
            else:
                self._shown += 1
                yield row, column, formula

    def notes(self) -> Iterator[Note]:
        """Yields notes on the formulas that were shown."""
        if self._computed:
            yield Note(f"Formulas without a stored result, computed by IronCalc: {self._computed}.")
        if self._shown:
            yield Note(f"Formulas without a stored result, shown as formulas: {self._shown}.")
            if missing_modules("sheets"):
                yield Note(f"Simple formulas are computed with the extra: {fix_of('sheets')}.")

    def _find(self) -> None:
        """Looks for formulas whose cells have no value; the file is read a second time for them."""
        import openpyxl

        formulas = openpyxl.load_workbook(self._rewound(), read_only=True)
        values = openpyxl.load_workbook(self._rewound(), read_only=True, data_only=True)
        left = MAX_UNSOLVED
        try:
            for sheet in formulas.worksheets:
                sheet.reset_dimensions()
                other = values[sheet.title]
                other.reset_dimensions()
                for row, results in zip(sheet.iter_rows(), other.iter_rows(), strict=False):
                    for cell, result in zip(row, results, strict=False):
                        text = _formula(cell.value) if result.value is None else ""
                        if text and left:
                            left -= 1
                            code = cell.number_format or "General"
                            place = (cell.row, cell.column, text, code)
                            self._cells.setdefault(sheet.title, []).append(place)
        finally:
            formulas.close()
            values.close()
        if self._cells:
            self._load()

    def _rewound(self) -> Path | io.BytesIO:
        if isinstance(self._source, io.BytesIO):
            return io.BytesIO(self._source.getvalue())
        return self._source

    def _load(self) -> None:
        size = (
            self._source.stat().st_size
            if isinstance(self._source, Path)
            else len(self._source.getvalue())
        )
        if size > MAX_BYTES:
            return
        try:
            import ironcalc

            data = (
                self._source.read_bytes()
                if isinstance(self._source, Path)
                else (self._source.getvalue())
            )
            model = _loaded(ironcalc, data)
            model.evaluate()
            names = [p["name"] for p in map(_as_dict, model.get_worksheets_properties())]
        except ImportError:
            return
        except Exception:  # what it does not know stays a formula
            return
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust, for a workbook it stumbles over
                raise
            return
        self._model, self._numbers = model, {name: n for n, name in enumerate(names)}

    def _value(self, sheet: str, row: int, column: int, formula: str, code: str) -> str:
        steady = not (_UNSTEADY.search(formula) or _OUTSIDE.search(formula))
        if self._model is None or sheet not in self._numbers or not steady:
            return ""
        try:
            value = self._model.get_cell_value(self._numbers[sheet], row, column)
        except Exception:  # its errors are of no documented kind; the formula is shown instead
            return ""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, (int, float)):
            return general(value) if code == "General" else shown(value, code)
        text = str(value if value is not None else "")
        return "" if text.startswith("#") else text


def _formula(value: Any) -> str:
    if isinstance(value, str) and value.startswith("="):
        return value
    text = getattr(value, "text", "")  # an array formula
    return str(text) if isinstance(text, str) and text.startswith("=") else ""


def _as_dict(properties: Any) -> dict[str, Any]:
    if isinstance(properties, dict):
        return properties
    return {"name": getattr(properties, "name", "")}


def _loaded(ironcalc: Any, data: bytes) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "book.xlsx")
        path.write_bytes(data)
        return ironcalc.load_from_xlsx(str(path), "en", "UTC", "en")


def _has_unsolved(source: Path | io.BytesIO) -> bool:
    """Returns whether a sheet has a formula that no value follows, by its bytes alone."""
    unsolved = re.compile(rb"<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with archive.open(name) as stream:
                    rest = b""
                    while block := stream.read(1 << 20):
                        if unsolved.search(rest + block):
                            return True
                        rest = block[-10_000:]
    return False
