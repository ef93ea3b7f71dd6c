"""`endpoint(spec)`: what a short text means, and what is found without one."""

from __future__ import annotations

from typing import Any

import pytest

from qwenbelt.agents.models.dialects import DIALECTS, dialect_of
from qwenbelt.agents.models.endpoint_model import EndpointModel
from qwenbelt.agents.models.endpoints import endpoint, key_of, list_models, local_servers
from qwenbelt.core.errors import ConfigError, EndpointError, NoEndpointError
from qwenbelt.core.retries import retry_after

LOCAL = [name for name, dialect in DIALECTS.items() if dialect.is_local]


@pytest.fixture(autouse=True)
def nobody_on_usual_ports(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    for name in LOCAL:
        monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"http://127.0.0.1:{unused_port}/v1")


@pytest.mark.parametrize(
    ("spec", "model", "url"),
    [
        (
            "dashscope:qwen3-max",
            "qwen3-max",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
        ),
        ("vllm:Qwen/Qwen3-8B@http://gpu:8000/v1", "Qwen/Qwen3-8B", "http://gpu:8000/v1"),
        ("ollama:qwen3:8b@http://box:11434/v1/", "qwen3:8b", "http://box:11434/v1"),
        ("openai:gpt-x", "gpt-x", "https://api.openai.com/v1"),
        ("openai:some@model@https://h/v1", "some@model", "https://h/v1"),
        ("azure:dep@https://n.openai.azure.com", "dep", "https://n.openai.azure.com"),
    ],
)
def test_specs(spec: str, model: str, url: str) -> None:
    cfg = endpoint(spec, temperature=0)
    assert (cfg["model"], cfg["model_server"]) == (model, url)
    assert cfg["model_type"] == "qwenbelt"
    assert cfg["dialect"] == spec.split(":")[0]
    assert cfg["generate_cfg"] == {"temperature": 0}
    assert "api_key" not in cfg
    assert EndpointModel({**cfg, "api_key": "k"}).name == model


@pytest.mark.parametrize("spec", ["qwen3-max", "what:ever", "openai:", "azure:dep", ":"])
def test_a_spec_that_is_not_understood_lists_the_forms(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoint(spec)
    assert "MODEL" in str(caught.value) or "@https" in str(caught.value)


def test_nothing_configured_and_nothing_found() -> None:
    with pytest.raises(NoEndpointError, match="DASHSCOPE_API_KEY"):
        endpoint()


def test_order_of_finding(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.says({"object": "list", "data": [{"id": "qwen3:8b"}, {"id": "other"}]})
    monkeypatch.setenv("OLLAMA_BASE_URL", wire.url)
    assert [(d.name, m) for d, m in local_servers()] == [("ollama", ["qwen3:8b", "other"])]
    assert endpoint()["model"] == "qwen3:8b"
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-abcdefghijklmnop")
    assert endpoint()["dialect"] == "dashscope"
    monkeypatch.setenv("QWENBELT_ENDPOINT", "vllm:m@http://gpu/v1")
    assert endpoint()["dialect"] == "vllm"
    assert endpoint("ollama:x")["model"] == "x"


@pytest.mark.parametrize("reply", [{"data": "none"}, {"models": []}, ["x"], {"data": [{}]}])
def test_something_else_on_the_port(wire: Any, reply: Any) -> None:
    wire.says(reply)
    with pytest.raises(EndpointError, match="does not answer as a model endpoint"):
        list_models(wire.url)


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    dashscope, openai = DIALECTS["dashscope"], DIALECTS["openai"]
    for url in ("", "dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"):
        with pytest.raises(ConfigError, match="DASHSCOPE_API_KEY"):
            key_of({"model_server": url}, dashscope)
    assert key_of({"model_server": "http://gateway/v1"}, openai) == "EMPTY"
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-from-environment")
    assert key_of({}, dashscope) == "sk-from-environment"
    assert key_of({"api_key": "sk-given-key"}, dashscope) == "sk-given-key"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://dashscope-us.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://notaliyuncs.com/v1", "compatible"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("https://r.openai.azure.com/openai/v1", "azure"),
        ("https://h/v1", "compatible"),
    ],
)
def test_dialect_from_the_place(url: str, name: str) -> None:
    assert dialect_of("", url).name == name


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1m30.5s",
                "x-ratelimit-remaining-requests": "7",
                "x-ratelimit-reset-requests": "24h0m0s",
            },
            90.5,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_workspace_domain_of_dashscope_is_dashscope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-none-of-anybody")
    url = "https://ws-1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1"
    config = endpoint(f"dashscope:qwen3-max@{url}")
    assert (config["model_server"], config["dialect"]) == (url, "dashscope")
