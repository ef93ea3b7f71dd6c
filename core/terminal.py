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


def _escape(found: re.Match[str]) -> str:
    pair = found.group().encode("utf-16-be").hex()
    return "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4))
