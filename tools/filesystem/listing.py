"""Walking folders by descriptors: trees, searches, and searching inside files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import NamedTuple

import regex

from qwenbelt.core.errors import QwenbeltError, ToolError
from qwenbelt.core.paths import Fence, open_regular
from qwenbelt.tools.filesystem.encoding import decode_file, is_binary, without_surrogates
from qwenbelt.tools.filesystem.globs import glob_matcher
from qwenbelt.tools.operation import OperationCall

MAX_DEPTH = 100
MAX_SEARCHED_BYTES = 16 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHECK_EVERY = 256
_REGEX_SECONDS = 5.0  # for one file
_LINE_CHARACTERS = 500


class Entry(NamedTuple):
    """Something in a folder.

    Attributes:
        path: relative to where the walk began.
        depth: 0 for what is in that folder itself.
        is_folder: links to folders are not folders.
    """

    path: str
    name: str
    depth: int
    is_folder: bool


@dataclass
class Walker:
    """Walks everything below a folder, sorted by name, without following links."""

    fence: Fence
    call: OperationCall
    excluded: Callable[[str], bool] = lambda path: False
    too_deep: bool = False
    _seen: int = 0

    def walk(self, path: str) -> Iterator[tuple[Entry, int]]:
        """Yields the entries, each with its folder's descriptor, open until the next one."""
        with self.fence.folder(path) as descriptor:
            yield from self._below(descriptor, "", 0)

    def _below(self, folder: int, prefix: str, depth: int) -> Iterator[tuple[Entry, int]]:
        with os.scandir(folder) as found:
            entries = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in found)
        for name, is_folder in entries:
            self._seen += 1
            if self._seen % _CHECK_EVERY == 0:
                self.call.check()
                self.call.report(f"{self._seen} entries")
            path = prefix + name
            if self.excluded(path):
                continue
            yield Entry(path, name, depth, is_folder), folder
            if is_folder:
                yield from self._enter(folder, name, path, depth)

    def _enter(self, folder: int, name: str, path: str, depth: int) -> Iterator[tuple[Entry, int]]:
        if depth + 1 >= MAX_DEPTH:
            self.too_deep = True
            return
        try:
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:  # gone, swapped for a link, or not ours to read
            return
        try:
            yield from self._below(below, path + "/", depth + 1)
        finally:
            os.close(below)


class _TreeText:
    """Writes entries as nested JSON objects, indented by two spaces."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self._open: list[bool] = []  # for each open folder, whether it has an entry yet
        self._any = False

    def add(self, entry: Entry) -> None:
        if len(self._open) > entry.depth:
            self._close(entry.depth)
        first = not (self._open[-1] if self._open else self._any)
        if self._open:
            self._open[-1] = True
        self._any = True
        pad = "  " + "    " * entry.depth
        comma = "" if first else ","
        start = (
            f'{comma}\n{pad}{{\n{pad}  "name": {encode_basestring(without_surrogates(entry.name))},'
        )
        if entry.is_folder:
            self._put(f'{start}\n{pad}  "type": "directory",\n{pad}  "children": [')
            self._open.append(False)
        else:
            self._put(f'{start}\n{pad}  "type": "file"\n{pad}}}')

    def _close(self, depth: int) -> None:
        while len(self._open) > depth:
            filled = self._open.pop()
            pad = "  " + "    " * len(self._open)
            self._put(f"{chr(10) + pad + '  ' if filled else ''}]\n{pad}}}")

    def _put(self, piece: str) -> None:
        self.pieces.append(piece)
        # inside JSON, quotes and line ends take two characters
        self.size += len(piece) + piece.count('"') + piece.count("\n")

    def text(self) -> str:
        self._close(0)
        return f"[{''.join(self.pieces)}\n]" if self._any else "[]"


def tree_text(entries: list[Entry], start: int, budget: int) -> tuple[str, int]:
    """Returns entries as a JSON tree in the reference server's form, and the next cursor.

    The folders above the first entry are repeated, so that each part is a complete tree.

    Args:
        entries: all entries, each folder before what is in it.
        start: the first entry of this part.
        budget: how long the text may get, in characters as JSON.
    """
    tree = _TreeText()
    for entry in _above(entries, start):
        tree.add(entry)
    position = start
    while position < len(entries) and tree.size < budget:
        tree.add(entries[position])
        position += 1
    return tree.text(), position


def _above(entries: list[Entry], start: int) -> list[Entry]:
    if start >= len(entries):
        return []
    found: list[Entry] = []
    wanted = entries[start].depth - 1
    for entry in reversed(entries[:start]):
        if wanted < 0:
            break
        if entry.depth == wanted and entry.is_folder:
            found.append(entry)
            wanted -= 1
    return found[::-1]


def folder_tree(walker: Walker, path: str) -> list[Entry]:
    """Returns everything below a folder."""
    return [entry for entry, _ in walker.walk(path)]


def search_names(walker: Walker, path: str, pattern: str) -> list[str]:
    """Returns the relative paths below a folder that a glob pattern matches."""
    matches = glob_matcher(pattern)
    return [entry.path for entry, _ in walker.walk(path) if matches(entry.path)]


@dataclass
class Grep:
    """A search inside files.

    Attributes:
        found: the matching lines, as `path:line: text`; lines of context with `-` for `:`.
        binary: files that were left out because they hold no text.
        large: files that were left out because of their size.
    """

    pattern: str
    ignore_case: bool = False
    literal: bool = False
    include: str | None = None
    context: int = 0
    limit: int = 10_000
    found: list[str] = field(default_factory=list)
    binary: int = 0
    large: int = 0

    def run(self, walker: Walker, path: str) -> None:
        """Searches the files below a folder, or one file.

        Raises:
            ToolError: the pattern is no regular expression, or takes too long.
        """
        matches = self._compiled()
        included = glob_matcher(self.include) if self.include else None
        if stat.S_ISREG(walker.fence.facts(path).st_mode):
            with walker.fence.reading(path) as (descriptor, facts):
                self._file(descriptor, facts, os.path.basename(path), matches)
            return
        for entry, folder in walker.walk(path):
            if entry.is_folder or (included and not included(_for_include(self.include, entry))):
                continue
            try:
                descriptor, facts = open_regular(folder, entry.name, entry.path)
            except QwenbeltError:  # a link, a device, or not ours to read
                continue
            try:
                self._file(descriptor, facts, entry.path, matches)
            finally:
                os.close(descriptor)
            if len(self.found) >= self.limit:
                return

    def _compiled(self) -> regex.Pattern[str]:
        flags = regex.MULTILINE | (regex.IGNORECASE if self.ignore_case else 0)
        pattern = regex.escape(self.pattern) if self.literal else self.pattern
        try:
            return regex.compile(pattern, flags)
        except regex.error as error:
            raise ToolError(f"{self.pattern!r} is not a regular expression ({error}).") from None

    def _file(
        self, descriptor: int, facts: os.stat_result, path: str, matches: regex.Pattern[str]
    ) -> None:
        if facts.st_size > MAX_SEARCHED_BYTES:
            self.large += 1
            return
        raw = _all_bytes(descriptor, facts.st_size)
        if is_binary(raw):
            self.binary += 1
            return
        text = decode_file(raw).text
        try:
            # without the GIL, and ended when the expression explodes
            spans = [
                m.start() for m in matches.finditer(text, timeout=_REGEX_SECONDS, concurrent=True)
            ]
        except TimeoutError:
            raise ToolError(f"The expression takes too long on {path}; make it simpler.") from None
        if spans:
            self._note(path, text, spans)

    def _note(self, path: str, text: str, spans: list[int]) -> None:
        lines = text.split("\n")
        starts: list[int] = []
        number = position = 0
        for span in spans:
            number += text.count("\n", position, span)
            position = span
            if not starts or starts[-1] != number:
                starts.append(number)
        hits = set(starts)
        last = -1
        for start in starts:
            for i in range(max(last + 1, start - self.context), start + self.context + 1):
                if i < len(lines):
                    mark = ":" if i in hits else "-"
                    line = without_surrogates(lines[i])[:_LINE_CHARACTERS].rstrip("\r")
                    self.found.append(f"{without_surrogates(path)}{mark}{i + 1}{mark} {line}")
                    last = i
            if len(self.found) >= self.limit:
                return


def _for_include(pattern: str | None, entry: Entry) -> str:
    return entry.path if pattern and "/" in pattern else entry.name


def _all_bytes(descriptor: int, size: int) -> bytes:
    raw = os.read(descriptor, size + 1)
    if len(raw) < size:  # a pipe-like file system may give it in pieces
        with os.fdopen(os.dup(descriptor), "rb") as rest:
            raw += rest.read(MAX_SEARCHED_BYTES)
    return raw
