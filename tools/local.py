"""Tools of this process made of operations, so that an agent needs no server for them."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes
from qwenbelt.core.language import Language
from qwenbelt.tools.base import Structured, Tool, ToolContext, ToolResult
from qwenbelt.tools.operation import Media, Operation, OperationCall, OperationResult


class LocalTool(Tool):
    """A tool that runs an operation on an engine here.

    A subclass sets `name` and `operation`, and overrides `engine`.
    """

    operation: ClassVar[Operation]

    def __init__(self, cfg: dict[str, Any] | None = None) -> None:
        self.description = self.operation.description
        self.Arguments = self.operation.Arguments  # type: ignore[misc]
        self.read_only = self.operation.read_only
        self.idempotent = self.operation.idempotent or self.operation.read_only
        self.destructive = self.operation.destructive
        super().__init__(cfg)

    def engine(self, context: ToolContext) -> Any:
        """Returns what the operation works on, in this conversation."""
        raise NotImplementedError

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Runs the operation."""
        arguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        language: Language = "zh" if context.language == "zh" else "en"
        call = OperationCall(context.report, context.cancelled, language)
        reply = self.operation.run(self.engine(context), arguments, call)
        return tool_result(reply, context)


def tool_result(reply: OperationResult, context: ToolContext) -> ToolResult:
    """Returns a reply as a text, or with its media as files in the conversation's folder."""
    text = "\n\n".join(part for part in (reply.text, reply.note) if part)
    if not reply.media:
        return Structured(text, reply.data) if reply.data else text
    items = [
        ContentItem(**{_media_kind(m): str(_saved_media(m, context.folder))}) for m in reply.media
    ]
    return [*([ContentItem(text=text)] if text else []), *items]


def _media_kind(media: Media) -> str:
    return "file" if media.kind == "file" else media.kind


def _saved_media(media: Media, folder: Path | None) -> Path:
    target = folder or Path(tempfile.mkdtemp(prefix="qwenbelt-"))
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(media.data).hexdigest()[:12]
    stem, ending = os.path.splitext(media.name)
    ending = mimetypes.guess_extension(media.mime_type) or ending or ".bin"
    path = target / f"{stem[:60]}-{digest}{ending}"
    try:
        write_bytes(path, media.data)
    except InputError:  # a folder of this name
        return _saved_media(media, None)
    return path
