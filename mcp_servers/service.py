"""The offer of a server, independent of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from qwenbelt.tools.operation import Media, Operation


@dataclass(frozen=True)
class TextResource:
    """A resource: a text, or bytes, under a URI.

    Attributes:
        read: returns it now.
    """

    uri: str
    name: str
    description: str
    mime_type: str
    read: Callable[[], str | bytes]


@dataclass(frozen=True)
class TextTemplate:
    """Resources of one kind: `uri` with one `{name}`, which `read` gets.

    Attributes:
        complete: gives values of the name that begin as typed, or None where there are none to say.
    """

    uri: str
    name: str
    description: str
    mime_type: str
    read: Callable[[str], str]
    complete: Callable[[str], Sequence[str]] | None = None


@dataclass(frozen=True)
class PromptText:
    """A prompt.

    Attributes:
        arguments: the names of its arguments, all of them required.
        make: gets their values in this order and returns what the user says: a text, or texts and
            files.
        complete: gives values of an argument that begin as typed.
    """

    name: str
    description: str
    arguments: tuple[str, ...]
    make: Callable[..., str | Sequence[str | Media]]
    complete: Callable[[str, str], Sequence[str]] | None = None


@dataclass(frozen=True)
class McpService:
    """All that a server offers.

    Attributes:
        engine: what the operations work on.
        operations: the tools; a function if they take long to import.
        instructions: for the model, about the server as a whole.
        open_world: whether the tools reach beyond what the server holds.
        declared: gives the list of tools without importing the operations, where it is kept.
        tasks: whether some of them may go on as tasks.
    """

    name: str
    title: str
    engine: Any
    operations: Sequence[Operation] | Callable[[], Sequence[Operation]]
    instructions: str = ""
    resources: Callable[[], list[TextResource]] = list
    templates: Sequence[TextTemplate] = ()
    prompts: Sequence[PromptText] = ()
    open_world: bool = False
    close: Callable[[], None] = field(default=lambda: None)
    declared: Callable[[], list[dict[str, Any]]] | None = None
    tasks: bool = False


def begun_names(names: Iterable[Any], begun: str) -> list[str]:
    """Returns the names that begin as typed, whatever their case, as parts of a URI."""
    start = unquote(begun).casefold()
    return [quote(str(n), safe="") for n in names if str(n).casefold().startswith(start)]
