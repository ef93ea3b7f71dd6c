"""Reading text files of any encoding so that writing them back changes only the intended bytes.

A file is taken for UTF-16 or UTF-8 by its mark, else for UTF-8 if most of what is not ASCII is
valid, else for GB18030 if it reads as common Chinese, else for Latin-1, which fits any bytes.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from qwenbelt.core.errors import ToolError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNDECODED = re.compile("[\udc80-\udcff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# the first level of GB 2312: the 3755 most common characters, and its punctuation
_COMMON = re.compile(rb"[\xa1-\xa9\xb0-\xd7][\xa1-\xfe]")
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_PROBE_BYTES = 1 << 20


@dataclass(frozen=True)
class TextFile:
    """A decoded file. Bytes that are not valid become lone surrogates, as in PEP 383.

    Attributes:
        text: its text, line ends as they are.
        encoding: the codec's name.
        mark: its byte order mark, or nothing.
    """

    text: str
    encoding: str
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """Returns `text` as bytes in the file's own encoding.

        Raises:
            ToolError: the encoding lacks a character.
        """
        try:
            return self.mark + text.encode(self.encoding, _error_handler(self.encoding))
        except UnicodeEncodeError as error:
            bad = error.object[error.start]
            raise ToolError(
                f"{bad!r} cannot be written in this file's encoding, {self.encoding}."
            ) from None

    @property
    def shown(self) -> str:
        """The text with what could not be decoded shown as the replacement character."""
        return without_surrogates(self.text)


def without_surrogates(text: str) -> str:
    """Returns `text` with lone surrogates replaced, so that it can be sent as JSON."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _error_handler(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "strict"


def decode_file(raw: bytes, encoding: str | None = None) -> TextFile:
    """Decodes a file's bytes; `encode` of the same text gives the same bytes.

    Args:
        raw: all of the file.
        encoding: what to take it for, or None to find out.

    Raises:
        ToolError: the named encoding is unknown or does not fit.
    """
    if encoding:
        return _decode_as(raw, encoding)
    for mark, name in _MARKS:
        if raw.startswith(mark):
            found = _exactly(raw[len(mark) :], name, mark)
            if found is not None:
                return found
    text = raw.decode("utf-8", "surrogateescape")
    if text.isascii() or not _UNDECODED.search(text) or _mostly_valid(text):
        return TextFile(text, "utf-8")
    chinese = _exactly(raw, "gb18030", b"") if _reads_as_chinese(raw[:_PROBE_BYTES]) else None
    return chinese or TextFile(raw.decode("latin-1"), "latin-1")


def _mostly_valid(text: str) -> bool:
    sample = text[:_PROBE_BYTES]
    wrong = len(_UNDECODED.findall(sample))
    return len(_NOT_ASCII.findall(sample)) - wrong >= wrong


def _reads_as_chinese(raw: bytes) -> bool:
    pairs = _PAIR.findall(raw)
    common = sum(1 for pair in pairs if _COMMON.fullmatch(pair))
    return bool(pairs) and common >= 0.7 * len(pairs)


def _exactly(body: bytes, encoding: str, mark: bytes) -> TextFile | None:
    try:
        text = body.decode(encoding, _error_handler(encoding))
        same = text.encode(encoding, _error_handler(encoding)) == body
    except UnicodeError:
        return None
    return TextFile(text, encoding, mark) if same else None


def _decode_as(raw: bytes, encoding: str) -> TextFile:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ToolError(f"{encoding!r} is not an encoding.") from None
    mark = next((m for m, _ in _MARKS if raw.startswith(m) and name.startswith("utf")), b"")
    if name in ("utf-16", "utf-32", "utf-8-sig"):
        name = next(
            (n for m, n in _MARKS if m == mark), "utf-8" if name[4] == "8" else name + "-le"
        )
    found = _exactly(raw[len(mark) :], name, mark)
    if found is None:
        raise ToolError(f"The file is not {encoding}.")
    return found


def is_binary(raw: bytes) -> bool:
    """Returns whether bytes are no text: null bytes without a mark of UTF-16 or UTF-32."""
    head = raw[:8192]
    return b"\0" in head and not any(head.startswith(mark) for mark, _ in _MARKS)


def is_wide(raw: bytes) -> bool:
    """Returns whether a file begins with the mark of UTF-16 or UTF-32."""
    return any(raw.startswith(mark) for mark, name in _MARKS if name != "utf-8")
