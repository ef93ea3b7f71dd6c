"""Native tool calls: `tools` in the request, `tool_calls` in the reply.

A reply's calls arrive in deltas, and servers differ in how a delta says which call it continues.
The comments below name the cases; each is a recorded form in `tests/endpoints/zoo`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from qwenbelt.agents.models.codecs.base import (
    NOTHING_YET,
    Codec,
    Reader,
    SoFar,
    tool_names,
    valid_arguments,
    with_thoughts,
)
from qwenbelt.agents.models.codecs.text import TextCallReader
from qwenbelt.agents.models.deltas import (
    CallDelta,
    CallResult,
    Changed,
    JsonDict,
    ModelReply,
    ReplyPiece,
    Sealed,
    ToolCall,
    WirePiece,
)
from qwenbelt.agents.models.json_scanner import JsonSeal
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language


@dataclass(slots=True)
class _Slot:
    call: ToolCall
    id: str
    seal: JsonSeal = field(default_factory=JsonSeal)
    pieces: list[str] = field(default_factory=list)
    sealed_as: str | None = None
    waits: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


class NativeReader(Reader):
    """Merges deltas by index, then id; seals a call when its JSON value closes.

    Servers differ: ids or indexes missing, one index for all calls, names repeated or in pieces,
    arguments null. Text is read leniently too, for servers that leave calls in the text.
    """

    def __init__(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> None:
        super().__init__(tool_names(tools), so_far)
        self._slots: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._text = TextCallReader(tools, self, so_far)

    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece of the reply."""
        if isinstance(piece, CallDelta):
            return self._feed_call(piece)
        return self._text.feed(piece)

    def finish(self, reason: str) -> list[ReplyPiece]:
        """Seals what is complete; a call cut off by a length limit stays incomplete."""
        out: list[ReplyPiece] = []
        for slot in self._slots:
            out += self._close(slot, reason)
        return out + self._text.finish(reason)

    def _feed_call(self, delta: CallDelta) -> list[ReplyPiece]:
        self._text.only_text()
        slot = self._slot(delta)
        self._name(slot, delta.name)
        if delta.arguments:
            slot.pieces.append(delta.arguments)
            slot.seal.feed(delta.arguments)
        if slot.sealed_as is None and slot.seal.end is not None and not slot.waits:
            return self._seal(slot)
        return []

    def _slot(self, delta: CallDelta) -> _Slot:
        if not delta.starts:
            known = self._known(delta)
            if known is not None:
                # servers that send the id after the first delta; a later, different id
                # (fresh-id-each-delta: proxies) does not replace the first
                known.id = known.id or delta.id
                return known
        slot = _Slot(self.new_call("", call_id=delta.id), delta.id)
        self._slots.append(slot)
        if delta.index is not None:
            self._by_index[delta.index] = slot
        return slot

    def _known(self, delta: CallDelta) -> _Slot | None:
        """Returns the call that a delta continues: by index, then id, else the last one."""
        # OpenAI's form (openai-two-calls, interleaved-by-index): the index alone decides, unless
        # the server gives every call the same one
        if delta.index is not None and delta.index in self._by_index:
            slot = self._by_index[delta.index]
            return None if self._is_another(delta, slot) else slot
        # no index, but an id: deltas of one call share it; with a new index it is another call,
        # even under an id that is taken (same-id-twice)
        if delta.id:
            known = next((s for s in reversed(self._slots) if s.id == delta.id), None)
            return known if delta.index is None else None
        # neither index nor id (calls-apart-no-index-no-id): it continues the last call, or begins
        # another one
        if delta.index is None and self._slots:
            last = self._slots[-1]
            return None if self._is_another(delta, last) else last
        return None

    def _is_another(self, delta: CallDelta, slot: _Slot) -> bool:
        """Returns whether a delta begins another call than that of its index, or the last one."""
        name, known = delta.name, slot.call.name
        # every server names a call when it begins it, so a delta without a name continues
        if not name:
            return False
        # one-index-for-all (Gemini's compatible endpoint has done so): the ids tell them apart
        if delta.id and slot.id:
            return delta.id != slot.id
        # the arguments came before the name (name-after-arguments)
        if not known:
            return slot.seal.end is not None and bool(delta.arguments.strip())
        # From here: index 0 for every call, or none, and no id (one-index-no-id). What is left is
        # the name, and whether the arguments so far are complete.
        # No arguments yet: two full names are two calls; else the name is still being streamed
        # (name-in-pieces) or grows with each delta.
        if not slot.pieces:
            return known in self.names and name in self.names and not name.startswith(known)
        # arguments have begun and are open: the same name again is a repetition (name-repeated)
        if slot.seal.end is None:
            return name != known
        # "{}" came first and the real arguments are still to come (arguments-empty-object-first)
        if name == known and slot.waits:
            return False
        # complete: more arguments are those of another call, also of the same tool
        return bool(delta.arguments.strip()) or name != known

    def _name(self, slot: _Slot, piece: str) -> None:
        """Takes a name whole, again, in pieces, or grown by each delta."""
        # A full name of ours replaces a beginning ("get" -> "get_weather": grown); anything else
        # is the next piece ("get_" + "weather"), unless the name is complete already.
        name = slot.call.name
        if not piece or piece == name or (name and slot.pieces):
            return
        if piece in self.names and (name in self.names or piece.startswith(name)):
            slot.call.name = name if name in self.names else piece
        elif name not in self.names or name + piece in self.names:
            slot.call.name = name + piece

    def _seal(self, slot: _Slot) -> list[ReplyPiece]:
        text = slot.arguments[: slot.seal.end]
        # "{}" is sent by some servers before the real arguments; wait for the end
        slot.waits = text.strip() == "{}"
        if slot.waits or not slot.call.name:
            return []
        slot.sealed_as = text
        slot.call.arguments, slot.call.complete = _decoded_twice(text), True
        return [Sealed(slot.call)]

    def _close(self, slot: _Slot, reason: str) -> list[ReplyPiece]:
        final = slot.arguments
        if slot.sealed_as is None:
            slot.call.arguments = _decoded_twice(_last_value(final))
            slot.call.complete = slot.seal.end is not None or reason != "length"
            return [Sealed(slot.call)] if slot.call.complete else []
        rest = final[len(slot.sealed_as) :].strip()
        if rest.startswith("{") and rest != slot.sealed_as.strip():
            slot.call.arguments = rest
            return [Changed(slot.call)]
        return []


def _last_value(text: str) -> str:
    """Returns the arguments without an empty object that precedes the real ones."""
    stripped = text.strip()
    if stripped.startswith("{}") and stripped[2:].lstrip().startswith("{"):
        return stripped[2:].lstrip()
    return stripped


def _decoded_twice(text: str) -> str:
    """Returns the object inside arguments that were encoded as JSON twice."""
    if not text.lstrip().startswith('"'):
        return text
    try:
        value = loads_bounded(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, str) and value.lstrip().startswith("{") else text


class NativeCodec(Codec):
    """`tools`, `tool_choice` and `parallel_tool_calls` of the chat completions API."""

    form = "native"

    def offer(
        self, messages: list[JsonDict], tools: Sequence[JsonDict], choice: str, language: Language
    ) -> JsonDict:
        """Returns the body fields; messages stay as they are."""
        body: JsonDict = {"tools": [{"type": "function", "function": tool} for tool in tools]}
        if choice in ("none", "required"):
            body["tool_choice"] = choice
        elif choice != "auto":
            body["tool_choice"] = {"type": "function", "function": {"name": choice}}
        return body

    def reader(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> Reader:
        """Returns a reader for one reply."""
        return NativeReader(tools, so_far)

    def reply_message(self, reply: ModelReply) -> JsonDict:
        """Returns the assistant message with its calls."""
        message: JsonDict = {"role": "assistant", "content": reply.text or None}
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": valid_arguments(call.arguments)},
                }
                for call in reply.calls
            ]
        else:
            message["content"] = reply.text
        return with_thoughts(self, message, reply)

    def result_messages(self, results: Sequence[CallResult]) -> list[JsonDict]:
        """Returns one `tool` message a call, with its `tool_call_id`."""
        return [{"role": "tool", "tool_call_id": r.id, "content": r.text} for r in results]
