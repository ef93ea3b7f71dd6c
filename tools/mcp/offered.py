"""Offers of servers to people rather than to the model: resources as files, prompts as commands.

`Offered` is made from an agent's tools, and serves every face: `@server:uri` in a question names a
resource, `/server:prompt name=value` is replaced by a prompt.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import write_bytes, write_text
from qwenbelt.core.language import user_language
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.mcp.connection import ServerConnection
from qwenbelt.tools.mcp.results import ResultReader, plain_text
from qwenbelt.tools.mcp.session import all_entries, list_resources

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import PromptArgument

_MOST = 50  # resources in one question
# a server's name, and a URI up to the next space; brackets and quotes around it do not belong to it
_REFERENCE = re.compile(r"(?<![\w@])@([\w.-]+):([a-zA-Z][\w+.-]*:[^\s\"'<>]+)")


@dataclass(frozen=True)
class OfferedPrompt:
    """A prompt, as a command.

    Attributes:
        command: how it is called, with the slash.
        arguments: their names; those in `required` are needed.
    """

    server: str
    name: str
    title: str
    description: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def command(self) -> str:
        """How it is called."""
        return f"/{self.server}:{self.name}"


@dataclass(frozen=True)
class OfferedResource:
    """A resource, or a template of resources, as people refer to it.

    Attributes:
        reference: how it is named in a question; a template has `{…}` in it.
    """

    server: str
    uri: str
    title: str
    mime_type: str = ""
    template: bool = False

    @property
    def reference(self) -> str:
        """How it is named in a question."""
        return f"@{self.server}:{self.uri}"


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
                OfferedResource(server, str(r.uri), r.title or r.name, r.mime_type or "")
                for r in listed
            ]
            found += [
                OfferedResource(server, t.uri_template, t.title or t.name, t.mime_type or "", True)
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
        named = [(s, u.rstrip(".,;:!?)]}")) for s, u in _REFERENCE.findall(text)]
        wanted = list(dict.fromkeys((s, u) for s, u in named if s in self._connections))
        if len(wanted) > _MOST:
            raise InputError(f"A question takes at most {_MOST} resources.")
        return [path for server, uri in wanted for path in self.read(server, uri, folder)]

    def read(self, server: str, uri: str, folder: Path) -> list[Path]:
        """Returns a resource as files in the folder.

        Raises:
            ToolError: the server has no such resource, or failed.
        """
        result = self._ask(self._one(server), lambda c: c.read_resource(uri), f"resource {uri}")
        folder.mkdir(parents=True, exist_ok=True)
        found: list[Path] = []
        for number, part in enumerate(result.contents):
            path = folder / _file_name(server, uri, part.mime_type or "", number)
            text = getattr(part, "text", None)
            if text is not None:
                write_text(path, text)
            else:
                (item,) = ResultReader(server, folder, user_language()).resource_items(
                    result.model_copy(update={"contents": [part]})
                )
                if item.kind == "text":
                    raise InputError(f"The resource {uri} of {server} cannot be decoded.")
                write_bytes(path, Path(item.value).read_bytes())
                Path(item.value).unlink()
            found.append(path)
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
            return [r.reference for r in self.resources() if r.reference.startswith(word)]
        if line.startswith("/") and " " not in line:
            return [p.command for p in self.prompts() if p.command.startswith(line)]
        if line.startswith("/"):
            return self._complete_argument(line, word)
        return []

    def _complete_argument(self, line: str, word: str) -> list[str]:
        prompt = next((p for p in self.prompts() if p.command == line.partition(" ")[0]), None)
        if prompt is None:
            return []
        argument, mark, value = word.partition("=")
        if not mark:
            return [f"{a}=" for a in prompt.arguments if a.startswith(word)]
        values = self.values(prompt, argument, value)
        return [f"{argument}={v}" for v in values if " " not in v]

    def values(self, prompt: OfferedPrompt, argument: str, begun: str) -> list[str]:
        """Returns the values of a prompt's argument that the server suggests."""
        if self._capability(prompt.server, "completions") is None:
            return []
        from mcp_types import PromptReference

        reference = PromptReference(type="ref/prompt", name=prompt.name)
        result = self._ask(
            self._one(prompt.server),
            lambda c: c.complete(reference, {"name": argument, "value": begun}),
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
