"""A model at an endpoint: builds request bodies and reads replies as pieces."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from qwenbelt.agents.models import cache_planner, responses, tool_pictures
from qwenbelt.agents.models.capabilities import measured_form, model_capabilities, save_record
from qwenbelt.agents.models.client import ModelConnection, open_reply
from qwenbelt.agents.models.codecs import Codec, codec_for
from qwenbelt.agents.models.constrained import ConstrainedSteps
from qwenbelt.agents.models.decoding import Halves, read_chunk
from qwenbelt.agents.models.deltas import Finish, JsonDict, Tokens, WirePiece
from qwenbelt.agents.models.dialects import (
    LOCAL,
    THINKING_FIELDS,
    Dialect,
    continuation_request,
    dialect_of,
    soft_switch,
    thinking_fields,
    without_thoughts,
)
from qwenbelt.agents.models.endpoints import key_of
from qwenbelt.agents.models.rate_limits import Gate, gate_for, rate_of
from qwenbelt.agents.models.refusals import refused_tools, wants_thoughts
from qwenbelt.agents.models.repetition import SMALL_MODELS, EndlessReply
from qwenbelt.agents.models.uploads import needs_placing, placed_files
from qwenbelt.agents.prompts import PICTURES_MARK, RESULT_OF
from qwenbelt.core.errors import ConfigError, EndpointError, one_line
from qwenbelt.core.language import Language

# keys of generate_cfg that steer this side and never go out to the endpoint
_OWN = {
    "tool_format",
    "tool_pictures",
    "thinking",
    "max_retries",
    "parallel_function_calls",
    "function_choice",
    "max_input_tokens",
    "stream",
    "request_timeout",
    "lang",
    "fncall_prompt_type",
    "thought_in_content",
    "use_raw_api",
    "incremental_output",
    "skip_stopword_postproc",
    "cache_dir",
    "return_thoughts",
    "cache",
    "api",
    responses.BUILTIN,
}
_TOOLS_REFUSED = re.compile(
    r"not support\w*( \w+){0,2} (tools?|functions?)\b|(tools?|functions?)\b( \w+){0,3} not support"
    r"|tool-call-parser|enable-auto-tool-choice|--jinja",
    re.IGNORECASE,
)
# fields that an endpoint may do without; one that it refuses is not sent again
_STRUCTURED = ("response_format", "structured_outputs", "json_schema")
_DISPENSABLE = (
    *("stream_options", "parallel_tool_calls", "tool_choice"),
    *THINKING_FIELDS,
    *_STRUCTURED,
    cache_planner.FIELD,
)
_RESULT_MARKS = ("<tool_response>", "Observation", RESULT_OF, PICTURES_MARK)
_REFUSALS = (400, 404, 415, 422, 500, 501)


@dataclass(slots=True)
class Request:
    """One request to a model.

    Attributes:
        messages: the conversation in the chat completions form; not changed.
        tools: declarations (name, description, parameters).
        choice: "auto", "none", "required" or a tool's name.
        extra: further generation settings for this request.
        encoded: JSON of messages that were encoded before, by the id of the message object.
    """

    messages: list[JsonDict]
    tools: Sequence[JsonDict] = ()
    choice: str = "auto"
    language: Language = "en"
    extra: Mapping[str, Any] = field(default_factory=dict)
    encoded: Mapping[int, bytes] = field(default_factory=dict)


class Model(Protocol):
    """What the loop needs of a model."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    @property
    def codec(self) -> Codec:
        """How calls are written for it."""
        ...

    @property
    def max_retries(self) -> int:
        """How often a failed request is sent again."""
        ...

    def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Sends a request and yields the pieces of the reply."""
        ...

    @property
    def thinks_not(self) -> bool:
        """Whether thinking is switched off."""
        ...

    @property
    def is_led(self) -> bool:
        """Whether it is told after each result what it was asked: small models lose sight of it."""
        ...

    def adapt(self, error: EndpointError, request: Request) -> str:
        """Changes how requests are written after a refusal; returns what changed, or ""."""
        ...


class EndpointModel:
    """A model behind an OpenAI-compatible endpoint.

    Args:
        cfg: an llm dict: `model`, `model_server`, optionally `api_key`, `dialect`, `generate_cfg`.
        form: overrides the `tool_format` of `generate_cfg`.

    Raises:
        ConfigError: the model or URL is missing, or a setting is not understood.
    """

    def __init__(self, cfg: Mapping[str, Any], form: str | None = None) -> None:
        self.cfg = dict(cfg)
        self.name = str(cfg.get("model") or "").strip()
        self.url = base_url(cfg)
        if not self.name:
            raise ConfigError("The llm has no `model`.", fix="Give the model's name.")
        self.dialect: Dialect = dialect_of(str(cfg.get("dialect") or ""), self.url)
        self.generate_cfg: dict[str, Any] = dict(cfg.get("generate_cfg") or {})
        self.known = model_capabilities(self.url, self.name)
        self._form = form or str(self.generate_cfg.get("tool_format") or "") or self._default_form()
        self.codec = self._codec(self._form)
        self._connection: ModelConnection | None = None
        self._gate: Gate | None = None
        self.left_out: set[str] = set()  # tools whose declarations the endpoint refuses
        self.max_retries = int(self.generate_cfg.get("max_retries", 3))
        self._pictures_refused = False
        self._looked_at: list[JsonDict] = []
        self._looked, self._places = 0, False
        self._cache = self._cache_planner()
        self._responses = self._responses_api()

    def _codec(self, form: str) -> Codec:
        codec = codec_for(form)
        wanted = self.generate_cfg.get("return_thoughts")
        if wanted or (wanted is None and self.known.thoughts_back):
            codec.keeps_thoughts = "all"
            codec.demands_thoughts = bool(self.known.thoughts_back)
        elif wanted is None and self.dialect.keeps_steps:
            codec.keeps_thoughts = "steps"
        return codec

    def _cache_planner(self) -> cache_planner.CachePlanner | None:
        setting = self.generate_cfg.get("cache", "auto")
        if setting not in ("auto", "off"):
            raise ConfigError(f'cache must be "auto" or "off", not {setting!r}.')
        chat = self.generate_cfg.get("api", "chat") == "chat"  # the other has a cache of its own
        able = chat and cache_planner.has_explicit_cache(self.dialect.name, self.name)
        return cache_planner.CachePlanner() if able and setting == "auto" else None

    def _responses_api(self) -> responses.ResponsesApi | None:
        api = self.generate_cfg.get("api", "chat")
        if api not in responses.APIS:
            raise ConfigError(f'api must be "chat" or "responses", not {api!r}.')
        builtin = self.generate_cfg.get(responses.BUILTIN) or ()
        if api == "chat":
            if builtin:
                raise ConfigError(
                    "Tools of the endpoint need the Responses API.",
                    fix='Give api="responses" beside builtin_tools.',
                )
            return None
        if self.dialect is LOCAL:
            raise ConfigError("The embedded engine has no Responses API.", fix='Leave "api" out.')
        keeps = self.dialect.name == "dashscope" and self.generate_cfg.get("cache") != "off"
        return responses.ResponsesApi(builtin, keeps=keeps)

    @property
    def is_led(self) -> bool:
        """Whether it is told after each result what it was asked.

        Qwen2.5-Coder 1.5B makes the same call again until it is stopped. Templates of other
        families (Mistral's) refuse a message of the user there.
        """
        return self.dialect.name in SMALL_MODELS and "qwen" in self.name.lower()

    @property
    def thinks_not(self) -> bool:
        """Whether thinking is switched off: what comes as thoughts alone is the answer then."""
        settings = self.generate_cfg
        inner = settings.get("extra_body") or {}
        template = {**(inner.get("chat_template_kwargs") or {})}
        template |= settings.get("chat_template_kwargs") or {}
        told = [settings.get("thinking"), template.get("enable_thinking")]
        told += [settings.get("enable_thinking"), inner.get("enable_thinking")]
        off = any(value is False for value in told) or self.known.thinking == "never"
        return off or "none" in (settings.get("reasoning_effort"), inner.get("reasoning_effort"))

    def _default_form(self) -> str:
        if self.known.tool_format:
            return self.known.tool_format
        if self.dialect is LOCAL:
            return "constrained"  # a model that fits in here is small
        if self.known.native_tools is False:
            return "nous"
        return measured_form(self.dialect.name, self.name) or "native"

    def connection(self) -> ModelConnection:
        """Returns where and how to connect.

        Raises:
            ConfigError: the endpoint needs a key and there is none.
        """
        if self._connection is None:
            plain = self._connect()
            self._connection = self._responses.placed(plain) if self._responses else plain
        return self._connection

    def _connect(self) -> ModelConnection:
        timeout = float(self.generate_cfg.get("request_timeout") or 300.0)
        key = key_of(self.cfg, self.dialect)
        if self.dialect.name != "azure":
            return ModelConnection(self.url, key, timeout)
        version = str(self.cfg.get("api_version") or "")
        query = (("api-version", version),) if version else ()
        return ModelConnection(self.url, key, timeout, (("api-key", key),), query)

    def body(self, request: Request) -> JsonDict:
        """Returns the body of a request."""
        settings = {**self.generate_cfg, **request.extra}
        body: JsonDict = {"model": self.name}
        messages = request.messages
        if request.tools and not self.left_out.issuperset(t["name"] for t in request.tools):
            messages = list(messages)
            body.update(self._offer(request, settings, messages))
        if messages and messages[-1]["role"] == "assistant":
            messages, fields = continuation_request(self.dialect, messages)
            body.update(fields)
        thinking = settings.get("thinking")
        if self._streams(settings):
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        fields = thinking_fields(self.dialect, thinking)
        if thinking is not None and self.known.refused.intersection(fields):
            messages = soft_switch(messages, thinking)
        body.update(fields)
        for name in self.known.refused:
            body.pop(name, None)
        body["messages"] = messages
        body.update({k: v for k, v in settings.items() if k not in _OWN and v is not None})
        body.update(body.pop("extra_body", None) or {})
        if self.codec.stop and request.tools:
            body["stop"] = list(dict.fromkeys([*_as_list(body.get("stop")), *self.codec.stop]))
        return body

    def _streams(self, settings: Mapping[str, Any]) -> bool:
        # Qwen3 models at DashScope refuse whole replies while they think, so those are streamed
        # for people who asked for a whole one as well
        thinks = self.dialect.name == "dashscope" and settings.get("thinking") is not False
        return bool(settings.get("stream", True)) or thinks

    def _offer(
        self, request: Request, settings: Mapping[str, Any], messages: list[JsonDict]
    ) -> JsonDict:
        choice = self._choice(request, settings)
        tools = [tool for tool in request.tools if tool["name"] not in self.left_out]
        if choice not in ("auto", "none", "required") and not self.dialect.named_choice:
            # a server that cannot take a name is offered that tool only
            tools, choice = [t for t in tools if t["name"] == choice], "required"
        body = self.codec.offer(messages, tools, choice, request.language)
        if self.codec.form == "native" and settings.get("parallel_function_calls") is not None:
            body["parallel_tool_calls"] = bool(settings["parallel_function_calls"])
        return body

    def _choice(self, request: Request, settings: Mapping[str, Any]) -> str:
        """Returns the choice for this request; a forced call is forced until it has a result."""
        choice = str(settings.get("function_choice") or request.choice)
        names = [tool["name"] for tool in request.tools]
        if choice not in ("auto", "none", "required", *names):
            known = ", ".join(["auto", "none", "required", *names])
            raise ConfigError(f"function_choice must be one of {known}, not {choice!r}.")
        if request.choice != "auto":
            return request.choice  # the run's own decision
        return "auto" if choice != "none" and _has_results(request.messages) else choice

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Sends a request and yields the pieces of the reply.

        Raises:
            EndpointError: the endpoint failed, refused, or the stream was cut.
            InputError: a large file of the conversation cannot be sent.
        """
        if self._needs_placing(request.messages):
            to = (self.dialect, self.connection(), self.name)
            messages = await asyncio.to_thread(placed_files, request.messages, *to)
            request = replace(request, messages=messages)
        settings = {**self.generate_cfg, **request.extra}
        choice = self._choice(request, settings) if request.tools else "none"
        if self.codec.form != "constrained" or choice == "none":
            source = self._send(self._cached(self.body(request), choice), request.encoded)
        else:
            steps = ConstrainedSteps(
                lambda body: self._send(body, request.encoded),
                self.known.structured or self.dialect.structured,
                self._quiet(),
                parallel=bool(settings.get("parallel_function_calls", self.known.parallel_calls)),
            )
            bare = replace(request, tools=())
            source = steps.pieces(self.body(bare), request.tools, choice, request.language)
        # where small models run, and nothing ends a reply; other text may repeat itself on purpose
        endless = EndlessReply() if self.dialect.name in SMALL_MODELS else None
        async with aclosing(source):
            async for piece in source:
                yield piece
                if endless is not None and endless.grew(piece):
                    yield Finish("length", endless=True)
                    return

    def _needs_placing(self, messages: list[JsonDict]) -> bool:
        """Looks at each message once: a run's list only grows, and is replaced when it changes."""
        if messages is not self._looked_at:
            self._looked_at, self._looked, self._places = messages, 0, False
        if not self._places:
            self._places = needs_placing(messages[self._looked :], self.dialect)
            self._looked = len(messages)
        return self._places

    def _cached(self, body: JsonDict, choice: str) -> JsonDict:
        """Returns a body whose beginning the endpoint keeps where that pays."""
        if self._cache is not None and cache_planner.FIELD not in self.known.refused:
            body["messages"] = self._cache.marked(body, goes_on=choice != "none")
        return body

    def _quiet(self) -> JsonDict:
        fields = {} if self.known.thinking == "never" else without_thoughts(self.dialect)
        return {name: v for name, v in fields.items() if name not in self.known.refused}

    def _open(
        self, body: JsonDict, data: bytes
    ) -> AbstractAsyncContextManager[AsyncIterator[JsonDict]]:
        if self._responses is not None:
            return self._responses.open(self.connection(), body)
        if self.dialect is not LOCAL:
            return open_reply(self.connection(), data)
        from qwenbelt.agents.models.local_engine import engine_for, open_embedded

        return open_embedded(engine_for(self.name, self.cfg.get("engine")), data)

    async def _send(
        self, body: JsonDict, encoded: Mapping[int, bytes]
    ) -> AsyncGenerator[WirePiece, None]:
        if self.dialect is LOCAL:  # the engine hands whole replies over in another way
            body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        data, finished = encode_body(body, encoded), False
        if self._gate is None:
            self._gate = gate_for(self.url, rate_of(self.cfg, self.dialect, self.url))
        async with self._gate.admitted(len(data)) as turn, self._open(body, data) as chunks:
            halves = Halves()
            async for chunk in chunks:
                for piece in halves.joined(read_chunk(chunk)):
                    finished = finished or isinstance(piece, Finish)
                    if isinstance(piece, Tokens):
                        turn.count(piece)
                        if self._cache is not None:
                            self._cache.read(piece.cached)
                    yield piece
                finished = finished or "done" in chunk
            for piece in halves.rest():
                yield piece
        if not finished:
            raise EndpointError("The reply was cut off in the middle.", retryable=True)

    @property
    def picture_rule(self) -> tool_pictures.PictureRule | None:
        """How pictures that tools return are sent; None for a model that only reads text.

        `tool_pictures` of `generate_cfg` says otherwise: "off", "user" or "tool", the latter for
        endpoints whose `tool` messages may have parts.
        """
        given = self.generate_cfg.get("tool_pictures")
        able = bool(given) or tool_pictures.reads_pictures(self.name, self.known.vision)
        if given == "off" or self._pictures_refused or not able:
            return None
        if not tool_pictures.takes_pictures(self.codec.form):
            return None
        dashscope = self.dialect.name == "dashscope"
        return tool_pictures.rule_for(
            self.name, dashscope=dashscope, in_tool_message=given == "tool"
        )

    def _without_pictures(self, error: EndpointError, request: Request) -> str:
        text = error.message
        shown = any(isinstance(message.get("content"), list) for message in request.messages)
        if not shown or self.picture_rule is None or not tool_pictures.REFUSED.search(text):
            return ""
        self._pictures_refused = True
        if tool_pictures.UNABLE.search(text) and not self.generate_cfg.get("tool_pictures"):
            self.known.vision = False
        return "the endpoint refuses pictures of tools; the model is told their names instead"

    def adapt(self, error: EndpointError, request: Request) -> str:
        """Drops what the endpoint refused, or adds what it asks for; returns what changed.

        That is a field that it does not know, native tools, one tool whose declaration it does not
        take, pictures of tools, or the thoughts of earlier replies, which some want back.
        """
        if error.status is not None and error.status not in _REFUSALS:
            return ""
        if request.tools and self.codec.form == "native" and _TOOLS_REFUSED.search(error.message):
            self.known.native_tools = False
            self.codec = self._codec("nous")
            changed = "the endpoint takes no native tools; tools are offered in the prompt instead"
        elif wants_thoughts(error):
            if self.codec.demands_thoughts:
                return ""
            self.known.thoughts_back = True
            self.codec = self._codec(self.codec.form)
            self.codec.keeps_thoughts, self.codec.demands_thoughts = "all", True
            changed = "the endpoint wants the thoughts of earlier replies back; they are sent"
        else:
            changed = self._without_field(error, request) or self._without_pictures(error, request)
            if not changed:
                return self._without_tools(error, request)
        if changed:
            save_record(self.url, self.name)
        return changed

    def _without_field(self, error: EndpointError, request: Request) -> str:
        sent = self.body(request)
        if self.codec.form == "constrained":
            sent |= self._quiet()
        if self.codec.keeps_thoughts and "reasoning_content" in error.message:
            self.codec.keeps_thoughts, self.codec.demands_thoughts = "", False
            return "the endpoint refuses the thoughts of earlier replies; they are left out"
        if self._cache is not None:
            sent[cache_planner.FIELD] = True
        named = [n for n in _DISPENSABLE if n in sent and n in error.message]
        if not named or self.known.refused.issuperset(named):
            return ""
        self.known.refused.update(named)
        return f"the endpoint refuses {', '.join(named)}; it is left out"

    def _without_tools(self, error: EndpointError, request: Request) -> str:
        offered = [tool for tool in request.tools if tool["name"] not in self.left_out]
        names = refused_tools(error, offered) if self.codec.form == "native" else []
        if not names:
            return ""
        self.left_out.update(names)
        if len(names) == 1:
            return f"the endpoint refuses the tool {names[0]}; it is left out"
        most = len(offered) - len(names)
        return f"the endpoint takes {most} tools; left out are {one_line(', '.join(names), 300)}"


def _has_results(messages: Sequence[JsonDict]) -> bool:
    """Returns whether calls were made and answered since the last question."""
    if not messages:
        return False
    last = messages[-1]
    text = last.get("content")
    if isinstance(text, list) and text:  # with pictures of the results
        text = text[0].get("text")
    marked = isinstance(text, str) and text.startswith(_RESULT_MARKS)
    return last["role"] == "tool" or (last["role"] == "user" and marked)


def encode_message(message: JsonDict) -> bytes:
    """Returns a message as JSON bytes."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def encode_body(body: JsonDict, encoded: Mapping[int, bytes]) -> bytes:
    """Returns a body as JSON bytes; messages that were encoded before are not encoded again."""
    messages = [encoded.get(id(message)) or encode_message(message) for message in body["messages"]]
    rest = encode_message({key: value for key, value in body.items() if key != "messages"})
    return rest[:-1] + b', "messages": [' + b", ".join(messages) + b"]}"


def base_url(cfg: Mapping[str, Any]) -> str:
    """Returns the base URL of an llm dict.

    Raises:
        ConfigError: it is not a URL.
    """
    from qwenbelt.agents.models.dialects import DASHSCOPE_URL, DIALECTS

    names = ("model_server", "base_url", "api_base", "azure_endpoint")
    server = str(next((cfg[name] for name in names if cfg.get(name)), "")).strip()
    dialect = str(cfg.get("dialect") or "")
    if dialect == LOCAL.name:
        return f"local:{cfg.get('model')}"
    if server == "dashscope" or (not server and not dialect):
        return DASHSCOPE_URL
    if not server and dialect in DIALECTS:
        server = DIALECTS[dialect].url
    if not server.startswith(("http://", "https://")):
        raise ConfigError(f"model_server must be a URL, not {server!r}.")
    server = server.rstrip("/")
    if dialect_of(dialect, server).name == "azure":
        return _azure_url(server, str(cfg.get("model")), bool(cfg.get("api_version")))
    return server.removesuffix("/chat/completions")


def _azure_url(server: str, deployment: str, versioned: bool) -> str:
    """Returns Azure's v1 URL of a resource; with an api_version, the URL of a deployment."""
    if "/openai" in server:
        return server
    return f"{server}/openai/deployments/{deployment}" if versioned else f"{server}/openai/v1"


def _as_list(stop: object) -> list[str]:
    if stop is None:
        return []
    return [stop] if isinstance(stop, str) else list(stop)  # type: ignore[call-overload]
