"""What the conformance suite runs as our client: conformance_client.py URL.

It lists the tools and calls each of them once.
"""

from __future__ import annotations

import sys

from qwenbelt.tools.mcp import mcp_tools


def main(url: str) -> None:
    for tool in mcp_tools({"mcpServers": {"peer": {"url": url}}}, strict=True):
        arguments = dict.fromkeys(tool.function["parameters"].get("properties", {}), 3)
        print(tool.name, tool.call(arguments))


main(sys.argv[-1])
