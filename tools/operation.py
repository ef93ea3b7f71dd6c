"""The implementation of a tool, independent of its transport: this process, or MCP.

An `Operation` is declared once; `qwenbelt.tools` makes a `Tool` of it and `qwenbelt.mcp_servers` a
tool of a server. This module and the operations themselves do not import qwen-agent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from qwenbelt.core.errors import ToolCancelled
from qwenbelt.core.language import Language

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_REPLY_BYTES = 256 * 1024  # of text as JSON: clients refuse lines and events of some megabytes


def _ignore(text: str, fraction: float | None = None) -> None:
    """Ignores progress."""


@dataclass
class OperationCall:
    """One running call.

    Attributes:
        report: reports progress: a text and, if known, the fraction done.
        cancelled: set when the reply is no longer wanted.
        language: of notes in the reply.
        client: names the client's session, where a server has several; "" for the only one.
        may_write: whether the caller may use operations that change something.
    """

    report: Callable[..., None] = _ignore
    cancelled: threading.Event = field(default_factory=threading.Event)
    language: Language = "en"
    client: str = ""
    may_write: bool = True

    def check(self) -> None:
        """Raises `ToolCancelled` when the reply is no longer wanted."""
        if self.cancelled.is_set():
            raise ToolCancelled("The call was cancelled.")


@dataclass(frozen=True)
class Media:
    """A picture, sound or other file in a reply."""

    kind: Literal["image", "audio", "file"]
    data: bytes
    mime_type: str
    name: str


@dataclass(frozen=True)
class OperationResult:
    """What an operation gives back.

    Attributes:
        text: for the model.
        data: the same for programs; fits the operation's output schema.
        note: a remark for the model, such as how to get the next part; not part of the text.
        media: files that belong to it.
        media_in_data: whether programs get the files too, as `content` of the data.
    """

    text: str
    data: dict[str, Any]
    note: str = ""
    media: tuple[Media, ...] = ()
    media_in_data: bool = False


@dataclass(frozen=True)
class Operation:
    """What one tool does.

    Attributes:
        name: the tool's name on the server.
        title: for people.
        description: for the model.
        Arguments: its arguments; aliases are the names on the wire.
        run: the implementation; called in its own thread, with the engine first.
        output: the JSON schema of `OperationResult.data`.
        read_only: has no side effect.
        idempotent: doing it twice does no more than doing it once.
        destructive: may delete or overwrite.
        long: takes so long that clients may have it as a task.
    """

    name: str
    title: str
    description: str
    Arguments: type[BaseModel]
    run: Callable[[Any, Any, OperationCall], OperationResult]
    output: dict[str, Any]
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    long: bool = False
