"""Opens files that are attached to a conversation's documents, under names such as a.pdf/b.csv."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import write_bytes
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.library import Library
from qwenbelt.tools.documents.parsing.worker_pool import shared_workers

MAX_DEPTH = 3  # attachments of attachments
FOLDER = "attachments"


def holder(asked: str) -> str:
    """Returns the file that an asked name leads to: a.pdf for a.pdf/b.csv, where that is a file."""
    path = Path(asked)
    if path.exists():
        return asked
    return next((str(part) for part in path.parents if part.is_file()), asked)


def opened(library: Library, asked: str, context: Any, password: str | None) -> str:
    """Takes in the attached file that a name asks for; returns the name that the library has.

    Names of documents themselves are returned as they are.

    Raises:
        ToolError: the document has no such file, or it cannot be read.
    """
    name, rest = _split(library, asked)
    for part in rest:
        document = library.document(name)
        try:
            data = shared_workers().attachment(Path(document.path), part, password)
            file = _kept(data, part, context)
            added = library.index.add_file(file, password=password)
        except InputError as error:
            raise ToolError(str(error)) from None
        name = f"{name}/{part}"
        library.names[name] = added.document
        library.paths[name] = str(file)
    return name


def _split(library: Library, asked: str) -> tuple[str, list[str]]:
    if asked in library.names:
        return asked, []
    parts = asked.split("/")
    for count in range(len(parts) - 1, 0, -1):
        front = "/".join(parts[:count])
        name = next((n for n in (front, parts[count - 1]) if n in library.names), None)
        if name is not None and len(parts) - count <= MAX_DEPTH:
            return name, parts[count:]
    return asked, []


def _kept(data: bytes, name: str, context: Any) -> Path:
    """Writes an attached file where it stays, so that what is quoted from it can be looked up."""
    base = Path(context.folder) if context.folder is not None else load_settings().workspace
    folder = base / FOLDER / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (Path(name.replace("\\", "/")).name.replace("\x00", "") or "attachment")
    if not file.exists():
        write_bytes(file, data)
    return file.resolve()
