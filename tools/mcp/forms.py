"""Forms that servers ask people to fill in: what they may ask, and values as they take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# a form is no place for these: the protocol has its URL mode for them
_SECRET = re.compile(
    r"pass(word|phrase|wd)|secret|api[_-]?key|access[_-]?token|private[_-]?key|credential"
    r"|card[_-]?number|\bcvv\b|\bpin\b|密码|口令|密钥",
    re.IGNORECASE,
)


def asks_for_secrets(schema: Mapping[str, Any]) -> bool:
    """Returns whether a form asks for passwords, keys or card numbers."""
    for name, field in (schema.get("properties") or {}).items():
        said = [str(field.get(key) or "") for key in ("title", "format")] if field else []
        if any(_SECRET.search(text) for text in (str(name), *said)):
            return True
    return False


def form_values(values: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the form's own fields, with the defaults of those left out."""
    fields = schema.get("properties") or {}
    found = {name: values[name] for name in fields if values.get(name) is not None}
    for name, field in fields.items():
        if name not in found and isinstance(field, Mapping) and "default" in field:
            found[name] = field["default"]
    return found
