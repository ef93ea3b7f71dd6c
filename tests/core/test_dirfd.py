"""Writing into folders that others shape meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwenbelt.core import dirfd
from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import replacing_file, write_bytes
from qwenbelt.core.paths import Fence

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")


def test_a_temporary_file_is_not_written_by_its_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    folder = tmp_path / "shared"
    folder.mkdir()

    def exchanged() -> None:
        with replacing_file(folder / "out") as file:
            (temporary,) = folder.iterdir()
            temporary.unlink()
            temporary.symlink_to(elsewhere)
            file.write(b"EVIL")

    with pytest.raises(InputError, match="put in its place"):
        exchanged()
    assert elsewhere.read_bytes() == b"mine"


def test_temporary_names_are_not_foreseen(tmp_path: Path) -> None:
    seen = set()
    for _ in range(3):
        with replacing_file(tmp_path / "out") as file:
            seen |= {path.name for path in tmp_path.iterdir() if path.name != "out"}
            file.write(b"x")
    assert len(seen) == 3
    assert not any("out" in name or str(os.getpid()) in name for name in seen)


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    name = "文" * 83 + ".txt"
    write_bytes(tmp_path / name, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["../x", "a/../x", "/x", "", "a//x", "a/"])
def test_only_plain_names_are_walked(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    with dirfd.opened_folder(tmp_path) as root, pytest.raises(OSError, match="plain"):
        with dirfd.parent_of(root, name, make=True):
            pass


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with dirfd.opened_folder(tmp_path) as root:
        for name in ("pipe", "link"):
            with pytest.raises(OSError, match=r"regular|links"):
                os.close(dirfd.open_regular(root, name))


def test_holes_are_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"middle")
    with source.open("rb") as old, target.open("wb") as new:
        dirfd.copy_data(old.fileno(), new.fileno(), source.stat().st_size)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 16


def test_an_append_without_room_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")

    def half(number: int, data: bytes) -> None:
        os.write(number, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dirfd, "write_all", half)
    with pytest.raises(ToolError, match="No space"):
        Fence([tmp_path]).append(str(file), b"new")
    assert file.read_bytes() == b"old"
