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
    from qwenbelt.tools.base import Tool, ToolContext, result_items
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
    from qwenbelt.tools.function import FunctionTool
    from qwenbelt.tools.plot.tool import Plot
    from qwenbelt.tools.registry import tool_class

__all__ = [
    "CodeInterpreter",
    "FunctionTool",
    "Plot",
    "Tool",
    "ToolContext",
    "result_items",
    "tool_class",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.tools.base": (
            "Tool",
            "ToolContext",
            "result_items",
        ),
        "qwenbelt.tools.code_interpreter.tool": ("CodeInterpreter",),
        "qwenbelt.tools.function": ("FunctionTool",),
        "qwenbelt.tools.plot.tool": ("Plot",),
        "qwenbelt.tools.registry": ("tool_class",),
    },
)


register_when_imported()
