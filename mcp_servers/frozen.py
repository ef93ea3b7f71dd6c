"""Lists of tools that are kept as files, so that a server tells them before it imports them.

The schemas of a server's tools come from pydantic models, which take longer to import than the rest
of the server. `python -m qwenbelt.mcp_servers.frozen` writes the lists anew; a test compares them.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

SERVERS = ("filesystem", "memory")
_FOLDER = Path(__file__).with_name("frozen_tools")


def frozen_tools(name: str, *, read_only: bool = False) -> list[dict[str, Any]]:
    """Returns the list of tools of a server; with `read_only` those without effects."""
    found: list[dict[str, Any]] = json.loads((_FOLDER / f"{name}.json").read_bytes())
    return [t for t in found if not read_only or t["annotations"]["readOnlyHint"]]


def computed_tools(name: str) -> list[dict[str, Any]]:
    """Returns the same list from the operations themselves."""
    from qwenbelt.mcp_servers.handlers import declared_tool

    server = importlib.import_module(f"qwenbelt.mcp_servers.{name}")
    return [declared_tool(operation) for operation in server.operations()]


def main() -> None:
    """Writes the lists of all servers."""
    _FOLDER.mkdir(exist_ok=True)
    for name in SERVERS:
        text = json.dumps(computed_tools(name), ensure_ascii=False, indent=1)
        (_FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
