"""Keeps keys out of logs, traces, cassettes and sandboxes.

Secrets are registered when they are read (`remember_secret`); `mask_secrets` replaces each of
them, and any value in the shape of a well-known key, by `[secret]`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping

MASK = "[secret]"
_SHORTEST = 8  # a shorter value would also replace ordinary words
_NAMES = re.compile(
    r"(?i)(api[-_]?key|access[-_]?key|secret|token|passw(or)?d|credential|authorization|cookie)"
)
# the published prefixes of OpenAI, DashScope, GitHub, Slack, AWS, Google and Hugging Face keys
_SHAPES = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|A(?:KI|SI)A[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}"
    r"|hf_[A-Za-z0-9]{20,})"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}")
_known: set[str] = set()
_lock = threading.Lock()


def remember_secret(value: str | None) -> None:
    """Registers a secret, so that `mask_secrets` replaces it from now on."""
    if value and len(value) >= _SHORTEST:
        with _lock:
            _known.add(value)


def is_secret_name(name: str) -> bool:
    """Returns whether a variable, header or key of this name usually holds a secret."""
    return _NAMES.search(name) is not None


def looks_like_key(text: str) -> bool:
    """Returns whether `text` contains a known secret or a value in the shape of one."""
    return mask_secrets(text) != text


def mask_secrets(text: str) -> str:
    """Returns `text` with every known secret, and every value shaped like a key, masked."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, MASK)
    text = _SHAPES.sub(MASK, text)
    return _BEARER.sub(rf"\1{MASK}", text)


def clean_environment(
    keep: tuple[str, ...] = (), source: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns an environment for a child process: only what every program needs, and `keep`.

    Args:
        keep: further variable names to pass on unchanged.
        source: the environment to take from; this process's own when None.
    """
    environment = os.environ if source is None else source
    wanted = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "SYSTEMROOT")
    return {name: environment[name] for name in (*wanted, *keep) if name in environment}
