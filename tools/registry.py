"""The tools of this pack by name, and their entry into qwen-agent's registry."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from qwenbelt.tools.base import Tool

BUILTIN = {
    "code_interpreter": "qwenbelt.tools.code_interpreter.tool:CodeInterpreter",
    "shell": "qwenbelt.tools.code_interpreter.command:ShellTool",
    "todo_list": "qwenbelt.tools.todo:TodoList",
    "document_search": "qwenbelt.tools.documents.tool:DocumentSearch",
    "read_document": "qwenbelt.tools.documents.tool:ReadDocument",
    "plot": "qwenbelt.tools.plot.tool:Plot",
    "image_annotate": "qwenbelt.tools.images.tool:ImageAnnotate",
    "image_zoom": "qwenbelt.tools.images.tool:ImageZoom",
    "ocr": "qwenbelt.tools.images.tool:Ocr",
    "speech_to_text": "qwenbelt.tools.audio.tool:SpeechToText",
    "web_search": "qwenbelt.tools.web.tool:WebSearch",
    "web_fetch": "qwenbelt.tools.web.tool:WebFetch",
    "memory_create_entities": "qwenbelt.tools.memory.tool:MemoryCreateEntities",
    "memory_create_relations": "qwenbelt.tools.memory.tool:MemoryCreateRelations",
    "memory_add_observations": "qwenbelt.tools.memory.tool:MemoryAddObservations",
    "memory_delete_entities": "qwenbelt.tools.memory.tool:MemoryDeleteEntities",
    "memory_delete_observations": "qwenbelt.tools.memory.tool:MemoryDeleteObservations",
    "memory_delete_relations": "qwenbelt.tools.memory.tool:MemoryDeleteRelations",
    "memory_read_graph": "qwenbelt.tools.memory.tool:MemoryReadGraph",
    "memory_search": "qwenbelt.tools.memory.tool:MemorySearch",
    "memory_open": "qwenbelt.tools.memory.tool:MemoryOpen",
    "sql_query": "qwenbelt.tools.sqlite.tool:SqlQuery",
    "file_read": "qwenbelt.tools.filesystem.tool:FileRead",
    "file_read_many": "qwenbelt.tools.filesystem.tool:FileReadMany",
    "file_read_media": "qwenbelt.tools.filesystem.tool:FileReadMedia",
    "file_write": "qwenbelt.tools.filesystem.tool:FileWrite",
    "file_append": "qwenbelt.tools.filesystem.tool:FileAppend",
    "file_edit": "qwenbelt.tools.filesystem.tool:FileEdit",
    "file_make_folder": "qwenbelt.tools.filesystem.tool:FileMakeFolder",
    "file_list": "qwenbelt.tools.filesystem.tool:FileList",
    "file_tree": "qwenbelt.tools.filesystem.tool:FileTree",
    "file_move": "qwenbelt.tools.filesystem.tool:FileMove",
    "file_search": "qwenbelt.tools.filesystem.tool:FileSearch",
    "file_grep": "qwenbelt.tools.filesystem.tool:FileGrep",
    "file_info": "qwenbelt.tools.filesystem.tool:FileInfo",
}


def tool_class(name: str) -> type[Tool]:
    """Returns the class of a built-in tool.

    Raises:
        KeyError: there is no such tool.
    """
    module, _, attribute = BUILTIN[name].partition(":")
    found: type[Tool] = getattr(importlib.import_module(module), attribute)
    return found


class LazyTool:
    """Stands in qwen-agent's registry for a tool's class, which is imported at its first use.

    Importing the class at registration is not possible: that happens while qwen-agent, which the
    class needs, is itself being imported.
    """

    def __init__(self, name: str) -> None:
        self._registered = name

    def __call__(self, cfg: dict[str, Any] | None = None) -> Tool:
        """Makes the tool."""
        return tool_class(self._registered)(cfg)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(tool_class(self._registered), attribute)


def _register(module: ModuleType) -> None:
    registry = sys.modules["qwen_agent.tools.base"].TOOL_REGISTRY
    for name in BUILTIN:
        registry[name] = LazyTool(name)


def register_when_imported() -> None:
    """Registers the built-in tools as soon as qwen-agent is imported."""
    wrapt.register_post_import_hook(_register, "qwen_agent")
