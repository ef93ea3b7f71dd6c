"""Keeps a session folder and its copy inside a sandbox alike.

Inside, hostile code may put links, pipes and files that change while they are read. So the walk
goes by folder descriptors and follows no link, and only regular files are copied.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core.errors import ToolError
from qwenbelt.core.files import replacing
from qwenbelt.tools.code_interpreter.files import DEEPEST, MOST_FILES, Stamp, is_shown, snapshot

_CHUNK = 1 << 20
_FEW = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Mirror:
    """A folder outside and a folder inside, given by a descriptor.

    Attributes:
        folder: the session folder on this machine.
        inside: descriptor of the folder in the sandbox; closed by `close`.
        owner: user and group that the files inside must belong to, or None for this process's.
        largest: bytes of one file that is brought in.
    """

    folder: Path
    inside: int
    owner: int | None
    largest: int
    _outer: dict[str, Stamp] = field(default_factory=dict)
    _inner: dict[str, Stamp] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    @property
    def small(self) -> bool:
        """Whether there are so few files that looking through them takes no time."""
        return len(self._inner) <= _FEW

    def push(self, most: int | None = None) -> bool:
        """Brings in what is new or changed outside, and removes what was removed there.

        Args:
            most: bytes that may be copied; with more to copy nothing is done.

        Returns:
            Whether it was done.

        Raises:
            ToolError: the sandbox's disk has no room for a file.
        """
        outside = snapshot(self.folder)
        new = {n: s for n, s in outside.items() if self._outer.get(n) != s and s[1] <= self.largest}
        if most is not None and sum(size for _, size in new.values()) > most:
            return False
        for name, stamp in new.items():
            self._bring_in(name)
            self._outer[name] = stamp
        for name in self._outer.keys() - outside.keys():
            with contextlib.suppress(OSError), _parent(self.inside, name) as (parent, leaf):
                os.unlink(leaf, dir_fd=parent)
            self._forget(name)
        return True

    def pull(self, most: int | None = None) -> bool:
        """Takes out what is new or changed inside, and removes what was made and removed there.

        Args:
            most: bytes that may be copied; with more to copy nothing is done.

        Returns:
            Whether it was done.
        """
        there = dict(_walk(self.inside, "", 0))
        new = {name: s for name, s in there.items() if self._inner.get(name) != s}
        if most is not None and sum(size for _, size in new.values()) > most:
            return False
        for name, stamp in new.items():
            self._take_out(name, stamp)
        for name in self._inner.keys() - there.keys():
            if name in self._made:
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()
            self._forget(name)
        return True

    def close(self) -> None:
        """Closes the descriptor."""
        if self.inside >= 0:
            os.close(self.inside)
            self.inside = -1

    def _forget(self, name: str) -> None:
        self._outer.pop(name, None)
        self._inner.pop(name, None)
        self._made.discard(name)

    def _bring_in(self, name: str) -> None:
        try:
            with (self.folder / name).open("rb") as source:
                info = os.fstat(source.fileno())
                with _parent(self.inside, name, owner=self.owner) as (parent, leaf):
                    self._write_inside(parent, leaf, source.fileno(), info)
                    there = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ToolError(f"The session's disk is full: {name} does not fit.") from None
            return  # gone or changed into something else meanwhile
        self._inner[name] = (there.st_mtime_ns, there.st_size)

    def _write_inside(self, parent: int, leaf: str, source: int, info: os.stat_result) -> None:
        temporary = f".{leaf[:80]}.{os.urandom(4).hex()}.new"
        target = os.open(temporary, _NEW, 0o644, dir_fd=parent)
        try:
            if self.owner is not None:
                os.fchown(target, self.owner, self.owner)
            _copy(source, target, info.st_size)
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
            os.rename(temporary, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise
        finally:
            os.close(target)

    def _take_out(self, name: str, stamp: Stamp) -> None:
        target = self.folder / name
        try:
            with _parent(self.inside, name) as (parent, leaf):
                source = os.open(leaf, _READ, dir_fd=parent)
        except OSError:
            return
        try:
            info = os.fstat(source)
            if not stat.S_ISREG(info.st_mode):
                return
            with replacing(target) as temporary, temporary.open("wb") as out:
                _copy(source, out.fileno(), info.st_size)
                os.utime(out.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
        finally:
            os.close(source)
        if name not in self._outer:
            self._made.add(name)
        outer = target.lstat()
        self._outer[name] = (outer.st_mtime_ns, outer.st_size)
        self._inner[name] = stamp


@contextlib.contextmanager
def _parent(root: int, name: str, owner: int | None = -1) -> Iterator[tuple[int, str]]:
    """Opens the folder of `name` below `root`; with an owner, missing folders are made."""
    *folders, leaf = name.split("/")
    here = os.dup(root)
    try:
        for folder in folders:
            if owner != -1:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, mode=0o755, dir_fd=here)
                    if owner is not None:
                        os.chown(folder, owner, owner, dir_fd=here, follow_symlinks=False)
            below = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here, leaf
    finally:
        os.close(here)


def _walk(
    root: int, prefix: str, depth: int, budget: list[int] | None = None
) -> Iterator[tuple[str, Stamp]]:
    """Gives name and stamp of the regular files below an open folder; hidden ones are left out."""
    budget = [MOST_FILES] if budget is None else budget
    try:
        with os.scandir(root) as entries:
            listed = [entry for entry in entries if is_shown(entry.name)]
    except OSError:
        return
    for entry in listed:
        if entry.name.startswith(".") or entry.name == "__pycache__" or budget[0] <= 0:
            continue
        budget[0] -= 1
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                info = entry.stat(follow_symlinks=False)
                yield f"{prefix}{entry.name}", (info.st_mtime_ns, info.st_size)
            elif entry.is_dir(follow_symlinks=False) and depth < DEEPEST:
                below = os.open(entry.name, _FOLDER, dir_fd=root)
                try:
                    yield from _walk(below, f"{prefix}{entry.name}/", depth + 1, budget)
                finally:
                    os.close(below)


def _copy(source: int, target: int, size: int) -> None:
    """Copies at most `size` bytes; a file that grows meanwhile is cut there."""
    left = size
    while left > 0:
        piece = os.read(source, min(_CHUNK, left))
        if not piece:
            return
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        left -= len(piece)
