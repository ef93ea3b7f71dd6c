"""`tool_format="constrained"`: decide first, then write the call under its schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from qwen_agent.llm import get_chat_model

import qwenbelt.agents  # noqa: F401  (registers the model)
from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.capabilities import model_capabilities
from qwenbelt.agents.models.codecs.constrained import call_schema, calls_in, decision_messages
from qwenbelt.agents.models.constrained import checked_calls

ASK = [{"role": "user", "content": "weather in Ulm?"}]
TOOLS = [
    {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
    {"name": "get_time", "description": "Tells the time.", "parameters": {"type": "object"}},
]
CALL = {"call": {"name": "get_weather", "arguments": {"city": "Ulm"}}, "more": []}


def last(stream: Any) -> Any:
    *_, found = stream
    return found


def decides(wire: Any, name: str) -> None:
    wire.streams({"content": '{"tool": '}, {"content": f'"{name}"}}'})


def test_a_call(wire: Any) -> None:
    decides(wire, "get_weather")
    wire.streams({"content": json.dumps(CALL)})
    wire.llm()
    model = get_chat_model(wire.llm(tool_format="constrained", parallel_function_calls=True))
    (found,) = last(model.chat(ASK, TOOLS))
    assert found["function_call"] == {"name": "get_weather", "arguments": '{"city": "Ulm"}'}
    decision, call = wire.bodies
    schema = decision["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["tool"]["enum"] == ["answer", "get_weather", "get_time"]
    assert decision["max_tokens"] <= 64
    assert "tools" not in decision
    jsonschema.validate(CALL, call["response_format"]["json_schema"]["schema"])
    assert call["max_tokens"] > 64
    assert call["messages"][-1] == ASK[0]


def test_an_answer_is_written_freely(wire: Any) -> None:
    decides(wire, "answer")
    wire.streams({"content": "Hello "}, {"content": "there"})
    model = get_chat_model(wire.llm(tool_format="constrained"))
    assert last(model.chat([{"role": "user", "content": "hi"}], TOOLS))[0]["content"] == (
        "Hello there"
    )
    assert "response_format" not in wire.bodies[1]
    assert wire.bodies[1]["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("dialect", "field"), [("llamacpp", "json_schema"), ("vllm", "response_format")]
)
def test_the_field_is_the_endpoints(wire: Any, dialect: str, field: str) -> None:
    decides(wire, "answer")
    wire.streams({"content": "ok"})
    llm = {**wire.llm(tool_format="constrained"), "dialect": dialect}
    last(get_chat_model(llm).chat(ASK, TOOLS))
    assert field in wire.bodies[0]


def test_steps_go_without_thoughts_which_are_for_the_answer(wire: Any) -> None:
    decides(wire, "answer")
    wire.streams({"reasoning_content": "hm"}, {"content": "ok"})
    llm = {**wire.llm(tool_format="constrained", thinking=500), "dialect": "dashscope"}
    last(get_chat_model(llm).chat(ASK, TOOLS))
    step, answer = wire.bodies
    assert step["enable_thinking"] is False
    assert "thinking_budget" not in step
    assert (answer["enable_thinking"], answer["thinking_budget"]) == (True, 500)


def test_a_step_whose_switch_is_refused_goes_without_it(wire: Any) -> None:
    wire.says({"error": {"message": "unknown field chat_template_kwargs"}}, 400)
    decides(wire, "answer")
    wire.streams({"content": "ok"})
    last(get_chat_model(wire.llm(tool_format="constrained")).chat(ASK, TOOLS))
    refused, step, _ = wire.bodies
    assert refused["chat_template_kwargs"] == {"enable_thinking": False}
    assert "chat_template_kwargs" not in step


def test_a_record_names_the_field_and_the_form(wire: Any) -> None:
    record = model_capabilities(wire.url, "m")
    record.structured, record.tool_format = "structured_outputs", "constrained"
    decides(wire, "get_time")
    wire.streams({"content": '{"call": {"name": "get_time", "arguments": {}}}'})
    (found,) = last(get_chat_model(wire.llm()).chat(ASK, TOOLS))
    assert found["function_call"]["name"] == "get_time"
    assert "json" in wire.bodies[0]["structured_outputs"]


def test_a_wrong_call_is_shown_to_the_model_which_writes_it_again(wire: Any) -> None:
    decides(wire, "get_weather")
    wrong = {"call": {"name": "get_weather", "arguments": {"city": 5}}}
    wire.streams({"content": json.dumps(wrong)})
    wire.streams({"content": json.dumps(CALL)})
    (found,) = last(get_chat_model(wire.llm(tool_format="constrained")).chat(ASK, TOOLS))
    assert found["function_call"]["arguments"] == '{"city": "Ulm"}'
    told = wire.bodies[2]["messages"][-2:]
    assert json.loads(told[0]["content"]) == wrong
    assert "city" in told[1]["content"]


def test_a_call_that_never_ends_is_stopped_and_is_no_call(wire: Any) -> None:
    decides(wire, "get_weather")
    endless = ['{"call": {"name": "get_weather", "arguments": {"city": "', *["New York, "] * 400]
    wire.streams(*({"content": piece} for piece in endless))
    model = get_chat_model(wire.llm(tool_format="constrained"))
    (found,) = last(model.chat(ASK, TOOLS))
    assert not found.get("function_call")
    _, first, second = wire.bodies
    told = second["messages"][len(first["messages"]) :]
    assert len(told[0]["content"]) < 1200
    assert "end" in told[1]["content"]


def test_an_agent_is_told_of_a_call_that_was_cut_off(wire: Any) -> None:
    def get_weather(city: str) -> str:
        """Tells the weather.

        Args:
            city: a city.
        """
        raise AssertionError

    cut = {"index": 0, "message": {"role": "assistant", "content": '{"call": {"name": "get_w'}}
    decides(wire, "get_weather")
    for _ in range(2):
        wire.says({"choices": [{**cut, "finish_reason": "length"}]})
    decides(wire, "answer")
    wire.streams({"content": "I cannot say."})
    agent = FnCallAgent([get_weather], llm=wire.llm(tool_format="constrained"))
    messages = last(agent.run(ASK))
    assert "cut off" in messages[1]["content"]
    assert messages[-1]["content"] == "I cannot say."


@pytest.mark.parametrize(
    ("choice", "requests"), [("required", 2), ("get_weather", 1), ("none", 1), ("auto", 2)]
)
def test_choices(wire: Any, choice: str, requests: int) -> None:
    if choice in ("required", "auto"):
        decides(wire, "get_weather")
    if choice == "none":
        wire.streams({"content": "text"})
    wire.streams({"content": json.dumps(CALL)})
    model = get_chat_model(wire.llm(tool_format="constrained", function_choice=choice))
    found = last(model.chat(ASK, TOOLS))
    assert len(wire.requests) == requests
    assert bool(found[0].get("function_call")) is (choice != "none")
    if choice == "required":
        enum = wire.bodies[0]["response_format"]["json_schema"]["schema"]["properties"]["tool"]
        assert "answer" not in enum["enum"]


def test_a_whole_run(wire: Any) -> None:
    def get_weather(city: str) -> str:
        """Tells the weather.

        Args:
            city: a city.
        """
        return f"sunny in {city}"

    decides(wire, "get_weather")
    wire.streams({"content": json.dumps(CALL)})
    decides(wire, "answer")
    wire.streams({"content": "Sunny."})
    agent = FnCallAgent([get_weather], llm=wire.llm(tool_format="constrained"))
    messages = last(agent.run(ASK))
    assert [m["role"] for m in messages] == ["assistant", "function", "assistant"]
    assert messages[-1]["content"] == "Sunny."
    said = wire.bodies[2]["messages"]
    assert said[-1]["content"] == "Result of get_weather:\nsunny in Ulm"
    assert json.loads(said[-2]["content"])["call"]["arguments"] == {"city": "Ulm"}


def test_several_calls_without_repetitions() -> None:
    one = {"name": "get_weather", "arguments": {"city": "A"}}
    two = {"name": "get_time", "arguments": {}}
    text = json.dumps({"call": one, "more": [two, one, two]})
    assert calls_in(text) == [("get_weather", '{"city": "A"}'), ("get_time", "{}")]
    schema = call_schema(TOOLS, "get_weather", 3)
    jsonschema.validate({"call": one, "more": [two]}, schema)
    for wrong in ({"call": two, "more": []}, {"call": one, "more": [two] * 3}, {"more": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
    assert "more" not in call_schema(TOOLS, "get_time", 1)["properties"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (json.dumps(CALL), ""),
        ('{"call": {"name": "get_weather", "arguments": {"city": "Ulm",}}}', ""),
        ('{"call": {"name": "rm", "arguments": {}}}', "no tool named"),
        ('{"call": {"name": "get_weather", "arguments": {}}}', "city"),
        ("no idea", "not the JSON"),
        ("[1]", "not the JSON"),
    ],
)
def test_calls_are_checked(text: str, wrong: str) -> None:
    schemas = {tool["name"]: tool["parameters"] for tool in TOOLS}
    calls, reason = checked_calls(text, schemas)  # type: ignore[arg-type]
    assert wrong in reason
    assert bool(reason) is bool(wrong)
    assert calls or wrong


def test_the_decision_prompt_keeps_the_persons_instructions() -> None:
    system = {"role": "system", "content": "Be brief."}
    for language in ("en", "zh"):
        made = decision_messages([system, *ASK], TOOLS, language, True)  # type: ignore[arg-type]
        assert made[0]["content"].endswith("Be brief.")
        assert made[-1] == ASK[0]
        assert sum(m["role"] == "system" for m in made) == 1


@pytest.mark.parametrize(
    ("language", "about", "left_out"),
    [("en", "Solves equations.", "roots"), ("zh", "求解方程", "的根")],
)
def test_examples_of_what_no_tool_does(language: Any, about: str, left_out: str) -> None:
    def asked(description: str) -> str:
        tools = [{"name": "tool", "description": description, "parameters": {}}, TOOLS[1]]
        made = decision_messages(ASK, tools, language, True)
        decided = [m["content"] for m in made if m["role"] == "assistant"]
        assert decided.count('{"tool": "tool"}') == 1
        assert decided.count('{"tool": "answer"}') == 4
        return "".join(m["content"] for m in made if m["role"] == "user")

    assert left_out in asked("Knits.")
    assert left_out not in asked(about)


def test_a_long_result_changes_no_prompt_and_can_be_read_then(wire: Any) -> None:
    def survey(city: str) -> str:
        """Returns more than a result may hold.

        Args:
            city: a city.
        """
        return f"{city}: 12 m deep; " * 5000

    page = {"name": "read_artifact", "arguments": {"name": "survey-1.txt"}}
    for name, call in (
        ("survey", {"name": "survey", "arguments": {"city": "Ulm"}}),
        ("read_artifact", page),
    ):
        decides(wire, name)
        wire.streams({"content": json.dumps({"call": call, "more": []})})
    decides(wire, "answer")
    wire.streams({"content": "Deep."})
    agent = FnCallAgent([survey], llm=wire.llm(tool_format="constrained"))
    result = agent.ask("How deep?")
    assert result.text == "Deep."
    assert "characters 0-" in str(result.messages)
    assert not [event for event in result.trace if event.kind == "notice"]
    first, _, second, read, third, _ = wire.bodies
    enums = [
        body["response_format"]["json_schema"]["schema"]["properties"]["tool"]["enum"]
        for body in (first, second, third)
    ]
    assert enums[0] == ["answer", "survey"]
    assert enums[1] == enums[2] == ["answer", "survey", "read_artifact"]
    prompts = [body["messages"][0] for body in (first, second, third)]
    assert prompts[0] == prompts[1] == prompts[2]
    assert "read_artifact" in str(read["messages"][0])
