"""JSON schemas of tools in the two forms that qwen-agent knows."""

from __future__ import annotations

from typing import Any


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
