"""Errors in the language of the person who reads them.

Errors are raised in English: that is what logs, traces, programs and models get. Where a face shows
one to a person, `in_language` finds its text in a catalogue, `errors.zh.json`: templates with `{}`
for what was put in, and their Chinese, with `{}` or, in another order, `{1}`. Texts that were put
in are looked up too, so that a reason inside an error is translated with it. A single word is not,
since it may be a name, unless the Chinese says `{~}`. What the catalogue does not know stays as it
is.
"""

from __future__ import annotations

import functools
import json
import re
from typing import NamedTuple

from qwenbelt.core.errors import QwenbeltError

_HOLE = re.compile(r"\{(~?)(\d*)\}")
_JOINT = re.compile(r"[.?!] |: |; ")
_CHINESE = {": ": "：", "; ": "；"}
_JOINTS = 12  # places, one after the other, where a text is taken apart
_DEPTH = 4  # errors in errors
_LOOKUPS = 400  # for one error; a hostile text ends here


class _Row(NamedTuple):
    """A template: its fixed parts, of which all but the first follow a hole, and its Chinese."""

    parts: tuple[str, ...]
    chinese: str

    @property
    def weight(self) -> int:
        return sum(map(len, self.parts))


class _Read(NamedTuple):
    """A text in Chinese, and how many of its characters the catalogue knew."""

    text: str
    weight: int


def in_language(error: BaseException | str, language: str) -> str:
    """Returns what an error says in a language ("en" or "zh"): the message, then its fix.

    Args:
        error: the error, or the text of one.
        language: the person's; for anything but "zh" the text is `str(error)`.
    """
    if language != "zh":
        return str(error)
    if not isinstance(error, QwenbeltError) or not error.fix:
        return _Reading().read(str(error)).text
    return _joined_rows(_Reading().read(error.message).text, _Reading().read(error.fix).text)


def _joined_rows(first: str, second: str) -> str:
    if first.endswith(("。", "？", "！", "：")):
        return first + second
    return f"{first}{' ' if first.endswith(('.', '?', '!')) else '。'}{second}"


class _Reading:
    """Looks up one text and what is in it, each piece once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, bool, bool], _Read] = {}

    def read(
        self, text: str, depth: int = 0, joints: int = _JOINTS, *, words: bool = True
    ) -> _Read:
        """Returns the reading of a text that knows most of it: as one row, or as several.

        Args:
            text: what to read.
            depth: in how many rows it is.
            joints: at how many places, one after the other, it may be taken apart.
            words: whether it may be a single word of the catalogue.
        """
        key = text, joints > 0, words
        if key not in self._found:
            if len(self._found) >= _LOOKUPS or depth > _DEPTH:
                return _Read(text, 0)
            self._found[key] = _Read(text, 0)
            best = self._as_row(text, depth, words)
            for joint in list(_JOINT.finditer(text))[:joints]:
                apart = self._apart(text, joint, depth, joints - 1, words)
                best = max(best, apart, key=lambda read: read.weight)
            self._found[key] = best
        return self._found[key]

    def _apart(
        self, text: str, joint: re.Match[str], depth: int, joints: int, words: bool
    ) -> _Read:
        mark = joint.group()
        left = self.read(text[: joint.start() + (mark not in _CHINESE)], depth, 0, words=False)
        right = self.read(text[joint.end() :], depth, joints, words=words)
        if mark not in _CHINESE:
            return _Read(_joined_rows(left.text, right.text), left.weight + right.weight)
        glue = _CHINESE[mark] if left.weight or right.weight else mark
        return _Read(left.text + glue + right.text, left.weight + right.weight)

    def _as_row(self, text: str, depth: int, words: bool) -> _Read:
        rows, plain = _catalogue()
        bare = text.strip()
        for given, end in ((bare, ""), (bare[:-1], "。")) if bare.endswith(".") else ((bare, ""),):
            if given in plain and (words or not given.isalpha()):
                return _Read(plain[given] + end, len(given))
            for row in rows:
                values = _row_values(row, given)
                if values is not None:
                    filled = self._filled(row, values, depth)
                    return _Read(filled.text + end, filled.weight)
        return _Read(text, 0)

    def _filled(self, row: _Row, values: list[str], depth: int) -> _Read:
        weight, written, end, count = row.weight, "", 0, 0
        for hole in _HOLE.finditer(row.chinese):
            value = values[int(hole.group(2) or count)]
            read = self.read(value, depth + 1, words=bool(hole.group(1)))
            after = row.chinese[hole.end() : hole.end() + 1]
            inner = read.text.removesuffix("。") if after in ("）", "。", "；") else read.text
            written += row.chinese[end : hole.start()] + inner
            weight, end, count = weight + read.weight, hole.end(), count + 1
        return _Read(written + row.chinese[end:], weight)


def _row_values(row: _Row, text: str) -> list[str] | None:
    """Returns what is in the holes, each as short as can be, or None where the row is not it.

    It takes one pass over the text, whatever is in it.
    """
    first, last = row.parts[0], row.parts[-1]
    end = len(text) - len(last)
    at = len(first)
    if end < at or not text.startswith(first) or not text.endswith(last):
        return None
    values = []
    for part in row.parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(part)
    return [*values, text[at:end]]


@functools.cache
def _catalogue() -> tuple[tuple[_Row, ...], dict[str, str]]:
    """Returns the rows with holes, the most exact one first, and those without."""
    import importlib.resources  # imported here, so that English output does not wait for it

    file = importlib.resources.files("qwenbelt.core").joinpath("errors.zh.json")
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    rows = (_Row(tuple(_HOLE.split(text)[::3]), chinese) for text, chinese in known.items())
    holed = sorted(
        (row for row in rows if len(row.parts) > 1),
        key=lambda row: (-row.weight, len(row.parts), row),
    )
    return tuple(holed), {
        text: chinese for text, chinese in known.items() if not _HOLE.search(text)
    }
