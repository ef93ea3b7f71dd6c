"""A cache of servers' offers in the user's folder, so that listing tools starts no server.

An entry is found by how the server is started or where it listens. It says with which files of the
program it was made: when these changed, or after a day, it is used and refreshed behind. A server
of 2026-07-28 says itself for how long (`ttlMs`); its 0, which SDKs write unasked, is taken at its
word from servers elsewhere, not from programs, whose files tell more.
Values of environment and headers are only in the entry's name, hashed with a key of this machine.
`QWENBELT_CACHE=off` keeps nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.files import write_text
from qwenbelt.core.settings import cache_folder
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.session import Offer

FRESH_SECONDS = 24 * 3600.0
_FORM = 3  # raised when what an entry holds changes
_LARGEST = 8_000_000  # bytes of an entry


class KeptOffer(NamedTuple):
    """An offer of an earlier session.

    Attributes:
        fresh: whether it is of the program as it is now, and of today.
    """

    offer: Offer
    fresh: bool


def kept_offer(config: ServerConfig) -> KeptOffer | None:
    """Returns what a server offered when it last ran, or None where that is not known."""
    try:
        path = _path(config)
        if path is None or path.stat().st_size > _LARGEST:
            return None
        entry = json.loads(path.read_bytes())
        offer = _form().validate_python(entry["offer"])
        age = time.time() - float(entry["time"])
        good = min(_lasting(config, offer), FRESH_SECONDS)
        return KeptOffer(offer, entry["program"] == _program(config) and 0 <= age < good)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged, or of another release


def keep_offer(config: ServerConfig, offer: Offer) -> None:
    """Keeps what a server offers; a cache that cannot be written to is none."""
    with contextlib.suppress(OSError, QwenbeltError, ValueError):
        path = _path(config)
        if path is None:
            return
        told = _form().dump_python(offer, mode="json", by_alias=True, exclude_none=True)
        entry = {"time": time.time(), "program": _program(config), "offer": told}
        write_text(path, json.dumps(entry, ensure_ascii=False))


def _lasting(config: ServerConfig, offer: Offer) -> float:
    said = offer.lasts
    return FRESH_SECONDS if said is None or (not said and config.kind == "stdio") else said


@functools.cache
def _form() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Offer)


def _path(config: ServerConfig) -> Path | None:
    cache = cache_folder()
    if cache is None:
        return None
    folder = cache / "mcp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = [
        [_FORM, config.kind, config.command, list(config.args), config.cwd, config.url],
        [config.protocol],
        [sorted(config.env.items()), sorted(config.headers.items())],
    ]
    name = hashlib.blake2b(json.dumps(place).encode(), key=_key(folder), digest_size=20)
    return folder / f"{name.hexdigest()}.json"


def _key(folder: Path) -> bytes:
    path = folder / "key"
    with contextlib.suppress(FileExistsError):
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(place, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()[:64]


def _program(config: ServerConfig) -> list[list[Any]]:
    """Returns what identifies a version of a program: its files, and their dates."""
    if config.kind != "stdio":
        return []
    places = [shutil.which(config.command) or config.command]
    places += [os.path.join(config.cwd or "", argument) for argument in config.args]
    found: list[list[Any]] = []
    for place in places:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(place)
            if os.path.isfile(place):
                found.append([place, status.st_mtime_ns, status.st_size])
    return found
