"""Which MCP servers to use: the `mcpServers` configuration, checked.

The form is the one of qwen-agent (and of most MCP clients), with some keys of our own:

    {"mcpServers": {"sqlite": {
        "command": "qwenbelt", "args": ["mcp", "serve", "sqlite", "--db-path", "a.db"],
        "env": {"TOKEN": "${TOKEN}"}, "cwd": "data",      # or "url", "type", "headers"
        "start_timeout": 30, "call_timeout": 120,         # seconds
        "tools": ["read_query"], "approve": "ask"}}}

`${NAME}` in `env`, `headers` and `url` stands for our own variable NAME, `${NAME:-text}` gives a
default. No other variable of ours reaches a server, except those that every program needs.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import is_secret_name, remember

Kind = Literal["stdio", "http", "sse", "auto"]
Approve = Literal["ask", "auto", "never"]
START_TIMEOUT = 30.0
CALL_TIMEOUT = 120.0
SSE_READ_TIMEOUT = 300.0

_TYPES: dict[str, Kind] = {
    "stdio": "stdio",
    "sse": "sse",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamablehttp": "http",
}
_KEYS = (
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "type",
    "headers",
    "sse_read_timeout",
    "start_timeout",
    "call_timeout",
    "tools",
    "approve",
    "disabled",
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class ServerConfig:
    """One server of the configuration.

    Attributes:
        name: its name in the configuration; the first part of its tools' names.
        kind: "stdio", "http" (streamable HTTP), "sse", or "auto": HTTP, else SSE.
        command: the program to start, and its arguments.
        env: further environment variables of the program.
        cwd: its working folder, or None for ours.
        url: where an HTTP server listens.
        headers: sent with every HTTP request.
        sse_read_timeout: seconds without any data after which an HTTP stream counts as dead.
        start_timeout: seconds from the start of the program to the list of its tools.
        call_timeout: seconds one call may take.
        tools: the only tools to use, by their names on the server; None for all.
        approve: "ask" or "never" for tools that are not read-only, "auto", or None.
    """

    name: str
    kind: Kind
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sse_read_timeout: float = SSE_READ_TIMEOUT
    start_timeout: float = START_TIMEOUT
    call_timeout: float = CALL_TIMEOUT
    tools: tuple[str, ...] | None = None
    approve: Approve | None = None

    @property
    def is_local(self) -> bool:
        """Whether an HTTP server is on this machine."""
        return urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def place(self) -> str:
        """What is started or where it listens, for messages: arguments and queries left out."""
        if self.kind == "stdio":
            return self.command
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_config(config: Mapping[str, Any] | str | os.PathLike[str]) -> list[ServerConfig]:
    """Checks a configuration, given as a dict or as the path of a JSON file.

    Raises:
        ConfigError: the file cannot be read or an entry is wrong; names the server and the key.
    """
    if not isinstance(config, Mapping):
        config = _load(Path(config).expanduser())
    servers = config.get("mcpServers")
    if not isinstance(servers, Mapping) or not servers:
        raise ConfigError(
            "An MCP configuration needs servers.",
            fix='The form is {"mcpServers": {"NAME": {"command": "…", "args": ["…"]}}}.',
        )
    found = [_server(str(name), entry) for name, entry in servers.items()]
    return [server for server in found if server is not None]


def _load(path: Path) -> Mapping[str, Any]:
    try:
        value = loads_bounded(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read as JSON ({reason}).") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: must hold a JSON object with the key mcpServers.")
    return value


def _server(name: str, entry: object) -> ServerConfig | None:
    where = f"mcpServers.{name}"
    if not name or not isinstance(entry, Mapping):
        raise ConfigError(f"{where} must be an object with a command or a url.")
    _check_keys(where, entry)
    if entry.get("disabled") is True:
        return None
    kind = _kind(where, entry)
    values: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "stdio":
        values["command"] = _text(where, entry, "command")
        values["args"] = _texts(where, entry, "args")
        values["env"] = _named(where, entry, "env")
        values["cwd"] = _folder(where, entry)
    else:
        values["url"] = _expand(where, _text(where, entry, "url"))
        values["headers"] = _named(where, entry, "headers")
        if urlsplit(values["url"]).scheme not in ("http", "https"):
            raise ConfigError(f"{where}.url must begin with http:// or https://.")
    for key in ("sse_read_timeout", "start_timeout", "call_timeout"):
        if entry.get(key) is not None:
            values[key] = _seconds(where, key, entry[key])
    if entry.get("tools") is not None:
        values["tools"] = _texts(where, entry, "tools")
    values["approve"] = _approve(where, entry.get("approve"))
    return ServerConfig(**values)


def _check_keys(where: str, entry: Mapping[str, Any]) -> None:
    # other clients' keys are common in such files, so only near misses of ours are errors
    for key in entry:
        near = difflib.get_close_matches(str(key), _KEYS, 1, 0.8)
        if key not in _KEYS and near:
            raise ConfigError(f"{where}.{key} is not known.", fix=f"Is {near[0]} meant?")


def _kind(where: str, entry: Mapping[str, Any]) -> Kind:
    given = entry.get("type", entry.get("transport"))
    if given is None:
        if "command" in entry:
            return "stdio"
        if "url" in entry:
            path = urlsplit(str(entry["url"])).path.rstrip("/")
            return "sse" if path.endswith("/sse") else "auto"
        raise ConfigError(f"{where} needs a command or a url.")
    kind = _TYPES.get(str(given).lower())
    if kind is None:
        raise ConfigError(f"{where}.type is {given!r}.", fix="Use stdio, streamable-http or sse.")
    return kind


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"{where}.{key} must be a text.")
    return value


def _texts(where: str, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(v, str) and "\0" not in v for v in value
    ):
        raise ConfigError(f"{where}.{key} must be a list of texts.")
    return tuple(value)


def _named(where: str, entry: Mapping[str, Any], key: str) -> dict[str, str]:
    value = entry.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}.{key} must be an object of names and texts.")
    found = {}
    for name, text in value.items():
        if not isinstance(text, str) or "\0" in text:
            raise ConfigError(f"{where}.{key}.{name} must be a text.")
        found[str(name)] = _expand(f"{where}.{key}.{name}", text)
        if is_secret_name(str(name)):
            remember(found[str(name)])
    return found


def _expand(where: str, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{where} uses ${{{name}}}, which is not set.", fix=f"Set {name} and try again."
            )
        return found

    return _VARIABLE.sub(value, text)


def _folder(where: str, entry: Mapping[str, Any]) -> str | None:
    if entry.get("cwd") is None:
        return None
    folder = Path(_text(where, entry, "cwd")).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{where}.cwd: {folder} is not a folder.")
    return str(folder)


def _seconds(where: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise ConfigError(f"{where}.{key} must be a number of seconds above 0, not {value!r}.")
    return float(value)


def _approve(where: str, value: object) -> Approve | None:
    if value is None or value == "ask" or value == "auto" or value == "never":
        return value
    raise ConfigError(f"{where}.approve is {value!r}.", fix="Use ask, auto or never.")
