"""A server on the official Python SDK: python sdk_server.py http|sse|stdio."""

from __future__ import annotations

import asyncio
import socket
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Completion, CompletionArgument
from pydantic import BaseModel

server = MCPServer("sdk", log_level="ERROR")
cancelled = 0


@server.tool()
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.resource("note://today")
def today() -> str:
    """The note of today."""
    return "Buy milk."


@server.resource("note://{day}/picture", mime_type="image/png")
def picture(day: str) -> bytes:
    """A picture of a day."""
    return b"\x89PNG" + day.encode()


@server.prompt()
def review(code: str, style: str = "kind") -> str:
    """Reviews code."""
    return f"Review in a {style} style: {code}"


@server.completion()
async def suggest(ref: object, argument: CompletionArgument, context: object) -> Completion:
    names = ["kind", "kurt", "strict"]
    return Completion(values=[n for n in names if n.startswith(argument.value)])


@server.tool()
async def count(ctx: Context, to: int) -> str:
    """Counts and reports progress."""
    for i in range(to):
        await ctx.report_progress(i + 1, to, f"at {i + 1}")
        await asyncio.sleep(0.02)
    return f"counted to {to}"


@server.tool()
async def wait_long() -> str:
    """Waits for a minute."""
    global cancelled
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "waited"


class Size(BaseModel):
    """What `order` asks."""

    size: str


@server.tool()
async def order(ctx: Context) -> str:
    """Asks for a size in the old way: a request of its own, in the middle of the call."""
    answer = await ctx.elicit("Which size?", Size)
    return f"{answer.action} {answer.data.size if answer.action == 'accept' else ''}"


@server.tool()
async def big(size: int) -> str:
    """Returns a long text."""
    return "x" * size


@server.tool()
async def cancellations() -> int:
    """Tells how many calls were cancelled."""
    return cancelled


def main(kind: str) -> None:
    if kind == "stdio":
        server.run("stdio")
        return
    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    listener.listen()
    app = server.sse_app() if kind == "sse" else server.streamable_http_app()
    path = "/sse" if kind == "sse" else "/mcp"
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)
    config = uvicorn.Config(app, log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


main(sys.argv[1])
