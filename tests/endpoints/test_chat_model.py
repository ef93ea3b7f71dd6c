"""`model_type: "qwenbelt"` for users of qwen-agent: its interface, and none of its faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from qwen_agent.agents import Assistant, FnCallAgent, ReActChat, Router
from qwen_agent.llm import get_chat_model
from qwen_agent.llm.base import ModelServiceError
from qwen_agent.llm.schema import ContentItem, Message
from qwen_agent.tools.base import BaseTool

import qwenbelt.agents  # noqa: F401  (registers the model)
from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.testing import Scenario, ScriptedServer

EMPTY = {"index": 0, "message": {"role": "assistant", "content": "half"}}
ASK = [{"role": "user", "content": "hello"}]
WEATHER = {
    "name": "get_weather",
    "description": "the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Weather(BaseTool):  # type: ignore[misc]
    name = "get_weather"
    description = "the weather of a city"
    parameters: ClassVar = [  # qwen-agent's list form
        {"name": "city", "type": "string", "description": "a city", "required": True}
    ]

    def call(self, params: Any, **kwargs: Any) -> str:
        return f"sunny in {self._verify_json_format_args(params)['city']}"


def delta_call(index: int | None, identity: str | None, name: str | None, text: Any) -> Any:
    call: dict[str, Any] = {"function": {"name": name, "arguments": text}}
    if index is not None:
        call["index"] = index
    if identity is not None:
        call["id"] = identity
    return {"tool_calls": [call]}


def last(stream: Any) -> Any:
    *_, found = stream
    return found


# -- the interface ----------------------------------------------------------------------------


def test_streaming_gives_growing_lists_of_dicts(wire: Any) -> None:
    wire.streams({"content": "a" * 30}, {"content": "b" * 30}, {"content": "c" * 30})
    seen = list(get_chat_model(wire.llm()).chat(ASK))
    assert seen[-1] == [{"role": "assistant", "content": "a" * 30 + "b" * 30 + "c" * 30}]
    texts = [found[0]["content"] for found in seen]
    assert texts == sorted(texts, key=len)


def test_messages_in_messages_out(wire: Any) -> None:
    wire.message("hi", reasoning_content="hm")
    model = get_chat_model(wire.llm())
    (found,) = model.chat([Message("user", "hello")], stream=False)
    assert (type(found), found.content, found.reasoning_content) == (Message, "hi", "hm")
    assert "stream" not in wire.bodies[0]
    assert model.quick_chat("hello") == "hi"


def test_deltas(wire: Any) -> None:
    wire.streams(
        {"reasoning_content": "t" * 40},
        {"content": "x" * 40},
        {"content": "y" * 40},
        delta_call(0, "1", "get_weather", '{"city": "A"}'),
    )
    seen = list(get_chat_model(wire.llm()).chat(ASK, [WEATHER], delta_stream=True))
    flat = [message for found in seen for message in found]
    assert "".join(m["content"] for m in flat) == "x" * 40 + "y" * 40
    assert "".join(m.get("reasoning_content") or "" for m in flat) == "t" * 40
    assert [m["function_call"]["name"] for m in flat if m.get("function_call")] == ["get_weather"]


def test_a_broken_delta_stream_is_not_begun_again(wire: Any) -> None:
    wire.streams({"content": "x" * 400}, {"content": "y" * 400}, cut_after=600)
    wire.streams({"content": "other"})
    with pytest.raises(EndpointError):
        list(get_chat_model(wire.llm()).chat(ASK, delta_stream=True))
    assert len(wire.requests) == 1


def test_replies_are_kept_in_cache_dir_with_diskcache(wire: Any, tmp_path: Path) -> None:
    pytest.importorskip("diskcache")
    wire.message("first")
    wire.message("second")
    llm = {**wire.llm(), "cache_dir": str(tmp_path / "kept")}
    assert get_chat_model(llm).quick_chat("q") == "first"
    assert get_chat_model(llm).quick_chat("q") == "first"
    assert get_chat_model(llm).quick_chat("another") == "second"
    assert len(wire.requests) == 2


def test_no_messages() -> None:
    model = get_chat_model({"model": "m", "model_type": "qwenbelt", "model_server": "http://x/v1"})
    with pytest.raises(ValueError, match="empty"):
        model.chat([])


def test_declarations_in_all_forms_of_qwen_agent(wire: Any) -> None:
    wire.message("ok")
    listed = {"name": "a", "description": "d", "parameters": Weather.parameters}
    wrapped = {"type": "function", "function": WEATHER}
    renamed = {"name_for_model": "b", "description_for_model": "d", "parameters": {}}
    get_chat_model(wire.llm()).chat(ASK, [listed, wrapped, renamed], stream=False)
    sent = [tool["function"] for tool in wire.bodies[0]["tools"]]
    assert [s["name"] for s in sent] == ["a", "get_weather", "b"]
    assert sent[0]["parameters"]["required"] == ["city"]
    assert all(s["parameters"]["type"] == "object" for s in sent)


def test_extra_settings_of_one_call(wire: Any) -> None:
    wire.message("ok STOP more")
    model = get_chat_model(wire.llm(temperature=0.5))
    (found,) = model.chat(
        ASK, stream=False, extra_generate_cfg={"temperature": 0, "stop": ["STOP"], "lang": "zh"}
    )
    assert wire.bodies[0]["temperature"] == 0
    assert "lang" not in wire.bodies[0]
    assert found["content"] == "ok "


def test_pictures_reach_the_endpoint(wire: Any) -> None:
    wire.message("a cat")
    item = ContentItem(image="https://host/cat.jpg")
    text = ContentItem(text="what is it?")
    get_chat_model(wire.llm()).chat([Message("user", [item, text])], stream=False)
    assert wire.bodies[0]["messages"][0]["content"][0] == {
        "type": "image_url",
        "image_url": {"url": "https://host/cat.jpg"},
    }


# -- errors and retries -----------------------------------------------------------------------


def test_errors_are_those_that_qwen_agents_users_catch(wire: Any) -> None:
    wire.says({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
    with pytest.raises(ModelServiceError, match="no such model") as caught:
        get_chat_model(wire.llm()).chat(ASK, stream=False)
    assert isinstance(caught.value, EndpointError)
    assert caught.value.code == "model_not_found"
    assert "Check the model's name" in str(caught.value)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "broken",
    [
        lambda w: w.says({"error": {"message": "slow down"}}, 429, retry_after="0.01"),
        lambda w: w.says({"error": {"message": "busy"}}, 503, retry_after_ms="5"),
        lambda w: w.says({"error": {"message": "overloaded", "code": 503}}),
        lambda w: w.says({"choices": [{**EMPTY, "finish_reason": "error"}]}),  # vLLM, SGLang
    ],
    ids=["429", "503", "error in 200", "ended as failed"],
)
def test_what_may_pass_is_tried_again(
    wire: Any, broken: Any, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenbelt.agents.models.retrying.retry_delay", lambda *_: 0.0)
    broken(wire)
    wire.streams({"content": "fine"})
    found = get_chat_model(wire.llm()).chat(ASK, stream=stream)
    assert (last(found) if stream else found)[0]["content"] == "fine"
    assert len(wire.requests) == 2


@pytest.mark.parametrize("cut_after", [0, 40, 150, 400])
def test_a_cut_stream_is_asked_for_again(wire: Any, cut_after: int) -> None:
    wire.streams({"content": "half"}, {"content": " an answer"}, cut_after=cut_after)
    wire.streams({"content": "whole"})
    found = last(get_chat_model(wire.llm()).chat(ASK))
    assert found == [{"role": "assistant", "content": "whole"}]


def test_retries_end(wire: Any) -> None:
    wire.says({"error": {"message": "busy"}}, 503, retry_after="0.001")
    with pytest.raises(EndpointError, match="busy"):
        get_chat_model(wire.llm(max_retries=2)).chat(ASK, stream=False)
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    "reply",
    [
        ({"error": {"message": "bad key"}}, 401),
        ({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, 429),
        ({"error": {"code": "Arrearage", "message": "Access denied"}}, 400),
    ],
)
def test_what_waiting_does_not_mend_is_not_tried_again(wire: Any, reply: Any) -> None:
    wire.says(*reply)
    with pytest.raises(EndpointError):
        get_chat_model(wire.llm()).chat(ASK, stream=False)
    assert len(wire.requests) == 1


def test_a_web_page_instead_of_an_api(wire: Any) -> None:
    wire.page("<!doctype html><title>Hello</title>")
    with pytest.raises(EndpointError, match="usually ends in /v1"):
        get_chat_model(wire.llm()).chat(ASK, stream=False)
    assert len(wire.requests) == 1


def test_an_overflow_is_mended_by_leaving_out_old_exchanges(wire: Any) -> None:
    message = "This model's maximum context length is 1000 tokens, you sent 4000."
    wire.says({"error": {"message": message, "code": "context_length_exceeded"}}, 400)
    wire.message("short enough")
    history = []
    for _ in range(6):
        history += [
            {"role": "user", "content": "word " * 300},
            {"role": "assistant", "content": "x"},
        ]
    found = get_chat_model(wire.llm()).chat([*history, *ASK], stream=False)
    assert found[0]["content"] == "short enough"
    assert len(wire.bodies[1]["messages"]) < len(wire.bodies[0]["messages"])
    assert wire.bodies[1]["messages"][-1] == ASK[0]


def test_nobody_listens(unused_port: int) -> None:
    llm = {
        "model": "m",
        "model_type": "qwenbelt",
        "model_server": f"http://127.0.0.1:{unused_port}/v1",
    }
    llm["generate_cfg"] = {"max_retries": 0}
    with pytest.raises(EndpointError, match="cannot be reached") as caught:
        get_chat_model(llm).chat(ASK, stream=False)
    assert "server runs" in str(caught.value)


def test_a_key_is_never_told(wire: Any) -> None:
    wire.says({"error": {"message": "Incorrect API key"}}, 401)
    llm = {**wire.llm(), "api_key": "sk-verysecretverysecret"}
    with pytest.raises(EndpointError) as caught:
        get_chat_model(llm).chat(ASK, stream=False)
    assert "verysecret" not in str(caught.value)
    assert wire.requests[0].headers["authorization"] == "Bearer sk-verysecretverysecret"


# -- the faults that qwen-agent's own class has -------------------------------------------------


def test_1_results_go_out_under_tool_call_id_and_without_strange_keys() -> None:
    scenario = Scenario("weather?").turn(calls=[("get_weather", {"city": "Rom"})]).answer("Sunny.")
    with ScriptedServer(scenario, strict=True) as server:
        agent = FnCallAgent(function_list=[Weather()], llm={**server.llm, "model_type": "qwenbelt"})
        messages = last(agent.run([{"role": "user", "content": "weather?"}]))
        server.assert_complete()
    assert messages[-1]["content"] == "Sunny."
    assert messages[1]["content"] == "sunny in Rom"


def test_2_interleaved_deltas_and_null_arguments(wire: Any) -> None:
    wire.streams(
        delta_call(0, "a", "get_weather", None),
        delta_call(1, "b", "get_weather", '{"city":'),
        delta_call(0, None, None, '{"city": "A"}'),
        delta_call(1, None, None, ' "B"}'),
    )
    found = last(get_chat_model(wire.llm()).chat(ASK, [WEATHER]))
    calls = [(m["function_call"]["arguments"], m["extra"]["function_id"]) for m in found]
    assert calls == [('{"city": "A"}', "a"), ('{"city": "B"}', "b")]


@pytest.mark.parametrize("form", ["native", "nous"])
def test_3_native_calls_of_a_whole_reply_are_not_dropped(wire: Any, form: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    wire.message("", tool_calls=[call])
    (found,) = get_chat_model(wire.llm(tool_format=form)).chat(ASK, [WEATHER], stream=False)
    assert found["function_call"] == {"name": "get_weather", "arguments": "{}"}


def test_4_one_connection_serves_all_requests(wire: Any) -> None:
    wire.streams({"content": "hi"})
    model = get_chat_model(wire.llm())
    for _ in range(5):
        last(model.chat(ASK))
        model.chat(ASK, stream=False)
    assert len(wire.requests) == 10
    assert len(wire.connections) == 1


def test_5_max_retries_and_choices_in_native_mode(wire: Any) -> None:
    wire.says({"error": {"message": "busy"}}, 500, retry_after="0.01")
    wire.message("ok")
    model = get_chat_model(
        wire.llm(max_retries=1, parallel_function_calls=True, function_choice="get_weather")
    )
    (found,) = model.chat(ASK, [WEATHER], stream=False)
    assert found["content"] == "ok"
    sent = wire.bodies[1]
    assert sent["tool_choice"]["function"]["name"] == "get_weather"
    assert sent["parallel_tool_calls"] is True
    assert not {"function_choice", "parallel_function_calls", "max_retries"} & set(sent)


def test_6_no_seed_of_its_own_and_empty_first_chunks(wire: Any) -> None:
    wire.streams({}, {"content": ""}, {"content": "ok"})
    model = get_chat_model(wire.llm(fncall_prompt_type="qwen"))
    assert last(model.chat(ASK, [WEATHER]))[0]["content"] == "ok"
    assert "seed" not in wire.bodies[0]
    choosing = get_chat_model(wire.llm(tool_format="nous", function_choice="required"))
    assert last(choosing.chat(ASK, [WEATHER]))[0]["content"] == "ok"


def test_7_streaming_costs_the_same_for_each_delta(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown, counted in characters: it grows as the reply does, not as its square."""

    def shown(deltas: int) -> int:
        wire.replies.clear()
        wire.streams(*[{"content": f"word{i} "} for i in range(deltas)])
        lists = get_chat_model(wire.llm(tool_format="nous")).chat(ASK, [WEATHER])
        return sum(len(found[0]["content"]) for found in lists)

    monkeypatch.setattr("qwenbelt.agents.chat_model._SECONDS", float("inf"))
    assert shown(4000) < 6 * shown(1000)


def test_9_an_empty_reply_ends_stock_react_without_an_error(wire: Any) -> None:
    wire.streams({"content": ""})
    agent = ReActChat(function_list=[Weather()], llm=wire.llm())
    assert last(agent.run(ASK))[-1]["content"].strip() == "Thought:"


def test_9_an_invented_observation_is_cut_though_the_server_ignores_stop(wire: Any) -> None:
    step = 'Thought: t\nAction: get_weather\nAction Input: {"city": "A"}\n'
    wire.streams({"content": step + "Observation: 99 degrees\nFinal Answer: 99"})
    wire.streams({"content": " I know\nFinal Answer: sunny"})
    agent = ReActChat(function_list=[Weather()], llm=wire.llm())
    text = last(agent.run(ASK))[-1]["content"]
    assert "sunny in A" in text
    assert "99" not in text


def test_10_shortened_tool_messages_keep_their_ids(wire: Any) -> None:
    wire.message("ok")
    messages: list[dict[str, Any]] = [{"role": "user", "content": "q"}]
    for number in range(8):
        call = {"name": "get_weather", "arguments": "{}"}
        extra = {"function_id": f"c{number}"}
        messages += [
            {"role": "assistant", "content": "", "function_call": call, "extra": extra},
            {"role": "function", "name": "get_weather", "content": "long " * 2000, "extra": extra},
        ]
    get_chat_model(wire.llm(max_input_tokens=9000)).chat(messages, [WEATHER], stream=False)
    sent = wire.bodies[0]["messages"]
    assert len(json.dumps(sent)) < 60_000
    answered = [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    asked = [c["id"] for m in sent for c in m.get("tool_calls") or ()]
    assert answered == asked
    assert set(answered) <= {f"c{n}" for n in range(8)}


# -- stock agents -----------------------------------------------------------------------------


def weather_scenario() -> Scenario:
    calls = [("get_weather", {"city": "Rom"}), ("get_weather", {"city": "Ulm"})]
    return Scenario("weather?").turn(calls=calls, text="Both.").answer("Sunny.")


@pytest.mark.parametrize("kind", [Assistant, FnCallAgent])
@pytest.mark.parametrize("form", ["native", "nous"])
def test_stock_agents_call_tools(kind: Any, form: str) -> None:
    with ScriptedServer(weather_scenario()) as server:
        llm = {**server.llm, "model_type": "qwenbelt", "generate_cfg": {"tool_format": form}}
        agent = kind(function_list=[Weather()], llm=llm)
        messages = last(agent.run([{"role": "user", "content": "weather?"}]))
        server.assert_complete()
    results = [m["content"] for m in messages if m["role"] == "function"]
    assert results == ["sunny in Rom", "sunny in Ulm"]
    assert messages[-1]["content"] == "Sunny."


def test_stock_react() -> None:
    scenario = Scenario("weather?").turn(calls=[("get_weather", {"city": "Rom"})]).answer("Sunny.")
    with ScriptedServer(scenario) as server:
        agent = ReActChat(function_list=[Weather()], llm={**server.llm, "model_type": "qwenbelt"})
        text = last(agent.run([{"role": "user", "content": "weather?"}]))[-1]["content"]
    assert "Observation: sunny in Rom" in text
    assert "Sunny." in text


def test_stock_router(wire: Any) -> None:
    wire.streams({"content": "Call: teller\nReply: hm"})
    wire.streams({"content": "Sunny."})
    teller = Assistant(llm=wire.llm(), name="teller", description="tells the weather")
    router = Router(llm=wire.llm(), agents=[teller, Assistant(llm=wire.llm(), name="other")])
    messages = last(router.run([{"role": "user", "content": "weather?"}]))
    assert messages[-1]["content"] == "Sunny."
    assert messages[-1]["name"] == "teller"


def test_a_wrong_setting_names_its_mend() -> None:
    llm = {"model": "m", "model_type": "qwenbelt", "model_server": "http://x/v1"}
    with pytest.raises(ConfigError, match="tool_format"):
        get_chat_model({**llm, "generate_cfg": {"tool_format": "xml"}})
    with pytest.raises(ConfigError, match="URL"):
        get_chat_model({**llm, "model_server": "localhost:8000"})
    with pytest.raises(ConfigError, match="model"):
        get_chat_model({**llm, "model": " "})
