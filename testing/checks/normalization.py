"""Takes out of texts what differs from run to run: times, ids, paths, ports."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_RULES = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r"\b0x[0-9a-f]{6,}\b", "<address>"),
    (r"\b(127\.0\.0\.1|localhost):\d{2,5}\b", r"\1:<port>"),
    (r"\b(?:call|chatcmpl|run|toolu)[-_][A-Za-z0-9]{16,}\b", "<id>"),
    (r"\b\d+(?:\.\d+)? ?(?:ms|µs)\b|\b\d+\.\d+ ?(?:s|seconds|sec)\b", "<duration>"),
)
_COMPILED = tuple((re.compile(pattern), replacement) for pattern, replacement in _RULES)


@lru_cache(maxsize=1)
def _temporary_paths() -> re.Pattern[str]:
    """Paths in the system's folder for temporary files, up to pytest's and tempfile's own names."""
    # recordings come from other machines too, whose folder is the usual one
    roots = {"/tmp", tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}  # noqa: S108
    start = "|".join(re.escape(root) for root in sorted(roots, key=len, reverse=True))
    inner = (
        r"(?:/(?:pytest-of-[^/\s\"']+/pytest-\d+|pytest-\d+|popen-gw\d+|tmp[A-Za-z0-9_]{6,12}))*"
    )
    return re.compile(rf"(?:{start}){inner}")


def normalised_text(text: str, more: Iterable[tuple[str, str]] = ()) -> str:
    """Returns the text with times, ids, temporary paths and ports replaced by their names.

    Args:
        text: the text.
        more: further patterns and what replaces them.
    """
    text = _temporary_paths().sub("<tmp>", text)
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?=[/\s\"']|$)", "~", text)
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    for pattern_text, replacement in more:
        text = re.sub(pattern_text, replacement, text)
    return text
