"""Documents from URLs; `core.urls` guards where they may lead."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from qwenbelt.tools.documents.parsing.formats import SUFFIXES

MAX_BYTES = 200 * 1024 * 1024
SECONDS = 120.0
_OFFICE = "application/vnd.openxmlformats-officedocument"
_SUFFIX = {
    "application/pdf": ".pdf",
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "message/rfc822": ".eml",
    f"{_OFFICE}.wordprocessingml.document": ".docx",
    f"{_OFFICE}.presentationml.presentation": ".pptx",
    f"{_OFFICE}.spreadsheetml.sheet": ".xlsx",
}


def is_url(entry: object) -> bool:
    """Returns whether something names a web page rather than a file."""
    return isinstance(entry, str) and entry.lower().startswith(("http://", "https://"))


@contextlib.contextmanager
def fetched(url: str) -> Iterator[Path]:
    """Downloads a URL into a temporary file with a name that shows its format.

    Raises:
        InputError: it cannot be fetched, or is too large.
        ToolRefused: it leads to a private address.
    """
    from qwenbelt.tools.web.download import download_url

    found = download_url(url, max_bytes=MAX_BYTES, seconds=SECONDS)
    data = found.data
    if found.charset and found.media_type.startswith("text/"):
        data = _as_utf8(data, found.charset)
    with tempfile.TemporaryDirectory(prefix="qwenbelt-fetched-") as folder:
        file = Path(folder, name_of(found.url, found.media_type))
        file.write_bytes(data)
        yield file


def name_of(url: str, media_type: str) -> str:
    """Returns a file name for what a URL gave; its suffix follows the server's word."""
    parts = urlsplit(url)
    last = Path(unquote(parts.path).replace("\\", "/")).name.replace("\x00", "")
    name = last[-120:] or parts.hostname or "page"
    suffix = Path(name).suffix.lower()
    told = _SUFFIX.get(media_type, "")
    if suffix in SUFFIXES and (not told or told == ".txt"):
        return name
    if not told or suffix == told:
        return name
    return f"{name}{told}"


def _as_utf8(data: bytes, charset: str) -> bytes:
    """Returns text in UTF-8 with a byte order mark; unchanged where the charset is wrong."""
    try:
        return data.decode(charset).encode("utf-8-sig")
    except (LookupError, UnicodeDecodeError):
        return data
