"""`probe(llm)`: what a model can do is seen from what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbelt.agents import endpoint
from qwenbelt.agents.models.capabilities import forget_records, model_capabilities
from qwenbelt.agents.models.endpoint_model import EndpointModel
from qwenbelt.agents.models.probing import probe_model, red_square
from qwenbelt.apps.cli import run
from qwenbelt.apps.doctor import probed_endpoints
from qwenbelt.core.errors import EndpointError


def message(content: str = "", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **more}}
    return {"choices": [{**choice, "finish_reason": "stop"}], "usage": {"completion_tokens": 9}}


def call(city: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    return {"id": city, "type": "function", "function": function}


def capable(body: dict[str, Any]) -> tuple[int, Any]:
    """A model that can do everything."""
    said = json.dumps(body["messages"][-1]["content"])
    if body.get("response_format"):
        return 200, message('{"colour": "tangerine"}')
    if "image_url" in said:
        return 200, message("Red.")
    if body.get("tools") and "Oslo" in said:
        cities = ["Oslo", "Rome"] if "Rome" in said else ["Oslo"]
        return 200, message(tool_calls=[call(city) for city in cities])
    if body.get("chat_template_kwargs", {}).get("enable_thinking"):
        return 200, message("42", reasoning_content="17 + 25")
    return 200, message("fine")


def plain(body: dict[str, Any]) -> tuple[int, Any]:
    """A server without tools, pictures, schemas and thinking; it writes calls as text."""
    said = json.dumps(body["messages"][-1]["content"])
    if body.get("tools"):
        return 400, {"error": {"message": "this model does not support tools"}}
    if "image_url" in said:
        return 400, {"error": {"message": "image input is not supported"}}
    if "Oslo" in said and "<tools>" in json.dumps(body["messages"]):
        text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
        return 200, message(text)
    return 200, message("fine")


def weak(body: dict[str, Any]) -> tuple[int, Any]:
    """A model that calls for everything, on a server that keeps to `json_schema`."""
    if body.get("json_schema"):
        return 200, message('{"colour": "tangerine"}')
    if body.get("tools"):
        return 200, message(tool_calls=[call("Oslo")])
    return 200, message("dunno")


def wordy(body: dict[str, Any]) -> tuple[int, Any]:
    """A server that takes `tools` and leaves the model's calls in the text."""
    said = json.dumps(body["messages"][-1]["content"])
    if body.get("response_format"):
        return 200, message('{"colour": "tangerine"}')
    if "Oslo" in said and (body.get("tools") or "<tools>" in json.dumps(body["messages"])):
        text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
        return 200, message(text)
    return 200, message("fine")


def led(body: dict[str, Any]) -> tuple[int, Any]:
    """A model that calls only what a schema makes it call."""
    schema = json.dumps(body.get("response_format") or {})
    said = json.dumps(body["messages"])
    if "tangerine" in schema:
        return 200, message('{"colour": "tangerine"}')
    if "get_weather" in schema and "Oslo" in said:
        return 200, message('{"tool": "get_weather", "arguments": {"city": "Oslo"}}')
    return 200, message("fine")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (wordy, {"native_tools": False, "calls_in_text": True, "tool_format": "nous"}),
        (led, {"native_tools": False, "calls_in_text": False, "tool_format": "constrained"}),
        (
            capable,
            {
                "native_tools": True,
                "parallel_calls": True,
                "tool_format": "native",
                "structured": "response_format",
                "thinking": "switch",
                "vision": True,
            },
        ),
        (
            plain,
            {
                "native_tools": False,
                "parallel_calls": False,
                "tool_format": "nous",
                "structured": "",
                "thinking": "never",
                "vision": False,
            },
        ),
        (
            weak,
            {
                "native_tools": False,
                "parallel_calls": None,
                "tool_format": "constrained",
                "structured": "json_schema",
                "thinking": "never",
                "vision": False,
            },
        ),
    ],
)
def test_findings(wire: Any, answer: Any, expected: dict[str, Any]) -> None:
    wire.answers(answer)
    llm = {**wire.llm(), "dialect": "vllm" if answer is not weak else "llamacpp"}
    found = probe_model(llm)
    assert {name: getattr(found.record, name) for name in expected} == expected
    assert found.record.first_token is not None
    assert found.record.probed
    assert EndpointModel(llm).codec.form == expected["tool_format"]
    forget_records(wire.url, "m")


def test_what_the_server_tells_of_its_window(wire: Any) -> None:
    wire.answers(capable, models={"data": [{"id": "m", "max_model_len": 8192}]})
    assert probe_model({**wire.llm(), "dialect": "vllm"}).record.context_tokens == 8192
    assert model_capabilities(wire.url, "m").context_tokens == 8192


def test_an_endpoint_that_refuses_everything(wire: Any) -> None:
    wire.says({"error": {"message": "bad key"}}, 401)
    with pytest.raises(EndpointError, match="bad key"):
        probe_model(wire.llm())


def test_the_square_is_a_picture() -> None:
    import base64
    import io

    from PIL import Image

    data = base64.b64decode(red_square().split(",")[1])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_doctor_tries_out_an_endpoint(wire: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wire.answers(capable, models={"data": [{"id": "m", "max_model_len": 8192}]})
    assert run(["doctor", "-e", f"vllm:m@{wire.url}", "--json"]) == 0
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert (check["name"], check["ok"]) == ("vllm:m", True)
    told = "native tools yes, used: native; parallel calls yes; structured output response_format"
    for words in ("window 8192 tokens", told, "thinking switch", "pictures yes"):
        assert words in check["detail"]
    assert model_capabilities(wire.url, "m").probed
    wire.says({"error": {"message": "bad key"}}, 401)
    wire.replies.pop(0)
    assert run(["doctor", "-e", f"vllm:m@{wire.url}"]) == 0
    assert "bad key" in capsys.readouterr().out


def test_doctor_tries_out_each_local_server(
    wire: Any, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    for name in ("VLLM", "OLLAMA", "SGLANG"):
        monkeypatch.setenv(f"{name}_BASE_URL", f"http://127.0.0.1:{unused_port}/v1")
    monkeypatch.setenv("LLAMACPP_BASE_URL", wire.url)
    wire.answers(weak, models={"data": [{"id": "small"}]})
    (found,) = probed_endpoints()
    assert found.name == "llamacpp:small"
    assert "used: constrained" in found.detail
    wire.answers(weak)
    (none,) = probed_endpoints()
    assert (none.name, none.ok) == ("probe", False)


@pytest.mark.parametrize(
    ("spec", "settings", "form"),
    [
        ("llamacpp:qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", {}, "nous"),
        ("llamacpp:qwen2.5-coder-0.5b", {"tool_format": "native"}, "native"),
        ("llamacpp:qwen2.5-coder-1.5b", {}, "native"),
        ("vllm:Qwen2.5-Coder-0.5B", {}, "native"),
    ],
)
def test_a_form_that_was_measured_is_taken(spec: str, settings: dict[str, str], form: str) -> None:
    """Nothing is taken for a server or a size that was not measured."""
    llm = endpoint(f"{spec}@http://127.0.0.1:9/v1")
    generate = {**llm.get("generate_cfg", {}), **settings}
    assert EndpointModel({**llm, "generate_cfg": generate}).codec.form == form
