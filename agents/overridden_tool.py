"""Tools of an agent whose subclass overrides qwen-agent's `_call_tool`: calls go through that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from qwenbelt.agents.runtime.tool_arguments import as_json
from qwenbelt.tools.base import Tool

_DECLARED = (
    "read_only",
    "idempotent",
    "destructive",
    "open_world",
    "timeout",
    "retry_on",
    "max_retries",
    "weight",
    "max_concurrency",
    "approve",
)


class OverriddenTool(Tool):
    """Stands for a tool: same name, declaration, flags and resources, but another way to call it.

    Args:
        tool: the tool.
        call_tool: the agent's `_call_tool`.
    """

    wants_message_objects = True  # as qwen-agent's own `_call_tool` does

    def __init__(self, tool: Any, call_tool: Callable[..., Any]) -> None:
        self.name = tool.name
        self.tool = tool
        self._call_tool = call_tool
        self.timeout = None
        self.accepts_text = tool.accepts_text if isinstance(tool, Tool) else True
        for name in _DECLARED:
            if hasattr(tool, name):
                setattr(self, name, getattr(tool, name))

    @property
    def function(self) -> dict[str, Any]:
        """The declaration of the tool itself."""
        declared: dict[str, Any] = self.tool.function
        return declared

    def parse(self, params: str | Mapping[str, Any] | BaseModel) -> Any:
        """Checks the arguments as the tool does."""
        return self.tool.parse(params) if isinstance(self.tool, Tool) else params

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the tool's resources."""
        return self.tool.resources(arguments) if isinstance(self.tool, Tool) else (set(), set())

    def call(self, params: Any, **kwargs: Any) -> Any:
        """Calls the agent's own `_call_tool`, with the arguments as JSON text."""
        if not isinstance(self.tool, Tool):
            kwargs.pop("context", None)
        return self._call_tool(self.name, as_json(params), **kwargs)
