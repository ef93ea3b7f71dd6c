"""A client of MCP servers: their tools as `BaseTool` objects for any agent.

`mcp_tools(config)` is all that most people need; `McpServers` is the same without qwen-agent, for
programs that list, test or call servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.servers import McpServers
    from qwenbelt.tools.mcp.tool import McpTool, mcp_tools

__all__ = ["McpServers", "McpTool", "mcp_tools"]

_HOME = {
    "McpServers": "qwenbelt.tools.mcp.servers",
    "McpTool": "qwenbelt.tools.mcp.tool",
    "mcp_tools": "qwenbelt.tools.mcp.tool",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
