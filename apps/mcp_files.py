"""Adding servers to an MCP configuration, by hand or out of other programs' files."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, QwenbeltError, one_line
from qwenbelt.core.files import replacing_file
from qwenbelt.core.secrets import is_secret_name, looks_like_key
from qwenbelt.tools.mcp.config import read_config, server_entries
from qwenbelt.tools.mcp.config_forms import load_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ASKED = re.compile(r"\$\{(?:input|prompt):([^}]*)\}")
_PLACES = ("mcpServers", "servers", "mcp_servers")


@dataclass
class ImportedServers:
    """What came out of one file of another program.

    Attributes:
        source: the file.
        added: names that were added.
        known: names that are there already, as they are.
        differing: names that are there and mean something else.
        unusable: why others cannot be used, by name.
        wanted: environment variables that have to be set.
    """

    source: str
    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)


class ServersFile:
    """A configuration that is written: what else is in it stays.

    Args:
        path: of the JSON file; it need not be there.

    Raises:
        ConfigError: it cannot be read, or writing it would lose something.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._new = not self.path.exists()
        self._data: dict[str, Any] = {} if self._new else self._read()
        key = next((k for k in _PLACES if isinstance(self._data.get(k), dict)), _PLACES[0])
        self.servers: dict[str, Any] = self._data.setdefault(key, {})

    def _read(self) -> dict[str, Any]:
        data = load_json(self.path)
        if not isinstance(data, dict):
            raise ConfigError(f"{self.path}: must hold a JSON object with the key mcpServers.")
        try:
            json.loads(self.path.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ConfigError(
                f"{self.path} has comments, which would be lost.",
                fix="Add the server by hand, or name another file with --file.",
            ) from error
        return data

    def add(self, name: str, entry: Mapping[str, Any], *, replace: bool) -> None:
        """Takes in a server.

        Raises:
            ConfigError: the entry is wrong, or the name is taken.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name for a server.", fix="Use letters, digits, _, - and points."
            )
        if name in self.servers and not replace:
            raise ConfigError(
                f"{self.path} has a server {name!r} already.", fix="--force replaces it."
            )
        check_entry(name, entry)
        self.servers[name] = dict(entry)

    def write(self) -> None:
        """Writes the file; one with secrets in it is for its owner alone.

        Raises:
            InputError: it cannot be written.
        """
        text = json.dumps(self._data, ensure_ascii=False, indent=2) + "\n"
        mode = 0o644 if self._new else self.path.stat().st_mode & 0o777
        if any(has_secret(entry) for entry in self.servers.values()):
            mode &= 0o600
        with replacing_file(self.path) as file:
            if os.name == "posix":
                os.fchmod(file.fileno(), mode)
            file.write(text.encode())


def has_secret(entry: object) -> bool:
    """Returns whether a server's entry holds a secret itself, rather than a variable's name."""
    if not isinstance(entry, Mapping):
        return False
    for key in ("env", "headers", "environment", "http_headers", "auth", "oauth"):
        values = entry.get(key)
        for name, value in values.items() if isinstance(values, Mapping) else ():
            plain = isinstance(value, str) and value and "${" not in value
            if plain and (is_secret_name(str(name)) or looks_like_key(str(value))):
                return True
    return any(looks_like_key(str(a)) for a in entry.get("args") or ())


def check_entry(name: str, entry: Mapping[str, Any]) -> None:
    """Checks an entry as it is written; variables that are not set here are no fault.

    Raises:
        ConfigError: it is wrong.
    """

    def known(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{[^}]*\}", "x", value)
        if isinstance(value, Mapping):
            return {k: known(v) for k, v in value.items()}
        return [known(v) for v in value] if isinstance(value, list) else value

    read_config({"mcpServers": {name: {k: known(v) for k, v in entry.items() if k != "cwd"}}})


def import_file(source: Path, target: ServersFile, *, replace: bool) -> ImportedServers:
    """Takes in the servers of another program's file.

    Raises:
        ConfigError: the file cannot be read, or has no servers.
    """
    found = ImportedServers(str(source))
    for name, given in server_entries(source).items():
        entry, wanted = _own_variables(given)
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(name)).strip("-.") or "server"
        here = target.servers.get(plain)
        if here == entry:
            found.known.append(plain)
            continue
        if here is not None and not replace:
            found.differing.append(plain)
            continue
        try:
            target.add(plain, entry, replace=replace)
        except QwenbeltError as error:
            found.unusable[str(name)] = one_line(error, 300)
            continue
        found.added.append(plain)
        found.wanted += [w for w in wanted if w not in found.wanted]
    return found


def _own_variables(entry: Any) -> tuple[Any, list[str]]:
    """Returns an entry with what an editor asks for at start as variables, and their names."""
    wanted: list[str] = []

    def variable(match: re.Match[str]) -> str:
        name = re.sub(r"\W+", "_", match.group(1)).upper().strip("_") or "VALUE"
        if name not in wanted:
            wanted.append(name)
        return f"${{{name}}}"

    def changed(value: Any) -> Any:
        if isinstance(value, str):
            return _ASKED.sub(variable, value)
        if isinstance(value, Mapping):
            return {k: changed(v) for k, v in value.items()}
        return [changed(v) for v in value] if isinstance(value, list) else value

    return changed(entry), wanted


def known_places(program: str = "") -> Iterator[tuple[str, Path]]:
    """Yields where other programs keep their servers, those of this folder first.

    Args:
        program: only its files, if given.
    """
    home, here = Path.home(), Path.cwd()
    if sys.platform == "darwin":
        settings = home / "Library" / "Application Support"
    elif sys.platform == "win32":
        settings = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = {
        "claude-desktop": [settings / "Claude" / "claude_desktop_config.json"],
        "claude-code": [here / ".mcp.json", home / ".claude.json"],
        "vscode": [
            here / ".vscode" / "mcp.json",
            settings / "Code" / "User" / "mcp.json",
            settings / "Code" / "User" / "settings.json",
        ],
        "cursor": [here / ".cursor" / "mcp.json", home / ".cursor" / "mcp.json"],
        "qwen-code": [here / ".qwen" / "settings.json", home / ".qwen" / "settings.json"],
        "gemini-cli": [here / ".gemini" / "settings.json", home / ".gemini" / "settings.json"],
        "windsurf": [home / ".codeium" / "windsurf" / "mcp_config.json"],
    }
    if program and program not in files:
        raise ConfigError(
            f"{program!r} is neither a file nor a program known here.",
            fix=f"Known are: {', '.join(files)}.",
        )
    for name, paths in files.items():
        if program in ("", name):
            yield from ((name, path) for path in paths)
