"""Attacks on the fence around folders: whatever the path, nothing outside is read or written."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenbelt.core.errors import ConfigError, QwenbeltError, ToolError, ToolRefused
from qwenbelt.core.paths import Fence

SECRET = b"the secret outside"


class Ground:
    """A fenced folder with traps in it, and a folder outside."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.inside = base / "inside"
        self.outside = base / "outside"
        self.twin = base / "inside-twin"  # its name begins with the fenced folder's
        for folder in (self.inside / "sub" / "deep", self.outside, self.twin):
            folder.mkdir(parents=True)
        (self.inside / "plain.txt").write_bytes(b"plain")
        (self.inside / "sub" / "a.txt").write_bytes(b"a")
        (self.outside / "secret.txt").write_bytes(SECRET)
        (self.twin / "secret.txt").write_bytes(SECRET)
        links = {
            "to_file": self.outside / "secret.txt",
            "to_folder": self.outside,
            "relative_out": "../outside",
            "relative_file": "../outside/secret.txt",
            "sub/up_and_out": "../../outside/secret.txt",
            "sub/deep/far": "../../../outside",
            "root": "/",
            "chain1": "chain2",
            "chain2": "to_folder",
            "loop1": "loop2",
            "loop2": "loop1",
            "self": "self",
            "dangling_out": self.outside / "new.txt",
            "through": "to_folder/secret.txt",
            "dots": "sub/../../outside/secret.txt",
            "twin": self.twin / "secret.txt",
            "proc": "/proc/self/root",
            "cwd": "/proc/self/cwd",
            "passwd": "/etc/passwd",
            "null": "/dev/null",
            "slashes": f"//{self.outside}//secret.txt",
            "dot_out": "./../outside/./secret.txt",
            # these stay inside
            "good_file": "sub/a.txt",
            "good_absolute": self.inside / "sub",
            "good_up": "sub/deep/../../plain.txt",
        }
        for name, target in links.items():
            (self.inside / name).symlink_to(target)
        os.mkfifo(self.inside / "fifo")
        server = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(self.inside)  # the path of a socket is limited to 108 bytes
        server.bind("socket")
        os.chdir(here)
        server.close()
        self.fence = Fence([self.inside])

    def outside_is_as_it_was(self) -> bool:
        return {p.name: p.read_bytes() for p in self.outside.iterdir()} == {
            "secret.txt": SECRET
        } and (self.twin / "secret.txt").read_bytes() == SECRET


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def read(fence: Fence, path: str) -> bytes:
    with fence.reading(path) as (descriptor, _):
        return os.read(descriptor, 1000)


def entries(fence: Fence, path: str) -> list[str]:
    with fence.folder(path) as descriptor:
        return os.listdir(descriptor)


ESCAPES = [
    "..",
    "../outside/secret.txt",
    "../../../../../../etc/passwd",
    "sub/../../outside/secret.txt",
    "./../outside/secret.txt",
    "sub/./.././../outside/secret.txt",
    "sub/deep/../../../outside/secret.txt",
    "missing/../../outside/secret.txt",
    "..//outside//secret.txt",
    "../inside-twin/secret.txt",
    "../inside/../outside/secret.txt",
    "{outside}/secret.txt",
    "{outside}",
    "{inside}/../outside/secret.txt",
    "{inside}/sub/../../outside/secret.txt",
    "{inside}-twin/secret.txt",
    "//{outside}/secret.txt",
    "/",
    "/etc/passwd",
    "/etc/../etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "/dev/zero",
    "~",
    "~/.ssh/id_rsa",
    "~root/.bashrc",
    "to_file",
    "to_folder",
    "to_folder/secret.txt",
    "to_folder/../outside/secret.txt/",
    "relative_out/secret.txt",
    "relative_file",
    "sub/up_and_out",
    "sub/deep/far/secret.txt",
    "root/etc/passwd",
    "root",
    "chain1/secret.txt",
    "chain2",
    "loop1",
    "loop1/x",
    "self",
    "self/self/self",
    "dangling_out",
    "through",
    "dots",
    "twin",
    "proc/etc/passwd",
    "cwd/pyproject.toml",
    "passwd",
    "null",
    "slashes",
    "dot_out",
    "good_absolute/../../outside/secret.txt",
    "good_absolute/../to_file",
    "fifo",
    "socket",
    "plain.txt\0",
    "../outside/secret.txt\0.png",
    "\0",
    "",
    "\ud800",
    "C:\\Windows\\System32",
    "c:/windows",
    "file://{outside}/secret.txt",
    "x" * 300,
    "a/" * 3000,
    "..\\outside\\secret.txt",
    "%2e%2e/outside/secret.txt",
    "..%2foutside%2fsecret.txt",
    "．．/outside/secret.txt",
    "..／outside／secret.txt",
    "..\u2215outside\u2215secret.txt",
    "..\u200b/outside/secret.txt",
    ".. /outside/secret.txt",
    "plain.txt/../../outside/secret.txt",
    "plain.txt/.",
    "sub/a.txt/x",
]


def test_there_are_enough_attacks() -> None:
    assert len(set(ESCAPES)) >= 60


def spelled(ground: Ground, path: str) -> str:
    return path.replace("{inside}", str(ground.inside)).replace("{outside}", str(ground.outside))


# read, list, write, append, make a folder, move in and out, remove: none of it may get out
ACTIONS: dict[str, Callable[[Fence, str], object]] = {
    "read": read,
    "list": entries,
    "facts": lambda fence, path: fence.facts(path) if "plain" not in path else None,
    "write": lambda fence, path: fence.write(path, b"attacked"),
    "append": lambda fence, path: fence.append(path, b"attacked"),
    "make": lambda fence, path: fence.make_folder(path),
    "move_to": lambda fence, path: fence.move("plain.txt", path),
    "move_from": lambda fence, path: fence.move(path, "stolen"),
    "remove": lambda fence, path: fence.remove(path),
}


@pytest.mark.parametrize("path", ESCAPES)
def test_no_action_gets_out(ground: Ground, path: str) -> None:
    path = spelled(ground, path)
    for name, action in ACTIONS.items():
        try:
            found = action(ground.fence, path)
        except QwenbeltError:
            pass  # most fail, some act inside: both are well
        else:
            assert found != SECRET, name
            assert not (isinstance(found, list) and "secret.txt" in found), name
        assert ground.outside_is_as_it_was(), name
        assert not Path("/outside").exists()


@pytest.mark.parametrize(
    "path", ["to_file", "to_folder/secret.txt", "../outside/secret.txt", "{outside}/secret.txt"]
)
def test_escapes_are_refused_by_policy(ground: Ground, path: str) -> None:
    with pytest.raises(ToolRefused, match="outside the allowed folders"):
        read(ground.fence, spelled(ground, path))


@pytest.mark.parametrize("path", ["fifo", "socket"])
def test_what_is_no_regular_file_is_refused_at_once(ground: Ground, path: str) -> None:
    for action in (read, lambda f, p: f.write(p, b"x"), lambda f, p: f.append(p, b"x")):
        with pytest.raises(ToolRefused, match="not a regular file"):
            action(ground.fence, path)


def test_devices_are_not_opened(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices can only be made by root")
    with pytest.raises(ToolRefused, match="not a regular file"):
        read(Fence([tmp_path]), "zero")


def test_links_that_stay_inside_work(ground: Ground) -> None:
    assert read(ground.fence, "good_file") == b"a"
    assert read(ground.fence, "good_absolute/a.txt") == b"a"
    assert read(ground.fence, "good_up") == b"plain"
    ground.fence.write("good_file", b"new")
    assert (ground.inside / "sub" / "a.txt").read_bytes() == b"new"
    assert (ground.inside / "good_file").is_symlink()


def test_hard_links_keep_what_is_outside(ground: Ground) -> None:
    for name, action in (("one", ground.fence.write), ("two", ground.fence.append)):
        os.link(ground.outside / "secret.txt", ground.inside / name)
        action(name, b" more")
        assert ground.outside_is_as_it_was()
    assert (ground.inside / "one").read_bytes() == b" more"
    assert (ground.inside / "two").read_bytes() == SECRET + b" more"


def test_names_of_either_unicode_form(ground: Ground) -> None:
    composed, apart = (unicodedata.normalize(form, "Übergröße é.txt") for form in ("NFC", "NFD"))
    (ground.inside / apart).write_bytes(b"apart")
    assert read(ground.fence, composed) == b"apart"
    ground.fence.write(composed, b"same file")
    assert (ground.inside / apart).read_bytes() == b"same file"
    (ground.inside / composed).write_bytes(b"composed")
    assert read(ground.fence, composed) == b"composed"
    assert read(ground.fence, apart) == b"same file"
    folder = unicodedata.normalize("NFD", "dé")
    (ground.inside / folder).mkdir()
    ground.fence.write("dé/x", b"x")
    assert (ground.inside / folder / "x").exists()
    (ground.inside / unicodedata.normalize("NFD", "liné")).symlink_to(ground.outside)
    with pytest.raises((ToolRefused, ToolError)):
        read(ground.fence, "liné/secret.txt")


def test_the_folders_themselves_stay(ground: Ground) -> None:
    for path in (".", str(ground.inside), "sub/..", "good_absolute/.."):
        with pytest.raises(QwenbeltError):
            ground.fence.remove(path)
        with pytest.raises(QwenbeltError):
            ground.fence.move(path, "elsewhere")
    assert ground.inside.is_dir()


def test_writing_is_whole_and_keeps_permissions(ground: Ground) -> None:
    os.chmod(ground.inside / "plain.txt", 0o640)
    ground.fence.write("plain.txt", b"new")
    assert (ground.inside / "plain.txt").read_bytes() == b"new"
    assert stat.S_IMODE((ground.inside / "plain.txt").stat().st_mode) == 0o640
    assert not list(ground.inside.glob(".*tmp"))
    seen = ground.fence.facts("plain.txt")
    ground.fence.write("plain.txt", b"somebody else")
    assert ground.fence.write("plain.txt", b"late", seen=seen) is False
    assert read(ground.fence, "plain.txt") == b"somebody else"


def test_moving_never_replaces(ground: Ground) -> None:
    for target in ("sub/a.txt", "sub", "to_file", "dangling_out", "fifo"):
        with pytest.raises(ToolError, match="exists already"):
            ground.fence.move("plain.txt", target)
    ground.fence.move("plain.txt", "sub/moved.txt")
    assert read(ground.fence, "sub/moved.txt") == b"plain"
    ground.fence.move("sub", "renamed")
    assert read(ground.fence, "renamed/moved.txt") == b"plain"
    ground.fence.move("to_file", "still_a_link")
    assert (ground.inside / "still_a_link").is_symlink()


def test_several_folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
    (tmp_path / "one" / "across").symlink_to(tmp_path / "two")
    (tmp_path / "alias").symlink_to(tmp_path / "one")
    fence = Fence([tmp_path / "alias", tmp_path / "two"])
    assert fence.folders == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert read(fence, "one.txt") == b"one"
    assert read(fence, "two.txt") == b"two"
    assert read(fence, "across/two.txt") == b"two"
    assert read(fence, str(tmp_path / "alias" / "one.txt")) == b"one"
    assert read(fence, str(tmp_path / "one" / "one.txt")) == b"one"
    fence.write("new.txt", b"in the first")
    assert (tmp_path / "one" / "new.txt").exists()


def test_a_fence_needs_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        Fence([tmp_path / "missing"])
    with pytest.raises(ConfigError, match="at least one"):
        Fence([])


def test_no_descriptor_is_left_open(ground: Ground) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for path in ESCAPES[:50]:
        for action in (read, entries):
            try:
                action(ground.fence, spelled(ground, path))
            except QwenbeltError:
                continue
    assert count() == before


PARTS = st.sampled_from(
    ["..", ".", "sub", "deep", "to_folder", "to_file", "secret.txt", "plain.txt", "chain1",
     "good_absolute", "relative_out", "outside", "inside", "", "new", "root", "etc", "passwd"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PARTS, max_size=12), st.booleans())
def test_any_path_stays_inside(tmp_path_factory, parts: list[str], absolute: bool) -> None:
    ground = _shared(tmp_path_factory)
    path = "/".join(parts)
    if absolute:
        path = f"{ground.inside}/{path}"
    with contextlib.suppress(QwenbeltError):
        assert read(ground.fence, path) != SECRET
    with contextlib.suppress(QwenbeltError), ground.fence.folder(path) as descriptor:
        for other in (ground.base, ground.outside, ground.twin, "/", "/etc"):
            assert not os.path.samestat(os.fstat(descriptor), os.stat(other))
    with contextlib.suppress(QwenbeltError):
        ground.fence.append(path, b"+")
    assert ground.outside_is_as_it_was()


_grounds: list[Ground] = []


def _shared(tmp_path_factory) -> Ground:
    if not _grounds:
        _grounds.append(Ground(tmp_path_factory.mktemp("ground")))
    return _grounds[0]
