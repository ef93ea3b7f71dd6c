"""Offers of servers to people rather than to the model: resources as files, prompts as commands.

`Offered` is made from an agent's tools, and serves every face: `@server:uri` in a question names a
resource, `/server:prompt name=value` is replaced by a prompt. A resource that a conversation holds
is followed: when its server says that it changed, the next question brings the new one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import mimetypes
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.files import write_bytes
from qwenbelt.core.language import user_language
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.mcp.connection import ServerConnection
from qwenbelt.tools.mcp.icons import own_icon
from qwenbelt.tools.mcp.results import ResultReader, plain_text
from qwenbelt.tools.mcp.session import all_entries, list_resources
from qwenbelt.tools.mcp.strings import say
from qwenbelt.tools.mcp.templates import typed_variable

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import PromptArgument

_MOST = 50  # resources in one question
_MOST_VERSIONS = 50  # of one resource in one conversation; then the newest takes the last's place
# a server's name, and a URI up to the next space; brackets and quotes around it do not belong to it
_REFERENCE = re.compile(r"(?<![\w@])@([\w.-]+):([a-zA-Z][\w+.-]*:[^\s\"'<>]+)")


@dataclass(frozen=True)
class OfferedPrompt:
    """A prompt, as a command.

    Attributes:
        command: how it is called, with the slash.
        arguments: their names; those in `required` are needed.
        icon: a `data:` address, or "".
    """

    server: str
    name: str
    title: str
    description: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    icon: str = ""

    @property
    def command(self) -> str:
        """How it is called."""
        return f"/{self.server}:{self.name}"


@dataclass(frozen=True)
class OfferedResource:
    """A resource, or a template of resources, as people refer to it.

    Attributes:
        reference: how it is named in a question; a template has `{…}` in it.
        icon: a `data:` address, or "".
    """

    server: str
    uri: str
    title: str
    mime_type: str = ""
    template: bool = False
    icon: str = ""

    @property
    def reference(self) -> str:
        """How it is named in a question."""
        return f"@{self.server}:{self.uri}"


@dataclass
class Refreshed:
    """What has come of looking at a conversation's resources again.

    Attributes:
        files: the new version of each that has changed, by its reference.
        away: references of those that could not be looked at.
    """

    files: dict[str, list[Path]] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Returns a line for the question that brings the files, "" if nothing changed."""
        names = [path.name for paths in self.files.values() for path in paths]
        references = ", ".join(self.files)
        if not names:
            return ""
        words = {"references": references, "names": ", ".join(names)}
        return say("resource_changed", user_language(), **words)


class Offered:
    """What the servers behind some tools offer to people.

    Args:
        tools: of an agent; those that are no MCP tools are passed over.
    """

    def __init__(self, tools: Iterable[Any]) -> None:
        found = (getattr(tool, "connection", None) for tool in tools)
        self._connections = {c.config.name: c for c in found if isinstance(c, ServerConnection)}

    @property
    def servers(self) -> list[str]:
        """The servers' names."""
        return list(self._connections)

    def prompts(self) -> list[OfferedPrompt]:
        """Returns the prompts of all servers that answer."""
        found: list[OfferedPrompt] = []
        for server in self._connections:
            found += self._prompts_of(server)
        return found

    def resources(self) -> list[OfferedResource]:
        """Returns the resources and templates of all servers that answer."""
        found: list[OfferedResource] = []
        for server, connection in self._connections.items():
            if self._capability(server, "resources") is None:
                continue
            listed, templates = self._ask(connection, list_resources, "resources/list")
            found += [
                OfferedResource(server, str(r.uri), *_shown(r), False, own_icon(r.icons)[0])
                for r in listed
            ]
            found += [
                OfferedResource(server, t.uri_template, *_shown(t), True, own_icon(t.icons)[0])
                for t in templates
            ]
        return found

    def take(self, text: str, folder: Path) -> list[Path]:
        """Reads the resources that a question names; returns them as files in the folder.

        Names of servers that are not there are ordinary text.

        Raises:
            InputError: there are too many.
            ToolError: a server has no such resource, or failed.
        """
        wanted = self._named(text)
        for server, uri in wanted:
            if "{" in uri:
                raise InputError(
                    f"@{server}:{uri} is a template.",
                    fix="Write a value in the place of each {…}; Tab completes it.",
                )
        if len(wanted) > _MOST:
            raise InputError(f"A question takes at most {_MOST} resources.")
        return [path for server, uri in wanted for path in self.read(server, uri, folder)]

    def _named(self, text: str) -> list[tuple[str, str]]:
        named = [(s, u.rstrip(".,;:!?)]")) for s, u in _REFERENCE.findall(text)]
        named = [(s, u if "{" in u else u.rstrip("}")) for s, u in named]
        return list(dict.fromkeys((s, u) for s, u in named if s in self._connections))

    def read(self, server: str, uri: str, folder: Path) -> list[Path]:
        """Returns a resource as files in the folder; from now on it is followed.

        Raises:
            ToolError: the server has no such resource, or failed.
        """
        connection = self._one(server)
        with contextlib.suppress(QwenbeltError):  # the reading says what is wrong
            connection.loop.submit(connection.follow(uri)).result()
        found: list[Path] = []
        for name, content in self._contents(server, uri, folder):
            write_bytes(folder / name, content)
            found.append(folder / name)
        return found

    def refreshed(self, questions: Iterable[str], folder: Path) -> Refreshed:
        """Looks again at the resources that earlier questions named and their servers watch.

        Those whose servers say nothing of changes are left as they were read. The first look after
        a start reads them, since changes may have been missed. A new version is a file of its own:
        what was answered before was answered from the old one.
        """
        found = Refreshed()
        wanted = dict.fromkeys(pair for text in questions for pair in self._named(text))
        for server, uri in list(wanted)[-_MOST:]:
            reference = f"@{server}:{uri}"
            connection = self._one(server)
            try:
                follows = connection.loop.submit(connection.follow(uri)).result()
                if not follows or not connection.followed.is_new(str(folder), uri):
                    continue
                for name, content in self._contents(server, uri, folder):
                    path = _next_version(folder / name, content)
                    if path is not None:
                        write_bytes(path, content)
                        found.files.setdefault(reference, []).append(path)
            except QwenbeltError:
                found.away.append(reference)
        return found

    def _contents(self, server: str, uri: str, folder: Path) -> list[tuple[str, bytes]]:
        """Returns the parts of a resource as it is now, each with a file's name."""
        connection = self._one(server)
        number = connection.followed.number(uri)
        result = self._ask(
            connection, lambda c: c.read_resource(uri, cache_mode="refresh"), f"resource {uri}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[str, bytes]] = []
        for place, part in enumerate(result.contents):
            name = _file_name(server, uri, part.mime_type or "", place)
            text = getattr(part, "text", None)
            try:
                content = (
                    base64.b64decode(part.blob, validate=True)
                    if text is None
                    else text.encode("utf-8", "replace")
                )
            except ValueError as error:
                raise InputError(f"The resource {uri} of {server} cannot be decoded.") from error
            found.append((name, content))
        connection.followed.seen(str(folder), uri, number)
        return found

    def fill(self, line: str) -> str | None:
        """Returns the text of the prompt that a line calls, or None if it calls none.

        Arguments are given by name (`name=value`) or in their order; quotes hold words together.

        Raises:
            InputError: there is no such prompt, or an argument is missing or unknown.
            ToolError: the server failed.
        """
        head, _, rest = line.strip().partition(" ")
        server, mark, name = head.removeprefix("/").partition(":")
        if not mark or server not in self._connections:
            return None
        known = {prompt.name: prompt for prompt in self._prompts_of(server)}
        if name not in known:
            listed = ", ".join(p.command for p in known.values()) or "none"
            raise InputError(f"{server} has no prompt {name!r}.", fix=f"It has: {listed}.")
        arguments = _prompt_arguments(known[name], rest)
        result = self._ask(
            self._one(server), lambda c: c.get_prompt(name, arguments), f"prompt {name}"
        )
        reader = ResultReader(server, None, user_language())
        texts = [plain_text([reader.block(m.content)]) or "" for m in result.messages]
        return shorten_text("\n\n".join(text for text in texts if text))[0]

    def complete(self, line: str) -> list[str]:
        """Returns completions of the last word of a line: commands, references, arguments."""
        word = line.rpartition(" ")[2]
        if word.startswith("@"):
            found = [r.reference for r in self.resources() if r.reference.startswith(word)]
            return found + [v for v in self._complete_templates(word) if v not in found]
        if line.startswith("/") and " " not in line:
            return [p.command for p in self.prompts() if p.command.startswith(line)]
        if line.startswith("/"):
            return self._complete_argument(line, word)
        return []

    def _complete_templates(self, word: str) -> list[str]:
        """Returns references by a template whose variable is being written."""
        server, _, written = word.removeprefix("@").partition(":")
        if server not in self._connections or not written:
            return []
        from mcp_types import ResourceTemplateReference

        found: list[str] = []
        for resource in self.resources():
            typed = resource.template and typed_variable(resource.uri, written)
            if not typed or resource.server != server:
                continue
            reference = ResourceTemplateReference(type="ref/resource", uri=resource.uri)
            values = self._suggested(server, reference, typed.name, typed.value, typed.known)
            found += [f"@{server}:{typed.written(value)}" for value in values]
        return list(dict.fromkeys(found))

    def _complete_argument(self, line: str, word: str) -> list[str]:
        prompt = next((p for p in self.prompts() if p.command == line.partition(" ")[0]), None)
        if prompt is None:
            return []
        argument, mark, value = word.partition("=")
        before = line[: len(line) - len(word)].partition(" ")[2]
        with contextlib.suppress(ValueError):  # a quote that is still open
            given = [w.partition("=") for w in shlex.split(before)]
            known = {name: value for name, _, value in given if name in prompt.arguments}
            if not mark:
                left = (a for a in prompt.arguments if a not in known)
                return [f"{a}=" for a in left if a.startswith(word)]
            values = self.values(prompt, argument, value.lstrip("'\""), known)
            return [f"{argument}={shlex.quote(v)}" for v in values]
        return []

    def values(
        self, prompt: OfferedPrompt, argument: str, begun: str, known: dict[str, str] | None = None
    ) -> list[str]:
        """Returns the values of a prompt's argument that the server suggests.

        Args:
            prompt: the prompt.
            argument: the argument's name.
            begun: how its value begins.
            known: arguments that have been given; a server may suggest by them.
        """
        from mcp_types import PromptReference

        reference = PromptReference(type="ref/prompt", name=prompt.name)
        return self._suggested(prompt.server, reference, argument, begun, known or {})

    def _suggested(
        self, server: str, reference: Any, argument: str, begun: str, known: dict[str, str]
    ) -> list[str]:
        if self._capability(server, "completions") is None:
            return []
        result = self._ask(
            self._one(server),
            lambda c: c.complete(reference, {"name": argument, "value": begun}, known or None),
            "completion",
        )
        return [str(value) for value in result.completion.values]

    def _prompts_of(self, server: str) -> list[OfferedPrompt]:
        if self._capability(server, "prompts") is None:
            return []
        listed = self._ask(
            self._one(server), lambda c: all_entries(c.list_prompts, "prompts"), "prompts/list"
        )
        found = []
        for prompt in listed:
            arguments: list[PromptArgument] = prompt.arguments or []
            found.append(
                OfferedPrompt(
                    server,
                    prompt.name,
                    prompt.title or prompt.name,
                    prompt.description or "",
                    tuple(a.name for a in arguments),
                    tuple(a.name for a in arguments if a.required),
                    own_icon(prompt.icons)[0],
                )
            )
        return found

    def _one(self, server: str) -> ServerConnection:
        if server not in self._connections:
            known = ", ".join(self._connections) or "none"
            raise InputError(f"There is no MCP server {server!r}.", fix=f"There are: {known}.")
        return self._connections[server]

    def _capability(self, server: str, name: str) -> Any:
        ask: Any = _capabilities
        return getattr(self._ask(self._one(server), ask, "capabilities"), name)

    def _ask(self, connection: ServerConnection, start: Any, what: str) -> Any:
        work = connection.request(start, f"{connection.config.name} {what}")
        return connection.loop.submit(work).result()


def _shown(entry: Any) -> tuple[str, str]:
    return entry.title or entry.name, entry.mime_type or ""


def _next_version(path: Path, content: bytes) -> Path | None:
    """Returns where a new version of a file goes; None if the newest that is there is the same."""
    newest, free = None, path
    for number in range(2, _MOST_VERSIONS + 2):
        if not free.is_file():
            break
        newest, free = free, path.with_stem(f"{path.stem}-{number}")
    if newest is None or newest.read_bytes() == content:
        return None  # taken out of the conversation, or as it was
    return free if not free.exists() else newest


async def _capabilities(client: Client) -> Any:
    return client.server_capabilities


def _prompt_arguments(prompt: OfferedPrompt, rest: str) -> dict[str, str]:
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise InputError(f"{prompt.command} cannot be read ({error}).") from error
    found: dict[str, str] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if mark and name in prompt.arguments:
            found[name] = value
            continue
        free = next((a for a in prompt.arguments if a not in found), None)
        if free is None:
            raise InputError(
                f"{prompt.command} takes no argument {word!r}.",
                fix=f"Write: {_prompt_usage(prompt)}.",
            )
        found[free] = word
    if missing := [a for a in prompt.required if a not in found]:
        raise InputError(
            f"{prompt.command} needs {', '.join(missing)}.", fix=f"Write: {_prompt_usage(prompt)}."
        )
    return found


def _prompt_usage(prompt: OfferedPrompt) -> str:
    words = " ".join(f"{a}=…" if a in prompt.required else f"[{a}=…]" for a in prompt.arguments)
    return f"{prompt.command} {words}".rstrip()


def _file_name(server: str, uri: str, mime_type: str, number: int) -> str:
    """Returns a name by the URI's last part; two resources never get the same."""
    parts = urlsplit(uri)
    last = (parts.path or parts.netloc).rstrip("/").rpartition("/")[2] or parts.netloc or "resource"
    stem = re.sub(r"[^\w.-]+", "_", last).strip("._")[:60] or "resource"
    name, dot, ending = stem.rpartition(".")
    if not dot or not 1 <= len(ending) <= 5:
        essence = mime_type.partition(";")[0].strip().lower()
        name, ending = stem, (mimetypes.guess_extension(essence) or ".txt").lstrip(".")
    digest = hashlib.sha256(f"{server} {uri} {number}".encode()).hexdigest()[:6]
    return f"{name}-{digest}.{ending}"
