"""The files of conversations for all replicas: small ones in the database, others in a folder.

Each replica has a copy of what it needs below its workspace. What a person attached or code has
written is kept when it was written; another replica fetches it when it is asked for, and before a
turn begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.apps.gui.asking import DATABASE_BYTES
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
from qwenbelt.core.errors import InputError, QwenbeltError, one_line
from qwenbelt.core.files import write_bytes

log = logging.getLogger(__name__)


class SharedFiles:
    """Keeps files for the other replicas, and brings theirs; may be used from many threads.

    Args:
        store: what the replicas share.
        workspace: has a folder for each conversation.
        place: a folder or any URL of fsspec for files that are too large for the database.
    """

    def __init__(self, store: PostgresChatStore, workspace: Path, place: str | None) -> None:
        self._store = store
        self._workspace = workspace
        self._place = place.rstrip("/") if place else None
        self._listed: dict[str, dict[str, tuple[str, bool]]] = {}
        self._seen: dict[Path, tuple[int, int, str]] = {}  # time, size and digest of copies
        self._lock = threading.RLock()

    def changed(self, session: str) -> None:
        """Another replica has changed a conversation: its files are listed anew."""
        self._listed.pop(session, None)

    def bring(self, session: str, name: str = "") -> None:
        """Fetches a file of a conversation, or all of them, as far as they are not here.

        What cannot be fetched is told to the log: the conversation is there without it.
        """
        with self._lock:
            try:
                for one, (digest, in_database) in self._list(session).items():
                    if name in ("", one):
                        self._fetch(session, one, digest, in_database)
            except (QwenbeltError, OSError) as error:
                log.warning("%s: %s", session, one_line(error, 200))

    def keep(self, session: str) -> list[str]:
        """Keeps what is new in a conversation's folder; returns what is too large for that.

        Raises:
            InputError: the database or the shared folder cannot be used.
        """
        left = []
        with self._lock:
            known = self._list(session)
            for path in _plain_files(self._workspace / session):
                size, digest = path.stat().st_size, self._digest(path)
                if known.get(path.name, ("",))[0] == digest:
                    continue
                if size > DATABASE_BYTES and self._place is None:
                    left.append(path.name)
                    continue
                in_database = size <= DATABASE_BYTES
                if not in_database:
                    self._put(session, path)
                body = path.read_bytes() if in_database else None
                self._store.keep_file(session, path.name, size, digest, body)
                known[path.name] = digest, in_database
        return left

    def forget(self, session: str) -> None:
        """Removes what is kept of a conversation outside the database."""
        with self._lock:
            self._listed.pop(session, None)
            if self._place is not None:
                import fsspec

                with contextlib.suppress(OSError, ValueError):
                    system, path = fsspec.core.url_to_fs(f"{self._place}/{session}")
                    if system.exists(path):
                        system.rm(path, recursive=True)

    def _list(self, session: str) -> dict[str, tuple[str, bool]]:
        if session not in self._listed:
            self._listed[session] = self._store.file_digests(session)
        return self._listed[session]

    def _digest(self, path: Path) -> str:
        info = path.stat()
        known = self._seen.get(path)
        if known is None or known[:2] != (info.st_mtime_ns, info.st_size):
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            known = self._seen[path] = (info.st_mtime_ns, info.st_size, digest.hexdigest())
        return known[2]

    def _fetch(self, session: str, name: str, digest: str, in_database: bool) -> None:
        path = self._workspace / session / name
        if path.is_symlink() or Path(name).name != name:
            return
        if path.is_file():
            before = self._seen.get(path)
            here = self._digest(path)
            if here == digest or (before is not None and before[2] != here):
                return  # the same, or written here since it was kept
        if in_database:
            body = self._store.file_body(session, name)
        else:
            body = self._get(session, name)
        if body is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, body)
            self._digest(path)

    def _put(self, session: str, path: Path) -> None:
        with self._opened(session, path.name, "wb") as file, path.open("rb") as source:
            while block := source.read(1 << 20):
                file.write(block)

    def _get(self, session: str, name: str) -> bytes | None:
        if self._place is None:
            return None
        with self._opened(session, name, "rb") as file:
            return bytes(file.read())

    @contextlib.contextmanager
    def _opened(self, session: str, name: str, mode: str) -> Iterator[Any]:
        import fsspec

        try:
            with fsspec.open(
                f"{self._place}/{session}/{name}", mode, **_options(self._place)
            ) as file:
                yield file
        except (OSError, ValueError, ImportError) as error:
            raise InputError(
                f"The shared folder of files cannot be used ({one_line(error, 200)}).",
                fix="Give --files a folder or URL that all servers can read and write.",
            ) from error


def _options(place: str | None) -> dict[str, Any]:
    local = place is not None and ("://" not in place or place.startswith("file://"))
    return {"auto_mkdir": True} if local else {}


def _plain_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.is_file() and not path.is_symlink()
    )
