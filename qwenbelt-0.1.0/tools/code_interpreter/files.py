"""The session folder: which files are new, and where displayed values are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from qwenbelt.core.errors import ToolError
from qwenbelt.core.files import write_bytes
from qwenbelt.tools.code_interpreter.outcome import Rich

Stamp = tuple[int, int]
MOST_FILES = 20_000
DEEPEST = 12
_NAMES = {"png": "figure", "jpg": "figure", "svg": "figure", "html": "table"}


def snapshot(folder: Path) -> dict[str, Stamp]:
    """Returns the time and size of every regular file under `folder`, by relative path.

    Links are not followed and hidden files are not looked at.
    """
    found: dict[str, Stamp] = {}
    for entry in _walk(folder, 0):
        if len(found) >= MOST_FILES:
            break
        try:
            info = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        found[os.path.relpath(entry.path, folder)] = (info.st_mtime_ns, info.st_size)
    return found


def _walk(folder: str | Path, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda e: e.name)
    except OSError:
        return
    for entry in listed:
        if entry.name.startswith(".") or entry.name == "__pycache__" or not is_shown(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST:
                yield from _walk(entry.path, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry


def is_shown(name: str) -> bool:
    """Says whether a name can be shown: valid Unicode without control characters."""
    return name.isprintable() and not any(0xD800 <= ord(c) <= 0xDFFF for c in name)


def changed(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> list[str]:
    """Returns the files that are new or changed, in order of their time."""
    new = [name for name, stamp in after.items() if before.get(name) != stamp]
    return sorted(new, key=lambda name: (after[name][0], name))


def keep_rich(folder: Path, values: Iterable[Rich], taken: set[str]) -> list[Path]:
    """Writes displayed values to files of their own (`figure-1.png`) and returns the paths."""
    paths = []
    for value in values:
        stem = _NAMES.get(value.ending, "value")
        number = 1
        while (name := f"{stem}-{number}.{value.ending}") in taken:
            number += 1
        taken.add(name)
        write_bytes(folder / name, value.data)
        paths.append(folder / name)
    return paths


def bring_in(folder: Path, files: Mapping[str, Path], largest: int) -> list[str]:
    """Copies the conversation's files into the folder and returns the names that are new there.

    A file that is already there with the same time and size is left alone.

    Raises:
        ToolError: a file is over the limit, missing, or its name is not usable.
    """
    copied = []
    for name, source in files.items():
        target = folder / name
        if not is_shown(name) or name.startswith("/") or ".." in Path(name).parts:
            raise ToolError(f"The file name {name!r} cannot be used in the session folder.")
        try:
            info = source.stat()
        except OSError:
            raise ToolError(f"The file {name} is not there any more.") from None
        if info.st_size > largest:
            raise ToolError(
                f"The file {name} has {info.st_size / 1e6:.0f} MB; "
                f"the code interpreter takes files up to {largest / 1e6:.0f} MB."
            )
        if _same(source, target, info):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        copied.append(name)
    return copied


def _same(source: Path, target: Path, info: os.stat_result) -> bool:
    try:
        if source.resolve() == target.resolve():
            return True
        there = target.lstat()
    except OSError:
        return False
    return (there.st_mtime_ns, there.st_size) == (info.st_mtime_ns, info.st_size)
