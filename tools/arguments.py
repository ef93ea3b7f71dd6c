"""Arguments of tools: their schema, and their validation errors in one line."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from qwenbelt.core.errors import one_line


class NoArguments(BaseModel):
    """The arguments of a tool that takes none."""


def validation_line(error: ValidationError) -> str:
    """Returns what is wrong with the arguments as one line that a model can act on."""
    parts = []
    for entry in error.errors(include_url=False, include_input=False):
        place = ".".join(str(step) for step in entry["loc"]) or "arguments"
        parts.append(f"{place}: {entry['msg']}")
    return one_line("; ".join(parts))


def unknown_line(
    values: Mapping[str, Any], schema: Mapping[str, Any], model: type[BaseModel] | None
) -> str:
    """Returns the remark about arguments that the tool does not have, or "".

    Pydantic would leave them out in silence, and the call would do something else than was asked.
    A schema that is silent about further properties takes them, unless a model is behind it
    that neither keeps them nor says that it does without.
    """
    properties = schema.get("properties") or {}
    if all(name in properties for name in values):
        return ""
    closed = schema.get("additionalProperties") is False
    if model is not None:
        closed = closed or model.model_config.get("extra") is None
    if not closed or schema.get("patternProperties"):
        return ""
    known = [str(name) for name in properties]
    fields = list(model.model_fields) if model is not None else []
    unknown = [str(name) for name in values if name not in known and name not in fields]
    if not unknown:
        return ""
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    plural = "s" if len(unknown) > 1 else ""
    return one_line(f"unknown argument{plural} {', '.join(unknown)}; {takes}.")


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Returns a pydantic model's JSON schema without titles, which only cost tokens."""
    return copy.deepcopy(_made_schema(model))


@lru_cache(maxsize=256)
def _made_schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("description", None)
    schema.setdefault("required", [])
    cleaned: dict[str, Any] = _without_titles(schema)
    return cleaned


def _without_titles(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {k: v for k, v in node.items() if not (k == "title" and isinstance(v, str))}
        return {k: _without_titles(v) for k, v in kept.items()}
    if isinstance(node, list):
        return [_without_titles(entry) for entry in node]
    return node
