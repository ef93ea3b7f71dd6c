"""Adds bounds to a schema, for a model whose answer did not end.

Small models may write the same words over and over inside a text, which no schema forbids. What
fits the bounded schema fits the original as well, so nothing that is checked changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CHARACTERS = (400, 80)  # of a text, after the first cut and after the second
_ITEMS = (12, 4)
_FREE = ("enum", "const", "pattern", "format", "maxLength")  # a text with one of them has bounds
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains")


def bounded_schema(schema: Any, cuts: int) -> Any:
    """Returns a schema in which every text and every list comes to an end.

    Args:
        schema: a JSON schema.
        cuts: how often the answer was cut off, from 1; the bounds get narrower.
    """
    if not isinstance(schema, Mapping):
        return schema
    out = _inside(schema, cuts)
    step = min(cuts, len(_ITEMS)) - 1
    kinds = out.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "string" in kinds and not any(name in out for name in _FREE):
        out["maxLength"] = max(_CHARACTERS[step], out.get("minLength", 0))
    if "array" in kinds:
        most = max(_ITEMS[step], out.get("minItems", 0))
        out["maxItems"] = min(out.get("maxItems", most), most)
    if "object" in kinds and cuts > 1 and _is_open(out):
        out |= {"properties": {}, "additionalProperties": False}  # any number of names: none
    return out


def _inside(schema: Mapping[str, Any], cuts: int) -> dict[str, Any]:
    """Returns a schema with bounds in all schemas that it holds."""
    out = dict(schema)
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, Mapping):
            out[name] = {key: bounded_schema(inner, cuts) for key, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            out[name] = [bounded_schema(inner, cuts) for inner in value]
        elif name in _SINGLE:
            out[name] = bounded_schema(value, cuts)
    return out


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether an object may have any names, and needs none."""
    known = ("properties", "required", "patternProperties", "minProperties", "$ref", *_LISTS)
    return not any(schema.get(name) for name in known)
