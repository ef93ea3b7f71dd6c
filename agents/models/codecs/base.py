"""The codec protocol, and the parts that all codecs share."""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from qwenbelt.agents.models.deltas import (
    CallResult,
    JsonDict,
    ModelReply,
    ReplyPiece,
    ToolCall,
    WirePiece,
)
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language


def new_call_id() -> str:
    """Returns an id for a call to which the endpoint gave none."""
    return f"call_{uuid.uuid4().hex[:16]}"


@dataclass(frozen=True, slots=True)
class SoFar:
    """What the run has shown when a reply is read; it decides what text may be.

    Attributes:
        native: whether the endpoint has made native calls: then text is no call.
        thoughts_apart: whether thoughts came in a field of their own: then `</think>` is text.
        called: whether any call was made.
        question: what was asked last.
        ids: of calls that were made; some servers count from the start in each reply.
    """

    native: bool = False
    thoughts_apart: bool = False
    called: bool = False
    question: str = ""
    ids: frozenset[str] = frozenset()


NOTHING_YET = SoFar()


class Reader(ABC):
    """Turns the wire pieces of one reply into text, thoughts and sealed calls."""

    def __init__(self, names: Iterable[str], so_far: SoFar = NOTHING_YET) -> None:
        self.names = frozenset(names)
        self._used = so_far.ids
        self.calls: list[ToolCall] = []

    @abstractmethod
    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece of the reply."""

    @abstractmethod
    def finish(self, reason: str) -> list[ReplyPiece]:
        """Ends the reply; afterwards `calls` is final."""

    def new_call(self, name: str, arguments: str = "", call_id: str = "") -> ToolCall:
        """Adds a call in the order of the reply."""
        taken = call_id in self._used or any(call.id == call_id for call in self.calls)
        identity = call_id if call_id and not taken else new_call_id()
        call = ToolCall(len(self.calls), identity, name, arguments)
        self.calls.append(call)
        return call

    def drop(self) -> None:
        """Forgets all calls: the text that they were in has turned out to be thoughts."""
        self.calls.clear()


class Codec(ABC):
    """A form of tool calling."""

    form: str
    stop: tuple[str, ...] = ()
    # whose thoughts go back with them, as the makers of some models and endpoints ask: those of no
    # reply, of replies with calls (the steps of a run; templates drop them later), or of all
    keeps_thoughts: Literal["", "steps", "all"] = ""
    # whether a reply with calls carries an empty field of thoughts, as some servers demand
    demands_thoughts: bool = False

    @abstractmethod
    def offer(
        self, messages: list[JsonDict], tools: Sequence[JsonDict], choice: str, language: Language
    ) -> JsonDict:
        """Offers the tools: returns body fields, and may change the list `messages` itself."""

    @abstractmethod
    def reader(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> Reader:
        """Returns a reader for one reply."""

    @abstractmethod
    def reply_message(self, reply: ModelReply) -> JsonDict:
        """Returns the assistant message that keeps a reply in the history."""

    @abstractmethod
    def result_messages(self, results: Sequence[CallResult]) -> list[JsonDict]:
        """Returns the messages that bring the results back, in call order."""


def with_thoughts(codec: Codec, message: JsonDict, reply: ModelReply) -> JsonDict:
    """Adds the thoughts of a reply to its message where the codec keeps them."""
    kept = codec.keeps_thoughts == "all" or (codec.keeps_thoughts and reply.calls)
    if kept and (reply.thoughts or (codec.demands_thoughts and reply.calls)):
        message["reasoning_content"] = reply.thoughts
    return message


def add_to_system(messages: list[JsonDict], text: str) -> None:
    """Appends `text` to the system message, making one if there is none; changes the list only."""
    if messages and messages[0]["role"] == "system":
        content = messages[0]["content"]
        if isinstance(content, str):
            joined: object = f"{content}\n\n{text}" if content else text
        else:
            joined = [*content, {"type": "text", "text": f"\n\n{text}"}]
        messages[0] = {**messages[0], "content": joined}
    else:
        messages.insert(0, {"role": "system", "content": text})


def tool_names(tools: Sequence[JsonDict]) -> list[str]:
    """Returns the names of tool declarations."""
    return [tool["name"] for tool in tools]


def compact_json(value: object) -> str:
    """Returns JSON text that keeps Chinese readable."""
    return json.dumps(value, ensure_ascii=False)


def valid_arguments(text: str) -> str:
    """Returns arguments that every server accepts in a history: the text of a JSON object.

    llama.cpp answers malformed arguments in the history with HTTP 500, so they are wrapped.
    """
    if not text.strip():
        return "{}"
    try:
        value = loads_bounded(text)
    except json.JSONDecodeError:
        return compact_json({"unreadable": text[:2000]})
    return text if isinstance(value, dict) else compact_json({"value": value})
