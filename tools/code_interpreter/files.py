"""The session folder: which files are new, and where displayed values are kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core import dirfd
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes
from qwenbelt.tools.code_interpreter.outcome import Rich

Stamp = tuple[int, int]
Trouble = tuple[str, str]  # a file that could not be carried, and why
MOST_FILES = 20_000
DEEPEST = 12
_NAMES = {"png": "figure", "jpg": "figure", "svg": "figure", "html": "table"}


def snapshot(folder: Path) -> dict[str, Stamp]:
    """Returns the time and size of every regular file under `folder`, by relative path.

    Links are not followed and hidden files are not looked at.
    """
    try:
        with dirfd.opened_folder(folder) as root:
            return dict(walk(root))
    except OSError:
        return {}


@dataclass
class Passed:
    """What a walk passed over, by name, and how many names it may still look at."""

    left: int = MOST_FILES
    why: dict[str, str] = field(default_factory=dict)


def walk(
    root: int, passed: Passed | None = None, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Stamp]]:
    """Gives name and stamp of the regular files below an open folder; hidden ones are left out.

    It goes by descriptors and follows no link, whoever changes the folders meanwhile.
    """
    passed = passed if passed is not None else Passed()
    try:
        with os.scandir(root) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in listed:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        name = f"{prefix}{entry.name}"
        passed.left -= 1
        if passed.left < 0:
            passed.why["…"] = f"more than {MOST_FILES} files"
            return
        with contextlib.suppress(OSError):
            if not is_shown(entry.name):
                passed.why[ascii(name)] = "the name cannot be shown"
            elif entry.is_file(follow_symlinks=False):
                info = entry.stat(follow_symlinks=False)
                yield name, (info.st_mtime_ns, info.st_size)
            elif not entry.is_dir(follow_symlinks=False):
                passed.why[name] = "a link, pipe or socket"
            elif depth >= DEEPEST:
                passed.why[name] = "folders that lie too deep"
            else:
                below = os.open(entry.name, dirfd.FOLDER, dir_fd=root)
                try:
                    yield from walk(below, passed, f"{name}/", depth + 1)
                finally:
                    os.close(below)


class Carried:
    """What a session has written on this machine's disk, over all its kernels.

    Args:
        limit: bytes on the disk that all files together may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: dict[str, int] = {}

    def has_room(self, name: str, size: int) -> bool:
        """Returns whether a file may take `size` bytes in place of what it takes now."""
        others = sum(self._sizes.values()) - self._sizes.get(name, 0)
        few = len(self._sizes) < MOST_FILES or name in self._sizes
        return few and others + size <= self._limit

    def took(self, name: str, size: int) -> None:
        """Remembers what a file takes."""
        self._sizes[name] = size

    def gave_back(self, name: str) -> None:
        """Forgets a file that has been removed."""
        self._sizes.pop(name, None)


def is_shown(name: str) -> bool:
    """Returns whether a name can be shown: valid Unicode without control characters."""
    return name.isprintable() and not any(0xD800 <= ord(c) <= 0xDFFF for c in name)


def changed(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> list[str]:
    """Returns the files that are new or changed, in order of their time."""
    new = [name for name, stamp in after.items() if before.get(name) != stamp]
    return sorted(new, key=lambda name: (after[name][0], name))


def keep_rich(
    folder: Path, values: Iterable[Rich], taken: set[str], troubles: list[Trouble]
) -> list[Path]:
    """Writes displayed values to files of their own (`figure-1.png`) and returns the paths."""
    paths = []
    for value in values:
        stem = _NAMES.get(value.ending, "value")
        number = 1
        while (name := f"{stem}-{number}.{value.ending}") in taken:
            number += 1
        taken.add(name)
        try:
            write_bytes(folder / name, value.data)
        except InputError as error:
            troubles.append((name, str(error)))
            continue
        paths.append(folder / name)
    return paths


def bring_in(folder: Path, files: Mapping[str, Path], largest: int) -> list[Trouble]:
    """Copies the conversation's files into the folder and returns those that could not be copied.

    A file that is already there with the same time and size is left alone.
    """
    troubles: list[Trouble] = []
    for name, source in files.items():
        if not is_shown(name) or name.startswith("/") or ".." in Path(name).parts:
            troubles.append((repr(name), "the name cannot be used"))
            continue
        try:
            with dirfd.opened_file(source) as (number, facts):
                if facts.st_size > largest:
                    sizes = f"{facts.st_size / 1e6:.0f} MB, and the limit is {largest / 1e6:.0f} MB"
                    troubles.append((name, sizes))
                elif not _same(source, folder / name, facts):
                    _copy_in(folder, name, number, facts)
        except OSError as error:
            troubles.append((name, error.strerror or str(error)))
    return troubles


def _copy_in(folder: Path, name: str, source: int, facts: os.stat_result) -> None:
    with (
        dirfd.opened_folder(folder) as root,
        dirfd.parent_of(root, name, make=True) as (parent, leaf),
        dirfd.replacing_file_at(parent, leaf) as number,
    ):
        dirfd.copy_data(source, number, facts.st_size)
        os.utime(number, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _same(source: Path, target: Path, info: os.stat_result) -> bool:
    try:
        if source.resolve() == target.resolve():
            return True
        there = target.lstat()
    except OSError:
        return False
    return (there.st_mtime_ns, there.st_size) == (info.st_mtime_ns, info.st_size)
