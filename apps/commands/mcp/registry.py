"""Searching a registry of MCP servers: the official one, one that speaks like it, or a stored copy.

What a registry says is written by strangers: a row only becomes a command that a person reads and
runs, its program is the usual one for the kind of package, and its names are checked.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.apps.mcp_files import check_entry
from qwenbelt.core.errors import InputError, QwenbeltError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file
from qwenbelt.core.urls import connection_options

if TYPE_CHECKING:
    from httpx2 import Client

OFFICIAL = "https://registry.modelcontextprotocol.io"
_LIST = "/v0.1/servers"
_MOST_BYTES = 64_000_000
_MOST_PAGES = 20
_PAGE = 100
_SECONDS = 20.0
_MARK = "io.modelcontextprotocol.registry/official"
_MEND = "Check the network, or name a stored copy: --registry FILE."
_PROGRAMS = {  # what starts a package of each kind
    "npm": ("npx", "-y"),
    "pypi": ("uvx",),
    "oci": ("docker", "run", "-i", "--rm"),
    "nuget": ("dnx", "--yes"),
}
_VERSIONED = {"npm": "@", "pypi": "@", "oci": ":", "nuget": "@"}
_PACKAGE = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,300}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,100}")
_BLANK = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_Json = Mapping[str, Any]


@dataclass
class RegistryRow:
    """One way to use a server of the registry.

    Attributes:
        name: in the registry.
        title, description, version, repository: as its publisher says.
        entry: of a configuration, or None where there is no way known here.
        command: `qwenbelt mcp add …` that writes the entry, "" without one.
        wanted: variables to set first.
        deprecated: whether its publisher advises against it.
    """

    name: str
    title: str = ""
    description: str = ""
    version: str = ""
    repository: str = ""
    entry: dict[str, Any] | None = None
    command: str = ""
    wanted: list[str] = field(default_factory=list)
    deprecated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        return asdict(self)


def search_registry(words: Iterable[str], registry: str, most: int) -> list[RegistryRow]:
    """Returns the servers in whose name, title or description all words are, the best first.

    Args:
        words: in any case.
        registry: the address of a registry, or a JSON or JSONL file of its replies or servers.
        most: how many are returned.

    Raises:
        InputError: the registry cannot be reached or read.
    """
    asked = [word.casefold() for word in words]
    if registry.lower().startswith(("http://", "https://")):
        # the registry looks at names only, so the longest word is the most telling one
        told = _fetched(registry, max(asked, key=len, default=""))
    else:
        told = _stored(registry)
    found = [server for server in _latest(told) if all(w in _text_of(server) for w in asked)]
    found.sort(key=lambda server: (_rank(server, asked), _text(server, "name")))
    return [_row(server) for server in found[:most]]


def _fetched(registry: str, word: str) -> Iterator[Any]:
    import httpx2

    address = registry.rstrip("/")
    address = address if address.endswith("/servers") else address + _LIST
    params = {"search": word, "version": "latest", "limit": str(_PAGE)}
    with httpx2.Client(timeout=_SECONDS, **connection_options(address)) as client:
        for _ in range(_MOST_PAGES):
            try:
                page = _json(_reply(client, address, params).decode())
            except httpx2.HTTPStatusError as error:
                status = error.response.status_code
                raise InputError(f"{registry} answered HTTP {status}.", fix=_MEND) from error
            except httpx2.HTTPError as error:
                said = one_line(error) or type(error).__name__
                raise InputError(f"{registry} cannot be reached ({said}).", fix=_MEND) from error
            except ValueError as error:
                raise InputError(f"{registry} did not answer with JSON.", fix=_MEND) from error
            yield page
            last = page.get("metadata") if isinstance(page, Mapping) else None
            cursor = last.get("nextCursor") if isinstance(last, Mapping) else None
            if not isinstance(cursor, str) or not cursor:
                return
            params["cursor"] = cursor


def _reply(client: Client, address: str, params: dict[str, str]) -> bytes:
    found = bytearray()
    with client.stream("GET", address, params=params) as reply:
        reply.raise_for_status()
        for piece in reply.iter_bytes():
            found += piece
            if len(found) > _MOST_BYTES:
                raise ValueError("too long")
    return bytes(found)


def _json(text: str) -> Any:
    return loads_bounded(text, max_bytes=_MOST_BYTES)


def _stored(place: str) -> Iterator[Any]:
    file = input_file(Path(place), max_bytes=_MOST_BYTES)
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    try:
        yield _json(text)
        return
    except ValueError:
        pass
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield _json(line)
            except ValueError as error:
                raise InputError(
                    f"{file}, line {number}: is no JSON.",
                    fix="Store a registry's reply as JSON, or a server a line.",
                ) from error


def _servers(told: Any, mark: Any = None) -> Iterator[tuple[_Json, _Json]]:
    """Yields the servers in a reply, a list of them, or one of them, with the registry's mark."""
    if isinstance(told, list):
        for one in told:
            yield from _servers(one)
    elif isinstance(told, Mapping):
        extra = told.get("_meta")
        own = extra.get(_MARK) if isinstance(extra, Mapping) else None
        mark = own if isinstance(own, Mapping) else mark
        if isinstance(told.get("servers"), list):
            yield from _servers(told["servers"])
        elif isinstance(told.get("server"), Mapping):
            yield from _servers(told["server"], mark)
        elif _text(told, "name"):
            yield told, mark or {}


def _latest(told: Iterable[Any]) -> list[_Json]:
    """Returns one version of each server: the marked one, else the one that came last."""
    found: dict[str, tuple[bool, _Json]] = {}
    for page in told:
        for server, mark in _servers(page):
            name, status = _text(server, "name"), mark.get("status") or server.get("status")
            newest = bool(mark.get("isLatest"))
            if status == "deleted" or (name in found and found[name][0] and not newest):
                continue
            found[name] = (newest, {**server, "status": status})
    return [server for _, server in found.values()]


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def _text_of(server: _Json) -> str:
    return "\n".join(_text(server, key) for key in ("name", "title", "description")).casefold()


def _rank(server: _Json, words: list[str]) -> int:
    short = _text(server, "name").casefold().rpartition("/")[2]
    if short in words:
        return 0
    return 1 if all(word in short for word in words) else 2


def _row(server: _Json) -> RegistryRow:
    row = RegistryRow(
        _text(server, "name"),
        one_line(_text(server, "title"), 100),
        one_line(_text(server, "description"), 300),
        one_line(_text(server, "version"), 50),
        one_line(_text(server.get("repository"), "url"), 200),
        deprecated=server.get("status") == "deprecated",
    )
    short = re.sub(r"[^A-Za-z0-9_.-]+", "-", row.name.rpartition("/")[2]).strip("-._")[:64]
    for way in (*_objects(server, "packages"), *_objects(server, "remotes")):
        wanted: list[str] = []
        entry = _remote(way, wanted) if "url" in way else _package(way, wanted)
        try:
            if entry is not None:
                check_entry(short or "server", entry)
                row.entry, row.wanted = entry, list(dict.fromkeys(wanted))
                row.command = _add_command(short or "server", entry)
                break
        except QwenbeltError:
            continue
    return row


def _objects(value: object, key: str) -> list[_Json]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _package(package: _Json, wanted: list[str]) -> dict[str, Any] | None:
    kind = (_text(package, "registryType") or _text(package, "registry_type")).lower()
    name, version = _text(package, "identifier"), _text(package, "version")
    transport = _text(package.get("transport"), "type") or "stdio"
    if kind not in _PROGRAMS or transport != "stdio" or not _PACKAGE.fullmatch(name):
        return None
    mark = _VERSIONED[kind]
    if version and mark not in name[1:].rpartition("/")[2]:
        name = f"{name}{mark}{version}"
    if not _PACKAGE.fullmatch(name):
        return None
    program, *options = _PROGRAMS[kind]
    env = _named(_objects(package, "environmentVariables"), wanted)
    if kind == "oci":
        options += [part for variable in env for part in ("-e", variable)]
    options += _arguments(_objects(package, "runtimeArguments"), wanted)
    arguments = _arguments(_objects(package, "packageArguments"), wanted)
    entry: dict[str, Any] = {"command": program, "args": [*options, name, *arguments]}
    return {**entry, "env": env} if env else entry


def _remote(remote: _Json, wanted: list[str]) -> dict[str, Any] | None:
    kind = _text(remote, "type")
    if kind not in ("streamable-http", "sse"):
        return None
    entry: dict[str, Any] = {"url": _filled(_text(remote, "url"), wanted), "type": kind}
    headers = _named(_objects(remote, "headers"), wanted)
    return {**entry, "headers": headers} if headers else entry


def _named(given: list[_Json], wanted: list[str]) -> dict[str, str]:
    """Returns variables or headers that have a value, or must be given one."""
    found = {}
    for one in given:
        name, value = _text(one, "name"), _text(one, "value") or _text(one, "default")
        if _NAME.fullmatch(name) and (value or one.get("isRequired")):
            blank = name.replace("-", "_").upper()
            found[name] = _filled(value, wanted) if value else _asked(blank, wanted)
    return found


def _arguments(given: list[_Json], wanted: list[str]) -> list[str]:
    found: list[str] = []
    for one in given:
        value = _text(one, "value") or _text(one, "default")
        name = _text(one, "name")
        if not (value or one.get("isRequired") or _text(one, "type") == "named"):
            continue
        hint = _text(one, "valueHint") or name.lstrip("-") or "value"
        if not value and one.get("isRequired"):
            value = _asked(re.sub(r"\W+", "_", hint).strip("_").upper(), wanted)
        else:
            value = _filled(value, wanted)
        found += [part for part in (name if _text(one, "type") == "named" else "", value) if part]
    return found


def _asked(name: str, wanted: list[str]) -> str:
    wanted.append(name)
    return f"${{{name}}}"


def _filled(value: str, wanted: list[str]) -> str:
    """Returns a value with what its publisher leaves to be filled in, as variables."""
    return _BLANK.sub(lambda m: _asked(re.sub(r"\W+", "_", m.group(1)).upper(), wanted), value)


def _add_command(name: str, entry: _Json) -> str:
    words = ["qwenbelt", "mcp", "add", name]
    if "url" in entry:
        words += [entry["url"], "--type", entry["type"]]
        for header, value in entry.get("headers", {}).items():
            words += ["--header", f"{header}:{value}"]
        return shlex.join(words)
    for variable, value in entry.get("env", {}).items():
        words += ["--env", f"{variable}={value}"]
    return shlex.join([*words, "--", entry["command"], *entry["args"]])


def registry_place() -> str:
    """Returns where to search unless told: `QWENBELT_MCP_REGISTRY`, or the official registry."""
    return os.environ.get("QWENBELT_MCP_REGISTRY", "").strip() or OFFICIAL
