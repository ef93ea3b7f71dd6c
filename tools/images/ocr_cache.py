"""What OCR or a model read in a picture, kept in the user's cache folder by what the picture shows.

A page takes OCR some ten seconds; the same page in another workspace, or an index that is built
again, takes none. Entries are found by a hash of all pixels, so no file can name those of another.
`QWENBELT_CACHE=off` keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.files import write_text
from qwenbelt.core.settings import cache_folder

if TYPE_CHECKING:
    from PIL.Image import Image

OCR = "ocr"  # the folder of what OCR read; what models read is in another
MAX_ENTRIES = 4000  # some 20 MB; the oldest go
_PRUNED_EVERY = 32  # entries, on average
_FORM = 1  # raised when what an entry holds, or how a picture is read, changes
_LARGEST = 4_000_000  # bytes of an entry; a page has some 5000


def key_of(picture: Image) -> str:
    """Returns the name of a picture's entry, for this version of the engine."""
    try:
        engine = metadata.version("rapidocr")
    except metadata.PackageNotFoundError:
        engine = ""  # nothing is kept without one, so nothing is found
    head = f"{_FORM} {engine} {picture.mode} {picture.size}".encode()
    return hashlib.sha256(head + b"\0" + picture.tobytes()).hexdigest()


def load(key: str, kind: str = OCR) -> Any:
    """Returns what was kept under a key, or None."""
    folder = _folder(kind)
    if folder is None:
        return None
    try:
        path = folder / f"{key}.json"
        return json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError):
        return None


def save(key: str, value: Any, kind: str = OCR) -> None:
    """Keeps a value under a key; a cache that cannot be written to is none."""
    folder = _folder(kind)
    if folder is None:
        return
    with contextlib.suppress(OSError, QwenbeltError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(folder / f"{key}.json", json.dumps(value, ensure_ascii=False))
        if not secrets.randbelow(_PRUNED_EVERY):
            _prune(folder)


def _prune(folder: Path) -> None:
    with os.scandir(folder) as entries:
        ages = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    for _, path in ages[: max(0, len(ages) - MAX_ENTRIES)]:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _folder(kind: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / kind
