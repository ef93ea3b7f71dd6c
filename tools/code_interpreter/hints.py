"""Hints for the model about a result, where its training does not help: one line each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from qwenbelt.tools.code_interpreter import strings
from qwenbelt.tools.code_interpreter.outcome import CellOutcome

# as other systems have them: /mnt/data/x.csv, C:\\data\\x.csv, sandbox:/mnt/data/x.csv
_MISSING_FILE = re.compile(
    r"No such file or directory: ['\"]((?:/|[A-Za-z]:[\\/]|sandbox:)[^'\"\n]{1,300})['\"]"
)
_NO_NETWORK = re.compile(r"Temporary failure in name resolution|Name or service not known")
_SHORTENED = re.compile(r"^\[(\d+) rows x (\d+) columns\]$", re.MULTILINE)
_GLYPHS = re.compile(r"Glyph \d+ \(\\N\{([A-Z -]+)\}\) missing from font")
_PIP = re.compile(r"^\s*[!%]\s*(?:python3?\s+-m\s+)?pip3?\s+install\b|subprocess.*\bpip\b", re.M)
_NO_PIP = ("No matching distribution", "Could not install", "No module named pip", "Read-only")
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_NOT_A_NUMBER = re.compile(
    r"could not convert string to float|Could not convert .{0,300} to numeric|"
    r"invalid literal for int|"
    r"agg function failed .{0,100}dtype->object|unsupported operand type\(s\) for .{0,20}'str'"
)
_NUMBER_AND_TEXT = re.compile(
    r"(?:invalid literal for int\(\)|could not convert string to float)[^'\n]{0,40}"
    r"'(?=[^'\n]*\d)(?=[^'\n]*[^\d\s.+-])[^'\n]{1,100}'|"
    r"Could not convert [^\n]{0,300}\d[^\n]{0,300} to numeric"  # pandas 2, of all values at once
)
_MARK_OF_NOTHING = re.compile(
    r"could not convert string to float: '(?:[-–—.?*/ ]{0,3}|n/?a|none|null|missing|unknown)'",
    re.IGNORECASE,
)
_NOT_REDUCED = re.compile(r"Cannot perform reduction '\w+' with string dtype")
_MISSING_VALUES = re.compile(
    r"Input \w+ contains NaN|cannot convert NA to integer|non-finite values"
)
_OF_A_TABLE = re.compile(r"\.(?:corr|cov|mean|median|std|var|sum|quantile)\(")
_OF_A_COLUMN = re.compile(r"\]" + _OF_A_TABLE.pattern)
_RUNNING = "event loop is already running"
_MOST_NAMES = 20
# packages that people expect for data work; the extra `data` has them
DATA_PACKAGES = {
    "seaborn": "seaborn",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "plotly": "plotly",
    "duckdb": "duckdb",
    "polars": "polars",
}


def hints(outcome: CellOutcome, code: str, folder: Path, language: str) -> list[str]:
    """Returns the lines that help with what this cell met."""
    return list(dict.fromkeys(_hints(outcome, code, folder, language)))


def _hints(outcome: CellOutcome, code: str, folder: Path, language: str) -> Iterator[str]:
    said = f"{outcome.error}\n{outcome.stderr}"
    missing = _MISSING_FILE.search(said)
    if missing:
        yield _where(missing[1], folder, language)
    table = _SHORTENED.search("\n".join([outcome.stdout, *outcome.values]))
    if table:
        yield strings.say("table", language, rows=table[1], columns=table[2])
    scripts = {_script(name) for name in _GLYPHS.findall(said)}
    if scripts:
        yield strings.say("glyphs", language, scripts=", ".join(sorted(scripts)))
    for key in _of_error(outcome, code):
        yield strings.say(key, language)
    if _NO_NETWORK.search(said):
        yield strings.say("network", language)
    missed = outcome.error_name in ("ModuleNotFoundError", "ImportError")  # not on the way only
    module = _NO_MODULE.search(outcome.error) if missed else None
    if module:
        yield _package(module[1].partition(".")[0], language)
    elif _PIP.search(code) and any(word in f"{outcome.stdout}{said}" for word in _NO_PIP):
        yield strings.say("pip", language)


def _of_error(outcome: CellOutcome, code: str) -> Iterator[str]:
    """Yields the names of the hints that an exception alone calls for."""
    if _RUNNING in outcome.error:
        yield "await"
    yield from _of_columns_of_text(outcome.error, code)
    if _MARK_OF_NOTHING.search(outcome.error):
        yield "mark_of_nothing"
    if _MISSING_VALUES.search(outcome.error):
        yield "missing_values"
    if "SyntaxError: f-string" in outcome.error:
        yield "f_string"
    if outcome.error_name == "NameError" and "'__file__'" in outcome.error:
        yield "no_file"
    if outcome.error_name == "UnicodeDecodeError" and "'utf-8' codec" in outcome.error:
        yield "encoding"


def _of_columns_of_text(error: str, code: str) -> Iterator[str]:
    reduced = _NOT_REDUCED.search(error)
    if not (reduced or _NOT_A_NUMBER.search(error)):
        return
    if _OF_A_TABLE.search(code) and not _OF_A_COLUMN.search(code):
        yield "numeric_only"
    elif "pandas" in error and (reduced or _NUMBER_AND_TEXT.search(error)):
        yield "number_and_text"


def _package(module: str, language: str) -> str:
    if module in DATA_PACKAGES:
        return strings.say("data_package", language, name=DATA_PACKAGES[module])
    return strings.say("package", language, name=module)


def _where(path: str, folder: Path, language: str) -> str:
    """Returns where the file is; models write the paths of other systems (/mnt/data/x.csv)."""
    name = re.split(r"[/\\]", path)[-1]
    if name and (folder / name).is_file():
        return strings.say("path_here", language, path=path, name=name)
    try:
        there = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        there = []
    names = ", ".join(there[:_MOST_NAMES]) or strings.say("no_files", language)
    return strings.say("path", language, names=names)


def _script(name: str) -> str:
    """Returns the script of a character by its Unicode name: "THAI CHARACTER KO KAI" is Thai."""
    try:
        if unicodedata.category(unicodedata.lookup(name)).startswith("S"):
            return "emoji"
    except KeyError:  # a character that this Python does not know yet
        return "other characters"
    return name.split()[0].split("-")[0].capitalize()
