"""Keeps an agent's tools in step with the servers they come from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

from qwenbelt.tools.base import ToolSource

_MOST_TOLD = 8000  # characters of all sources together


class ToolSources:
    """The sources of an agent's tools, where they have any.

    A source is followed while the agent has all that it offers: who has picked some of its tools,
    or switched one off, is given no others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, tuple[ToolSource, set[str]]] = {}

    def update(self, tools: MutableMapping[str, Any]) -> None:
        """Adds new tools at the end, and replaces and removes those that changed or went."""
        with self._lock:
            for tool in tools.values():
                source = getattr(tool, "source", None)
                if source is not None and id(source) not in self._known:
                    self._known[id(source)] = (source, set(source.offered_at_first()))
            for source, known in self._known.values():
                if known <= tools.keys():
                    _bring_up_to_date(tools, source, known)

    def told(self, tools: MutableMapping[str, Any], language: str) -> list[str]:
        """Returns what the sources of these tools say about themselves, in the tools' order.

        What comes after `_MOST_TOLD` characters is left out, whole.
        """
        found: dict[int, str] = {}
        for tool in tools.values():
            source = getattr(tool, "source", None)
            if source is not None and id(source) not in found:
                found[id(source)] = source.told(language)
        room, told = _MOST_TOLD, []
        for text in found.values():
            room -= len(text)
            if text and room >= 0:
                told.append(text)
        return told

    async def settled(self) -> None:
        """Waits a moment for changes that have been announced."""
        sources = [source for source, _ in self._known.values()]
        if sources:
            await asyncio.gather(*(source.settled() for source in sources), return_exceptions=True)


def _bring_up_to_date(tools: MutableMapping[str, Any], source: ToolSource, known: set[str]) -> None:
    current = source.current()
    for name in known - current.keys():
        del tools[name]
    for name, tool in current.items():
        if name in known or name not in tools:  # never in the place of another's tool
            tools[name] = tool
            known.add(name)
    known &= current.keys()
