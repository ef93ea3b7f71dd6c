"""Files reached from the descriptor of a folder, never through a link, and written whole.

Others may shape the folders that we write into while we do it: code in a sandbox, a tool, another
user. So a name below such a folder is walked one folder at a time, temporary files have names that
nobody can foresee and are never opened a second time by name, and what is read must be a regular
file by the descriptor that it is read from. Every module that writes beside others uses this one,
directly or through `core.files`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from qwenbelt.core.leftovers import hold, temporary_name

FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
# a FIFO must not block us, a terminal must not become ours
_REGULAR = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_NEW = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CHUNK = 1 << 20


@contextlib.contextmanager
def opened_folder(path: str | os.PathLike[str]) -> Iterator[int]:
    """Opens a folder that this side has chosen; links in its own path are the chooser's."""
    number = os.open(os.path.realpath(path), FOLDER)
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def parent_of(
    root: int, name: str, *, make: bool = False, owner: int | None = None
) -> Iterator[tuple[int, str]]:
    """Opens the folder that holds `name`, a relative path below `root`, and gives the last part.

    Args:
        root: descriptor of the folder to begin at.
        name: parts joined by "/", none of them ".." or empty.
        make: whether missing folders are made.
        owner: user and group that get the folders made here; None leaves them to this process.

    Raises:
        OSError: a part is missing, is a link or no folder; ELOOP or ENOTDIR for links.
    """
    *folders, leaf = name.split("/")
    if not leaf or any(part in ("", ".", "..") for part in (*folders, leaf)):
        raise OSError(errno.EINVAL, "not a plain relative path")
    here = os.dup(root)
    try:
        for folder in folders:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, mode=0o755, dir_fd=here)
                    if owner is not None:
                        os.chown(folder, owner, owner, dir_fd=here, follow_symlinks=False)
            below = os.open(folder, FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here, leaf
    finally:
        os.close(here)


def open_regular(folder: int, name: str) -> int:
    """Opens a regular file of an open folder for reading, never through a link.

    Raises:
        OSError: it is missing, or it is a link, device, FIFO, socket or folder.
    """
    # looked at first, because only opening some devices has effects already
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    number = os.open(name, _REGULAR, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a regular file")
    return number


@contextlib.contextmanager
def opened_file(path: str | os.PathLike[str]) -> Iterator[tuple[int, os.stat_result]]:
    """Opens a regular file that this side has chosen; gives its descriptor and its facts.

    Raises:
        OSError: it is missing or not a regular file.
    """
    number = os.open(path, _REGULAR & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield number, facts
    finally:
        os.close(number)


@contextlib.contextmanager
def replacing_file_at(folder: int, name: str, mode: int = 0o666) -> Iterator[int]:
    """Opens a new file that takes the name on success and is removed on failure.

    Raises:
        OSError: it cannot be written, or another file was put in its place meanwhile.
    """
    temporary = temporary_name()
    number = os.open(temporary, _NEW, mode, dir_fd=folder)
    hold(number)
    try:
        yield number
        made = os.fstat(number)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (there.st_dev, there.st_ino) != (made.st_dev, made.st_ino):
            raise OSError(errno.ESTALE, "another file was put in its place")
    except BaseException:  # whatever ends the write, a cancel too, leaves nothing behind
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(number)


def write_all(number: int, data: bytes | memoryview) -> None:
    """Writes all of the data to a descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(number, rest) :]


def copy_data(source: int, target: int, size: int) -> None:
    """Copies the first `size` bytes and keeps holes; what grows meanwhile is cut there."""
    place = 0
    while place < size:
        start, end = _next_data(source, place, size)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            piece = os.read(source, min(_CHUNK, end - start))
            if not piece:
                return
            write_all(target, piece)
            start += len(piece)
        place = max(start, end)
    os.ftruncate(target, min(size, os.fstat(source).st_size))


def _next_data(source: int, place: int, size: int) -> tuple[int, int]:
    """Returns where the next bytes that are no hole begin and end."""
    if not hasattr(os, "SEEK_DATA"):
        return place, size
    try:
        start = os.lseek(source, place, os.SEEK_DATA)
        end = os.lseek(source, start, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to the end
            return size, size
        return place, size  # a file system that does not say
    return min(start, size), min(end, size)
