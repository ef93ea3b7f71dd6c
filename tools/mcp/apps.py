"""MCP Apps: pages of a server that a chat may show beside a result (`io.modelcontextprotocol/ui`).

A page is kept as a JSON file in the conversation's folder, which nothing but our chat opens: there
it gets a sandboxed frame (`apps/gui/panes/app_frames.py`). Off unless the server's entry says
`"apps": true`; texts stay whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp import Client
from mcp_types import CallToolResult, TextResourceContents, Tool

from qwenbelt.core.files import write_text

EXTENSION = "io.modelcontextprotocol/ui"
MIME_TYPE = "text/html;profile=mcp-app"
ENDING = ".mcp-app.json"
_MOST_BYTES = 2 * 1024 * 1024


def app_of(entry: Tool) -> str:
    """Returns the URI of a tool's page, or ""."""
    ui = (entry.meta or {}).get("ui")
    uri = ui.get("resourceUri") if isinstance(ui, Mapping) else None
    return uri if isinstance(uri, str) and uri.startswith("ui://") else ""


def is_for_apps_only(entry: Tool) -> bool:
    """Returns whether a tool is for its server's pages, and not for the model."""
    ui = (entry.meta or {}).get("ui")
    seen = ui.get("visibility") if isinstance(ui, Mapping) else None
    return isinstance(seen, list) and bool(seen) and "model" not in seen


async def page_of(client: Client, uri: str) -> str:
    """Returns a page; "" if there is none, or it is too large."""
    found = await client.read_resource(uri)
    for content in found.contents:
        kind = (content.mime_type or "").replace(" ", "").lower()
        if isinstance(content, TextResourceContents) and kind == MIME_TYPE:
            if len(content.text.encode("utf-8", "replace")) > _MOST_BYTES:
                return ""
            return content.text
    return ""


def keep_app(
    folder: Path,
    tool: str,
    html: str,
    arguments: Mapping[str, Any],
    result: CallToolResult,
) -> Path:
    """Writes a page with its call's arguments and result; returns the file."""
    told = {
        "html": html,
        "arguments": arguments,
        "result": result.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    text = json.dumps(told, ensure_ascii=False)
    name = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    path = folder / f"{tool}-{name}{ENDING}"
    write_text(path, text)
    return path
