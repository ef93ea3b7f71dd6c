"""Calls written as JSON in text: which values are calls, and whether text is nothing but calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.json_scanner import JsonSeal
from qwenbelt.core.jsons import loads_lenient, repaired_json

Schemas = Mapping[str, JsonDict]
Written = tuple[str, str]  # a name and the text of its arguments
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_BETWEEN = re.compile(r"(?:\s|,|;|```[a-zA-Z_]*|</tool_call>)*")
_FOREIGN = re.compile(r'[^"]{1,64}"\s*,\s*"(?:arguments|parameters)"')
_HEAD = 400  # characters in which the first key and name of a call must be
_CLOSER = re.compile(r"\n[ \t]*\}[ \t]*(?=\n|$)")  # a brace with a line of its own
_LANGUAGES = ("json", "tool_call", "tool_calls", "tool", "tool_code", "function", "python", "xml")
_NAMES = ("name", "tool_name", "function", "tool")
_GIVEN = ("arguments", "parameters", "args", "params", "input")
_KEYS = (*_NAMES, *_GIVEN, "type", "id", "tool_calls")


def calls_of(value: Any, *, flat: bool = False) -> list[Written]:
    """Returns the calls that a JSON value is, whatever they are named; [] when a part is none.

    Args:
        value: the JSON value.
        flat: whether arguments may be beside the name, as they do where nothing but a call can
            be meant.
    """
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    entries = value if isinstance(value, list) else [value]
    found = [call for entry in entries if (call := _call_of(entry, flat)) is not None]
    return found if len(found) == len(entries) else []


def _call_of(entry: Any, flat: bool) -> Written | None:
    if isinstance(entry, Mapping) and isinstance(entry.get("function"), Mapping):
        entry = entry["function"]
    if not isinstance(entry, Mapping):
        return None
    key = next((key for key in _NAMES if isinstance(entry.get(key), str)), "")
    if not key:
        return None
    given = next((entry[name] for name in _GIVEN if name in entry), None)
    if given is None:
        if not flat:
            return None
        given = {k: v for k, v in entry.items() if k not in (key, *_GIVEN, "type", "id")}
    return str(entry[key]), given if isinstance(given, str) else compact_json(given)


def read_json(text: str) -> list[Written]:
    """Returns the calls of text that is one JSON value; [] when it cannot be read as calls."""
    value = loads_lenient(text)
    return calls_of(value, flat=True) if value is not None else []


def read_broken(body: str) -> Written:
    """Returns the name and the arguments of JSON that is not whole, as far as they are readable.

    Text that cannot be read gives an empty name; the text itself is kept as arguments.
    """
    name, start = _NAME.search(body), _ARGUMENTS.search(body)
    if name and start:
        return name.group(1), _first_value(body[start.end() :])
    return (name.group(1) if name else ""), body.strip()


def _first_value(text: str) -> str:
    """Returns the first JSON value of text, however broken what follows it is."""
    seal = JsonSeal()
    if text.lstrip()[:1] in ("{", '"') and seal.feed(text) and seal.end is not None:
        return text[: seal.end].strip()
    return text.rstrip().removesuffix("}")


# -- text that is nothing but calls --------------------------------------------------------------


def may_be_calls(text: str, names: Schemas) -> bool:
    """Returns whether text that has just begun may still turn out to be JSON calls of these names.

    Looks at the beginning only: fence, bracket, first key, first name.
    """
    head = text[:_HEAD].lstrip()
    if head.startswith("```"[: len(head)]):
        language, space, head = _fence_head(head[3:])
        if not space:
            return any(known.startswith(language) for known in _LANGUAGES)
        if language and language not in _LANGUAGES:
            return False
    head = head.removeprefix("[").lstrip()
    if not head:
        return True
    if head[0] != "{":
        return False
    inner = head[1:].lstrip()
    if inner.startswith("{"):  # braces written twice
        inner = inner[1:].lstrip()
    key, rest = _string_at(inner, _KEYS)
    if key is None or rest is None:
        return rest is None and key is not None
    if key not in ("name", "tool_name"):
        return True
    colon = rest.lstrip()
    if colon[:1] not in ("", ":"):
        return False
    value = colon[1:].lstrip()
    name, _ = _string_at(value, names)
    return name is not None or _may_be_foreign(value, len(text) >= _HEAD)


def _may_be_foreign(value: str, whole_head: bool) -> bool:
    """Returns whether a name that is not offered may begin calls of which others are."""
    if _FOREIGN.match(value[1:]):
        return True
    name, closed, rest = value[1:].partition('"')
    if whole_head or len(name) > 64:
        return False
    if not closed:
        return True
    following = "".join(rest.split())
    return any(f',"{key}"'.startswith(following) for key in ("arguments", "parameters"))


def _fence_head(text: str) -> tuple[str, str, str]:
    found = re.match(r"([a-zA-Z_]*)(\s*)", text)
    language, space = (found.group(1), found.group(2)) if found else ("", "")
    rest = text[len(language) + len(space) :]
    # "```{" has no space, but its language is complete nevertheless
    return language, space or ("\n" if rest else ""), rest


def _string_at(text: str, known: Iterator[str] | Any) -> tuple[str | None, str | None]:
    """Reads a JSON string of the known ones: (itself or its beginning or None, what follows it).

    What follows is None while the string is open.
    """
    if not text:
        return "", None
    if text[0] != '"':
        return None, ""
    word, closed, rest = text[1:].partition('"')
    if closed:
        return (word, rest) if word in known else (None, rest)
    return (word, None) if any(entry.startswith(word) for entry in known) else (None, None)


def json_calls(text: str, schemas: Schemas) -> list[Written]:
    """Returns the calls of text that is nothing but fenced or bare JSON of offered tools.

    Several values may follow each other; a lone closing tag after them is ignored. One that names
    a call of a tool that is not offered is kept beside valid ones, so that the model hears of it.
    """
    calls: list[Written] = []
    for value in _json_values(text):
        found = _real_calls(value, schemas)
        if not found:
            return []
        calls += found
    return calls if any(name in schemas for name, _ in calls) else []


def embedded_calls(text: str, schemas: Schemas) -> tuple[list[Written], str]:
    """Returns the calls with which text begins, and the words that follow them."""
    calls: list[Written] = []
    end = 0
    for value, place in _placed_values(text):
        found = _real_calls(value, schemas)
        if not found:
            break
        calls, end = calls + found, place
    if not calls or any(name not in schemas for name, _ in calls):
        return [], text
    return calls, text[end:].lstrip("`\n ")


def _json_values(text: str) -> Iterator[Any]:
    """Yields the JSON values of text, and None in the place of anything else."""
    for value, _ in _placed_values(text):
        yield value


def _placed_values(text: str) -> Iterator[tuple[Any, int]]:
    position = 0
    while True:
        gap = _BETWEEN.match(text, position)
        position = gap.end() if gap else position
        if position >= len(text):
            return
        seal = JsonSeal()
        seal.feed(text[position:])
        if text[position] not in "{[" or seal.end is None:
            yield _unended(text[position:].rstrip("`\n "), seal.unclosed), len(text)
            return
        piece = text[position : position + seal.end]
        position += seal.end
        yield loads_lenient(piece) or repaired_json(piece), position


def _unended(text: str, unclosed: int) -> Any:
    """Returns the value of text that never comes to an end: a brace or a quote is missing.

    Braces written twice and closed once; or a last string that is not closed before the braces
    below it, as Qwen2.5-Coder 1.5B leaves one line of code of ten.

    Args:
        text: of the value, and nothing after it.
        unclosed: in how many braces and brackets a string stands that is open, or 0.
    """
    if not text.startswith("{"):
        return None
    value = loads_lenient(text)
    closers = list(_CLOSER.finditer(text))
    if value is not None or not unclosed or len(closers) < unclosed:
        return value
    place = closers[-unclosed].start()
    if "".join(text[place:].split()).strip("}"):
        return None  # it goes on below them
    return loads_lenient(f'{text[:place]}"{text[place:]}')


def _real_calls(value: Any, schemas: Schemas) -> list[Written]:
    """Returns the calls of a value of which each has a name and an object of arguments."""
    calls = calls_of(value)
    objects = [(name, loads_lenient(arguments)) for name, arguments in calls]
    if not all(isinstance(given, dict) for _, given in objects):
        return []
    found = []
    for name, written in objects:
        known = (schemas.get(name) or {}).get("properties") or {}
        given = _without_schema(written, known)
        if "properties" in given and "properties" not in known:
            return []  # the tool's declaration again, not a call of it
        if name not in schemas and not given:
            return []  # an object with a name is no call
        found.append((name, compact_json(given)))
    return found


def _without_schema(given: JsonDict, known: JsonDict) -> JsonDict:
    """Returns arguments without words of their schema that were copied into them.

    Qwen2.5-Coder 0.5B writes {"properties": {"years": 5}} and {"years": 5, "required": ["years"]}.
    """
    inner = given.get("properties")
    if (
        "properties" not in known
        and given.keys() <= {"properties", "required", "type"}
        and isinstance(inner, dict)
        and inner
        and inner.keys() <= known.keys()
        and not any(isinstance(value, dict) and "type" in value for value in inner.values())
    ):
        return inner
    return {
        name: value
        for name, value in given.items()
        if name in known or not _is_of_schema(name, value, known)
    }


def _is_of_schema(name: str, value: Any, known: JsonDict) -> bool:
    if name == "required":
        return (
            isinstance(value, list)
            and bool(known)
            and all(isinstance(one, str) and one in known for one in value)
        )
    return bool(known) and name == "type" and value == "object"
