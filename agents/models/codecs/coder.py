"""Calls as Qwen3-Coder writes them: `<function=NAME><parameter=KEY>value</parameter></function>`.

Values are raw text and may hold the very tags that structure a call: files that are parsers,
templates, tests. So a closing tag counts where valid structure follows it, and tags that open
inside a value have their own closing ones there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.json_scanner import JsonSeal
from qwenbelt.core.jsons import loads_lenient
from qwenbelt.core.schemas import coerced_arguments

Schemas = Mapping[str, JsonDict]
FUNCTION = re.compile(r"<function(?:=|\s+name\s*=\s*)[\"']?([^>\"'\n<]+?)[\"']?\s*>")
_PARAMETER = re.compile(r"<param(?:eter)?(?:=|\s+name\s*=\s*)[\"']?([^>\"'\n<]+?)[\"']?\s*>")
_CLOSE = re.compile(r"</param(?:eter)?>")
FUNCTION_END = "</function>"
_TOKEN = re.compile(
    rf"(?P<open>{_PARAMETER.pattern})|(?P<close>{_CLOSE.pattern})"
    rf"|(?P<function>{FUNCTION.pattern})|(?P<end>{FUNCTION_END})"
)
_NEXT_FUNCTION = re.compile(rf"\n[ \t]*(?:<tool_call>\s*)?({FUNCTION.pattern})")
_SPACE = re.compile(r"\s*")
_AFTER = (FUNCTION_END, "</tool_call>", "<tool_call>", "<function", "<parameter", "<param")


@dataclass(frozen=True, slots=True)
class WrittenFunction:
    """A function that was read.

    Attributes:
        name: "" when its body cannot be read.
        arguments: JSON text, or the body itself when it cannot be read.
        end: where it ends in the text.
        kind: "call"; "abandoned" when another began before this one had any arguments; "text" when
            the tag is only mentioned.
    """

    name: str
    arguments: str
    end: int
    kind: Literal["call", "abandoned", "text"] = "call"


def read_function(
    text: str, start: int, schemas: Schemas, *, final: bool
) -> WrittenFunction | None:
    """Returns the function whose tag is at `start`; None while incomplete or when cut off.

    Args:
        text: the reply from somewhere before the tag, as far as it has come.
        start: where the tag begins.
        schemas: of the offered tools, by name.
        final: whether no more follows; then tags that were left out are done without.
    """
    head = FUNCTION.match(text, start)
    if head is None:
        return None
    return _Function(text, head, schemas, final).read()


class _Function:
    def __init__(self, text: str, head: re.Match[str], schemas: Schemas, final: bool) -> None:
        self.text, self.final, self.schemas = text, final, schemas
        self.name = head.group(1).strip()
        self.body = head.end()
        self.schema = schemas.get(self.name) or {}
        names = self.schema.get("properties")
        self.known = frozenset(names) if isinstance(names, Mapping) else frozenset()
        self.values: JsonDict = {}

    def read(self) -> WrittenFunction | None:
        place = self.body
        while True:
            place = _skip_space(self.text, place)
            if self.text.startswith(FUNCTION_END, place):
                return self._found(place + len(FUNCTION_END))
            close = _CLOSE.match(self.text, place)
            opening = _PARAMETER.match(self.text, place)
            if close:
                place = close.end()
            elif opening:
                real = self._real_one(opening) if self.final else None
                if real is not None:
                    return WrittenFunction(self.name, "", real, "abandoned")
                end = self._value_end(opening.end(), opening.group(1).strip())
                if end is None:
                    return None
                name = opening.group(1).strip()
                self.values[name] = _trimmed(self.text[opening.end() : end[0]])
                place = end[1]
            elif self._is_over(place):
                return self._found(place) if self.values else self._left_alone(place)
            elif self._may_be_tag(place):
                return None
            else:
                return self._json(place) if not self.values else self._unreadable(place)

    def _is_over(self, place: int) -> bool:
        """Returns whether the function has no end tag, and another container's begins here."""
        following = ("</tool_call>", "<tool_call>")
        return self.text.startswith(following, place) or bool(FUNCTION.match(self.text, place))

    def _real_one(self, opening: re.Match[str]) -> int | None:
        """Returns where a whole call begins for which this one was abandoned in its first value."""
        following = None if self.values else _NEXT_FUNCTION.search(self.text, opening.end())
        if following is None or _CLOSE.search(self.text, opening.end(), following.start()):
            return None
        if self._own_close(opening.end(), opening.group(1).strip()) is not None:
            return None
        begins = following.start(1)
        found = read_function(self.text, begins, self.schemas, final=True)
        return begins if found and found.name in self.schemas and found.kind == "call" else None

    def _left_alone(self, place: int) -> WrittenFunction | None:
        """An opening tag without any body: abandoned for another, or not finished."""
        if self.text.startswith("</tool_call>", place):
            return WrittenFunction(self.name, "{}", place)
        return WrittenFunction(self.name, "", place, "abandoned")

    def _may_be_tag(self, place: int) -> bool:
        rest = self.text[place : place + 400]
        if not rest:
            return True
        begun = any(tag.startswith(rest) for tag in (*_AFTER, "</parameter>", "</param>"))
        unclosed = rest.startswith("<") and rest.startswith(("<param", "<function"))
        return begun or (unclosed and ">" not in rest and "\n" not in rest and len(rest) < 400)

    def _found(self, end: int) -> WrittenFunction:
        return WrittenFunction(
            self.name, compact_json(coerced_arguments(self.values, self.schema, written=True)), end
        )

    def _json(self, place: int) -> WrittenFunction | None:
        """Reads a body that is a JSON object of arguments; others are reported to the model."""
        if self.text[place] != "{":
            return self._unreadable(place)
        seal = JsonSeal()
        seal.feed(self.text[place:])
        if seal.end is None:
            return None if not self.final else self._unreadable(place)
        written = self.text[place : place + seal.end]
        end = _skip_space(self.text, place + seal.end)
        if not self.final and not self.text[end:]:
            return None
        if self.text.startswith(FUNCTION_END, end):
            end += len(FUNCTION_END)
        elif not self.final and FUNCTION_END.startswith(self.text[end : end + 12]):
            return None
        value = loads_lenient(written)
        if not isinstance(value, dict):
            return WrittenFunction("", self.text[self.body : end].strip(), end)
        nested = value.get("arguments", value.get("parameters"))
        if isinstance(nested, dict) and set(value) <= {"name", "arguments", "parameters"}:
            value = nested
        return WrittenFunction(self.name, compact_json(value), end)

    def _unreadable(self, place: int) -> WrittenFunction | None:
        """The body holds something that is neither a parameter nor JSON."""
        following = _NEXT_FUNCTION.search(self.text, place)
        end = self.text.find(FUNCTION_END, place)
        if following and not self.values and not 0 <= end < following.start():
            return WrittenFunction(self.name, "", following.start(1), "abandoned")
        if end < 0:
            return WrittenFunction(self.name, "", self.body, "text") if self.final else None
        behind = self.text[end + len(FUNCTION_END) :]
        if not behind and not self.final:
            return None
        if behind[:1] not in ("", "\n", "<"):  # prose that names the tags
            return WrittenFunction(self.name, "", self.body, "text")
        return WrittenFunction("", self.text[self.body : end].strip(), end + len(FUNCTION_END))

    # -- values ---------------------------------------------------------------------------------

    def _value_end(self, start: int, name: str) -> tuple[int, int] | None:
        """Returns where a value ends and the structure continues; None while incomplete."""
        found = self._own_close(start, name)
        if found is None and self.final:
            found = self._first_close(start, name) or self._without_close(start)
        return found

    def _own_close(self, start: int, name: str) -> tuple[int, int] | None:
        """Finds the closing tag of a value, past tags that open and close inside it."""
        parameters = functions = 0
        for token in _TOKEN.finditer(self.text, start):
            kind, place = token.lastgroup, token.start()
            if kind == "end":
                functions = max(0, functions - 1)
            elif kind in ("function", "open") and not _begins_line(self.text, place):
                continue
            elif kind == "function":
                functions += 1
            elif kind == "open":
                next_one = not (parameters or functions) and self._is_next(token, name)
                verdict = self._closes_well(token.end()) if next_one else False
                if verdict or verdict is None:
                    return (place, place) if verdict else None  # its closing tag was left out
                parameters += 1
            elif parameters:
                parameters -= 1
            elif not functions:
                verdict = self._goes_on(token.end(), name)
                if verdict or verdict is None:
                    return (place, token.end()) if verdict else None
        return None

    def _first_close(self, start: int, name: str) -> tuple[int, int] | None:
        """Finds the first closing tag that valid structure follows, whatever opens inside."""
        for close in _CLOSE.finditer(self.text, start):
            if self._goes_on(close.end(), name):
                return close.start(), close.end()
        return None

    def _is_next(self, opening: re.Match[str], current: str) -> bool:
        """Returns whether a parameter of the tool begins that has no value yet."""
        found = _PARAMETER.match(opening.group())
        key = found.group(1).strip() if found else ""
        return key in self.known and key not in self.values and key != current

    def _closes_well(self, start: int) -> bool | None:
        """Returns whether a parameter that begins here is followed by structure where it closes."""
        close, opening = _CLOSE.search(self.text, start), _PARAMETER.search(self.text, start)
        end = self.text.find(FUNCTION_END, start)
        first = min(p for p in (
            close.start() if close else len(self.text),
            opening.start() if opening else len(self.text),
            end if end >= 0 else len(self.text),
        ))  # fmt: skip
        if first == len(self.text):
            return True if self.final else None
        return True if close is None or first < close.start() else self._goes_on(close.end(), "")

    def _goes_on(self, place: int, current: str) -> bool | None:
        """Returns whether structure follows a closing tag; None while that is undecided."""
        place = _skip_space(self.text, place)
        rest = self.text[place : place + 400]
        if rest.startswith(_AFTER[:3]) or FUNCTION.match(self.text, place):
            return True
        opening = _PARAMETER.match(self.text, place)
        if opening:
            key = opening.group(1).strip()
            if key == current or key in self.values:
                return False
            if key in self.known or not self.known:
                return True
            # a name that the tool does not have: invented by the model, or part of a text
            close = _CLOSE.search(self.text, opening.end())
            if close is None:
                return False if self.final else None
            return self._goes_on(close.end(), current)
        if not rest:
            return True if self.final else None
        return None if self._may_be_tag(place) and not self.final else False

    def _without_close(self, start: int) -> tuple[int, int] | None:
        """A value without its closing tag ends at the function's, when no more follows."""
        functions = 0
        for token in _TOKEN.finditer(self.text, start):
            if token.group("function"):
                functions += _begins_line(self.text, token.start())
            elif token.lastgroup == "end":
                if not functions:
                    return token.start(), token.start()
                functions -= 1
        return None


def _skip_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _begins_line(text: str, place: int) -> bool:
    """Returns whether only white space is before this on its line."""
    return not text[max(0, text.rfind("\n", 0, place) + 1) : place].strip()


def _trimmed(value: str) -> str:
    """Returns a value without the line end after its opening tag and before its closing one."""
    value = value.removeprefix("\r").removeprefix("\n")
    return value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
