"""Finds the calls that a cell of code will make, while the model still writes it.

Nothing of the cell is run here: its statements are read one by one, as far as they are complete
(see `early_values`), and calls with literal arguments as soon as their bracket closes. A statement
that might change what tools see (a tool with effects, `open`, a command, a method that is not known
to be harmless) ends the reading: what stands after it depends on it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable

from qwenbelt.agents.runtime.code.early_values import Call, NotPure, Reading, TooLong

_MOST_CODE = 64 * 1024
_CONTINUES = re.compile(r"(?:else|elif|except|finally)\b")


class EarlyCode:
    """One cell while it is written.

    Args:
        functions: the names of the tools that may be called early.
        module: the name of the module that they are functions of.

    Attributes:
        stopped: whether what follows depends on more than what is read here.
    """

    def __init__(self, functions: Iterable[str], module: str = "tools") -> None:
        self.stopped = False
        self._functions = frozenset(functions)
        self._scan = CodeScan(module)
        self._read_to = 0
        self._reading = Reading(self._functions, module)
        self._seen = 0  # calls of the statements that are complete
        self._open: Counter[str] = Counter()  # those given of the one that is not
        self._looked = 0

    def read(self, code: str, *, whole: bool = False) -> list[Call]:
        """Returns the calls that have become known with the last piece of code.

        Args:
            code: the code from its beginning, longer each time.
            whole: whether that is all of it.
        """
        if self.stopped or len(code) > _MOST_CODE:
            self.stopped = True
            return []
        try:
            self._scan.read(code)
            found = self._statements(code, whole=whole)
            return [*found, *self._open_calls(code)]
        except (NotPure, TooLong, RecursionError):
            self.stopped = True
            return self._new()

    def _statements(self, code: str, *, whole: bool) -> list[Call]:
        found: list[Call] = []
        ends = [at for at in self._scan.ends if at > self._read_to]
        for end in [*ends, *([len(code)] if whole else [])]:
            try:
                tree = ast.parse(code[self._read_to : end])
            except (SyntaxError, ValueError, MemoryError):
                if code[self._read_to : end].lstrip()[:1] in ("!", "%"):
                    raise NotPure from None  # a command
                continue  # it goes on
            self._read_to = end
            for statement in tree.body:
                self._reading.statement(statement)
            found += self._new()
        return found

    def _new(self) -> list[Call]:
        """Returns the calls of complete statements that were not given yet."""
        new = self._reading.calls[self._seen :]
        self._seen = len(self._reading.calls)
        out = []
        for call in new:
            key = repr(call)
            if self._open[key]:
                self._open[key] -= 1  # it was begun when its bracket closed
            else:
                out.append(call)
        return out

    def _open_calls(self, code: str) -> list[Call]:
        """Returns the calls with literal arguments in the statement that is not complete yet."""
        names = [name for at, name in self._scan.names if at >= self._read_to]
        if not all(map(self._reading.is_harmless, names)):
            return []
        found: list[Call] = []
        for start, end in self._scan.closed[self._looked :]:
            call = _literal_call(code[start:end], self._functions)
            if start >= self._read_to and call is not None:
                self._open[repr(call)] += 1
                found.append(call)
        self._looked = len(self._scan.closed)
        return found


def _literal_call(source: str, functions: frozenset[str]) -> Call | None:
    try:
        node = ast.parse(source, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr not in functions or any(k.arg is None for k in node.keywords):
            return None
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
        return node.func.attr, tuple(ast.literal_eval(a) for a in node.args), keywords
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


_TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>[A-Za-z]{0,2}(?:\"\"\"|'''|\"|'))"
    r"|(?P<name>[^\W\d][\w.]*|\.[^\W\d]\w*)[ \t]*(?P<call>\()?"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<line>\n)|(?P<other>[\s\S])"
)


class CodeScan:
    """Goes once through code that grows: strings, comments, brackets, statements' ends.

    Attributes:
        ends: where a new statement without indentation begins.
        closed: (start, end) of calls of the module's functions whose bracket is closed.
        names: (place, dotted name) of everything that is called.
    """

    def __init__(self, module: str) -> None:
        self.ends: list[int] = []
        self.closed: list[tuple[int, int]] = []
        self.names: list[tuple[int, str]] = []
        self._module = f"{module}."
        self._at = 0
        self._open: list[int] = []  # where the call begins, or -1 for another bracket

    def read(self, code: str) -> None:
        """Goes on to the end of what can be told apart."""
        while self._at < len(code):
            found = _TOKEN.match(code, self._at)
            if found is None:
                return
            end = self._end_of(code, found)
            if end is None:
                return  # what it is, or where it ends, is not written yet
            self._at = end

    def _end_of(self, code: str, found: re.Match[str]) -> int | None:
        kind = found.lastgroup if found.lastgroup != "call" else "name"
        if kind == "string":
            return _string_end(code, found)
        if kind in ("comment", "name") and found.end() == len(code) and not found.group("call"):
            return None
        if kind == "name" and found.group("call"):
            name = found.group("name")
            self.names.append((found.start(), name))
            self._open.append(found.start() if name.startswith(self._module) else -1)
        elif kind == "open":
            self._open.append(-1)
        elif kind == "close" and self._open:
            start = self._open.pop()
            if start >= 0:
                self.closed.append((start, found.end()))
        elif kind == "line" and not self._open:
            return self._line(code, found.end())
        return found.end()

    def _line(self, code: str, at: int) -> int | None:
        """A line ends: says whether a statement does."""
        rest = code[at : at + 8]
        if len(rest) < 8 and "\n" not in rest:
            return None  # `else:` may be what comes
        if not rest[0].isspace() and rest[0] not in "#)]}" and not _CONTINUES.match(rest):
            self.ends.append(at)
        return at


def _string_end(code: str, found: re.Match[str]) -> int | None:
    opening = found.group("string")
    quote = opening.lstrip("rRbBuUfFtT")
    if len(quote) == len(opening) and found.start() and code[found.start() - 1].isalnum():
        quote = opening[-1]
    if len(quote) == 1 and len(code) - found.end() < 2 and code[found.end() :] in ("", quote):
        return None  # may be the beginning of three quotes
    at = found.end()
    while at < len(code):
        if code[at] == "\\":
            at += 2
        elif code.startswith(quote, at):
            return at + len(quote)
        elif code[at] == "\n" and len(quote) == 1:
            return at  # not closed: no Python, which the parser will tell
        else:
            at += 1
    return None
