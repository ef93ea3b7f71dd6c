"""The report's folder: everything is made under a temporary name and appears at once, or not."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import output_folder
from qwenbelt.core.jsons import loads_bounded

RECORD = "report.json"
FIGURES, TABLES, CROPS = "figures", "tables", "crops"


@contextlib.contextmanager
def staged(out: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder; what is in it when the block ends well appears in `out`.

    A report that was in `out` before is replaced, its own figures and tables too. When the block
    fails, `out` is as it was.

    Raises:
        InputError: `out` cannot be made or written, or the disk is full.
    """
    there_before = Path(out).expanduser().exists()
    folder = output_folder(out)
    stage = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        (stage / FIGURES).mkdir()
        yield stage
        _publish(stage, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder}: cannot be written ({reason}).") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not there_before:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing came to be in it


def _publish(stage: Path, folder: Path) -> None:
    """Moves the files to their places, the report itself last; then removes what is outdated."""
    before = set(_recorded(folder))
    new = sorted(p.relative_to(stage) for p in stage.rglob("*") if p.is_file())
    for path in sorted(new, key=lambda p: (len(p.parts) == 1, p.name == "report.pdf")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (stage / path).replace(folder / path)
    for old in before - {path.as_posix() for path in new}:
        with contextlib.suppress(OSError):
            (folder / old).unlink()


def _recorded(folder: Path) -> list[str]:
    """Returns the figures and tables that the report in the folder lists as its own."""
    try:
        files = read_record(folder).get("made", [])
    except InputError:
        return []
    return [name for name in files if isinstance(name, str) and _is_own(name)]


def _is_own(name: str) -> bool:
    parts = Path(name).parts
    return len(parts) == 2 and parts[0] in (FIGURES, TABLES, CROPS) and parts[1] != ".."


def read_record(folder: Path) -> dict[str, Any]:
    """Returns the contents of `report.json`.

    Raises:
        InputError: it is missing or cannot be read.
    """
    path = folder / RECORD
    try:
        record = loads_bounded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no report ({RECORD} is missing).") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: is not a report's record.")
    return record
