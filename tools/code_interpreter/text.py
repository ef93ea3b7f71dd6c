"""Text that can be sent and written: without halves of surrogate pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_HALVES = re.compile("[\ud800-\udfff]")


def sendable(text: str) -> str:
    """Returns text whose lone halves of surrogate pairs are replaced and whose pairs are joined.

    Models write such halves when a reply is cut inside an emoji; Python keeps them in its strings,
    and no encoding takes them.
    """
    if text.isascii() or not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def lenient(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Returns a packer of messages that does not fail for what is no text."""

    def packed(message: Any) -> bytes:
        try:
            return pack(message)
        except UnicodeEncodeError:
            return sendable(json.dumps(message, default=str, ensure_ascii=False)).encode()

    return packed
