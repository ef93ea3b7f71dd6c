"""Files to index: those of folders, the kinds skipped, and the key of a file's content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from qwenbelt.tools.documents.fetching import is_url
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.formats import SUFFIXES

PARSER_VERSION = 7
MAX_KINDS = 20  # of files that are not read, named


def files_in(given: Iterable[str | Path]) -> Iterator[str | Path]:
    """Yields URLs and files, and the readable files of folders, by name."""
    for entry in given:
        if is_url(entry):
            yield entry
            continue
        path = Path(entry).expanduser()
        if path.is_dir():
            yield from sorted(
                f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file()
            )
        else:
            yield path


def passed_over(given: Iterable[str | Path], index: str) -> Iterator[tuple[str, str]]:
    """Yields name and note of each folder that has files whose formats are not read.

    Args:
        given: files and folders.
        index: the name of the index file, which may be in the folder.
    """
    for entry in given:
        path = Path(entry).expanduser()
        if is_url(entry) or not path.is_dir():
            continue
        kinds = Counter(
            f.suffix.lower() or f.name
            for f in path.rglob("*")
            if f.suffix.lower() not in SUFFIXES
            and not f.name.startswith((".", index))
            and f.is_file()
        )
        if kinds:
            most = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(MAX_KINDS))
            count = kinds.total()
            note = noted(f"{count} files of other kinds in this folder are not read: {most}.")
            yield f"{path.name}/", note


def content_key(file: Path) -> str:
    """Returns the key of a file's content as this version of the parser reads it.

    The format decides how bytes are read, so the suffix counts.
    """
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return f"{digest.hexdigest()}.{file.suffix.lower().lstrip('.')}.{PARSER_VERSION}"
