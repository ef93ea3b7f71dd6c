"""Edits by old and new text: exact, unambiguous, and without touching any other byte."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from qwenbelt.core.errors import ToolError, one_line
from qwenbelt.tools.filesystem.encoding import TextFile, without_surrogates

_COMPARED_LINES = 20_000
_SHOWN_PLACES = 5
_CONTEXT_LINES = 3


@dataclass(frozen=True)
class Edit:
    """One replacement.

    Attributes:
        old: the text to replace; must occur once unless `every`.
        new: the replacement.
        every: whether all its places are replaced.
    """

    old: str
    new: str
    every: bool = False


def apply_edits(file: TextFile, edits: list[Edit]) -> str:
    r"""Returns the text after all edits, one after the other.

    Line ends in `old` and `new` may be written as `\n`, whatever the file uses.

    Raises:
        ToolError: an edit's text is missing (the nearest one is named) or occurs more than once.
    """
    text = file.text
    for number, edit in enumerate(edits, 1):
        text = _apply_edit(text, edit, f"Edit {number}" if len(edits) > 1 else "The edit")
    return text


def _apply_edit(text: str, edit: Edit, which: str) -> str:
    if not edit.old:
        raise ToolError(f"{which} has an empty oldText.")
    old, new = edit.old, edit.new
    if old not in text:
        old = _with_ends(old, text)
    count = text.count(old) if old in text else 0
    if not count:
        raise ToolError(f"{which} was not made: {_nearest_lines(text, edit.old)}")
    if count > 1 and not edit.every:
        raise ToolError(
            f"{which} was not made: its oldText occurs {count} times ({_places_of(text, old)}); "
            "give more of the text around the right one, or set replaceAll."
        )
    if "\r\n" not in new and _uses_crlf(old, text):
        new = new.replace("\n", "\r\n")
    return text.replace(old, new)


def _with_ends(old: str, text: str) -> str:
    plain = old.replace("\r\n", "\n")
    for ends in ("\r\n", "\n", "\r"):
        form = plain.replace("\n", ends)
        if form in text:
            return form
    return old


def _uses_crlf(old: str, text: str) -> bool:
    if "\n" in old:
        return "\r\n" in old
    return 2 * text.count("\r\n") > text.count("\n")


def _places_of(text: str, old: str) -> str:
    lines: list[str] = []
    start = 0
    while len(lines) < _SHOWN_PLACES and (found := text.find(old, start)) >= 0:
        lines.append(str(text.count("\n", 0, found) + 1))
        start = found + len(old)
    return "lines " + ", ".join(lines)


def _nearest_lines(text: str, old: str) -> str:
    wanted = next((line for line in old.splitlines() if line.strip()), old).strip()
    lines = text.splitlines()[:_COMPARED_LINES]
    close = difflib.get_close_matches(wanted, {line.strip() for line in lines}, 1, 0.5)
    if not close:
        return "its oldText is not in the file, nor anything like it."
    number = next(i for i, line in enumerate(lines) if line.strip() == close[0])
    # repr shows white space, which is what usually differs
    exact = without_surrogates(lines[number])
    shown = one_line(repr(exact), 300)
    return f"its oldText is not in the file. The nearest is line {number + 1}: {shown}"


def unified_diff(path: str, before: str, after: str) -> str:
    """Returns the difference as a fenced git-style diff; quick for large files with few changes."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = _common_indent(old, new)
    end = _common_indent(old[start:][::-1], new[start:][::-1])
    first = max(0, start - _CONTEXT_LINES)
    last = max(0, end - _CONTEXT_LINES)
    lines = difflib.unified_diff(
        old[first : len(old) - last], new[first : len(new) - last], path, path, n=_CONTEXT_LINES
    )
    body = "".join(_shifted_line(line, first) for line in lines)
    fence = "```"
    while fence in body:
        fence += "`"
    return without_surrogates(f"{fence}diff\n{body}{fence}\n")


def _common_indent(old: list[str], new: list[str]) -> int:
    count = 0
    for mine, other in zip(old, new):  # noqa: B905 - as far as both go
        if mine != other:
            break
        count += 1
    return count


def _shifted_line(line: str, by: int) -> str:
    if line.startswith("@@"):
        _, old, new, _ = line.split(" ", 3)
        return f"@@ {_moved_span(old, by)} {_moved_span(new, by)} @@\n"
    line = line.replace("\r\n", "\n").replace("\r", "\n")
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _moved_span(span: str, by: int) -> str:
    start, comma, count = span.partition(",")
    return f"{start[0]}{int(start[1:]) + by}{comma}{count}"
