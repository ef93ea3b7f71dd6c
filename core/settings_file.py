"""Writes a key into the user's settings file, so that every front end finds it there."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from qwenbelt.core.errors import ConfigError, InputError
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.settings import FILE_NAME, config_folder, load_settings

_TABLE = re.compile(r"^[ \t]*\[keys\][ \t]*(?:#.*)?$", re.MULTILINE)
_LONGEST = 500


def save_key(name: str, key: str) -> Path:
    """Keeps an API key in the settings file that is in use, else in the user's own.

    Args:
        name: of the endpoint, such as "dashscope".
        key: the key; it is masked wherever it would be shown.

    Returns:
        The file.

    Raises:
        InputError: this is no key.
        ConfigError: the file cannot be read or written.
    """
    key = key.strip()
    if not re.fullmatch(r"[\x21-\x7e]{8,}", key) or len(key) > _LONGEST:
        raise InputError("This is no API key: one word of 8 letters or more is expected.")
    if not re.fullmatch(r"[a-z_]{1,30}", name):
        raise InputError(f"{name[:40]!r} names no endpoint.")
    remember_secret(key)
    path = load_settings().source or config_folder() / FILE_NAME
    try:
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(_with_key(old, name, key))
        os.replace(new, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error}).") from error
    return path


def _with_key(text: str, name: str, key: str) -> str:
    line = f"{name} = {json.dumps(key)}"
    table = _TABLE.search(text)
    if table is None:
        return f"{text.rstrip()}\n\n[keys]\n{line}\n".lstrip("\n")
    head, body = text[: table.end()], text[table.end() :]
    after = re.search(r"^[ \t]*\[", body, re.MULTILINE)
    end = after.start() if after else len(body)
    entry = re.compile(rf"^[ \t]*{name}[ \t]*=.*$", re.MULTILINE)
    inside = body[:end]
    if entry.search(inside):
        return head + entry.sub(lambda found: line, inside, count=1) + body[end:]
    return f"{head}\n{line}{inside}{body[end:]}"
