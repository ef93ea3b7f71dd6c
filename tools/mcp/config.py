"""Which MCP servers to use: the `mcpServers` configuration, checked.

The form is the one of qwen-agent (and of most MCP clients), with some keys of our own:

    {"mcpServers": {"sqlite": {
        "command": "qwenbelt", "args": ["mcp", "serve", "sqlite", "--db-path", "a.db"],
        "env": {"TOKEN": "${TOKEN}"}, "cwd": "data",      # or "url", "type", "headers"
        "start_timeout": 30, "call_timeout": 120,         # seconds
        "tools": ["read_query"], "exclude_tools": [], "approve": "ask",
        "auth": "oauth",                                  # see `login.options`
        "protocol": "2025-11-25", "instructions": false}}}

Other clients' files and keys are read as well; see `config_forms`.

`${NAME}` in `env`, `headers` and `url` is replaced by our own variable NAME, `${NAME:-text}` has a
default; in `args` and `command` a variable that is set is filled in, the rest stays. No other
variable of ours reaches a server, except those that every program needs.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.secrets import is_secret_name, remember_secret
from qwenbelt.tools.mcp.config_forms import is_off, load_json, own_form, servers_of
from qwenbelt.tools.mcp.login.options import LoginOptions, read_login

Kind = Literal["stdio", "http", "sse", "auto"]
Approve = Literal["ask", "auto", "never"]
START_TIMEOUT = 30.0
CALL_TIMEOUT = 120.0
TASK_TIMEOUT = 3600.0
SSE_READ_TIMEOUT = 300.0
OLD_PROTOCOL = "2025-11-25"  # the last one whose servers may ask back in the middle of a call

_TYPES: dict[str, Kind] = {  # without dashes and underscores
    "stdio": "stdio",
    "local": "stdio",
    "sse": "sse",
    "http": "http",
    "streamablehttp": "http",
    "httpstream": "http",
    "remote": "auto",
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
    "task_timeout",
    "tools",
    "exclude_tools",
    "approve",
    "auth",
    "apps",
    "protocol",
    "instructions",
)
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ASKED = re.compile(r"\$\{(?:input|prompt|command):([^}]*)\}")


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
        task_timeout: seconds a call may take that the server goes on with as a task.
        tools: the only tools to use, by their names on the server; None for all.
        exclude_tools: tools not to use.
        approve: "ask" or "never" for tools that are not read-only, "auto", or None.
        login: how to log in there.
        apps: whether its pages (MCP Apps) may be shown in the chat, each in a sandboxed frame.
        protocol: the only protocol to speak, or "" for the newest that the server knows.
        instructions: whether the model is given what the server says about itself.
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
    task_timeout: float = TASK_TIMEOUT
    tools: tuple[str, ...] | None = None
    exclude_tools: tuple[str, ...] = ()
    approve: Approve | None = None
    login: LoginOptions = field(default_factory=LoginOptions)
    apps: bool = False
    protocol: str = ""
    instructions: bool = True

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
    found = [_read_server(str(name), entry) for name, entry in server_entries(config).items()]
    return [server for server in found if server is not None]


def server_entries(config: Mapping[str, Any] | str | os.PathLike[str]) -> Mapping[str, Any]:
    """Returns the entries of a configuration by the names of the servers, as they are written.

    Raises:
        ConfigError: the file cannot be read, or has no servers.
    """
    if not isinstance(config, Mapping):
        path = Path(config).expanduser()
        config = load_json(path)
        if not isinstance(config, dict):
            raise ConfigError(f"{path}: must hold a JSON object with the key mcpServers.")
    return servers_of(config)


def find_program(config: ServerConfig) -> str:
    """Returns the path of the program that a server is started by.

    Raises:
        ConfigError: it is not there.
    """
    path = config.env.get("PATH", os.environ.get("PATH"))
    program = shutil.which(config.command, path=path)
    if program is None and config.cwd:
        program = shutil.which(os.path.join(config.cwd, config.command))
    if program is None:
        raise ConfigError(
            f"The command {config.command!r} was not found.",
            fix="Install it, or give its full path.",
        )
    return program


def _read_server(name: str, given: object) -> ServerConfig | None:
    where = f"mcpServers.{name}"
    if not name or not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be an object with a command or a url.")
    if is_off(where, given):
        return None
    _check_keys(where, given)
    entry = own_form(where, given, _KEYS)
    kind = _transport_kind(where, entry)
    values: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "stdio":
        values["command"] = _filled_variables(_text_entry(where, entry, "command"))
        values["args"] = tuple(
            _filled_variables(_command_argument(where, a))
            for a in _list_entry(where, entry, "args")
        )
        values["env"] = _named_texts(where, entry, "env")
        values["cwd"] = _working_folder(where, entry)
    else:
        values["url"] = _expand_variables(where, _text_entry(where, entry, "url"))
        values["headers"] = _named_texts(where, entry, "headers")
        if urlsplit(values["url"]).scheme not in ("http", "https"):
            raise ConfigError(f"{where}.url must begin with http:// or https://.")
        values["login"] = read_login(f"{where}.auth", entry.get("auth"), _expand_variables)
    for key in ("sse_read_timeout", "start_timeout", "call_timeout", "task_timeout"):
        if entry.get(key) is not None:
            values[key] = _seconds_entry(where, key, entry[key])
    if entry.get("tools") is not None:
        tools = _texts_entry(where, entry, "tools")
        values["tools"] = None if "*" in tools else tools
    if entry.get("exclude_tools") is not None:
        values["exclude_tools"] = _texts_entry(where, entry, "exclude_tools")
    values |= _switch_entries(where, entry)
    values["protocol"] = _protocol_entry(where, entry.get("protocol"))
    values["approve"] = _approval_entry(where, entry.get("approve"))
    return ServerConfig(**values)


def _check_keys(where: str, entry: Mapping[str, Any]) -> None:
    # other clients' keys are common in such files, so only near misses of ours are errors
    for key in entry:
        near = difflib.get_close_matches(str(key), _KEYS, 1, 0.8)
        if near == ["auth"]:
            continue  # "author" and the like only decorate
        if key not in _KEYS and near and not own_form(where, {key: None}, _KEYS):
            raise ConfigError(f"{where}.{key} is not known.", fix=f"Is {near[0]} meant?")


def _transport_kind(where: str, entry: Mapping[str, Any]) -> Kind:
    given = entry.get("type")
    if given is None:
        if "command" in entry:
            return "stdio"
        if "url" in entry:
            path = urlsplit(str(entry["url"])).path.rstrip("/")
            return "sse" if path.endswith("/sse") else "auto"
        raise ConfigError(f"{where} needs a command or a url.")
    kind = _TYPES.get(re.sub("[-_ ]", "", str(given).lower()))
    if kind is None:
        raise ConfigError(f"{where}.type is {given!r}.", fix="Use stdio, streamable-http or sse.")
    return kind


def _text_entry(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"{where}.{key} must be a text.")
    return value


def _list_entry(where: str, entry: Mapping[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, (list, tuple, type(None))):
        raise ConfigError(f"{where}.{key} must be a list of texts.", fix=f'Write "{key}": ["…"].')
    return list(value or ())


def _texts_entry(where: str, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = _list_entry(where, entry, key)
    if not all(isinstance(v, str) and "\0" not in v for v in found):
        raise ConfigError(f"{where}.{key} must be a list of texts.")
    return tuple(found)


def _command_argument(where: str, value: object) -> str:
    text = _scalar(value)
    if text is None:
        raise ConfigError(f"{where}.args must be a list of texts.")
    return text


def _scalar(value: object) -> str | None:
    """Returns a text, or a number or truth value as a text, as people write them in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
    return value if isinstance(value, str) and "\0" not in value else None


def _named_texts(where: str, entry: Mapping[str, Any], key: str) -> dict[str, str]:
    value = entry.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}.{key} must be an object of names and texts.")
    found = {}
    for name, given in value.items():
        if given is None:
            continue  # not set
        text = _scalar(given)
        if text is None:
            raise ConfigError(f"{where}.{key}.{name} must be a text.")
        found[str(name)] = _expand_variables(f"{where}.{key}.{name}", text)
        if is_secret_name(str(name)):
            remember_secret(found[str(name)])
    return found


def _expand_variables(where: str, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{where} uses ${{{name}}}, which is not set.", fix=f"Set {name} and try again."
            )
        return found

    if asked := _ASKED.search(text):
        raise ConfigError(
            f"{where} asks for {asked.group(1)!r} at start, which only an editor can.",
            fix="Set an environment variable NAME and write ${NAME} instead.",
        )
    return _VARIABLE.sub(value, text)


def _filled_variables(text: str) -> str:
    """Fills in the variables that are set; a shell's own `${…}` in an argument stays."""

    def value(match: re.Match[str]) -> str:
        return os.environ.get(match.group(1), match.group(2) or match.group(0))

    return _VARIABLE.sub(value, text)


def _working_folder(where: str, entry: Mapping[str, Any]) -> str | None:
    if entry.get("cwd") is None:
        return None
    folder = Path(_text_entry(where, entry, "cwd")).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{where}.cwd: {folder} is not a folder.")
    return str(folder)


def _seconds_entry(where: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise ConfigError(f"{where}.{key} must be a number of seconds above 0, not {value!r}.")
    return float(value)


def _switch_entries(where: str, entry: Mapping[str, Any]) -> dict[str, bool]:
    found = {k: entry[k] for k in ("apps", "instructions") if entry.get(k) is not None}
    for key, value in found.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{where}.{key} must be true or false.")
    return found


def _protocol_entry(where: str, value: object) -> str:
    if value is None or value == "auto":
        return ""
    if value == OLD_PROTOCOL:
        return OLD_PROTOCOL
    raise ConfigError(f"{where}.protocol is {value!r}.", fix=f'Use "auto" or "{OLD_PROTOCOL}".')


def _approval_entry(where: str, value: object) -> Approve | None:
    if value is None or value == "ask" or value == "auto" or value == "never":
        return value
    raise ConfigError(f"{where}.approve is {value!r}.", fix="Use ask, auto or never.")
