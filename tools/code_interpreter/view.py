"""What code in a session may read: Python, its libraries, the system's programs and fonts."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable
from pathlib import Path

_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/etc/pki/tls/certs",
    "/var/cache/fontconfig",
)


def readable(extra: Iterable[Path] = ()) -> list[str]:
    """Returns the files and folders that are shown read-only.

    Of this process's import path only installations count: a project's folder, which may hold
    secrets beside its code, is not shown unless it is among `extra`.
    """
    home = Path.home()
    installed = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    installed += [entry for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS]
    installed += [*site.getsitepackages(), site.getusersitepackages()]
    installed.append(str(Path(os.path.realpath(sys.executable)).parent))
    found = [*_SYSTEM, *(str(Path(path).absolute()) for path in extra)]
    for entry in installed:
        for path in {os.path.abspath(entry), os.path.realpath(entry)}:
            if os.path.isdir(path) and not _holds(path, home):
                found.append(path)
    return list(dict.fromkeys(found))


_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def import_path() -> list[str]:
    """Returns this process's import path for a process that starts in another folder.

    Entries of import hooks, which editable installations use, are no paths and stay as they are.
    """
    return [os.path.abspath(e) if os.path.exists(e) else e for e in sys.path if e]


def _holds(path: str, home: Path) -> bool:
    """Returns whether the folder is the root, or holds the user's home."""
    return path == "/" or home == Path(path) or Path(path) in home.parents


def chinese_font() -> str:
    """Returns the path of a font with Chinese characters, or "" when there is none."""
    from qwenbelt.tools.plot.fonts import cjk_font

    font = cjk_font()
    return str(font.path) if font else ""
