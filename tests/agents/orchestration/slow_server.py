"""An MCP server with one slow tool; it notes in a file what becomes of a call."""

import asyncio
import sys
from pathlib import Path

from mcp.server import MCPServer

log = Path(sys.argv[1])
server = MCPServer("slow")


def note(text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


@server.tool()
async def wait(seconds: float) -> str:
    """Waits."""
    note("began")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("ended")
    return "waited"


server.run("stdio")
