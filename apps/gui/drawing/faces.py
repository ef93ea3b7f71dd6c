"""The title and the icon of a tool, where its MCP server gives them."""

from __future__ import annotations

from html import escape
from typing import Any


class ToolFaces:
    """The titles and icons of a conversation's tools, as far as they have been made here."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def learn(self, agent: Any) -> None:
        """Takes in the tools of an agent."""
        for name, tool in getattr(agent, "function_map", {}).items():
            title, icon = getattr(tool, "title", ""), getattr(tool, "icon", "")
            if title or icon:
                self._known[name] = (title, icon)

    def html(self, name: str) -> str:
        """Returns the name with what belongs to it; the name stays, since a title may say anything.

        The icon is a checked `data:` address (`tools/mcp/icons.py`): nothing is fetched.
        """
        title, icon = self._known.get(name, ("", ""))
        picture = f'<img class="qb-tool-icon" src="{escape(icon)}" alt="">' if icon else ""
        words = f' <span class="qb-tool-title">{escape(title)}</span>' if title else ""
        return f"{picture}<b>{escape(name)}</b>{words}"
