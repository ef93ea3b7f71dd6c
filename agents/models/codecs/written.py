"""Calls written as text: what stands between the tags, and JSON that is nothing but calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.json_scanner import JsonSeal

Schemas = Mapping[str, JsonDict]
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|\Z)", re.S)
_PARAMETER = re.compile(
    r"<parameter=([^>\s]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.S
)
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_BETWEEN = re.compile(r"(?:\s|,|;|```[a-zA-Z_]*|</tool_call>)*")
_HEAD = 400  # characters in which the first key and name of a call must stand
_LANGUAGES = ("json", "tool_call", "tool_calls", "tool", "tool_code", "function", "python")
_KEYS = ("name", "arguments", "parameters", "function", "type", "id", "tool_calls")


def is_json(text: str) -> bool:
    """Says whether text is JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def read_call(body: str, schemas: Schemas) -> tuple[str, str]:
    """Returns the name and the argument JSON of the text between `<tool_call>` tags.

    Text that cannot be read gives an empty name; the text itself is kept as arguments.
    """
    coder = _FUNCTION.search(body)
    if coder:
        name = coder.group(1)
        return name, _coder_arguments(coder.group(2), schemas.get(name, {}))
    value = _loads(body)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value["name"], _arguments_of(value)
    name_like, start = _NAME.search(body), _ARGUMENTS.search(body)
    if name_like and start:
        return name_like.group(1), _first_value(body[start.end() :])
    return (name_like.group(1) if name_like else ""), body.strip()


def _first_value(text: str) -> str:
    """Returns the first JSON value of text that goes on, however broken what follows is."""
    seal = JsonSeal()
    if text.lstrip()[:1] in ("{", '"') and seal.feed(text) and seal.end is not None:
        return text[: seal.end].strip()
    return text.rstrip().removesuffix("}")


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError:
        return None


def _arguments_of(value: Mapping[str, Any]) -> str:
    arguments = value.get("arguments", value.get("parameters", {}))
    return arguments if isinstance(arguments, str) else compact_json(arguments)


def _coder_arguments(body: str, schema: JsonDict) -> str:
    """Returns JSON of Qwen3-Coder's parameters, with the types that the schema names."""
    properties = schema.get("properties", {})
    values: JsonDict = {}
    for key, text in _PARAMETER.findall(body):
        values[key] = _coder_value(text, properties.get(key))
    return compact_json(values)


def _coder_value(text: str, schema: object) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind == "string":
        return text
    word = text.strip()
    if kind == "boolean" and word.lower() in ("true", "false"):
        return word.lower() == "true"  # the model writes Python's True as often as JSON's true
    if word in ("null", "None"):
        return None
    parsed = _loads(word)
    return text if parsed is None else parsed


def may_be_calls(text: str, names: Schemas) -> bool:
    """Says whether text that has just begun may still turn out to be JSON calls of these names.

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
    key, rest = _string_at(head[1:].lstrip(), _KEYS)
    if key is None or rest is None:
        return rest is None and key is not None
    if key != "name":
        return True
    colon = rest.lstrip()
    if colon[:1] not in ("", ":"):
        return False
    name, _ = _string_at(colon[1:].lstrip(), names)
    return name is not None


def _fence_head(text: str) -> tuple[str, str, str]:
    found = re.match(r"([a-zA-Z_]*)(\s*)", text)
    language, space = (found.group(1), found.group(2)) if found else ("", "")
    rest = text[len(language) + len(space) :]
    # "```{" has no space, but its language is complete all the same
    return language, space or ("\n" if rest else ""), rest


def _string_at(text: str, known: Iterator[str] | Any) -> tuple[str | None, str | None]:
    """Reads a JSON string of the known ones: (itself or its beginning or None, what follows it).

    What follows is None while the string goes on.
    """
    if not text:
        return "", None
    if text[0] != '"':
        return None, ""
    word, closed, rest = text[1:].partition('"')
    if closed:
        return (word, rest) if word in known else (None, rest)
    return (word, None) if any(entry.startswith(word) for entry in known) else (None, None)


def json_calls(text: str, schemas: Schemas) -> list[tuple[str, str]]:
    """Returns the calls of text that is nothing but fenced or bare JSON of offered tools.

    Several values may follow each other; a lone closing tag after them is ignored.
    """
    calls: list[tuple[str, str]] = []
    for value in _values(text):
        found = list(_calls_in(value, schemas))
        if not found:
            return []
        calls += found
    return calls


def _values(text: str) -> Iterator[Any]:
    """Yields the JSON values of text, and None in the place of anything else."""
    position = 0
    while True:
        gap = _BETWEEN.match(text, position)
        position = gap.end() if gap else position
        if position >= len(text):
            return
        seal = JsonSeal()
        seal.feed(text[position:])
        if text[position] not in "{[" or seal.end is None:
            yield None
            return
        piece = text[position : position + seal.end]
        position += seal.end
        yield _loads(piece) or _repaired(piece)


def _repaired(text: str) -> Any:
    import json_repair

    return json_repair.loads(text)


def _calls_in(value: Any, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yields the calls of a JSON value; nothing when any part of it is not a call."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    found = []
    for entry in value if isinstance(value, list) else [value]:
        call = _call_in(entry, schemas)
        if call is None:
            return
        found.append(call)
    yield from found


def _call_in(entry: Any, schemas: Schemas) -> tuple[str, str] | None:
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    if not isinstance(entry, dict):
        return None
    name = entry.get("name") or entry.get("function")
    if not isinstance(name, str) or name not in schemas:
        return None
    arguments = entry.get("arguments", entry.get("parameters"))
    if isinstance(arguments, str):
        arguments = _loads(arguments)
    if not isinstance(arguments, dict):
        return None
    known = schemas[name].get("properties") or {}
    if "properties" in arguments and "properties" not in known:
        return None  # the tool's declaration again, not a call of it
    return name, compact_json(arguments)
