"""The YAML head of Markdown files, between two lines of ---, and YAML files that hold a mapping."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, one_line

_HEAD = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?(.*)\Z", re.DOTALL | re.MULTILINE)


def front_matter(text: str) -> tuple[str, str] | None:
    """Returns the head of a Markdown text and what is below it; None where it has no head."""
    match = _HEAD.match(text.replace("\r\n", "\n"))
    return None if match is None else (match[1], match[2])


def yaml_mapping(path: Path, text: str, above: int = 0, *, aliases: bool = True) -> dict[str, Any]:
    """Returns the names and values of a YAML text.

    Args:
        path: the file, for messages.
        text: the YAML.
        above: lines of the file above the text.
        aliases: whether it may refer to its own parts, which lets a few lines expand to gigabytes.

    Raises:
        ConfigError: it is not YAML, or not a mapping of names.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if not aliases and "*" in text:
            events = yaml.parse(text, Loader=loader)
            if any(isinstance(event, yaml.AliasEvent) for event in events):
                raise ConfigError(f"{path}: aliases of YAML are not taken here.")
        table = yaml.load(text, Loader=loader)  # noqa: S506  safe, in C where that is built
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: "2024-13-45"
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1 + above}:" if mark is not None else ""
        reason = getattr(error, "problem", None) or error
        raise ConfigError(f"{path}:{line} is not YAML ({one_line(reason)}).") from error
    table = {} if table is None else table
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise ConfigError(f"{path}: must hold names and values.")
    return table
