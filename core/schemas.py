"""JSON schemas of tools: their two forms, what a schema allows, and values in its types.

Servers and models disagree about types: zod writes unions, pydantic `anyOf` with null, others type
lists, `$ref` or `nullable`; models write numbers as text, arrays as JSON text or as Python does.
Here is the one reading of a schema and the one coercion for all tools and all forms of calls.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from qwenbelt.core.jsons import loads_bounded, python_literal

Schema = Mapping[str, Any]
_DEEPEST = 24  # levels of a value that are looked at
_STEPS = 300  # schemas looked at for one value: recursive references and unions have no end
_MOST = 64  # alternatives of one schema
_ANY = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
# what people and generators write for the types of JSON schema
_NAMES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "dict": "object",
    "map": "object",
    "none": "null",
}
_EXACT = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}
_COMBINED = frozenset(("$ref", "allOf", "anyOf", "oneOf"))
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_NULL = {"type": "null"}
_NULLS = ("null", "none", "nil")


def is_exact(values: Mapping[str, Any], schema: Schema) -> bool:
    """Says whether all values are known and plainly of their types: nothing is to be changed."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return False
    for name, value in values.items():
        one = properties.get(name)
        if type(one) is not dict or not _is_of(one.get("type"), value):
            return False
    return True


def json_schema(parameters: Any) -> dict[str, Any]:
    """Returns qwen-agent's list form of parameters as a JSON schema; a schema stays as it is."""
    if isinstance(parameters, dict):
        return parameters
    properties, required = {}, []
    for entry in parameters:
        rest = {k: v for k, v in entry.items() if k not in ("name", "required")}
        properties[entry["name"]] = rest
        if entry.get("required"):
            required.append(entry["name"])
    return {"type": "object", "properties": properties, "required": required}


def told_schema(schema: Schema, depth: int = 0) -> Schema:
    """Returns a schema as a model is told it: what is null when it is left out is not null too.

    That is how pydantic writes each optional argument. It costs a fifth of the tokens of a chart's
    declaration, and small models copy it into their calls.
    """
    properties = schema.get("properties")
    if depth > _DEEPEST or not isinstance(properties, dict):
        return schema
    return {**schema, "properties": {k: _without_null(v, depth) for k, v in properties.items()}}


def _without_null(entry: Any, depth: int) -> Any:
    if not isinstance(entry, dict):
        return entry
    if "default" in entry and entry["default"] is None:
        entry = {k: v for k, v in entry.items() if k != "default"}
        union = entry.get("anyOf")
        kept = [one for one in union if one != _NULL] if isinstance(union, list) else []
        if len(kept) == 1 and isinstance(kept[0], dict):
            entry = {**kept[0], **{k: v for k, v in entry.items() if k != "anyOf"}}
        elif kept:
            entry = {**entry, "anyOf": kept}
    return told_schema(entry, depth + 1)


# -- what a schema allows ---------------------------------------------------------------------


def alternatives(schema: Any, root: Schema) -> list[Schema]:
    """Returns the schemas of which a value must fit one, without references, unions and allOf.

    What cannot be resolved allows anything: the tool checks the value too.
    """
    return _alternatives(schema, root, [_STEPS])


def _alternatives(schema: Any, root: Schema, left: list[int]) -> list[Schema]:
    left[0] -= 1
    if not isinstance(schema, Mapping) or left[0] < 0:
        return [{}]
    base = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
    found: list[Schema] = [base]
    parts = schema["allOf"] if isinstance(schema.get("allOf"), list) else []
    if isinstance(schema.get("$ref"), str):
        parts = [_referenced_schema(root, schema["$ref"]), *parts]
    for part in parts:
        found = _merged(found, _alternatives(part, root, left))
    for union in (schema.get("anyOf"), schema.get("oneOf")):
        if isinstance(union, list) and union:
            options = [one for part in union for one in _alternatives(part, root, left)]
            found = _merged(found, options)
    return found


def _referenced_schema(root: Schema, reference: str) -> Any:
    """Returns what a reference inside the schema points to (RFC 6901); None for any other."""
    if not reference.startswith("#"):
        return None
    place: Any = root
    for step in reference[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and step.isdigit() and int(step) < len(place):
            place = place[int(step)]
        elif isinstance(place, Mapping) and step in place:
            place = place[step]
        else:
            return None
    return place


def _merged(first: list[Schema], second: list[Schema]) -> list[Schema]:
    return [_merged_entry(a, b) for a in first for b in second][:_MOST]


def _merged_entry(a: Schema, b: Schema) -> Schema:
    if not a or not b:
        return a or b
    joined = {**a, **b}
    if "properties" in a and "properties" in b:
        joined["properties"] = {**a["properties"], **b["properties"]}
    if "required" in a and "required" in b:
        joined["required"] = [*a["required"], *b["required"]]
    if "type" in a and "type" in b and "enum" not in b and "const" not in b:
        common = [kind for kind in _typed(a["type"]) if kind in _typed(b["type"])]
        joined["type"] = common or b["type"]
    return joined


def _typed(names: Any) -> list[str]:
    given = names if isinstance(names, list) else [names]
    lower = [name.lower() for name in given if isinstance(name, str)]
    return [_NAMES.get(name, name) for name in lower]


def _types_of_alternative(one: Schema) -> frozenset[str]:
    """Returns the types that one alternative allows; all of them where it names none."""
    if "const" in one:
        kinds = {kind_of(one["const"])}
    elif isinstance(one.get("enum"), list) and one["enum"]:
        kinds = {kind_of(value) for value in one["enum"]}
    elif "type" in one:
        kinds = {kind for kind in _typed(one["type"]) if kind in _ANY} or set(_ANY)
    elif "properties" in one:
        kinds = {"object"}
    elif "items" in one or "prefixItems" in one:
        kinds = {"array"}
    else:
        return _ANY
    return frozenset(kinds | {"null"} if one.get("nullable") is True else kinds)


def allowed_types(schema: Any, root: Schema) -> frozenset[str]:
    """Returns the names of the JSON types that a schema allows; all where it restricts none."""
    return frozenset().union(*map(_types_of_alternative, alternatives(schema, root)))


def kind_of(value: Any) -> str:
    """Returns the JSON type of a value, "integer" for every number without a fraction."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        whole = isinstance(value, int) or value.is_integer()
        return "integer" if whole else "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _permits(one: Schema, value: Any) -> bool:
    kind, allowed = kind_of(value), _types_of_alternative(one)
    if kind not in allowed and not (kind == "integer" and "number" in allowed):
        return False
    if value is None:
        return True
    listed = [one["const"]] if "const" in one else one.get("enum")
    return not isinstance(listed, list) or any(_equal_values(value, entry) for entry in listed)


def _equal_values(value: Any, entry: Any) -> bool:
    return value == entry and isinstance(value, bool) == isinstance(entry, bool)


# -- values in the types of a schema ----------------------------------------------------------


def coerced_arguments(
    values: Mapping[str, Any], schema: Schema, *, written: bool = False
) -> dict[str, Any]:
    """Returns the arguments of a call in the types that the tool's schema asks for.

    Only what can be meant in one way is changed: JSON text or a Python literal where an array or
    object is asked for, text where a number, boolean or null is; a null is left out where it is
    optional and not allowed. What may be a string stays the string that it is. All else is left to
    the tool, which says what it wants. A value that has been coerced once stays as it is.

    Args:
        values: the arguments.
        schema: of the whole object of arguments.
        written: whether every value is text from between tags (Qwen3-Coder's form), where
            null has no other form than its word, and what has no type may be JSON.
    """
    if not _COMBINED.isdisjoint(schema):
        found = _coerced(dict(values), schema, schema, written, 0)
    else:
        found = _coerced_object(dict(values), schema, schema, written, 0)
    return found if isinstance(found, dict) else dict(values)


def _coerced(value: Any, schema: Any, root: Schema, written: bool, depth: int) -> Any:
    if depth > _DEEPEST:
        return value
    options = alternatives(schema, root)
    for reading in _readings(value, options, written):
        permitting = [one for one in options if _permits(one, reading)]
        found = [(_inside(reading, one, root, written, depth), one) for one in permitting]
        if len(found) > 1:  # the first whose names and types are those of the value
            found.sort(key=lambda pair: not _fits(pair[0], pair[1], root))
        if found:
            return found[0][0]
    return value


def _inside(value: Any, one: Schema, root: Schema, written: bool, depth: int) -> Any:
    if isinstance(value, dict):
        return _coerced_object(value, one, root, written, depth)
    if isinstance(value, list):
        items, first = one.get("items", {}), one.get("prefixItems")
        first = first if isinstance(first, list) else []
        each = [*first, *[items] * max(0, len(value) - len(first))]
        return [
            _coerced(entry, part, root, written and depth == 0, depth + 1)
            for entry, part in zip(value, each, strict=False)
        ]
    if (
        isinstance(value, float)
        and value.is_integer()
        and "number" not in _types_of_alternative(one)
    ):
        return int(value)
    return value


def _coerced_object(
    value: dict[str, Any], one: Schema, root: Schema, written: bool, depth: int
) -> Any:
    properties = one.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    others, required = one.get("additionalProperties"), one.get("required") or ()
    text = written and depth == 0  # inside a value that was read as JSON, all is JSON
    out = {}
    for key, entry in value.items():
        schema = properties.get(key, others if isinstance(others, Mapping) else {})
        if isinstance(schema, Mapping) and _is_of(schema.get("type"), entry):
            out[key] = entry  # the usual case, which costs next to nothing
            continue
        found = _coerced(entry, schema, root, text, depth + 1)
        if key in properties and key not in required and _is_null(found):
            allowed = allowed_types(schema, root)
            if "null" not in allowed and (found is None or "string" not in allowed):
                continue
        out[key] = found
    return out


def _is_of(kind: Any, value: Any) -> bool:
    return isinstance(kind, str) and type(value) in _EXACT.get(kind, ())


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _NULLS)


def _readings(value: Any, options: list[Schema], written: bool) -> Iterator[Any]:
    """Yields what a value can be meant as; the first that is permitted counts."""
    if not isinstance(value, str):
        yield value
        if isinstance(value, int) and not isinstance(value, bool):
            yield str(value)  # of another type only where a string is asked for
        return
    untyped = any(_types_of_alternative(one) == _ANY and "type" not in one for one in options)
    if written and value.strip() in ("null", "None"):
        yield None
    if written and untyped:
        yield from _containers(value)
    yield value
    yield from _scalars(value.strip())
    yield from _containers(value)


def _scalars(word: str) -> Iterator[Any]:
    if not word or word.lower() in _NULLS:
        yield None
    if word.lower() in ("true", "false"):
        yield word.lower() == "true"
    if _NUMBER.fullmatch(word) and len(word) <= 400:
        number: Any = float(word)
        if re.fullmatch(r"[-+]?\d+", word):
            number = int(word)
        if math.isfinite(number):
            yield number


def _containers(text: str) -> Iterator[Any]:
    body = text.strip()
    if body[:1] == body[-1:] == '"' and len(body) > 1:  # encoded twice
        with contextlib.suppress(json.JSONDecodeError):
            inner = loads_bounded(body, strict=False)
            yield from _containers(inner) if inner[:1] in ("[", "{") else ()
        return
    if body[:1] not in ("[", "{", "("):
        return
    try:
        value = loads_bounded(body, strict=False)
    except json.JSONDecodeError:
        value = python_literal(body)
    if isinstance(value, (list, dict)):
        yield value


def _fits(value: Any, one: Any, root: Schema, depth: int = 0) -> bool:
    """Says whether a value seems to be of an alternative: types, names, and nothing finer."""
    if depth > _DEEPEST or not _permits(one, value):
        return depth > _DEEPEST
    if isinstance(value, list):
        items = alternatives(one.get("items", {}), root)
        return all(any(_fits(v, item, root, depth + 1) for item in items) for v in value)
    if not isinstance(value, dict):
        return True
    properties = one.get("properties") or {}
    if any(name not in value for name in one.get("required") or ()):
        return False
    for key, entry in value.items():
        if key not in properties:
            if one.get("additionalProperties") is False:
                return False
            continue
        if not any(_fits(entry, o, root, depth + 1) for o in alternatives(properties[key], root)):
            return False
    return True
