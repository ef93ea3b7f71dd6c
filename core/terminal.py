"""Makes text from models, tools and documents harmless to show in a terminal or to pipe on."""

from __future__ import annotations

import re

# ECMA-48: what begins with ESC or its eight-bit forms moves the cursor, sets titles and the
# clipboard, changes the character set
_SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS, …
    "|\x1b[ -/]*[0-~]"
)
# and all that is left or has come about: control characters but for line feeds and tabs; marks that
# turn the direction of writing and make one text look like another (CVE-2021-42574); tags, which
# invisible to people, read by models
_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)

# with those that have no width and join nothing; U+200C, U+200D and U+FE0F are letters' and emojis'
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e01ef]"
)


def terminal_text(text: str) -> str:
    """Returns `text` without control characters but for line feeds and tabs."""
    text = text.replace("\r\n", "\n")
    if not _CHARACTERS.search(text):
        return text
    # the second pass takes single characters only, so nothing can come about by it
    return _CHARACTERS.sub("", _SEQUENCES.sub("", text))


def terminal_json(text: str) -> str:
    """Returns JSON text in which such characters are written as escapes; its value is the same."""
    return _CHARACTERS.sub(_escape, text)


def visible_text(text: str) -> str:
    """Returns text in which characters that nobody sees are written as JSON's escapes.

    Tabs and ends of lines stay, and so does the one selector that a Chinese character may have. In
    JSON the value is the same.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    text, at, character = found.string, found.start(), found.group()
    if character == "\r" and text[at + 1 : at + 2] == "\n":
        return character
    before = text[at - 1 : at]
    chosen = "\u3400" <= before <= "\u9fff" or "\U00020000" <= before <= "\U0003ffff"
    return character if chosen and character >= "\U000e0100" else _escape(found)


def _escape(found: re.Match[str]) -> str:
    pair = found.group().encode("utf-16-be").hex()
    return "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4))
