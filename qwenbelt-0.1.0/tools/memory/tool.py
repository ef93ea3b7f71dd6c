"""The memory tools for agents: one graph for all conversations, or the configuration's file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from qwenbelt.core.settings import load_settings
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.local import LocalTool
from qwenbelt.tools.memory.operations import OPERATIONS
from qwenbelt.tools.memory.store import GraphStore

_BY_NAME = {operation.name: operation for operation in OPERATIONS}


class MemoryTool(LocalTool):
    """What the memory tools share.

    Args:
        cfg: `file` (the graph's file; default: `memory.db` in the workspace).
    """

    def _file(self) -> str:
        return str(self.cfg.get("file") or load_settings().workspace / "memory.db")

    def engine(self, context: ToolContext) -> GraphStore:
        """Returns the graph."""
        return _opened(self._file())

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the graph as read or written."""
        graph = {f"memory:{self._file()}"}
        return (graph, set()) if self.read_only else (set(), graph)


@functools.lru_cache(maxsize=32)
def _opened(path: str) -> GraphStore:
    return GraphStore(Path(path).expanduser())


class MemoryCreateEntities(MemoryTool):
    """Adds entities."""

    name = "memory_create_entities"
    operation = _BY_NAME["create_entities"]


class MemoryCreateRelations(MemoryTool):
    """Adds relations."""

    name = "memory_create_relations"
    operation = _BY_NAME["create_relations"]


class MemoryAddObservations(MemoryTool):
    """Adds observations."""

    name = "memory_add_observations"
    operation = _BY_NAME["add_observations"]


class MemoryDeleteEntities(MemoryTool):
    """Deletes entities."""

    name = "memory_delete_entities"
    operation = _BY_NAME["delete_entities"]


class MemoryDeleteObservations(MemoryTool):
    """Deletes observations."""

    name = "memory_delete_observations"
    operation = _BY_NAME["delete_observations"]


class MemoryDeleteRelations(MemoryTool):
    """Deletes relations."""

    name = "memory_delete_relations"
    operation = _BY_NAME["delete_relations"]


class MemoryReadGraph(MemoryTool):
    """Shows the graph."""

    name = "memory_read_graph"
    operation = _BY_NAME["read_graph"]


class MemorySearch(MemoryTool):
    """Searches the graph."""

    name = "memory_search"
    operation = _BY_NAME["search_nodes"]


class MemoryOpen(MemoryTool):
    """Shows named entities."""

    name = "memory_open"
    operation = _BY_NAME["open_nodes"]
