"""Writing files so that nothing half-written is ever seen under the final name."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from qwenbelt.core import dirfd
from qwenbelt.core.errors import InputError
from qwenbelt.core.leftovers import temporary_name

_BY_DESCRIPTOR = os.open in os.supports_dir_fd


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Makes a folder for output and checks that files can be written there.

    Raises:
        InputError: it cannot be made or written.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder}: cannot be written ({reason}).") from error
    return folder


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a new file; on success it replaces `path`, on failure it is removed.

    The file is open and never opened again by its temporary name, so that others who work in the
    same folder (code in a sandbox, say) cannot lead the writing elsewhere.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _new_file(target) as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{target}: cannot be written ({reason}).") from error


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    if _BY_DESCRIPTOR:
        with (
            dirfd.opened_folder(target.parent) as folder,
            dirfd.replacing_file_at(folder, target.name) as number,
            open(number, "wb", closefd=False) as file,
        ):
            yield file
            file.flush()
        return
    temporary = target.with_name(temporary_name())  # Windows
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to `path` by way of a temporary name."""
    with replacing_file(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 to `path` by way of a temporary name."""
    write_bytes(path, text.encode("utf-8"))
