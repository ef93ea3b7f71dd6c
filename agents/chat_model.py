"""Our chat model for qwen-agent: `model_type: "qwenbelt"`, for stock agents and our own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwen_agent.llm.base import (
    LLM_REGISTRY,
    BaseChatModel,
    ModelServiceError,
    register_llm,
)
from qwen_agent.llm.schema import Message

from qwenbelt.agents.models.codecs import SoFar
from qwenbelt.agents.models.deltas import (
    Finish,
    ModelReply,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    Thought,
    ToolCall,
)
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.models.fallback import model_of
from qwenbelt.agents.models.refusals import check_reason
from qwenbelt.agents.models.retrying import ReplyAttempts
from qwenbelt.agents.models.stock_model import StockModel
from qwenbelt.agents.runtime.context_window import Window
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.agents.runtime.history import History, as_dict, reply_messages
from qwenbelt.agents.runtime.message_list import ShowingPace
from qwenbelt.agents.telemetry import reply_span
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.language import detect_language
from qwenbelt.core.reply_fold import ReplyFold
from qwenbelt.core.schemas import json_schema

MODEL_TYPE = "qwenbelt"
_SECONDS = 0.05  # shorter than an agent's: there are no pauses in which a held piece would be shown


class ChatServiceError(EndpointError, ModelServiceError):  # type: ignore[misc]
    """An endpoint's failure as code written for qwen-agent expects it; `code` is a text."""

    def __init__(self, error: EndpointError) -> None:
        EndpointError.__init__(
            self,
            error.message,
            fix=error.fix,
            status=error.status,
            retryable=error.retryable,
            retry_after=error.retry_after,
            code=error.code or (str(error.status) if error.status else None),
        )
        self.exception = error
        self.extra = None


class QwenbeltChat(BaseChatModel):  # type: ignore[misc]
    """A chat model over any OpenAI-compatible endpoint.

    Args:
        cfg: `model`, `model_server`, optionally `api_key`, `dialect` and `generate_cfg`.
    """

    def __init__(self, cfg: Mapping[str, Any] | None = None) -> None:
        self.cfg = dict(cfg or {})
        super().__init__({**self.cfg, "model_type": MODEL_TYPE})
        self.generate_cfg = dict(self.cfg.get("generate_cfg") or {})
        self.wire_model = model_of(self.cfg)

    @property
    def support_multimodal_input(self) -> bool:
        """Pictures, sound and video are sent as they are; the endpoint may refuse them."""
        return True

    @property
    def support_audio_input(self) -> bool:
        """See `support_multimodal_input`."""
        return True

    def loop_model(self, form: str | None) -> Model:
        """Returns the model that an agent's loop asks; subclasses may wrap it."""
        return model_of(self.cfg, form)

    def chat(
        self,
        messages: list[Any],
        functions: list[dict[str, Any]] | None = None,
        stream: bool = True,
        delta_stream: bool = False,
        extra_generate_cfg: dict[str, Any] | None = None,
    ) -> Any:
        """qwen-agent's interface: growing lists of messages, or one list when not streaming.

        With `delta_stream` only what is new is given, and a stream that breaks after its first
        piece is not asked for again. Replies are kept in `cache_dir` when diskcache is installed.

        Raises:
            ValueError: there are no messages.
            ChatServiceError: the endpoint failed after all retries.
        """
        if not messages:
            raise ValueError("Messages can not be empty.")
        as_messages = not all(isinstance(message, dict) for message in messages)
        given = [as_dict(message) for message in messages]
        tools = [_declaration(function) for function in functions or []]
        settings = dict(extra_generate_cfg or {})
        lists = self._cached(given, tools, settings, stream, delta_stream)
        if stream:
            return _lists_of_type(_new_deltas(lists) if delta_stream else lists, as_messages)
        *_, last = lists
        return _as_message_objects(last) if as_messages else last

    def _cached(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]],
        settings: dict[str, Any],
        stream: bool,
        deltas: bool,
    ) -> Iterator[list[dict[str, Any]]]:
        key = ""
        if self.cache is not None:
            parts = [self.model, messages, tools, settings]
            key = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
            kept = self.cache.get(key)
            if kept:
                yield json.loads(kept)
                return
        found: list[dict[str, Any]] = []
        for found in self._lists(messages, tools, settings, stream, deltas):
            yield found
        if self.cache is not None and found:
            self.cache.set(key, json.dumps(found, ensure_ascii=False))

    def _lists(
        self,
        messages: list[dict[str, Any]],
        tools: Sequence[dict[str, Any]],
        settings: dict[str, Any],
        stream: bool,
        deltas: bool,
    ) -> Iterator[list[dict[str, Any]]]:
        language = settings.get("lang") or detect_language(str(messages[-1].get("content")))
        limit = int({**self.generate_cfg, **settings}.get("max_input_tokens") or 0)
        conversation = _Conversation(
            History(messages, self.wire_model.codec, language, self.wire_model.picture_rule),
            Window(limit if limit > 0 else None, language),
            Request([], tools, "auto", language, {**settings, "stream": stream}),
        )
        try:
            with reply_span(self.wire_model.name, self.wire_model.url):
                replies = lambda: self._replies(conversation, deltas)  # noqa: E731
                yield from background_loop().iterate(replies)
        except EndpointError as error:
            raise ChatServiceError(error) from error

    async def _replies(
        self, asked: _Conversation, deltas: bool
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yields the reply as it grows; a broken one is asked for again."""
        model, shown = self.wire_model, False
        attempts = ReplyAttempts(
            model,
            asked.shorten,
            lambda _: asked.history.use(model.codec, model.picture_rule),
        )
        await asked.fit()
        while True:
            request = asked.request()
            try:
                async for found in self._reply(request):
                    shown = True
                    yield found
                return
            except EndpointError as error:
                if shown and deltas:
                    raise  # what has been shown as deltas cannot be taken back
                await attempts.again(error, request)

    async def _reply(self, request: Request) -> AsyncGenerator[list[dict[str, Any]], None]:
        reader = self.wire_model.codec.reader(request.tools, _so_far(request.messages))
        grown = _GrowingReply(reader.calls)
        reason = ""
        async for piece in self.wire_model.pieces(request):
            if isinstance(piece, Finish):
                reason = piece.reason
            if grown.take(reader.feed(piece)):
                yield reply_messages(grown.reply())
        check_reason(reason)
        grown.take(reader.finish(reason))
        final = grown.reply()
        if self.wire_model.thinks_not and not (final.text.strip() or final.calls):
            final.text = final.thoughts
        stop = {**self.generate_cfg, **request.extra}.get("stop")
        final.text = _before_stop(final.text, stop)
        yield reply_messages(final)

    # BaseChatModel's own chat() is replaced as a whole; these serve callers of its inner methods
    def _chat_with_functions(
        self,
        messages: list[Any],
        functions: list[dict[str, Any]],
        stream: bool,
        delta_stream: bool,
        generate_cfg: dict[str, Any],
        lang: str,
    ) -> Any:
        settings = {**generate_cfg, "lang": lang}
        return self.chat(messages, functions, stream, delta_stream, settings)

    def _chat_stream(
        self, messages: list[Any], delta_stream: bool, generate_cfg: dict[str, Any]
    ) -> Any:
        return self.chat(messages, None, True, delta_stream, generate_cfg)

    def _chat_no_stream(self, messages: list[Any], generate_cfg: dict[str, Any]) -> Any:
        return self.chat(messages, None, False, False, generate_cfg)


@dataclass
class _Conversation:
    """What one call of the chat model asks."""

    history: History
    window: Window
    blank: Request  # all but the messages

    def request(self) -> Request:
        wire, encoded = self.history.wire, self.history.encoded()
        return dataclasses.replace(self.blank, messages=wire, encoded=encoded)

    async def fit(self) -> bool:
        return await self.window.fit(self.history, self.blank.tools) is not None

    async def shorten(self, error: EndpointError) -> bool:
        self.window.narrow(error, self.history, self.blank.tools)
        return await self.fit()


class _GrowingReply:
    """The reply so far, and whether it is worth showing again."""

    def __init__(self, calls: list[ToolCall]) -> None:
        self._calls = calls
        self._fold = ReplyFold()
        self._sealed: set[str] = set()
        self._pace = ShowingPace(_SECONDS)

    def take(self, parts: Sequence[ReplyPiece]) -> bool:
        new, sealed = 0, False
        for part in parts:
            if isinstance(part, (Text, Thought)):
                self._fold.take("text" if isinstance(part, Text) else "thinking", part.text)
                new += len(part.text)
            elif isinstance(part, Relabel):
                self._fold.take("text_relabelled")
                self._sealed &= {call.id for call in self._calls}
            elif isinstance(part, Sealed):
                self._sealed.add(part.call.id)
                sealed = True
        return self._pace.due(new, at_once=sealed)

    def reply(self) -> ModelReply:
        calls = [call for call in self._calls if call.id in self._sealed]
        return ModelReply("".join(self._fold.text), "".join(self._fold.thoughts), calls)


def _so_far(messages: Sequence[Mapping[str, Any]]) -> SoFar:
    """Returns what a conversation in the wire's form shows of how this model calls."""
    asked = max((n for n, m in enumerate(messages) if m["role"] == "user"), default=0)
    since = messages[asked + 1 :]
    question = text_of(messages[asked].get("content")) if messages else ""
    return SoFar(called=any(m["role"] == "tool" for m in since), question=question)


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a declaration of a tool in any of the forms that qwen-agent takes."""
    inner = function.get("function")
    if function.get("type") == "function" and isinstance(inner, Mapping):
        function = inner
    name = function.get("name_for_model") or function.get("name") or ""
    description = function.get("description_for_model") or function.get("description") or ""
    schema = json_schema(function.get("parameters") or {"type": "object", "properties": {}})
    return {"name": str(name), "description": str(description), "parameters": schema}


def _before_stop(text: str, stop: object) -> str:
    words = [stop] if isinstance(stop, str) else list(stop or [])  # type: ignore[call-overload]
    for word in words:
        text = text.partition(word)[0] if word else text
    return text


def _as_message_objects(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    return [Message(**message) for message in messages]


def _lists_of_type(lists: Iterator[list[dict[str, Any]]], as_messages: bool) -> Iterator[list[Any]]:
    for found in lists:
        yield _as_message_objects(found) if as_messages else found


def _new_deltas(lists: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Yields only what is new: text, thoughts, and each call once (qwen-agent's delta_stream)."""
    shown = {"content": 0, "reasoning_content": 0}
    calls = 0
    for found in lists:
        made = [message for message in found if message.get("function_call")]
        new: dict[str, Any] = {"role": "assistant", "content": ""}
        for name, before in shown.items():
            text = str(found[0].get(name) or "") if found else ""
            if len(text) > before:
                new[name] = text[before:]
            shown[name] = max(before, len(text))
        out = [new] if new["content"] or new.get("reasoning_content") else []
        out += [{k: v for k, v in m.items() if k != "reasoning_content"} for m in made[calls:]]
        calls = len(made)
        if out:
            yield out


def model_for(llm: Any, form: str | None) -> Model:
    """Returns the loop's view of an agent's `llm` object."""
    return llm.loop_model(form) if isinstance(llm, QwenbeltChat) else StockModel(llm, form)


if MODEL_TYPE not in LLM_REGISTRY:
    register_llm(MODEL_TYPE)(QwenbeltChat)
