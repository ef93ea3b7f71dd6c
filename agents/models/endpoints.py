"""Endpoint specs: one short text names a model and where it runs.

`dashscope:MODEL`, `vllm:MODEL@URL`, `ollama:MODEL[@URL]`, `llamacpp:MODEL@URL`, `sglang:MODEL@URL`,
`openai:MODEL[@URL]`, `azure:DEPLOYMENT[@https://NAME.openai.azure.com]`, `local:FILE.gguf or name`,
`scripted:SCENARIO.yaml`. The dict that `endpoint` returns holds no key;
keys are looked up when a client is made, so the dict may be printed.
"""

from __future__ import annotations

import concurrent.futures
import os
import sys
from pathlib import Path
from typing import Any

from qwenbelt.agents.models.dialects import DIALECTS, Dialect
from qwenbelt.core.errors import ConfigError, EndpointError, NoEndpointError
from qwenbelt.core.language import user_language
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.settings import load_settings
from qwenbelt.core.urls import connection_options

DEFAULT_DASHSCOPE_MODEL = "qwen-plus"
_PROBE_SECONDS = 0.5
_SCRIPTED = (
    "No model is configured: {spec} answers, with replies that were written in advance.",
    "没有配置模型：由 {spec} 作答，回复是预先写好的。",
)


def endpoint(
    spec: str | None = None, *, otherwise: str | None = None, **generate_cfg: Any
) -> dict[str, Any]:
    """Returns the llm dict of a spec, for any agent of ours or of qwen-agent.

    Without a spec: `QWENBELT_ENDPOINT` or the settings file, else `DASHSCOPE_API_KEY`, else a
    local server found on its usual port. The settings' `tool_format` holds where none is given.

    Args:
        spec: the endpoint spec.
        otherwise: what to use where nothing is configured and none is found: a spec, or a Python
            file, beside which `scripted/NAME.yaml` has replies that were written in advance.
        **generate_cfg: sampling and other generation settings for every call.

    Raises:
        ConfigError: the spec is not understood, or nothing is configured and none was found.
    """
    settings = load_settings()
    wanted = spec or settings.endpoint
    cfg = _parse_spec(wanted) if wanted else _found_endpoint(otherwise)
    if settings.tool_format and "dialect" in cfg:
        generate_cfg = {"tool_format": settings.tool_format, **generate_cfg}
    if generate_cfg:
        cfg["generate_cfg"] = {**cfg.get("generate_cfg", {}), **generate_cfg}
    return cfg


def _found_endpoint(otherwise: str | None) -> dict[str, Any]:
    try:
        return find_endpoint()
    except NoEndpointError:
        if otherwise is None:
            raise
    if otherwise.endswith(".py"):
        place = Path(otherwise)
        otherwise = f"scripted:{place.parent / 'scripted' / place.stem}.yaml"
    # who reads the output must know that no model wrote it
    print(_SCRIPTED[user_language() == "zh"].format(spec=otherwise), file=sys.stderr)
    return _parse_spec(otherwise)


def _parse_spec(spec: str) -> dict[str, Any]:
    kind, _, rest = spec.partition(":")
    if kind == "scripted":
        return _scripted_llm(rest)
    if kind == "local":
        return _local_llm(rest)
    if kind not in DIALECTS or not rest:
        named = [f"{name}:MODEL[@URL]" for name in DIALECTS]
        forms = ", ".join([*named, "local:MODEL.gguf", "scripted:SCENARIO.yaml"])
        raise ConfigError(f"The endpoint {spec!r} is not understood.", fix=f"Forms: {forms}.")
    model, _, url = rest.partition("@http")
    return _llm_dict(DIALECTS[kind], model, f"http{url}" if url else "")


def _llm_dict(dialect: Dialect, model: str, url: str = "") -> dict[str, Any]:
    base = (url or given_url(dialect) or dialect.url).rstrip("/")
    if not base:
        raise ConfigError(
            f"{dialect.name}:{model} needs a URL.", fix=f"{dialect.name}:{model}@https://host"
        )
    return {
        "model": model,
        "model_type": "qwenbelt",
        "model_server": base,
        "dialect": dialect.name,
    }


def _local_llm(name: str) -> dict[str, Any]:
    from qwenbelt.agents.models.local_engine import engine_for

    engine = engine_for(name)  # reports at once what is missing; nothing is loaded yet
    return {"model": str(engine.path), "model_type": "qwenbelt", "dialect": "local"}


def given_url(dialect: Dialect) -> str:
    """Returns the base URL that the environment names for a dialect, or ""."""
    own = {"azure": "AZURE_OPENAI_ENDPOINT"}
    return os.environ.get(own.get(dialect.name, f"{dialect.name.upper()}_BASE_URL"), "")


def _scripted_llm(path: str) -> dict[str, Any]:
    from qwenbelt.testing import start_scripted

    server = start_scripted(path)
    return {
        "model": "scripted",
        "model_type": "qwenbelt",
        "model_server": server.url,
        "dialect": "scripted",
    }


def key_of(cfg: dict[str, Any], dialect: Dialect) -> str:
    """Returns the API key for an llm dict and registers it as a secret; "EMPTY" when none is set.

    Raises:
        ConfigError: the endpoint cannot be used without a key and none is set.
    """
    key = str(cfg.get("api_key") or "")
    if not key and dialect.key_variable:
        key = os.environ.get(dialect.key_variable, "")
    if not key:
        key = load_settings().keys.get(dialect.name, "")
    remember_secret(key)
    base = str(cfg.get("model_server") or dialect.url)
    if base == "dashscope":
        base = dialect.url
    if not key and dialect.needs_key(base):
        raise ConfigError(
            f"{dialect.name} needs an API key.",
            fix=f"Set {dialect.key_variable}, or keys.{dialect.name} in qwenbelt.toml.",
        )
    return key or "EMPTY"


def find_endpoint() -> dict[str, Any]:
    """Returns DashScope when its key is set, else the first local server that answers.

    Raises:
        NoEndpointError: there is none; the message lists what to do.
    """
    if os.environ.get("DASHSCOPE_API_KEY") or load_settings().keys.get("dashscope"):
        return _llm_dict(DIALECTS["dashscope"], DEFAULT_DASHSCOPE_MODEL)
    for dialect, models in local_servers():
        if models:
            return _llm_dict(dialect, models[0])
    raise NoEndpointError(
        "No model endpoint is configured, and no local server answers.",
        fix="Set DASHSCOPE_API_KEY, or QWENBELT_ENDPOINT=ollama:qwen3:8b (or vllm:, llamacpp:, "
        "openai:MODEL@URL), or give one with -e.",
    )


def local_servers() -> list[tuple[Dialect, list[str]]]:
    """Returns the local servers that answer on their usual ports, with their models."""
    local = [d for d in DIALECTS.values() if d.is_local]
    with concurrent.futures.ThreadPoolExecutor(len(local)) as pool:
        found = list(pool.map(_models_or_none, local))
    return [(d, models) for d, models in zip(local, found, strict=True) if models is not None]


def _models_or_none(dialect: Dialect) -> list[str] | None:
    base = given_url(dialect) or dialect.url
    try:
        return list_models(base, timeout=_PROBE_SECONDS)
    except EndpointError:
        return None


def list_models(url: str, *, key: str = "", timeout: float = 5.0) -> list[str]:
    """Returns the model names that an endpoint offers.

    Raises:
        EndpointError: it does not answer, or not in the expected form.
    """
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(
            f"{url}/models", headers=headers, timeout=timeout, **connection_options(url)
        )
        reply.raise_for_status()
        data = reply.json()["data"]
        return [str(entry["id"]) for entry in data]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise EndpointError(f"{url} does not answer as a model endpoint ({error}).") from error


def server_facts(url: str, model: str, key: str = "") -> dict[str, Any]:
    """Returns what a server reports about a model: `context_tokens`, `tool_template`.

    Asked are llama.cpp's `/props` and the fields of vLLM and SGLang in `/v1/models`; what a server
    does not tell is left out.
    """
    found: dict[str, Any] = {}
    models = _get_json(f"{url}/models", key)
    for entry in models.get("data") or ():
        if isinstance(entry, dict) and entry.get("id") == model:
            window = entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx")
            if isinstance(window, int):
                found["context_tokens"] = window
    props = _get_json(f"{url.removesuffix('/v1')}/props", key)
    window = (props.get("default_generation_settings") or {}).get("n_ctx")
    if isinstance(window, int):
        found["context_tokens"] = window
    caps = props.get("chat_template_caps")
    if isinstance(caps, dict) and isinstance(caps.get("supports_tools"), bool):
        found["tool_template"] = caps["supports_tools"]
    return found


def _get_json(url: str, key: str) -> dict[str, Any]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        value = httpx.get(url, headers=headers, timeout=5.0, **connection_options(url)).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
