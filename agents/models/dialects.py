"""The kinds of endpoint, and how each expresses the same settings.

Sources: the DashScope compatible-mode reference, the documentation of vLLM, Ollama, llama.cpp,
SGLang, OpenAI and Azure, and measurements on real servers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.core.urls import is_loopback

DASHSCOPE_URL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
DASHSCOPE_INTL_URL = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A kind of endpoint.

    Attributes:
        name: as in an endpoint spec, for example "ollama".
        url: the usual base URL, or "" when one must be given.
        key_variable: the environment variable of its key, or "" when it needs none.
        start: how to get it going, one line.
        hosts: the hosts that are known to refuse requests without a key.
        structured: the body field that constrains a reply by a JSON schema, or "".
        named_choice: whether `tool_choice` may name a tool.
        continues: how a reply that ends the messages is continued: "natural", "partial"
            (DashScope), "vllm", or "".
        keeps_steps: whether thoughts between the steps of a run are sent back: its server hands
            them to the model's template, and Qwen3's and Qwen3.5's keep those after the question.
        sound_urls: whether `input_audio` holds a URL, and not base64 alone.
    """

    name: str
    url: str
    key_variable: str
    start: str
    hosts: tuple[str, ...] = ()
    structured: str = "response_format"
    named_choice: bool = True
    continues: str = ""
    sound_urls: bool = False
    keeps_steps: bool = False

    @property
    def is_local(self) -> bool:
        """Whether its usual place is this machine."""
        return is_loopback(self.url)

    def needs_key(self, url: str) -> bool:
        """Returns whether an endpoint at this URL refuses requests without a key."""
        host = urlsplit(url).hostname or ""
        return any(host == known or host.endswith(f".{known}") for known in self.hosts)


_VLLM_START = (
    "vllm serve Qwen/Qwen3-8B --enable-auto-tool-choice --tool-call-parser hermes "
    "--reasoning-parser qwen3"
)
_SGLANG_START = (
    "python -m sglang.launch_server --model-path Qwen/Qwen3-8B --tool-call-parser qwen25 "
    "--reasoning-parser qwen3"
)
_ALL = (
    Dialect(
        "dashscope",
        DASHSCOPE_URL,
        "DASHSCOPE_API_KEY",
        "export DASHSCOPE_API_KEY=...",
        hosts=("aliyuncs.com",),
        continues="partial",
        sound_urls=True,
    ),
    Dialect(
        "vllm", "http://127.0.0.1:8000/v1", "", _VLLM_START, continues="vllm", keeps_steps=True
    ),
    Dialect(
        "ollama",
        "http://127.0.0.1:11434/v1",
        "",
        "ollama pull qwen3:8b && ollama serve",
        named_choice=False,
        continues="natural",
    ),
    Dialect(
        "llamacpp",
        "http://127.0.0.1:8080/v1",
        "",
        "llama-server -m FILE.gguf --jinja",
        structured="json_schema",
        named_choice=False,
        continues="natural",
        keeps_steps=True,
    ),
    Dialect(
        "sglang",
        "http://127.0.0.1:30000/v1",
        "",
        _SGLANG_START,
        continues="vllm",
        keeps_steps=True,
    ),
    Dialect(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "export OPENAI_API_KEY=...",
        hosts=("api.openai.com",),
    ),
    Dialect(
        "azure",
        "",
        "AZURE_OPENAI_API_KEY",
        "export AZURE_OPENAI_API_KEY=... AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com",
        hosts=("openai.azure.com", "services.ai.azure.com"),
    ),
)
DIALECTS = {dialect.name: dialect for dialect in _ALL}
# the embedded engine is llama.cpp in process
LOCAL = Dialect(
    "local",
    "",
    "",
    "",
    structured="json_schema",
    named_choice=False,
    continues="natural",
)
SCRIPTED = Dialect("scripted", "", "", "")
GENERIC = Dialect("compatible", "", "OPENAI_API_KEY", "give a URL: openai:MODEL@https://host/v1")


@functools.lru_cache(maxsize=256)
def dialect_of(name: str, url: str) -> Dialect:
    """Returns the dialect of that name; without a name, the one that the URL's place suggests."""
    named = {**DIALECTS, LOCAL.name: LOCAL, SCRIPTED.name: SCRIPTED}.get(name)
    if named is not None:
        return named
    parts = urlsplit(url)
    for dialect in DIALECTS.values():
        if dialect.needs_key(url):
            return dialect
    if name:
        return GENERIC
    for dialect in DIALECTS.values():
        if dialect.is_local and parts.port == urlsplit(dialect.url).port:
            return dialect
    return GENERIC


# thinking tokens up to which an effort is meant, for endpoints that know efforts only
_EFFORTS = ((1024, "low"), (8192, "medium"))
THINKING_FIELDS = (
    "enable_thinking",
    "thinking_budget",
    "chat_template_kwargs",
    "reasoning_effort",
)


def thinking_fields(dialect: Dialect, thinking: bool | int | None) -> JsonDict:
    """Returns the body fields that switch thinking on or off, or limit it to this many tokens.

    None leaves the endpoint's default.
    """
    if thinking is None:
        return {}
    on = bool(thinking)
    budget = thinking if isinstance(thinking, int) and not isinstance(thinking, bool) else 0
    if dialect.name == "dashscope":
        return {"enable_thinking": on, **({"thinking_budget": budget} if budget else {})}
    if dialect.name in ("ollama", "openai", "azure"):
        return {"reasoning_effort": _thinking_effort(on, budget)}
    fields: JsonDict = {"chat_template_kwargs": {"enable_thinking": on}}
    if dialect.name in ("llamacpp", "local") and not on:
        fields["reasoning_effort"] = "none"
    return fields


def without_thoughts(dialect: Dialect) -> JsonDict:
    """Returns the body fields that keep a short constrained step free of thoughts.

    Models of OpenAI that do not think refuse the field, so there it is left out.
    """
    return {} if dialect.name in ("openai", "azure") else thinking_fields(dialect, False)


def _thinking_effort(on: bool, budget: int) -> str:
    if not on:
        return "none"
    if not budget:
        return "medium"
    return next((name for most, name in _EFFORTS if budget <= most), "high")


def soft_switch(messages: Sequence[JsonDict], thinking: bool | int) -> list[JsonDict]:
    """Returns messages with Qwen3's own switch, `/think` or `/no_think`, after the last question.

    It works on any server (Qwen3 model card), so it serves where no field is understood.
    """
    out = list(messages)
    for place in range(len(out) - 1, -1, -1):
        content = out[place].get("content")
        if out[place]["role"] == "user" and isinstance(content, str):
            word = "/think" if thinking else "/no_think"
            out[place] = {**out[place], "content": f"{content} {word}"}
            break
    return out


def structured_fields(field: str, schema: JsonDict) -> JsonDict:
    """Returns the body fields that constrain a reply to a JSON schema."""
    if field == "response_format":
        wrapped = {"name": "reply", "schema": schema, "strict": _is_strict(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": wrapped}}
    if field == "structured_outputs":
        return {"structured_outputs": {"json": schema}}
    return {field: schema}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema as strict: no object has optional or further properties.

    Source: OpenAI's guide to structured outputs, supported schemas.
    """
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        names = schema.get("properties") or {}
        if not closed or set(names) != set(schema.get("required") or ()):
            return False
    return all(map(_is_strict, schema.values()))


def continuation_request(
    dialect: Dialect, messages: Sequence[JsonDict]
) -> tuple[list[JsonDict], JsonDict]:
    """Returns messages and body fields that make a model continue its own last message."""
    out = list(messages)
    if dialect.continues == "partial":
        out[-1] = {**out[-1], "partial": True}
        return out, {}
    if dialect.continues == "vllm":
        return out, {"add_generation_prompt": False, "continue_final_message": True}
    return out, {}
