"""Reads the configuration files and keys of other clients as our own.

A key that switches a server off or restricts it is obeyed, or refused by its name; it is never
passed over. What only decorates (icons, descriptions, galleries) is.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.jsons import loads_bounded

# where the servers are: qwen-agent, Claude, Cursor and Qwen Code; VS Code; Codex; Zed
_PLACES = ("mcpServers", "servers", "mcp_servers", "context_servers")
_FORM = 'The form is {"mcpServers": {"NAME": {"command": "…", "args": ["…"]}}}.'
_TOKENS = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=\s*(?:(?://[^\n]*|/\*.*?\*/)\s*)*[}\]])', re.S
)

# other clients' names of our keys, without their dashes, underscores and capitals
_ALIASES = {
    "serverurl": "url",  # Windsurf
    "baseurl": "url",  # Cherry Studio
    "httpurl": "url",  # Gemini CLI and Qwen Code: streamable HTTP
    "endpoint": "url",
    "transport": "type",
    "transporttype": "type",
    "environment": "env",  # opencode
    "workingdirectory": "cwd",
    "requestheaders": "headers",
    "httpheaders": "headers",  # Codex
    "oauth": "auth",  # Claude Code, Qwen Code, opencode
    "startuptimeoutsec": "start_timeout",
    "tooltimeoutsec": "call_timeout",
    "includetools": "tools",
    "enabledtools": "tools",
    "allowedtools": "tools",
    "excludetools": "exclude_tools",
    "disabledtools": "exclude_tools",
    "disallowedtools": "exclude_tools",
    "blockedtools": "exclude_tools",
}
_OFF = ("disabled", "isdisabled", "disable")
_ON = ("enabled", "isenabled", "enable", "active", "isactive")
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_MILLISECONDS = ("httpurl", "includetools", "excludetools", "trust")  # Qwen Code's own keys
# such keys widen what others may do without asking; leaving them out restricts nothing
_HARMLESS = ("alwaysallow", "autoapprove", "autoallow", "approvedtools")
_RESTRICTS = re.compile(
    "allow|permit|permission|deny|denied|block|restrict|exclu|inclu|disab|enab|activ|forbid|"
    "prohibit|readonly|filter|whitelist|blacklist|sandbox|trust|isolat|approv"
)


def load_json(path: Path) -> Any:
    """Reads a JSON file as people write them: with comments, trailing commas and any BOM.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        raw = path.read_bytes()
        encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = raw.decode(encoding)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read as JSON ({reason}).") from error
    try:
        return loads_bounded(text)
    except ValueError as error:
        try:
            return loads_bounded(_TOKENS.sub(lambda m: m[0] if m[0][0] == '"' else " ", text))
        except ValueError:
            raise ConfigError(f"{path}: cannot be read as JSON ({error}).") from error


def servers_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the servers of a configuration by their names, wherever its client keeps them.

    Raises:
        ConfigError: it has none.
    """
    nested = config.get("mcp")  # VS Code's settings.json; opencode has the servers right there
    for place in (config, nested if isinstance(nested, Mapping) else {}):
        for key in _PLACES:
            if place.get(key):
                return _named_servers(place[key])
    if isinstance(nested, Mapping) and _are_servers(nested.values()):
        return nested
    if _are_servers(config.values()):
        return config
    raise ConfigError("An MCP configuration needs servers.", fix=_FORM)


def _named_servers(servers: object) -> Mapping[str, Any]:
    if isinstance(servers, list):  # Continue: a list of entries with names
        found = {str(e.get("name", "")): e for e in servers if isinstance(e, Mapping)}
        if len(found) == len(servers):
            return {name: _without_key(entry, "name") for name, entry in found.items()}
    elif isinstance(servers, Mapping):
        return servers
    raise ConfigError("An MCP configuration needs servers.", fix=_FORM)


def _are_servers(entries: Iterable[Any]) -> bool:
    found = list(entries)
    return bool(found) and all(
        isinstance(e, Mapping) and any(_plain_key(k) in ("command", "url", "httpurl") for k in e)
        for e in found
    )


def is_off(where: str, entry: Mapping[str, Any]) -> bool:
    """Returns whether a server is switched off, in any client's spelling.

    Raises:
        ConfigError: such a key is neither true nor false.
    """
    found = False
    for key, value in entry.items():
        name = _plain_key(key)
        if name in _OFF or name in _ON:
            found |= _truth_value(f"{where}.{key}", value) == (name in _OFF)
    return found


def own_form(where: str, entry: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Returns an entry with our keys; decoration is left out.

    Raises:
        ConfigError: a key would restrict the server, and we do not know it.
    """
    keys = {_plain_key(key): key for key in known}
    names = {_plain_key(key) for key in entry}
    found: dict[str, Any] = {}
    for key, value in entry.items():
        name = _plain_key(key)
        if name in _OFF or name in _ON or name in _HARMLESS:
            continue
        if name == "timeout":
            found.setdefault(
                "call_timeout", _timeout_seconds(value, bool(names & {*_MILLISECONDS}))
            )
        elif name == "trust":
            found.setdefault("approve", "auto" if _truth_value(f"{where}.{key}", value) else "ask")
        elif name in keys or name in _ALIASES:
            own = keys.get(name) or _ALIASES[name]
            if name in keys or own not in found:
                found[own] = value
        elif name in ("envfile", "dotenv"):
            raise ConfigError(
                f"{where}.{key} is not read.", fix='Write the variables into "env" instead.'
            )
        elif _RESTRICTS.search(name):
            raise ConfigError(
                f"{where}.{key} is not known, and seems to restrict the server.",
                fix='Remove it, or use "disabled", "tools", "exclude_tools" or "approve".',
            )
    if "httpurl" in names and "type" not in found:
        found["type"] = "http"
    return _split_command(where, found)


def _split_command(where: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Reads `"npx -y pkg"`, and opencode's list of the program and its arguments."""
    command = entry.get("command")
    if isinstance(command, list) and command and all(isinstance(p, str) for p in command):
        words = list(command)
    elif (
        isinstance(command, str)
        and re.search(r"\s", command.strip())
        and not _split_program(command)
    ):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(
                f"{where}.command cannot be read ({error}).",
                fix='Write the program alone, and its arguments into "args".',
            ) from error
    else:
        return entry
    args = entry.get("args") or []
    if not isinstance(args, (list, tuple)) or not words:
        return entry
    return {**entry, "command": words[0], "args": [*words[1:], *args]}


def _split_program(command: str) -> bool:
    if "\0" in command:
        return True  # the check of the command itself reports it
    return Path(command).expanduser().exists() or shutil.which(command) is not None


def _timeout_seconds(value: object, milliseconds: bool) -> object:
    # Qwen Code counts milliseconds, Cline and Cherry Studio seconds: none waits for a quarter hour
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return value / 1000 if milliseconds or value >= 1000 else value


def _truth_value(where: str, value: object) -> bool:
    said = str(value).strip().lower()
    if isinstance(value, (bool, int, float, str)) and said in _YES + _NO:
        return said in _YES
    raise ConfigError(f"{where} must be true or false, not {value!r}.")


def _plain_key(key: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(key).lower())


def _without_key(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}
