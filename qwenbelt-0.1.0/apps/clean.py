"""Makes text from models, tools and documents harmless to show in a terminal."""

from __future__ import annotations

import re

# escape sequences move the cursor, set titles and the clipboard; bidi overrides make one text
# look like another (CVE-2021-42574)
_CONTROLS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI
    "|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?"  # OSC, DCS, SOS, PM, APC
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def terminal_text(text: str) -> str:
    """Returns `text` without control characters but for line feeds and tabs."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n"))
