"""Checks a finished report: is every quoted text on the page that is cited?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import user_language
from qwenbelt.core.limits import input_file
from qwenbelt.tools.documents.citations import find_quote
from qwenbelt.workflows.report.folder import read_record
from qwenbelt.workflows.report.inputs import read_cited
from qwenbelt.workflows.report.markdown import escaped
from qwenbelt.workflows.report.strings import say


@dataclass
class ReportCheck:
    """What a check found.

    Attributes:
        citations: how many the report has.
        verified: how many of them are on their pages.
        problems: what is wrong, one line each.
    """

    citations: int = 0
    verified: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


Check = ReportCheck  # its name in 0.1


def check_report(
    folder: str | Path, files: Iterable[str | Path] = (), *, password: str | None = None
) -> ReportCheck:
    """Reads every cited page again and looks for the quoted words on it.

    Also looks whether `report.md` quotes the same words, cites no other number, and whether its
    figures are there.

    Args:
        folder: the report's folder.
        files: the documents, when they are not where they were.
        password: opens encrypted ones.

    Raises:
        InputError: the folder holds no report, or a document is not found.
    """
    folder = Path(folder).expanduser()
    entries = _entries(folder)
    record = read_record(folder)
    paths = _paths(folder, record, files)
    check = ReportCheck(citations=len(entries))
    for entry in entries:
        problem = _problem(entry, paths, password)
        if problem:
            check.problems.append(f"[{entry.get('n')}] {problem}")
        else:
            check.verified += 1
    check.problems += _markdown_problems(folder, entries)
    if record.get("grounded") is False:
        check.problems.append(say("answer_not_verified", user_language()))
    if not entries:
        check.problems.append(say("nothing_verified", user_language()))
    return check


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / "citations.json"
    try:
        entries = loads_bounded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no report (citations.json is missing).") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{path}: is not a list of citations.")
    return entries


def _paths(folder: Path, record: dict[str, Any], files: Iterable[str | Path]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for entry in record.get("files", []):
        if isinstance(entry, dict) and {"file", "path"} <= entry.keys():
            paths[str(entry["file"])] = (folder / str(entry["path"])).resolve()
    for file in files:
        paths[Path(file).name] = Path(file)
    return paths


def _problem(entry: dict[str, Any], paths: dict[str, Path], password: str | None) -> str:
    """Returns why a citation does not hold, or an empty text."""
    file, number, quote = entry.get("file"), entry.get("page"), entry.get("quote")
    if not isinstance(file, str) or not isinstance(number, int) or not isinstance(quote, str):
        return "file, page or quote is missing."
    if file not in paths:
        return f"{file}: the document is not known; name it after the folder."
    found = read_cited(input_file(paths[file]), number, password)
    if found is None:
        return f"{file} has no page {number}."
    if not find_quote(found.page, quote):
        return f"“{quote[:80]}” does not stand on page {number} of {file}."
    return ""


def _markdown_problems(folder: Path, entries: list[dict[str, Any]]) -> list[str]:
    path = folder / "report.md"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ["report.md is missing or cannot be read."]
    problems = []
    for entry in entries:
        if escaped(str(entry.get("quote"))) not in text:
            problems.append(f"[{entry.get('n')}] report.md does not quote these words.")
    for name in re.findall(r"!\[[^\]]*\]\(<?([^)>]+)>?\)", text):
        if not (folder / name).is_file():
            problems.append(f"The figure {name} is missing.")
    return problems
