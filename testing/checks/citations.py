"""Checks that an answer's citations were found, and support what they are cited for.

Two forms of citations are read in answers: `[3]`, the number of a passage in a search result, and
`[file.pdf p.3]`. A report's folder is checked by its `citations.json`: every quote must be on
its page.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.checks.checks import Check, FunctionCheck
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.checks.trajectory import Trajectory

_NUMBER = re.compile(r"\[(\d{1,3})\](?!\()")
_PAGE = re.compile(r"\[([^\[\]\n]+?)\s+p\.\s?(\d+)\](?!\()")
_SOURCE = re.compile(r"^(?:\[(?P<n>\d+)\]|---)\s+(?P<file>[^\n]+?) p\.(?P<page>\d+)", re.MULTILINE)
_QUOTED = re.compile(
    r"[\"“「]([^\"”」\n]{6,}?)[.,;。，]?[\"”」][.,;。，]?\s*"
    r"(\[(?:\d{1,3}|[^\[\]\n]+?\s+p\.\s?\d+)\])"
)


@dataclass(frozen=True)
class CitedPassage:
    """A passage that a tool gave: its number, file, page and text."""

    number: int | None
    file: str
    page: int
    text: str


def citations(
    at_least: int = 1,
    *,
    folder: str | os.PathLike[str] | None = None,
    documents: str | os.PathLike[str] | None = None,
) -> Check:
    """Checks the citations of the answer, or of the report in a folder.

    Args:
        at_least: how many different citations there must be.
        folder: a folder with `citations.json`; without it the answer is checked.
        documents: where the cited files are, if not beside or above the folder.
    """
    if folder is not None:
        place = Path(folder)
        return FunctionCheck(lambda run: _report_failures(place, documents, at_least))

    def check(run: Trajectory) -> Iterator[str]:
        sources = list(sources_of(run))
        cited = cited_in(run.answer)
        if len(cited) < at_least:
            yield f"the answer has {len(cited)} citations, at least {at_least} are wanted"
        for mark in cited:
            if not _sources_of_mark(mark, sources):
                known = ", ".join(f"[{s.number}] {s.file} p.{s.page}" for s in sources[:8])
                yield f"the answer cites {mark}, which no tool gave (given: {known or 'nothing'})"
        for quote, mark in _QUOTED.findall(run.answer):
            found = _sources_of_mark(mark, sources)
            if found and not any(_folded(quote) in _folded(source.text) for source in found):
                yield f"the quote {shown_value(quote, 80)} does not stand in {mark}"

    return FunctionCheck(check)


def cited_in(text: str) -> list[str]:
    """Returns the different citation marks of a text, in order."""
    marks = [m.group(0) for m in re.finditer(f"{_PAGE.pattern}|{_NUMBER.pattern}", text)]
    return list(dict.fromkeys(marks))


def sources_of(run: Trajectory) -> Iterator[CitedPassage]:
    """Returns the passages that the run was shown with file and page.

    These are in tool results, and in front of the question, where a scripted endpoint saw it.
    """
    first = run.requests[0].request.messages if run.requests else []
    asked = [str(m.get("content") or "") for m in first if m.get("role") == "user"]
    for text in [*asked, *(call.result or "" for call in run.calls)]:
        heads = list(_SOURCE.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=False):
            number = int(head["n"]) if head["n"] else None
            yield CitedPassage(
                number, head["file"].strip(), int(head["page"]), text[head.end() : end]
            )


def _sources_of_mark(mark: str, sources: list[CitedPassage]) -> list[CitedPassage]:
    page = _PAGE.fullmatch(mark)
    if page:
        wanted = (page.group(1).strip(), int(page.group(2)))
        return [source for source in sources if (source.file, source.page) == wanted]
    number = int(mark.strip("[]"))
    return [source for source in sources if source.number == number]


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum() or c in "%$€£¥+<>=")


def _report_failures(folder: Path, documents: Any, at_least: int) -> Iterator[str]:
    try:
        entries = loads_bounded((folder / "citations.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"{folder / 'citations.json'} cannot be read ({error})"
        return
    if len(entries) < at_least:
        yield f"the report has {len(entries)} citations, at least {at_least} are wanted"
    places = [Path(documents)] if documents is not None else [folder, folder.parent, Path()]
    for entry in entries:
        reason = _quote_fault(entry, places)
        if reason:
            yield f"citation [{entry.get('n')}]: {reason}"


def _quote_fault(entry: dict[str, Any], places: list[Path]) -> str | None:
    from qwenbelt.tools.documents.citations import cited_page, find_quote

    file = str(entry.get("file", ""))
    path = next((place / file for place in places if (place / file).is_file()), None)
    if path is None:
        return f"there is no file {file}"
    try:
        page = cited_page(path, path.name, int(entry.get("page", 0)))
    except InputError as error:
        return error.message
    if page is None:
        return f"{file} has no page {entry.get('page')}"
    if not find_quote(page, str(entry.get("quote", ""))):
        quote = shown_value(entry.get("quote"), 80)
        return f"{quote} is not on page {entry['page']} of {file}"
    return None
