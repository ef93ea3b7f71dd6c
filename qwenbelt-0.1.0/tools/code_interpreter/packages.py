"""Further packages for sessions, installed on this side of the sandbox and shown read-only.

Only the person's configuration names them; a model cannot.
"""

from __future__ import annotations

import ensurepip
import hashlib
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.secrets import clean_environment

_SECONDS = 600.0


def package_folder(packages: tuple[str, ...], home: Path, options: tuple[str, ...] = ()) -> Path:
    """Returns a folder with the packages, installed there when they are not yet.

    Args:
        packages: requirements as pip takes them; only wheels are installed.
        home: the folder under which such folders are kept.
        options: further options for pip, for example `--index-url`.

    Raises:
        ConfigError: a requirement is not valid or cannot be installed.
    """
    wrong = [name for name in packages if name.startswith("-") or not name.strip()]
    if wrong:
        raise ConfigError(f"code_interpreter: {wrong[0]!r} is not a package.")
    words = [sys.version, *sorted(packages), *options]
    folder = home / hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as temporary:
        made = Path(temporary, "packages")
        _install([*_installer(), "--target", str(made), *options, *packages])
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder


def _installer() -> list[str]:
    wheels = ["--only-binary", ":all:"]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--no-input", *wheels]
    bundled = sorted(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
    if bundled:  # an environment without pip: Python brings one along, which runs from its wheel
        return [sys.executable, str(bundled[-1] / "pip"), "install", "--no-input", *wheels]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", sys.executable, *wheels]
    raise ConfigError(
        "code_interpreter: further packages need pip or uv to be installed.",
        fix=f"Run: {sys.executable} -m ensurepip",
    )


def _install(command: list[str]) -> None:
    environment = clean_environment(keep=("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"))
    try:
        subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        raise ConfigError(
            f"code_interpreter: the packages cannot be installed ({one_line(' '.join(last))})."
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"code_interpreter: the packages cannot be installed ({error})."
        ) from None
