"""Detects which of the two languages a text or a person uses."""

from __future__ import annotations

import locale
import os
import re
from typing import Literal

Language = Literal["en", "zh"]
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def detect_language(text: str) -> Language:
    """Returns "zh" when the text has any Chinese character, else "en" (qwen-agent's rule)."""
    return "zh" if _HAN.search(text) else "en"


def user_language() -> Language:
    """Returns the language for messages to the person: `QWENBELT_LANG`, else the locale's."""
    chosen = os.environ.get("QWENBELT_LANG", "")
    if not chosen:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            if os.environ.get(name):
                chosen = os.environ[name]
                break
        else:
            chosen = locale.getlocale()[0] or ""
    return "zh" if chosen.lower().startswith(("zh", "chinese")) else "en"
