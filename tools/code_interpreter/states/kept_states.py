"""States of sessions that were kept, so that a conversation can go on from an earlier turn.

A state has a name that stands for the turns before it. Its file is opaque here: only the sandbox of
a session reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.core import dirfd
from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.settings import cache_folder

NO_CODE_YET = "0" * 32  # the state of a conversation before its first code
_LARGEST = 160 * 1024 * 1024
_MOST_STATES, _MOST_BYTES = 200, 2 * 1024**3
_NAME = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True)
class KeptState:
    """One state that is kept.

    Attributes:
        data: the file, which only a sandbox reads.
        lost: why variables could not be kept, by their names.
    """

    data: bytes
    lost: dict[str, str]


def state_folder() -> Path | None:
    """Returns where states are kept, or None where nothing can be."""
    cache = cache_folder()
    return cache / "states" if cache is not None else None


def find_state(name: str) -> Path | None:
    """Returns the file of a state, or None."""
    folder = state_folder()
    if folder is None or not _NAME.fullmatch(name):
        return None
    path = folder / name
    return path if path.is_file() else None


def read_state(path: Path) -> KeptState | None:
    """Returns a state that is kept."""
    try:
        lost = loads_bounded(Path(f"{path}.json").read_text(encoding="utf-8"))
        os.utime(path)
        return KeptState(path.read_bytes(), lost if isinstance(lost, dict) else {})
    except (OSError, ValueError):
        return None


def store_state(name: str, state: KeptState) -> None:
    """Keeps a state; the oldest ones make room."""
    folder = state_folder()
    if folder is None or not _NAME.fullmatch(name):
        return
    with contextlib.suppress(InputError, OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"{name}.json", json.dumps(state.lost).encode())
        write_bytes(folder / name, state.data)
        _make_room(folder)


def forget_state(name: str) -> None:
    """Removes a state, as when its conversation is deleted."""
    path = find_state(name)
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
            Path(f"{path}.json").unlink()


def _make_room(folder: Path) -> None:
    files = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    facts = sorted(((path.stat(), path) for path in files), key=lambda pair: -pair[0].st_mtime)
    total = 0
    for number, (info, path) in enumerate(facts):
        total += info.st_size
        if number >= _MOST_STATES or total > _MOST_BYTES:
            path.unlink(missing_ok=True)
            Path(f"{path}.json").unlink(missing_ok=True)


def new_state_file() -> str:
    """Returns a name in the session folder that nobody else uses; hidden files are not carried."""
    return f".state-{secrets.token_hex(8)}"


def take_out(folder: int, name: str) -> KeptState | None:
    """Reads and removes what a session has written into its folder."""
    parts = []
    for leaf in (name, f"{name}.json"):
        try:
            number = dirfd.open_regular(folder, leaf)
        except OSError:
            return None
        with open(number, "rb") as file:
            parts.append(file.read(_LARGEST + 1))
        with contextlib.suppress(OSError):
            os.unlink(leaf, dir_fd=folder)
    data, listed = parts
    try:
        told = loads_bounded(listed[: 1 << 20].decode("utf-8", "replace"))
    except ValueError:
        return None
    if len(data) > _LARGEST or not isinstance(told, dict):
        return None
    lost = {str(k)[:100]: str(v)[:100] for k, v in list(told.items())[:100]}
    return KeptState(data, lost)


def put_in(folder: int, name: str, state: KeptState, owner: int | None) -> None:
    """Writes a state into a session's folder.

    Raises:
        OSError: it cannot be written.
    """
    with dirfd.replacing_file_at(folder, name, 0o600) as target:
        if owner is not None:
            os.fchown(target, owner, owner)
        view = memoryview(state.data)
        while view:
            view = view[os.write(target, view) :]
