"""What goes out: bodies by dialect, thinking, choices, histories, and what was refused before."""

import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents.models.capabilities import (
    forget_records,
    model_capabilities,
    record_file,
    save_record,
)
from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.deltas import CallResult, ModelReply, ToolCall
from qwenbelt.agents.models.dialects import (
    DIALECTS,
    soft_switch,
    structured_fields,
    thinking_fields,
)
from qwenbelt.agents.models.encoding import to_wire
from qwenbelt.agents.models.endpoint_model import EndpointModel, Request
from qwenbelt.core.errors import ConfigError, EndpointError, InputError

TOOLS = [
    {"name": "get_weather", "description": "weather", "parameters": {"type": "object"}},
    {"name": "get_time", "description": "time", "parameters": {"type": "object"}},
]
ASK = [{"role": "user", "content": "hi"}]


def model(dialect: str = "", url: str = "http://127.0.0.1:9/v1", **generate: Any) -> EndpointModel:
    cfg = {"model": "m", "model_server": url, "api_key": "k", "dialect": dialect}
    return EndpointModel({**cfg, "generate_cfg": generate})


def body(made: EndpointModel, messages: Any = ASK, tools: Any = (), **more: Any) -> dict[str, Any]:
    return made.body(Request(list(messages), tools, **more))


def test_nothing_is_sent_that_nobody_asked_for() -> None:
    assert body(model()) == {
        "model": "m",
        "messages": ASK,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_settings_of_ours_stay_here_and_others_go_out() -> None:
    sent = body(
        model(
            temperature=0.1,
            top_k=5,
            seed=7,
            max_retries=9,
            max_input_tokens=5,
            fncall_prompt_type="nous",
            function_choice="auto",
            parallel_function_calls=True,
            thought_in_content=True,
            extra_body={"repetition_penalty": 1.1},
        )
    )
    own = {"model", "messages", "stream", "stream_options"}
    assert {k: v for k, v in sent.items() if k not in own} == {
        "temperature": 0.1,
        "top_k": 5,
        "seed": 7,
        "repetition_penalty": 1.1,
    }


@pytest.mark.parametrize(
    ("dialect", "thinking", "fields"),
    [
        ("dashscope", True, {"enable_thinking": True}),
        ("dashscope", False, {"enable_thinking": False}),
        ("dashscope", 2000, {"enable_thinking": True, "thinking_budget": 2000}),
        ("vllm", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("sglang", True, {"chat_template_kwargs": {"enable_thinking": True}}),
        (
            "llamacpp",
            False,
            {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "none"},
        ),
        ("llamacpp", True, {"chat_template_kwargs": {"enable_thinking": True}}),
        ("ollama", False, {"reasoning_effort": "none"}),
        ("ollama", 500, {"reasoning_effort": "low"}),
        ("openai", True, {"reasoning_effort": "medium"}),
        ("openai", 90000, {"reasoning_effort": "high"}),
        ("openai", 0, {"reasoning_effort": "none"}),
        ("vllm", None, {}),
    ],
)
def test_thinking_by_dialect(dialect: str, thinking: Any, fields: dict[str, Any]) -> None:
    assert thinking_fields(DIALECTS[dialect], thinking) == fields
    sent = body(model(dialect, thinking=thinking))
    assert {k: v for k, v in sent.items() if k in fields} == fields
    assert "thinking" not in sent


def test_a_refused_thinking_switch_becomes_a_word_in_the_prompt() -> None:
    made = model("vllm", "http://127.0.0.1:9/refusing", thinking=False)
    error = EndpointError("Unrecognized request argument: chat_template_kwargs", status=400)
    assert "chat_template_kwargs" in made.adapt(error, Request(list(ASK)))
    sent = body(made)
    assert sent["messages"][-1]["content"] == "hi /no_think"
    assert "chat_template_kwargs" not in sent
    assert ASK[0]["content"] == "hi"
    assert made.adapt(error, Request(list(ASK))) == ""
    assert soft_switch(ASK, True)[0]["content"] == "hi /think"


def test_dashscope_is_streamed_from_unless_thinking_is_off() -> None:
    assert body(model("dashscope"), extra={"stream": False})["stream"] is True
    quiet = body(model("dashscope", thinking=False), extra={"stream": False})
    assert "stream" not in quiet
    assert "stream" not in body(model("vllm"), extra={"stream": False})


@pytest.mark.parametrize("choice", ["auto", "none", "required", "get_time"])
@pytest.mark.parametrize("form", ["native", "nous", "react"])
def test_function_choice(form: str, choice: str) -> None:
    sent = body(model(tool_format=form, function_choice=choice), ASK, TOOLS)
    assert "function_choice" not in sent
    if form == "native":
        named = {"type": "function", "function": {"name": "get_time"}}
        wanted = {"auto": None, "get_time": named}.get(choice, choice)
        assert sent.get("tool_choice") == wanted
        assert len(sent["tools"]) == 2
        return
    assert "tools" not in sent
    assert "tool_choice" not in sent
    system = sent["messages"][0]["content"] if sent["messages"][0]["role"] == "system" else ""
    assert ("get_weather" in system) is (choice != "none")
    if form == "nous" and choice in ("required", "get_time"):
        assert "must call" in system


def test_a_server_that_takes_no_name_gets_that_tool_alone() -> None:
    sent = body(model("llamacpp", function_choice="get_time"), ASK, TOOLS)
    assert [t["function"]["name"] for t in sent["tools"]] == ["get_time"]
    assert sent["tool_choice"] == "required"


def test_a_forced_call_is_forced_only_until_it_has_a_result() -> None:
    made = model(function_choice="required")
    answered = [*ASK, {"role": "tool", "tool_call_id": "1", "content": "5"}]
    assert body(made, ASK, TOOLS)["tool_choice"] == "required"
    assert "tool_choice" not in body(made, answered, TOOLS)
    assert body(made, [*answered, *ASK], TOOLS)["tool_choice"] == "required"


def test_an_unknown_choice_is_refused_here() -> None:
    with pytest.raises(ConfigError, match="get_time"):
        body(model(function_choice="nothing"), ASK, TOOLS)


def test_parallel_calls_are_asked_for_by_the_apis_own_name() -> None:
    assert body(model(parallel_function_calls=False), ASK, TOOLS)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body(model(parallel_function_calls=True))
    assert "parallel_tool_calls" not in body(model(), ASK, TOOLS)


@pytest.mark.parametrize(
    ("dialect", "message", "fields"),
    [
        ("dashscope", {"partial": True}, {}),
        ("vllm", {}, {"add_generation_prompt": False, "continue_final_message": True}),
        ("llamacpp", {}, {}),
    ],
)
def test_going_on_with_an_unfinished_reply(
    dialect: str, message: dict[str, Any], fields: dict[str, Any]
) -> None:
    begun = {"role": "assistant", "content": "Once upon"}
    sent = body(model(dialect), [*ASK, begun])
    assert sent["messages"][-1] == {**begun, **message}
    assert fields.items() <= sent.items()


@pytest.mark.parametrize(
    "text",
    [
        "registry.ollama.ai/library/gemma:2b does not support tools",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "tools param requires --jinja flag",
        "<400> InternalError.Algo.InvalidParameter: The tool call is not supported.",
        "Function calling is not supported for this model",
    ],
)
def test_refused_tools_go_into_the_prompt_from_then_on(text: str) -> None:
    url = f"http://127.0.0.1:9/{abs(hash(text))}"
    made = model(url=url)
    request = Request(list(ASK), TOOLS)
    assert made.adapt(EndpointError(text, status=400), request)
    assert made.codec.form == "nous"
    assert "tools" not in body(made, ASK, TOOLS)
    assert model(url=url).codec.form == "nous", "the next model there knows it"
    forget_records(url, "m")
    assert model(url=url).codec.form == "nous", "and so does another process"


def test_refused_stream_options_are_not_sent_again() -> None:
    made = model(url="http://127.0.0.1:9/old")
    error = EndpointError("extra fields not permitted: stream_options", status=422)
    assert made.adapt(error, Request(list(ASK)))
    assert "stream_options" not in body(made)


def test_other_errors_change_nothing() -> None:
    made = model()
    for error in (
        EndpointError("stream_options", status=429),
        EndpointError("The model m does not exist", status=404),
        EndpointError("You do not support my tools company", status=401),
    ):
        assert made.adapt(error, Request(list(ASK), TOOLS)) == ""


def test_the_record_survives_and_bad_files_do_not_hurt() -> None:
    url = "http://example.test/v1"
    record = model_capabilities(url, "m")
    record.native_tools, record.context_tokens, record.refused = False, 4096, {"stream_options"}
    path = save_record(url, "m")
    assert path is not None
    assert path == record_file()
    forget_records(url, "m")
    again = model_capabilities(url, "m")
    assert (again.native_tools, again.context_tokens, again.refused) == (
        False,
        4096,
        {"stream_options"},
    )
    path.write_text('{"m @ http://example.test/v1": {"context_tokens": "big"}, "x": 3}')
    forget_records(url, "m")
    assert model_capabilities(url, "m").context_tokens is None
    path.write_text("not json")
    forget_records(url, "m")
    assert model_capabilities(url, "m").native_tools is None
    assert save_record("http://127.0.0.1:49152/v1", "m") is None, "short-lived ports are not kept"


def test_nothing_is_kept_where_the_cache_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_CACHE", "off")
    assert record_file() is None
    assert save_record("http://example.test/v1", "of one process") is None
    assert model_capabilities("http://example.test/v1", "not kept").native_tools is None


def test_structured_fields() -> None:
    schema = {"type": "object"}
    assert structured_fields("json_schema", schema) == {"json_schema": schema}
    assert structured_fields("format", schema) == {"format": schema}
    assert structured_fields("structured_outputs", schema) == {
        "structured_outputs": {"json": schema}
    }
    wrapped = structured_fields("response_format", schema)["response_format"]
    assert wrapped["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("required", "closed", "strict"),
    [(["a", "b"], True, True), (["a"], True, False), (["a", "b"], False, False)],
)
def test_strict_is_only_asked_for_where_openai_takes_it(
    required: list[str], closed: bool, strict: bool
) -> None:
    inner = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "required": required,
        "additionalProperties": not closed,
    }
    schema = {**inner, "properties": {"a": {"type": "array", "items": inner}, "b": {}}}
    schema |= {"required": ["a", "b"], "additionalProperties": False}
    sent = structured_fields("response_format", schema)["response_format"]["json_schema"]
    assert sent["strict"] is strict


# -- histories --------------------------------------------------------------------------------


def call(name: str, arguments: str, identity: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": "",
        "function_call": {"name": name, "arguments": arguments},
        "extra": {"function_id": identity},
    }


def result(name: str, text: Any, identity: str) -> dict[str, Any]:
    extra = {"function_id": identity}
    return {"role": "function", "name": name, "content": text, "extra": extra}


def test_every_call_is_answered_once_under_its_id() -> None:
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "Both."},
        call("a", '{"x": 1}', "1"),
        call("b", "{}", "2"),
        result("b", "two", "2"),
        result("a", "one", "1"),
    ]
    sent = to_wire(messages, codec_for("native"))
    assert [c["id"] for c in sent[1]["tool_calls"]] == ["1", "2"]
    assert sent[1]["content"] == "Both."
    assert sent[2:] == [
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
    ]
    assert not any("extra" in m or "id" in m for m in sent)


def test_broken_histories_are_mended() -> None:
    messages = [
        {"role": "user", "content": "q"},
        call("a", '{"x": 1', "same"),
        call("a", "[1, 2]", "same"),
        result("a", "r", ""),
        {"role": "user", "content": "and?"},
        result("ghost", "boo", "9"),
    ]
    sent = to_wire(messages, codec_for("native"))
    calls = sent[1]["tool_calls"]
    assert calls[0]["id"] != calls[1]["id"]
    assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in calls)
    answers = [m for m in sent if m["role"] == "tool"]
    assert [m["tool_call_id"] for m in answers] == [c["id"] for c in calls]
    assert answers[1]["content"] == "cancelled by the user"
    assert sent[-1] == {"role": "user", "content": "ghost: boo"}


@pytest.mark.parametrize("form", ["native", "nous", "react"])
def test_a_written_reply_is_read_again_as_it_was(form: str) -> None:
    codec = codec_for(form)
    text = "Thought: look\nAction: a\nAction Input: {}\n" if form == "react" else "Look."
    reply = ModelReply(text, "secret thoughts", [ToolCall(0, "1", "a", '{"x": "ü"}', True)])
    written = codec.reply_message(reply)
    assert "secret" not in json.dumps(written)
    results = codec.result_messages([CallResult("1", "a", "r")])
    assert len(results) == 1
    if form == "nous":
        reader = codec.reader(TOOLS)
        from qwenbelt.agents.models.deltas import Text

        reader.feed(Text(written["content"]))
        reader.finish("stop")
        assert [(c.name, c.arguments) for c in reader.calls] == [("a", '{"x": "ü"}')]


def test_thoughts_go_back_only_when_asked_for() -> None:
    thought = {"role": "assistant", "content": "", "reasoning_content": "because"}
    messages = [{"role": "user", "content": "q"}, {**call("a", "{}", "1"), 
        "reasoning_content": "because"}, result("a", "r", "1")]  # fmt: skip
    assert thought["reasoning_content"] not in json.dumps(to_wire(messages, codec_for("native")))
    keeping = model(return_thoughts=True).codec
    sent = to_wire(messages, keeping)
    assert sent[1]["reasoning_content"] == "because"


def test_pictures_sounds_and_videos_are_sent_inline(tmp_path: Path) -> None:
    for name in ("p.png", "s.wav", "v.mp4"):
        (tmp_path / name).write_bytes(b"abc")
    content = [
        {"text": "see"},
        {"image": str(tmp_path / "p.png")},
        {"image": "https://host/x.jpg"},
        {"audio": str(tmp_path / "s.wav")},
        {"video": str(tmp_path / "v.mp4")},
        {"video": [f"file://{tmp_path / 'p.png'}", "https://host/2.jpg"]},
        {"file": "/somewhere/report.pdf"},
    ]
    (sent,) = to_wire([{"role": "user", "content": content}], codec_for("native"))
    parts = sent["content"]
    assert parts[1]["image_url"]["url"] == "data:image/png;base64,YWJj"
    assert parts[2]["image_url"]["url"] == "https://host/x.jpg"
    assert parts[3]["type"] == "input_audio"
    assert parts[3]["input_audio"]["format"] == "wav"
    assert parts[4]["video_url"]["url"].startswith("data:video/mp4;base64,")
    assert parts[5]["video"][1] == "https://host/2.jpg"
    assert parts[6] == {"type": "text", "text": "(file: report.pdf)"}


def test_a_missing_picture_is_one_clear_line(tmp_path: Path) -> None:
    content = [{"image": str(tmp_path / "gone.png")}]
    with pytest.raises(InputError, match=r"gone\.png"):
        to_wire([{"role": "user", "content": content}], codec_for("native"))


def test_azure_urls_and_headers() -> None:
    cfg = {"model": "dep", "model_server": "https://n.openai.azure.com", "api_key": "k" * 12}
    made = EndpointModel(cfg)
    assert made.dialect.name == "azure"
    assert made.url == "https://n.openai.azure.com/openai/v1"
    assert dict(made.connection().headers) == {"api-key": "k" * 12}
    older = EndpointModel({**cfg, "api_version": "2024-10-21"})
    assert older.url == "https://n.openai.azure.com/openai/deployments/dep"
    assert older.connection().query == (("api-version", "2024-10-21"),)
    assert "kkk" not in repr(older.connection())
