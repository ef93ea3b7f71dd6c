"""Icons that servers give themselves, their tools, resources and prompts.

Only those that come whole (`data:`) are shown: fetching one from an address would tell its owner
who looks at what, and when. An icon is a picture in an `img`, where SVG runs no script and loads
nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

_LARGEST = 48_000  # bytes of one icon
_DATA = re.compile(r"data:(image/(?:png|jpeg|webp|gif|svg\+xml));base64,([A-Za-z0-9+/=]+)", re.A)
_BEGINS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "image/svg+xml": (b"<svg", b"<?xml", b"<!--"),
}


def own_icon(icons: Iterable[Any] | None) -> tuple[str, int]:
    """Returns the first icon that can be shown, "" for none, and how many cannot be."""
    found, refused = "", 0
    for icon in icons or ():
        address = _checked(str(getattr(icon, "src", "")))
        refused += not address
        # of two, the one for light pages: the chat puts icons on a light ground
        if address and (not found or getattr(icon, "theme", None) == "light"):
            found = address
    return found, refused


def _checked(address: str) -> str:
    match = _DATA.fullmatch(address.strip()) if len(address) <= _LARGEST * 2 else None
    if match is None:
        return ""
    try:
        raw = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return ""
    fits = raw.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_BEGINS[match[1]])
    return match[0] if fits and len(raw) <= _LARGEST else ""
