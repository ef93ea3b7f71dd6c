"""What an agent can do: `Tool` and the tools of this pack.

Importing this package registers the tools with qwen-agent's registry. Because qwen-agent costs
seconds to import, registration waits until something imports `qwen_agent.tools`, whose registry
cannot be seen before that; engines such as the document index work without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwenbelt.tools.registry import register_when_imported

if TYPE_CHECKING:
    from qwenbelt.tools.base import Tool, ToolContext
    from qwenbelt.tools.function import FunctionTool

__all__ = ["FunctionTool", "Tool", "ToolContext"]

_HOME = {
    "Tool": "qwenbelt.tools.base",
    "ToolContext": "qwenbelt.tools.base",
    "FunctionTool": "qwenbelt.tools.function",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)


register_when_imported()
