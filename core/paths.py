"""The guard for paths: work inside given folders, and nowhere else.

A path that was checked can mean another file a moment later: somebody swaps a folder for a link.
So nothing here checks first and opens by path afterwards. Every operation walks from the folder,
one name at a time, by directory descriptors and without following links; a link on the way is read
and walked in the same manner, and only while it stays inside. The last step acts on the name in the
descriptor that the walk ended with. (openat2 with RESOLVE_BENEATH does the same in the Linux
kernel, but refuses absolute links that lead inside.)

Hard links cannot be distinguished from other names of a file. Whatever is written goes to a new
file that then takes the name, so a file outside that shares the old content keeps it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core import dirfd
from qwenbelt.core.errors import ConfigError, ToolError, ToolRefused

MAX_LINKS = 40  # the kernel's own limits, here and for the bytes
MAX_BYTES = 4096
MAX_DEPTH = 255  # deeper folders can be made, but many programs cannot remove them again
_PATH_ONLY = getattr(os, "O_PATH", os.O_RDONLY)
_NO_FOLLOW = os.O_NOFOLLOW if hasattr(os, "O_NOFOLLOW") else 0
_FOLDER_FLAGS = getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW | getattr(os, "O_CLOEXEC", 0)
# a FIFO must not block us, a terminal must not become ours
_FILE_FLAGS = (
    _NO_FOLLOW
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_DRIVE = re.compile(r"^[A-Za-z]:(?:[\\/]|$)")


@dataclass(frozen=True)
class Spot:
    """Where a walk ended: a name inside a folder that is held open.

    Attributes:
        folder: the descriptor of the folder.
        name: the name in it; "." for the folder itself.
        path: the real path, for messages and results; not for opening.
    """

    folder: int
    name: str
    path: str

    @property
    def is_top(self) -> bool:
        """Whether it is a folder itself and not a name in one."""
        return self.name == "."


class Fence:
    """Some folders, whose inside may be used.

    Paths may be absolute, with one of the folders at their beginning, or relative to the first
    folder in which they exist. `~` is the home folder.

    Args:
        folders: the folders; links in these paths themselves are resolved once, now.

    Raises:
        ConfigError: a folder does not exist, none was given, or the system lacks what this needs.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]]) -> None:
        if os.open not in os.supports_dir_fd or not _NO_FOLLOW:
            raise ConfigError(f"Files cannot be guarded on {sys.platform}.")
        self._given: list[tuple[str, str]] = []
        for folder in folders:
            named = os.path.abspath(Path(folder).expanduser())
            real = os.path.realpath(named)
            if not os.path.isdir(real):
                raise ConfigError(f"{folder} is not a folder.", fix="Make it, or name another one.")
            self._given.append((named, real))
        if not self._given:
            raise ConfigError("Name at least one folder.")

    @property
    def folders(self) -> list[str]:
        """The folders' real paths, in the order given."""
        return list(dict.fromkeys(real for _, real in self._given))

    # ------------------------------------------------------------------ the walk

    @contextlib.contextmanager
    def spot(self, path: str, *, follow: bool = True, make: bool = False) -> Iterator[Spot]:
        """Walks to `path` and holds its folder open; the last name need not exist.

        Args:
            path: as people or models write it.
            follow: whether a link at the end is followed too.
            make: whether missing folders on the way are made.

        Raises:
            ToolRefused: it leads outside.
            ToolError: a folder on the way is missing, or is not one.
        """
        walk = _Walk(self, path, follow=follow, make=make)
        try:
            yield walk.run(*self._locate(path))
        finally:
            walk.close()

    def _locate(self, path: str) -> tuple[str, list[str]]:
        """Returns the real folder that a path begins in, and the names below it."""
        if "\0" in path or not path:
            raise ToolError("A path must be a text without null characters.")
        try:
            size = len(os.fsencode(path))
        except UnicodeEncodeError:
            raise ToolError(f"{path!r} is not a path.") from None
        if size > MAX_BYTES or path.count(os.sep) > MAX_DEPTH:
            raise ToolError(f"{path[:40]}… is too long or too deep for a path.")
        if _DRIVE.match(path):
            raise ToolRefused(f"{path} is a Windows path; this is {sys.platform}.")
        expanded = os.path.expanduser(path)
        if os.path.isabs(expanded):
            return self.inside(os.path.normpath(expanded), path)
        return self._relative(os.path.normpath(expanded), path)

    def inside(self, absolute: str, shown: str) -> tuple[str, list[str]]:
        """Returns the folder that contains a normalised absolute path, and the names below it.

        Raises:
            ToolRefused: no folder contains it.
        """
        found: tuple[str, list[str]] | None = None
        longest = -1
        for named, real in self._given:
            for top in {named, real}:
                below = _path_below(top, absolute)
                if below is not None and len(top) > longest:
                    found, longest = (real, below), len(top)
        if found is None:
            raise self._outside(shown)
        return found

    def _relative(self, normal: str, shown: str) -> tuple[str, list[str]]:
        names = [name for name in normal.split(os.sep) if name not in ("", ".")]
        if names[:1] == [os.pardir]:
            raise self._outside(shown)
        folders = self.folders
        if len(folders) > 1:
            for real in folders:
                if self._exists(real, names, shown):
                    return real, names
        return folders[0], names

    def _exists(self, real: str, names: list[str], shown: str) -> bool:
        walk = _Walk(self, shown, follow=True, make=False)
        try:
            return _lstat(walk.run(real, names)) is not None
        except (ToolError, ToolRefused):
            return False
        finally:
            walk.close()

    def _outside(self, shown: str) -> ToolRefused:
        return ToolRefused(f"{shown} is outside the allowed folders ({', '.join(self.folders)}).")

    # ------------------------------------------------------------------ operations

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[tuple[int, os.stat_result]]:
        """Opens a regular file for reading; gives its descriptor and its facts.

        Raises:
            ToolRefused: it leads outside, or is a device, FIFO or socket.
            ToolError: it does not exist, is a folder, or may not be read.
        """
        with self.spot(path) as spot:
            descriptor, facts = open_regular(spot.folder, spot.name, path)
        try:
            yield descriptor, facts
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """Opens a folder for listing; gives its descriptor.

        Raises:
            ToolRefused: it leads outside.
            ToolError: it does not exist or is not a folder.
        """
        with self.spot(path) as spot, _path_errors(path):
            descriptor = os.open(spot.name, os.O_RDONLY | _FOLDER_FLAGS, dir_fd=spot.folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def facts(self, path: str) -> os.stat_result:
        """Returns the facts of what `path` leads to."""
        with self.spot(path) as spot, _path_errors(path):
            return os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)

    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it; one that is there already is well.

        Raises:
            ToolError: something else has that name, or it cannot be made.
        """
        with self.spot(path, make=True) as spot, _path_errors(path):
            if spot.is_top:
                return
            try:
                os.mkdir(spot.name, dir_fd=spot.folder)
            except FileExistsError:
                facts = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
                if not stat.S_ISDIR(facts.st_mode):
                    raise ToolError(f"{path} is there already and is not a folder.") from None

    def write(self, path: str, data: bytes, *, seen: os.stat_result | None = None) -> bool:
        """Gives a file new content: whole or not at all, under the old permissions.

        Args:
            path: the file.
            data: all of its new content.
            seen: what the file was when it was read; nothing is written if it has changed since.

        Returns:
            Whether it was written.

        Raises:
            ToolRefused: it leads outside, or is a device, FIFO or socket.
            ToolError: it is a folder, or cannot be written.
        """
        with self.spot(path) as spot, _path_errors(path):
            facts = _lstat(spot)
            if facts is not None:
                _must_be_regular(facts, path)
            if seen is not None and (facts is None or _file_version(facts) != _file_version(seen)):
                return False
            _replace(spot, data, facts)
        return True

    def append(self, path: str, data: bytes) -> None:
        """Adds to the end of a file; makes it if it is missing.

        Raises:
            ToolRefused: it leads outside, or is a device, FIFO or socket.
            ToolError: it is a folder, or cannot be written.
        """
        with self.spot(path) as spot, _path_errors(path):
            facts = _lstat(spot)
            if facts is None:
                _replace(spot, data, None)
                return
            _must_be_regular(facts, path)
            flags = os.O_WRONLY | os.O_APPEND | _FILE_FLAGS
            descriptor = os.open(spot.name, flags, dir_fd=spot.folder)
            try:
                now = os.fstat(descriptor)
                _must_be_regular(now, path)
                if now.st_nlink == 1:
                    try:
                        dirfd.write_all(descriptor, data)
                    except OSError:  # no room: the file is as it was, and not half of it more
                        os.ftruncate(descriptor, now.st_size)
                        raise
                    return
            finally:
                os.close(descriptor)
            old, _ = open_regular(spot.folder, spot.name, path)
            with os.fdopen(old, "rb") as file:
                _replace(spot, file.read() + data, facts)

    def move(self, source: str, destination: str) -> None:
        """Moves or renames a file, folder or link; never onto something that exists.

        Raises:
            ToolError: the source is missing or the destination is there.
        """
        with (
            self.spot(source, follow=False) as old,
            self.spot(destination, follow=False) as new,
            _path_errors(source),
        ):
            if old.is_top or new.is_top:
                raise ToolRefused("An allowed folder itself cannot be moved.")
            facts = os.stat(old.name, dir_fd=old.folder, follow_symlinks=False)
            if _lstat(new) is not None:
                raise ToolError(f"{destination} exists already.")
            if stat.S_ISDIR(facts.st_mode):
                # a folder cannot replace a file; an empty folder that appears now holds nothing
                os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
                return
            try:
                os.link(
                    old.name,
                    new.name,
                    src_dir_fd=old.folder,
                    dst_dir_fd=new.folder,
                    follow_symlinks=False,
                )
            except FileExistsError:
                raise ToolError(f"{destination} exists already.") from None
            except (OSError, NotImplementedError):  # a file system without hard links
                os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
                return
            os.unlink(old.name, dir_fd=old.folder)

    def remove(self, path: str) -> None:
        """Removes a file, a link, or an empty folder."""
        with self.spot(path, follow=False) as spot, _path_errors(path):
            if spot.is_top:
                raise ToolRefused("An allowed folder itself cannot be removed.")
            facts = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
            remove = os.rmdir if stat.S_ISDIR(facts.st_mode) else os.unlink
            remove(spot.name, dir_fd=spot.folder)


def open_regular(folder: int, name: str, shown: str) -> tuple[int, os.stat_result]:
    """Opens a regular file in an open folder for reading, never through a link.

    Raises:
        ToolRefused: it is a link, device, FIFO or socket.
        ToolError: it is missing, a folder, or may not be read.
    """
    with _path_errors(shown):
        # looked at first, because only opening some devices has effects already
        _must_be_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), shown)
        descriptor = os.open(name, os.O_RDONLY | _FILE_FLAGS, dir_fd=folder)
    try:
        facts = os.fstat(descriptor)
        _must_be_regular(facts, shown)
    except BaseException:  # an interrupt, too, must not leave it open
        os.close(descriptor)
        raise
    return descriptor, facts


class _Walk:
    """One walk: a folder at a time, with one descriptor open."""

    def __init__(self, fence: Fence, shown: str, *, follow: bool, make: bool) -> None:
        self._fence = fence
        self._shown = shown
        self._follow = follow
        self._make = make
        self._links = 0
        self._top = ""
        self._names: list[str] = []
        self._here = -1

    def run(self, top: str, names: list[str]) -> Spot:
        """Walks `names` below the real folder `top`."""
        with _path_errors(self._shown):
            self._start(top, [])
            todo = list(reversed(names))
            while todo:
                name = todo.pop()
                if name == os.pardir:
                    self._up()
                elif todo:
                    self._into(name, todo)
                elif not (self._follow and self._is_link(name, todo)):
                    return self._spot(name)
            return self._spot(".")

    def close(self) -> None:
        """Closes what is still open."""
        if self._here >= 0:
            os.close(self._here)
            self._here = -1

    def _spot(self, name: str) -> Spot:
        if name != ".":
            name = self._same_name(name)
        ending = [] if name == "." else [name]
        return Spot(self._here, name, os.path.join(self._top, *self._names, *ending))

    def _start(self, top: str, names: list[str]) -> None:
        self.close()
        self._here = os.open(top, _PATH_ONLY | _FOLDER_FLAGS)
        self._top, self._names = top, []
        for name in names:
            self._step(name)

    def _step(self, name: str) -> None:
        below = os.open(name, _PATH_ONLY | _FOLDER_FLAGS, dir_fd=self._here)
        os.close(self._here)
        self._here = below
        self._names.append(name)

    def _up(self) -> None:
        if not self._names:
            raise self._fence._outside(self._shown)
        self._start(self._top, self._names[:-1])

    def _into(self, name: str, todo: list[str]) -> None:
        try:
            self._step(name)
        except (NotADirectoryError, FileNotFoundError) as error:
            if self._is_link(name, todo):
                return
            other = self._same_name(name)
            if other != name:
                todo.append(other)
            elif self._make and isinstance(error, FileNotFoundError):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=self._here)
                self._step(name)
            else:
                raise
        except OSError as error:
            if error.errno != errno.ELOOP or not self._is_link(name, todo):
                raise

    def _is_link(self, name: str, todo: list[str]) -> bool:
        """Returns whether `name` is a link, and if so puts its target before the rest."""
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError:
            return False
        self._links += 1
        if self._links > MAX_LINKS:
            raise ToolError(f"{self._shown} goes through too many links.")
        names = [step for step in target.split(os.sep) if step not in ("", ".")]
        if os.path.isabs(target):
            top, names = self._fence.inside(os.path.normpath(target), self._shown)
            self._start(top, [])
        todo.extend(reversed(names))
        return True

    def _same_name(self, name: str) -> str:
        """Returns the one name here that looks the same as `name`, if `name` is not here.

        macOS and some archives store decomposed letters (NFD); people type composed ones (NFC).
        """
        if name.isascii():
            return name
        try:
            os.stat(name, dir_fd=self._here, follow_symlinks=False)
        except OSError:
            form = unicodedata.normalize("NFC", name)
            descriptor = os.open(".", os.O_RDONLY | _FOLDER_FLAGS, dir_fd=self._here)
            try:
                with os.scandir(descriptor) as entries:
                    same = [e.name for e in entries if unicodedata.normalize("NFC", e.name) == form]
            finally:
                os.close(descriptor)
            if len(same) == 1:
                return same[0]
        return name


def _path_below(top: str, path: str) -> list[str] | None:
    if path == top:
        return []
    start = top if top.endswith(os.sep) else top + os.sep
    if not path.startswith(start):
        return None
    return [name for name in path[len(start) :].split(os.sep) if name]


def _lstat(spot: Spot) -> os.stat_result | None:
    try:
        return os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    except OSError:
        return None


def _file_version(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _must_be_regular(facts: os.stat_result, shown: str) -> None:
    if stat.S_ISREG(facts.st_mode):
        return
    if stat.S_ISDIR(facts.st_mode):
        raise ToolError(f"{shown} is a folder, not a file.")
    if stat.S_ISLNK(facts.st_mode):
        raise ToolRefused(f"{shown} became a link meanwhile.")
    raise ToolRefused(f"{shown} is not a regular file but a device, pipe or socket.")


def _replace(spot: Spot, data: bytes, old: os.stat_result | None) -> None:
    if spot.is_top:
        raise ToolError(f"{spot.path} is a folder, not a file.")
    mode = 0o666 if old is None else 0o600
    with dirfd.replacing_file_at(spot.folder, spot.name, mode) as descriptor:
        dirfd.write_all(descriptor, data)
        if old is not None:
            with contextlib.suppress(OSError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, old.st_mode & 0o777)


@contextlib.contextmanager
def _path_errors(shown: str) -> Iterator[None]:
    """Turns errors of the system into one line that names the path as it was given."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ToolRefused(f"{shown} became a link meanwhile.") from error
        reason = error.strerror or str(error)
        raise ToolError(f"{shown}: {reason}.") from error
