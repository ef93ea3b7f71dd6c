"""What an agent can do: `Tool` and the tools of this pack.

Importing this package registers the tools with qwen-agent's registry. Because qwen-agent costs
seconds to import, registration waits until something imports `qwen_agent.tools`, whose registry
cannot be seen before that; engines such as the document index work without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy
from qwenbelt.tools.registry import register_when_imported

if TYPE_CHECKING:
    from qwenbelt.tools.base import Tool, ToolContext
    from qwenbelt.tools.function import FunctionTool

__all__ = ["FunctionTool", "Tool", "ToolContext"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.tools.base": (
            "Tool",
            "ToolContext",
        ),
        "qwenbelt.tools.function": ("FunctionTool",),
    },
)


register_when_imported()
