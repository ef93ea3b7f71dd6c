"""A server on the official SDK whose note changes, with titles, icons and `ttlMs`."""

from __future__ import annotations

from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Completion, CompletionArgument, CompletionContext, Icon

DOT = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="
ICONS = [Icon(src="https://example.org/seen.png"), Icon(src=DOT)]
note, reads = "Buy milk.", 0
lasting = CacheHint(ttl_ms=60_000)
server = MCPServer(
    "changing",
    title="Changing notes",
    icons=ICONS,
    log_level="ERROR",
    cache_hints={"tools/list": lasting, "resources/read": lasting, "prompts/list": lasting},
)


@server.tool(title="Write the note", icons=ICONS)
async def write(ctx: Context, text: str) -> str:
    """Writes the note of today."""
    global note
    note = text
    await ctx.notify_resource_updated("note://today")
    return "written"


@server.tool()
async def count_reads() -> int:
    """Tells how often the note was read."""
    return reads


@server.resource("note://today", title="Today's note", icons=ICONS)
def today() -> str:
    """The note of today."""
    global reads
    reads += 1
    return note


@server.resource("note://{+folder}/of/{day}")
def of_day(folder: str, day: str) -> str:
    """A note of a day."""
    return f"{folder} {day}"


@server.prompt(title="Ask kindly", icons=ICONS)
def ask(tone: str, day: str) -> str:
    """Asks."""
    return f"{tone} {day}"


@server.completion()
async def suggest(
    ref: object, argument: CompletionArgument, context: CompletionContext | None
) -> Completion:
    known = (context.arguments if context else None) or {}
    values = {
        "folder": ["home/a b", "work"],
        "day": [f"monday of {known.get('folder', known.get('tone', '?'))}", "friday"],
        "tone": ["kind", "very kind"],
    }[argument.name]
    return Completion(values=[v for v in values if v.startswith(argument.value)])


server.run("stdio")
