"""The conversation of a run, append-only, in both forms: qwen-agent's messages and the wire's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.codecs import Codec
from qwenbelt.agents.models.deltas import CallResult, JsonDict, ModelReply, ToolCall
from qwenbelt.agents.models.encoding import result_messages, to_wire
from qwenbelt.agents.models.endpoint_model import encode_message
from qwenbelt.agents.prompts import EMPTY_RESULT
from qwenbelt.core.events import Item
from qwenbelt.core.language import Language

if TYPE_CHECKING:
    from qwen_agent.llm.schema import Message

    from qwenbelt.agents.models.tool_pictures import PictureRule
    from qwenbelt.agents.runtime.outcome import CallOutcome


def as_dict(message: Any) -> dict[str, Any]:
    """Returns a message as a plain dict."""
    return dict(message) if isinstance(message, Mapping) else dict(message.model_dump())


class History:
    """The conversation so far, kept in four forms, each made once from the one before it.

    1. `messages`: everything, as qwen-agent's message dicts. What people see and what is returned.
    2. `_base` and what came since: what is still sent after a compaction; else `messages` itself.
    3. `wire`: that in the codec's form, with our own instructions to the model at its end.
    4. `encoded()`: the JSON of each wire message, so that a long history is not encoded again for
       every turn, and its bytes stay the same: servers cache by prefix.

    Attributes:
        messages: all messages as qwen-agent message dicts, the given ones first.
        wire: the same in the codec's form, ready to be sent.
    """

    def __init__(
        self,
        messages: Sequence[Any],
        codec: Codec,
        language: Language,
        pictures: PictureRule | None = None,
    ) -> None:
        self.messages = [as_dict(message) for message in messages]
        self.given = len(self.messages)
        self._codec = codec
        self._language = language
        self._pictures = pictures
        self._base = self.messages
        self._base_covers = 0  # how many of `messages` `_base` replaces after a compaction
        self._instructions: list[JsonDict] = []
        self.wire = to_wire(self.messages, codec, language, pictures)
        self._objects: list[Message] = []
        self._encoded: dict[int, bytes] = {}
        self._encoded_list = self.wire

    def encoded(self) -> Mapping[int, bytes]:
        """Returns the JSON of the wire's messages by the id of each; every one is encoded once."""
        if self._encoded_list is not self.wire:
            self._encoded_list, self._encoded = self.wire, {}
        for message in self.wire[len(self._encoded) :]:
            self._encoded[id(message)] = encode_message(message)
        return self._encoded

    def use(self, codec: Codec, pictures: PictureRule | None = None) -> None:
        """Rewrites the wire form for another codec, or with other pictures."""
        self._codec = codec
        self._pictures = pictures
        self._write()

    def rewrite(self, messages: list[dict[str, Any]]) -> None:
        """Has these messages sent instead of all there are now, which stay in `messages`."""
        self._base, self._base_covers = messages, len(self.messages)
        self._write()

    def sent(self) -> list[dict[str, Any]]:
        """Returns what is sent as message dicts, without our own instructions."""
        since = self.messages[self._base_covers :] if self._base is not self.messages else []
        return [*self._base, *since]

    def _write(self) -> None:
        self.wire = (
            to_wire(self.sent(), self._codec, self._language, self._pictures) + self._instructions
        )

    def add(self, reply: ModelReply, outcomes: Sequence[CallOutcome]) -> None:
        """Adds a reply and the outcomes of its calls, in call order."""
        self._instructions.clear()  # they stay in this turn's wire form, but not after a rewrite
        self.messages += reply_messages(reply)
        self.wire.append(self._codec.reply_message(reply))
        if not reply.calls:
            return
        pairs = list(zip(reply.calls, outcomes, strict=True))
        for call, outcome in pairs:
            made = bool(outcome.artifacts)
            self.messages.append(
                result_message(
                    call.id, call.name, outcome.text, outcome.items, made, outcome.status
                )
            )
        nothing = EMPTY_RESULT[self._language]
        results = [
            CallResult(
                call.id,
                call.name,
                outcome.text or nothing,
                tuple(item.value for item in outcome.items if item.kind == "image"),
            )
            for call, outcome in pairs
        ]
        self.wire += result_messages(self._codec, results, self._pictures, self._language)

    def answer(self, calls: Sequence[ToolCall], outcomes: Sequence[CallOutcome]) -> None:
        """Adds the outcomes of calls that the given messages end with; rewrites the wire form."""
        for call, outcome in zip(calls, outcomes, strict=True):
            self.messages.append(
                result_message(
                    call.id,
                    call.name,
                    outcome.text,
                    outcome.items,
                    bool(outcome.artifacts),
                    outcome.status,
                )
            )
        self._base = self.messages
        self._write()

    def say(self, text: str) -> None:
        """Adds a message of the person."""
        self.messages.append({"role": "user", "content": text})
        self.wire.append({"role": "user", "content": text})

    def instruct(self, text: str) -> None:
        """Adds an instruction of ours for the model; it is not part of the conversation."""
        self._instructions.append({"role": "user", "content": text})
        self.wire.append(self._instructions[-1])

    def added(self) -> list[dict[str, Any]]:
        """Returns the messages that this run added."""
        return self.messages[self.given :]

    def objects(self) -> list[Message]:
        """Returns all messages as qwen-agent objects, for stock tools; made once each."""
        from qwen_agent.llm.schema import Message

        for message in self.messages[len(self._objects) :]:
            self._objects.append(Message(**message))
        return list(self._objects)


def unanswered_calls(messages: Sequence[Any]) -> list[ToolCall]:
    """Returns the calls at the end of a conversation that have no result yet."""
    answered: set[str] = set()
    calls: list[ToolCall] = []
    for message in reversed([as_dict(m) for m in messages]):
        call_id = str((message.get("extra") or {}).get("function_id") or "")
        call = message.get("function_call")
        if message["role"] == "function":
            answered.add(call_id)
        elif message["role"] == "assistant" and call:
            if call_id not in answered:
                text = str(call["arguments"])
                calls.insert(0, ToolCall(0, call_id, str(call["name"]), text, complete=True))
        else:
            break
    return [dataclasses.replace(call, position=place) for place, call in enumerate(calls)]


def result_message(
    call_id: str, name: str, text: str, items: Sequence[Item], has_files: bool, status: str
) -> JsonDict:
    """Returns the result of a call as a qwen-agent message dict."""
    content: Any = text
    if has_files:
        content = [{item.kind: item.value} for item in items if item.value]
    extra = {"function_id": call_id, "ok": status == "ok", "status": status}
    return {"role": "function", "name": name, "content": content, "extra": extra}


def reply_messages(reply: ModelReply) -> list[JsonDict]:
    """Returns a reply as qwen-agent message dicts: its text, then one message a call."""
    out: list[JsonDict] = []
    if reply.text or not reply.calls:
        out.append({"role": "assistant", "content": reply.text})
    for call in reply.calls:
        out.append(
            {
                "role": "assistant",
                "content": "",
                "function_call": {"name": call.name, "arguments": call.arguments},
                "extra": {"function_id": call.id},
            }
        )
    if reply.thoughts and out:
        out[0]["reasoning_content"] = reply.thoughts
    return out
