"""The files of a conversation, by the names that the model sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class ConversationFiles:
    """The files named in messages and those given to the agent.

    Attributes:
        all: paths and URLs, in order, without doubles.
        by_name: local files by their name; a name that comes twice gets a number.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]], further: Sequence[str]) -> None:
        found = [*_file_names(messages), *further]
        self.all = list(dict.fromkeys(found))
        self.by_name: dict[str, Path] = {}
        for value in self.all:
            if not value.startswith(("http://", "https://", "data:")):
                self._add(Path(value.removeprefix("file://")).expanduser())

    def _add(self, path: Path) -> None:
        name, number = path.name, 2
        while name in self.by_name:
            name, number = f"{path.stem}-{number}{path.suffix}", number + 1
        self.by_name[name] = path


def _file_names(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if message.get("role") != "user" or not isinstance(content, (list, tuple)):
            continue
        for item in content:
            fields = item if isinstance(item, Mapping) else item.model_dump()
            for kind in ("file", "image", "audio", "video"):
                value = fields.get(kind)
                if isinstance(value, str) and value:
                    yield value


class StoredFiles:
    """Stands in for qwen-agent's `Memory`: keeps the agent's files; search is a tool's work."""

    def __init__(self, files: Sequence[str], rag_cfg: Mapping[str, Any] | None = None) -> None:
        self.system_files = list(files)
        self.rag_cfg = dict(rag_cfg or {})
