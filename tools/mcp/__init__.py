"""A client of MCP servers: their tools as `BaseTool` objects for any agent.

`mcp_tools(config)` is all that most people need; `McpServers` is the same without qwen-agent, for
programs that list, test or call servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.offered import Offered
    from qwenbelt.tools.mcp.servers import McpServers
    from qwenbelt.tools.mcp.tool import McpTool, mcp_tools

__all__ = ["McpServers", "McpTool", "Offered", "mcp_tools"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.tools.mcp.offered": ("Offered",),
        "qwenbelt.tools.mcp.servers": ("McpServers",),
        "qwenbelt.tools.mcp.tool": (
            "McpTool",
            "mcp_tools",
        ),
    },
)
