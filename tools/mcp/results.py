"""What servers return, as items that a model and a chat can show: texts, and files for the rest."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import hashlib
import json
import mimetypes
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Item, ItemKind
from qwenbelt.core.files import write_bytes
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.terminal import visible_text
from qwenbelt.tools.mcp.strings import say

_ENDINGS = {"audio/wav": ".wav", "audio/mpeg": ".mp3", "image/webp": ".webp", "image/jpg": ".jpg"}
_SAID = object()
_SHORT = 40  # characters of a text that costs nothing to say twice
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@functools.cache
def _own_folder() -> Path:
    # kept after the end of the process: what a person was shown must stay readable
    return Path(tempfile.mkdtemp(prefix="qwenbelt-mcp-"))


class ResultReader:
    """Turns one result into items; texts stay whole, for a run shortens them and keeps the rest.

    Args:
        name: the tool's name, which files are named after.
        folder: where files go; None for a folder of this process in the temporary folder.
        language: "en" or "zh", for our own words.
    """

    def __init__(self, name: str, folder: Path | None, language: str) -> None:
        self._name = _UNSAFE.sub("_", name)[:60] or "mcp"
        self._folder = folder
        self._language = language

    def tool_items(self, result: CallToolResult) -> list[Item]:
        """Returns the items of a tool's result; structured content unless the text repeats it."""
        items = [self.block(block) for block in result.content]
        structured = result.structured_content
        if structured is not None:
            said = [block.text for block in result.content if isinstance(block, TextContent)]
            rest = _structured_beyond_text(
                "\n".join(said), _without_blocks(structured, result.content)
            )
            if rest is not None:
                told = visible_text(json.dumps(rest, ensure_ascii=False))
                items.append(Item("text", told))
        return items or [Item("text", say("nothing", self._language))]

    def resource_items(self, result: ReadResourceResult) -> list[Item]:
        """Returns the items of a resource that was read."""
        items = [self._contents(entry) for entry in result.contents]
        return items or [Item("text", say("nothing", self._language))]

    def block(self, block: Any) -> Item:
        """Returns the item of one content block."""
        if isinstance(block, TextContent):
            return Item("text", block.text)
        if isinstance(block, ImageContent):
            return self._file("image", block.data, block.mime_type)
        if isinstance(block, AudioContent):
            return self._file("audio", block.data, block.mime_type)
        if isinstance(block, EmbeddedResource):
            return self._contents(block.resource)
        if isinstance(block, ResourceLink):
            name = block.title or block.name
            return Item("text", say("link", self._language, uri=block.uri, name=name))
        return Item("text", str(block))

    def _contents(self, contents: TextResourceContents | BlobResourceContents) -> Item:
        if isinstance(contents, TextResourceContents):
            return Item("text", contents.text)
        kind: ItemKind = "image" if (contents.mime_type or "").startswith("image/") else "file"
        return self._file(kind, contents.blob, contents.mime_type or "")

    def _file(self, kind: ItemKind, data: str, mime_type: str) -> Item:
        try:
            raw = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return Item("text", say("unreadable", self._language, kind=kind))
        essence = mime_type.partition(";")[0].strip().lower()
        ending = _ENDINGS.get(essence) or mimetypes.guess_extension(essence) or ".bin"
        digest = hashlib.sha256(raw).hexdigest()[:12]
        folder = self._folder or _own_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._name}-{digest}{ending}"
        try:
            write_bytes(path, raw)
        except InputError:
            return Item("text", say("unreadable", self._language, kind=kind))
        return Item(kind, str(path))


def _without_blocks(structured: Any, blocks: Sequence[Any]) -> Any:
    """Leaves out the content itself, which the reference filesystem server sends once more."""
    if not isinstance(structured, dict) or not isinstance(structured.get("content"), list):
        return structured
    same = [b.model_dump(mode="json", by_alias=True, exclude_none=True) for b in blocks]
    if structured["content"] != same[: len(structured["content"])]:
        return structured
    return {key: value for key, value in structured.items() if key != "content"} or None


def _structured_beyond_text(said: str, structured: Any) -> Any:
    """Returns a structured value without what the text has already; most servers send both.

    None if the text has it all. Long texts that it holds too are left out of the rest.
    """
    if structured is None or not said.strip():
        return structured
    with contextlib.suppress(ValueError):
        if loads_bounded(said) == structured:
            return None
    if all(leaf in said or visible_text(leaf) in said for leaf in _leaf_values(structured)):
        return None
    return _without_said(said, structured)


def _without_said(said: str, value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_said(said, entry) for key, entry in value.items()}
        return {k: v for k, v in inner.items() if v is not _SAID}
    if isinstance(value, list):
        return [v for v in (_without_said(said, entry) for entry in value) if v is not _SAID]
    long = isinstance(value, str) and len(value) > _SHORT
    if not long:
        return value
    bare = value.strip()
    return _SAID if bare in said or visible_text(bare) in said else value


def _leaf_values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _leaf_values(entry)
    elif isinstance(value, str):
        yield value.strip()
    elif value is not None:
        yield json.dumps(value)


def plain_text(items: Iterable[Item]) -> str | None:
    """Returns the items as one text when all of them are texts, else None."""
    found = list(items)
    if any(item.kind != "text" for item in found):
        return None
    return "\n\n".join(item.value for item in found)
