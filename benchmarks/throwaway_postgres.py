"""A PostgreSQL server of its own for a test or a benchmark, thrown away afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

USER = "postgres"
SECONDS = 120  # for a start or a stop


def programs() -> Path | None:
    """Returns the folder with `initdb` and `pg_ctl`, or None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    return newest.parent if newest else None


@contextlib.contextmanager
def postgres(options: Sequence[str] = (), kept: Path | None = None) -> Iterator[str]:
    """Starts a server on a free loopback port and gives its URL; `options` as "name=value".

    PostgreSQL refuses to run as root; as root it runs as the user `postgres`. What is in the folder
    `kept` stays there, and is there again at the next start.
    """
    home = programs()
    if home is None:
        raise FileNotFoundError("PostgreSQL is not installed (apt install postgresql).")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    data, port = (kept or folder) / "data", _free_port()
    try:
        if kept is not None and not kept.is_dir():
            kept.mkdir(parents=True)
            if os.geteuid() == 0:
                shutil.chown(kept, USER)
        if not (data / "PG_VERSION").exists():
            initdb = [home / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8"]
            _run([*initdb, "--no-sync"])
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c max_connections=200"
        settings += "".join(f" -c {option}" for option in options)
        log = folder / "log"
        _run([home / "pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "-o", settings, "start"])
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            _run([home / "pg_ctl", "-D", data, "-m", "fast" if kept else "immediate", "-w", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str | Path]) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *words]
    done = subprocess.run(
        words,
        cwd="/",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{words[-1]}: {done.stderr.strip() or done.stdout.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
