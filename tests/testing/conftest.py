"""Tools that several modules use, registered once."""

import json
import time
from typing import Any, ClassVar

from qwen_agent.tools.base import BaseTool, register_tool


@register_tool("adder", allow_overwrite=True)
class Adder(BaseTool):  # type: ignore[misc]
    """Adds after a moment, so that overlap can be seen."""

    name = "adder"
    description = "Adds two numbers."
    parameters: ClassVar[Any] = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    }

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns the sum."""
        values = json.loads(params) if isinstance(params, str) else params
        time.sleep(0.03)
        return f"{values['a']} + {values['b']} = {values['a'] + values['b']}"


@register_tool("passages", allow_overwrite=True)
class Passages(BaseTool):  # type: ignore[misc]
    """Gives two passages with file and page."""

    name = "passages"
    description = "Finds passages."
    parameters: ClassVar[Any] = {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    }

    def call(self, params: Any, **kwargs: Any) -> str:
        """Returns the passages."""
        time.sleep(0.03)
        return (
            "[1] steel.pdf p.3\nThe mean tensile strength was 405 MPa.\n\n"
            "[2] steel.pdf p.7\nAll samples were cut at 20 °C."
        )
