"""Files that are attached to a document or embedded in it: listed, and taken out to be read."""

from __future__ import annotations

import contextlib
import posixpath
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.core.errors import InputError
from qwenbelt.core.limits import input_file
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing import mail
from qwenbelt.tools.documents.parsing.pdf import page_layers, pdfium

MAX_FILES = 1000  # looked at
MAX_NAMED = 50
MAX_BYTES = 64 * 1024 * 1024  # of one of them
_EMBEDDED = "embeddings"  # the folder of a package of Office Open XML


class Attachment(NamedTuple):
    """A file in a document: its name there, and how to get its bytes."""

    name: str
    read: Callable[[], bytes]


def attachments_of(
    file: Path, kind: str, document: Any = None, *, pinned: bool = False
) -> list[Attachment]:
    """Returns the files that are attached to a document, each under a unique name.

    Args:
        file: the document.
        kind: its format, for example "pdf".
        document: the open PDF.
        pinned: also the files that are pinned to pages of a PDF, for which all pages are loaded.
    """
    found: Iterator[Attachment] = iter(())
    if kind == "pdf":
        listed = page_layers.attached_files(document)
        more = page_layers.pinned_files(document) if pinned else ()
        found = (Attachment(*one) for one in chain(listed, more))
    elif kind == "eml":
        found = (Attachment(*one) for one in mail.attached_parts(file.read_bytes()))
    elif kind in ("docx", "pptx", "xlsx"):
        found = _embedded(file)
    names: dict[str, int] = {}
    kept = []
    for _, attachment in zip(range(MAX_FILES), found, strict=False):
        name = attachment.name
        times = names[name] = names.get(name, 0) + 1
        stem, suffix = posixpath.splitext(name)
        kept.append(attachment._replace(name=f"{stem} ({times}){suffix}" if times > 1 else name))
    return kept


def attached_note(file: Path, found: list[Attachment]) -> str:
    """Returns the note that names the attached files."""
    names = ", ".join(attachment.name for attachment in found[:MAX_NAMED])
    opens = f"{file.name}/{found[0].name}"
    return noted(f"{len(found)} attached files: {names}. read_document opens {opens!r}.")


def attachment(file: Path, name: str, password: str | None = None) -> bytes:
    """Returns the bytes of a file that is attached to a document.

    Raises:
        InputError: there is none of that name, or it cannot be taken out; names both.
    """
    with input_file(file).open("rb") as stream:
        start = stream.read(1024)
    with contextlib.ExitStack() as stack:
        kind, document = file.suffix.lower().lstrip("."), None
        if kind == "pdf" or b"%PDF-" in start:
            kind, document = "pdf", stack.enter_context(pdfium.opened(file, password))
        found = {one.name: one for one in attachments_of(file, kind, document, pinned=True)}
        if name not in found:
            known = ", ".join(list(found)[:MAX_NAMED]) or "none"
            raise InputError(f"{file}: has no attached file {name!r}.", fix=f"Attached: {known}.")
        data = found[name].read()
    if len(data) > MAX_BYTES:
        raise InputError(f"{file}/{name}: is larger than {MAX_BYTES >> 20} MB.")
    return data


def _embedded(file: Path) -> Iterator[Attachment]:
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            folder, _, name = entry.filename.rpartition("/")
            if not entry.is_dir() and posixpath.basename(folder).lower() == _EMBEDDED and name:
                yield Attachment(name, partial(_unpacked, file, entry.filename))


def _unpacked(file: Path, part: str) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive, archive.open(part) as stream:
            return stream.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{file}/{part}: is damaged.") from error
