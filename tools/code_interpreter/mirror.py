"""Synchronises a session folder with its copy inside a sandbox.

Inside, hostile code may put links, pipes and files that change while they are read; outside, the
folder is a person's, with links to other places of his. So both sides are walked by descriptors
(see `core.dirfd`), no link is followed on either, and only regular files are copied. What cannot be
carried is a trouble that is reported with the result; it never costs the result.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core import dirfd
from qwenbelt.core.kept_files import is_kept
from qwenbelt.tools.code_interpreter.files import (
    DEEPEST,
    Carried,
    Passed,
    Stamp,
    Trouble,
    snapshot,
    walk,
)

_FEW = 200
_BLOCK = 512  # bytes, as st_blocks counts


@dataclass
class Mirror:
    """A folder outside and a folder inside, given by a descriptor.

    Attributes:
        folder: the session folder on this machine.
        inside: descriptor of the folder in the sandbox; closed by `close`.
        owner: user and group that the files inside must belong to, or None for this process's.
        largest: bytes of one file that is brought in.
        troubles: what could not be copied and why, each reported once; the reporter clears it.
        taken: the files that the last `pull` has taken out.
        given: files that a person gave; what code makes of them stays in the sandbox.
    """

    folder: Path
    inside: int
    owner: int | None
    largest: int
    troubles: list[Trouble] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    _outer: dict[str, Stamp] = field(default_factory=dict)
    _inner: dict[str, Stamp] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _told: dict[str, object] = field(default_factory=dict)

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
        """
        outside = snapshot(self.folder)
        new = {n: s for n, s in outside.items() if self._outer.get(n) != s}
        if most is not None and sum(s[1] for s in new.values() if s[1] <= self.largest) > most:
            return False
        for name in self._outer.keys() - outside.keys():
            with contextlib.suppress(OSError), dirfd.parent_of(self.inside, name) as (at, leaf):
                os.unlink(leaf, dir_fd=at)
            self._forget(name)
        for name, stamp in new.items():
            if stamp[1] <= self.largest:
                self._bring_in(name)
                self._outer[name] = stamp
        return True

    def pull(self, carried: Carried, most: int | None = None) -> bool:
        """Takes out what is new or changed inside, and removes what was made and removed there.

        Args:
            carried: counts what the session takes on this machine's disk.
            most: bytes that may be copied; with more to copy nothing is done.

        Returns:
            Whether it was done.
        """
        passed = Passed()
        self.taken.clear()
        there = dict(walk(self.inside, passed))
        new = {name: s for name, s in there.items() if self._inner.get(name) != s}
        if most is not None and sum(size for _, size in new.values()) > most:
            return False
        for name, why in passed.why.items():
            self._trouble(name, why, why)
        # first what is gone: a folder may have taken the name of a file, or the other way round
        for name in self._inner.keys() - there.keys():
            if name in self._made and self._remove_outside(name):
                carried.gave_back(name)
            self._forget(name)
        for name, stamp in new.items():
            self._take_out(name, stamp, carried)
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
        self._told.pop(name, None)

    def _trouble(self, name: str, why: str, version: object) -> None:
        if self._told.get(name) != (why, version):
            self._told[name] = (why, version)
            self.troubles.append((name, why))

    def _bring_in(self, name: str) -> None:
        try:
            with (
                dirfd.opened_folder(self.folder) as root,
                dirfd.parent_of(root, name) as (at, leaf),
            ):
                source = dirfd.open_regular(at, leaf)
        except OSError:
            return  # gone or changed into something else meanwhile
        try:
            facts = os.fstat(source)
            with dirfd.parent_of(self.inside, name, make=True, owner=self.owner) as (at, leaf):
                self._write_inside(at, leaf, source, facts)
                there = os.stat(leaf, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            self._trouble(name, _why(error), "in")
            return
        finally:
            os.close(source)
        self._inner[name] = (there.st_mtime_ns, there.st_size)

    def _write_inside(self, at: int, leaf: str, source: int, facts: os.stat_result) -> None:
        with dirfd.replacing_file_at(at, leaf, 0o644) as target:
            if self.owner is not None:
                os.fchown(target, self.owner, self.owner)
            dirfd.copy_data(source, target, facts.st_size)
            os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def _take_out(self, name: str, stamp: Stamp, carried: Carried) -> None:
        if is_kept(os.path.join(os.path.realpath(self.folder), name)):
            self._trouble(name, "it is written by the run itself", stamp)
            return
        if name in self.given:
            self._trouble(name, "it was given by a person; save it under another name", stamp)
            return
        try:
            with dirfd.parent_of(self.inside, name) as (at, leaf):
                source = dirfd.open_regular(at, leaf)
        except OSError:
            return  # gone or changed into something else meanwhile
        try:
            facts = os.fstat(source)
            if not carried.has_room(name, facts.st_blocks * _BLOCK):
                self._trouble(name, "over the session's limit of disk", stamp)
                return
            with (
                dirfd.opened_folder(self.folder) as root,
                dirfd.parent_of(root, name, make=True) as (at, leaf),
            ):
                _make_way(at, leaf)
                written = _write_outside(at, leaf, source, facts)
        except OSError as error:
            self._trouble(name, _why(error), stamp)
            return
        finally:
            os.close(source)
        self.taken.append(name)
        carried.took(name, max(facts.st_blocks, written.st_blocks) * _BLOCK)
        if name not in self._outer:
            self._made.add(name)
        self._outer[name] = (written.st_mtime_ns, written.st_size)
        self._inner[name] = stamp

    def _remove_outside(self, name: str) -> bool:
        """Removes a file that the code had made, unless it was changed out here since."""
        with (
            contextlib.suppress(OSError),
            dirfd.opened_folder(self.folder) as root,
            dirfd.parent_of(root, name) as (at, leaf),
        ):
            facts = os.stat(leaf, dir_fd=at, follow_symlinks=False)
            if (facts.st_mtime_ns, facts.st_size) != self._outer.get(name):
                return False
            os.unlink(leaf, dir_fd=at)
            return True
        return False


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return "what is there under a folder's name is a link or a file"
    return error.strerror or str(error)


def _write_outside(at: int, leaf: str, source: int, facts: os.stat_result) -> os.stat_result:
    with dirfd.replacing_file_at(at, leaf) as target:
        dirfd.copy_data(source, target, facts.st_size)
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        return os.fstat(target)


def _make_way(at: int, leaf: str, depth: int = 0) -> None:
    """Removes empty folders that are where a file is to be; others are left as they are.

    Raises:
        OSError: a folder is not empty.
    """
    try:
        if depth > DEEPEST or not stat.S_ISDIR(
            os.stat(leaf, dir_fd=at, follow_symlinks=False).st_mode
        ):
            return
    except FileNotFoundError:
        return
    below = os.open(leaf, dirfd.FOLDER, dir_fd=at)
    try:
        with os.scandir(below) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            _make_way(below, name, depth + 1)
    finally:
        os.close(below)
    os.rmdir(leaf, dir_fd=at)
