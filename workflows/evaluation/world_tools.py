"""Tools of a world that an evaluation plays in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.base import Tool


class WorldTool(Tool):
    """A tool of a world; calls run one after another, and again when a run is taken up."""

    name = "world"
    description = "A tool of a world."

    def __init__(self, declaration: Mapping[str, Any], run: Callable[[str, Any], str]) -> None:
        self.name = str(declaration["name"])
        self.description = str(declaration.get("description") or "")
        self.parameters = declaration["parameters"]
        self._run = run
        super().__init__({})

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Says that every call changes the world."""
        return set(), {"kernel:world"}

    def call(self, params: Any, **kwargs: Any) -> str:
        """Runs the call in the world."""
        values = loads_bounded(params) if isinstance(params, str) else dict(params)
        return self._run(self.name, values)
