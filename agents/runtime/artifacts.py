"""Large tool results, kept as files that the model can page through."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import write_text
from qwenbelt.tools.base import Tool, ToolContext, ToolResult

PAGE_BYTES = 32 * 1024
_FOLDER = "artifacts"
log = logging.getLogger(__name__)


class ArtifactStore:
    """The artifacts of a conversation; several runs of it may share them.

    Args:
        folder: the conversation's folder, where they stay; without one they are temporary files
            that go with the store.

    Attributes:
        names: the artifacts' paths by name.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._remove: weakref.finalize[..., ArtifactStore] | None = None
        self._folder = folder / _FOLDER if folder is not None else None
        self._lock = threading.Lock()
        found = sorted(self._folder.glob("*.txt")) if self._folder else []
        self.names: dict[str, Path] = {path.name: path for path in found}
        self._numbers = itertools.count(len(found) + 1)

    def keep(self, tool: str, text: str) -> str:
        """Writes a text; returns the name by which `read_artifact` finds it.

        A text that cannot be written, say because the disk is full, gets no name: "".
        """
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in tool)[:40] or "result"
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="qwenbelt-artifacts-"))
                # a run that is dropped without being closed leaves nothing behind either
                self._remove = weakref.finalize(self, shutil.rmtree, self._folder, True)
            name = f"{plain}-{next(self._numbers)}.txt"
            path = self._folder / name
            self.names[name] = path
        try:
            write_text(path, text)
        except InputError as error:
            log.warning("%s", error)
            del self.names[name]
            return ""
        return name

    def close(self) -> None:
        """Removes the temporary folder, if there is one."""
        with self._lock:
            if self._remove is not None:
                self._remove()
                self._remove, self._folder = None, None
                self.names.clear()


class ReadArtifact(Tool):
    """Reads a page of a result that was too large for the conversation."""

    name = "read_artifact"
    description = (
        "Reads more of a tool result that was too long to show. 读取因过长而未完整显示的工具结果。"
    )
    read_only = True

    class Arguments(BaseModel):
        """Which artifact, and where to read."""

        name: str = Field(description="the artifact's name, as given in the shortened result")
        offset: int = Field(0, ge=0, description="the first character to read")
        find: str = Field("", description="read from the first place after offset with this text")

    def __init__(self, store: ArtifactStore, page_bytes: int = PAGE_BYTES) -> None:
        super().__init__()
        self._store = store
        self._page_bytes = page_bytes

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns a page of the text, and where the next one begins."""
        arguments = self.parse(params)
        text = self._text(arguments.name)
        start = arguments.offset
        if arguments.find:
            start = text.find(arguments.find, arguments.offset)
            if start < 0:
                raise ToolError(f"{arguments.find!r} is not in the rest of {arguments.name}.")
        page = text[start : start + self._page_bytes].encode("utf-8")[: self._page_bytes]
        shown = page.decode("utf-8", "ignore")
        end = start + len(shown)
        zh = (kwargs.get("context") or ToolContext()).language == "zh"
        more = f"; go on with offset={end}" if end < len(text) else ""
        head = f"characters {start}-{end} of {len(text)}{more}"
        if zh:
            more = f"；从 offset={end} 继续" if end < len(text) else ""
            head = f"第 {start}-{end} 个字符，共 {len(text)} 个{more}"
        return f"[{head}]\n{shown}"

    def _text(self, name: str) -> str:
        path = self._store.names.get(name)
        try:
            if path is not None:
                return path.read_text(encoding="utf-8")
        except OSError:
            log.info("an artifact is gone: %s", path)
        known = ", ".join(self._store.names) or "none"
        raise ToolError(f"There is no artifact {name!r}. Known: {known}.")


def artifact_reader(store: ArtifactStore, result_bytes: int) -> ReadArtifact:
    """Returns the tool that reads a run's artifacts.

    Args:
        store: where they are.
        result_bytes: how long a result may be; a page is shorter.
    """
    return ReadArtifact(store, min(PAGE_BYTES, result_bytes * 3 // 4))
