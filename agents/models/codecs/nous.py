"""Qwen's own text form (Nous, Hermes): tools in the system prompt, `<tool_call>` in the reply."""

from __future__ import annotations

from collections.abc import Sequence

from qwenbelt.agents.models.codecs.base import (
    NOTHING_YET,
    Codec,
    Reader,
    SoFar,
    add_to_system,
    compact_json,
    tool_names,
    valid_arguments,
    with_thoughts,
)
from qwenbelt.agents.models.codecs.text import TextCallReader
from qwenbelt.agents.models.deltas import (
    CallDelta,
    CallResult,
    JsonDict,
    ModelReply,
    ReplyPiece,
    WirePiece,
)
from qwenbelt.agents.prompts import CHOICE_PROMPT, NOUS_PROMPT
from qwenbelt.core.language import Language


class NousReader(Reader):
    """Reads calls from text; native calls are read as well when a server makes them."""

    def __init__(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> None:
        super().__init__(tool_names(tools), so_far)
        from qwenbelt.agents.models.codecs.native import NativeReader

        self._tools, self._so_far = tools, so_far
        self._native: NativeReader | None = None
        self._make_native = NativeReader
        self._text = TextCallReader(tools, self, so_far)

    def feed(self, piece: WirePiece) -> list[ReplyPiece]:
        """Takes the next piece of the reply."""
        if isinstance(piece, CallDelta):
            self._text.only_text()
            if self._native is None:
                self._native = self._make_native(self._tools, self._so_far)
                self._native.calls = self.calls
            return self._native.feed(piece)
        return self._text.feed(piece)

    def finish(self, reason: str) -> list[ReplyPiece]:
        """Ends the reply."""
        native = self._native.finish(reason) if self._native else []
        return native + self._text.finish(reason)


class NousCodec(Codec):
    """The prompt and forms of Qwen's chat template for tools (Qwen2.5 and Qwen3 model cards)."""

    form = "nous"

    def offer(
        self, messages: list[JsonDict], tools: Sequence[JsonDict], choice: str, language: Language
    ) -> JsonDict:
        """Writes the tools into the system prompt; no body fields."""
        if choice == "none":
            return {}
        declared = "\n".join(compact_json({"type": "function", "function": t}) for t in tools)
        text = NOUS_PROMPT.format(tools=declared)
        if choice != "auto":
            name = "" if choice == "required" else choice
            text += "\n\n" + CHOICE_PROMPT[language].format(name=name).strip()
        add_to_system(messages, text)
        return {}

    def reader(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> Reader:
        """Returns a reader for one reply."""
        return NousReader(tools, so_far)

    def reply_message(self, reply: ModelReply) -> JsonDict:
        """Returns the assistant message with its calls as text."""
        parts = [reply.text] if reply.text else []
        for call in reply.calls:
            arguments = valid_arguments(call.arguments)
            parts.append(
                f'<tool_call>\n{{"name": {compact_json(call.name)}, "arguments": {arguments}}}\n'
                "</tool_call>"
            )
        message: JsonDict = {"role": "assistant", "content": "\n".join(parts)}
        return with_thoughts(self, message, reply)

    def result_messages(self, results: Sequence[CallResult]) -> list[JsonDict]:
        """Returns one user message with all results, as Qwen's template does."""
        parts = [f"<tool_response>\n{r.text}\n</tool_response>" for r in results]
        return [{"role": "user", "content": "\n".join(parts)}]
