"""A throw-away PostgreSQL server on a Unix socket, for tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 120


def programs() -> list[Path]:
    """Folders with initdb and pg_ctl: the system's packages, then one with pgvector."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    folders = [file.parent for file in found] or ([Path(on_path).parent] if on_path else [])
    return folders[:1]


def programs_with_pgvector() -> list[Path]:
    """The folder of a PostgreSQL that has pgvector, if there is one."""
    for folder in programs():
        if list(
            Path("/usr/share/postgresql").glob(f"{folder.parent.name}/extension/vector.control")
        ):
            return [folder]
    with contextlib.suppress(ImportError):
        import importlib.util

        wheel = importlib.util.find_spec("pgserver")
        if wheel is not None and wheel.origin is not None:
            folder = Path(wheel.origin).parent / "pginstall/bin"
            if (folder / "initdb").exists():
                return [folder]
    return []


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs a server from a folder of programs; yields its URL.

    PostgreSQL refuses to run as root, so root runs it as the user `postgres` or `nobody`.
    """
    owner = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        owner = "postgres" if "postgres" in names else "nobody"
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as work:
        if owner:
            shutil.chown(work, owner)
        os.chmod(work, 0o700)
        data = Path(work, "data")
        _run(
            owner,
            folder / "initdb",
            "-D",
            data,
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )
        options = f"-c listen_addresses='' -c unix_socket_directories='{work}' -c fsync=off"
        _run(
            owner,
            folder / "pg_ctl",
            "-D",
            data,
            "-w",
            "-t",
            str(SECONDS),
            "-o",
            options,
            "-l",
            Path(work, "log"),
            "start",
        )
        try:
            yield f"postgresql://tester@/postgres?host={work}"
        finally:
            _run(owner, folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _run(owner: str | None, *command: object) -> None:
    subprocess.run(
        [str(part) for part in command],
        check=True,
        user=owner,
        cwd="/",
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
    )


@contextlib.contextmanager
def store_place(kind: str, folder: Path) -> Iterator[str]:
    """Gives the place of a store, "sqlite" in the folder or "postgres"; skips what is not here."""
    if kind == "sqlite":
        yield str(folder / "store.sqlite")
        return
    pytest.importorskip("psycopg", reason="the extra postgres")
    if not programs():
        pytest.skip("needs PostgreSQL")
    with running(programs()[0]) as url:
        yield url
