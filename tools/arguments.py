"""Arguments of tools: their schema, and what is wrong with some, in one line."""

from __future__ import annotations

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


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Returns a pydantic model's JSON schema without titles, which only cost tokens."""
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
