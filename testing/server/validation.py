"""Strict checks of chat requests, so that a client's mistakes fail here and not in production.

The rules are those of the OpenAI API reference for chat completions, plus what its servers refuse
in practice: llama.cpp answers HTTP 500 to arguments in the history that are not JSON, Qwen's chat
templates refuse a system message after the first place, OpenAI refuses unknown message keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.errors import did_you_mean
from qwenbelt.testing.server.billing import MOST_MARKS

_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_MESSAGE_KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {
        *("role", "content", "name", "tool_calls", "refusal", "audio"),
        *("reasoning_content", "reasoning", "partial", "prefix"),
    },
    "tool": {"role", "content", "tool_call_id", "name"},
}
_PART_KEYS = {
    "text": {"type", "text", "cache_control"},  # DashScope's explicit cache
    "image_url": {"type", "image_url", "min_pixels", "max_pixels", "cache_control"},
    "input_audio": {"type", "input_audio"},
    "video_url": {"type", "video_url"},
    "video": {"type", "video"},
    "file": {"type", "file"},
    "refusal": {"type", "refusal"},
}
# the API's own parameters, then those of DashScope, vLLM, Ollama and llama.cpp
_PARAMETERS = set(
    """
    model messages stream stream_options tools tool_choice parallel_tool_calls temperature top_p n
    stop max_tokens max_completion_tokens presence_penalty frequency_penalty logit_bias logprobs
    top_logprobs response_format seed service_tier store metadata user reasoning_effort prediction
    modalities audio web_search_options verbosity safety_identifier prompt_cache_key
    top_k min_p repetition_penalty enable_thinking thinking_budget enable_search search_options
    enable_code_interpreter incremental_output vl_high_resolution_images
    chat_template_kwargs structured_outputs guided_json guided_regex guided_choice guided_grammar
    min_tokens ignore_eos include_reasoning skip_special_tokens stop_token_ids mm_processor_kwargs
    add_generation_prompt continue_final_message length_penalty priority
    format options keep_alive think
    grammar json_schema cache_prompt id_slot n_predict samplers reasoning_format mirostat
    repeat_penalty repeat_last_n typical_p dry_multiplier timings_per_token parse_tool_calls
    thinking_forced_open return_progress
    """.split()
)
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2)}


def faults_in(body: Any) -> list[str]:
    """Returns what is wrong with a request's body, one line each; empty when nothing is."""
    if not isinstance(body, dict):
        return [f"the body must be a JSON object, not {shown_value(body)}"]
    messages = body.get("messages")
    return [
        *_check_parameters(body),
        *_check_tools(body),
        *_check_messages(messages),
        *_cache_marks(messages),
    ]


def _cache_marks(messages: Any) -> Iterator[str]:
    """Checks the marks of DashScope's explicit cache."""
    parts = (
        part
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict)
    )
    marks = [part["cache_control"] for part in parts if "cache_control" in part]
    if len(marks) > MOST_MARKS:
        yield f"a request takes at most {MOST_MARKS} marks `cache_control`, not {len(marks)}"
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            yield f'`cache_control` must be {{"type": "ephemeral"}}, not {shown_value(mark)}'


def _check_parameters(body: Mapping[str, Any]) -> Iterator[str]:
    for name in body:
        if name not in _PARAMETERS:
            yield f"unrecognized request argument: {name}.{did_you_mean(name, _PARAMETERS)}"
    if not isinstance(body.get("model"), str) or not body.get("model"):
        yield "`model` is missing"
    yield from _check_numbers(body)
    if body.get("n") not in (None, 1):
        yield "`n` other than 1 is not played"
    if not isinstance(body.get("stream", False), (bool, type(None))):
        yield "`stream` must be true or false"
    if body.get("stream_options") is not None and not body.get("stream"):
        yield "`stream_options` is only allowed with `stream`"


def _check_numbers(body: Mapping[str, Any]) -> Iterator[str]:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            yield f"`{name}` must be a number from {low} to {high}, not {shown_value(value)}"
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int) and value >= 1):
            yield f"`{name}` must be a whole number above 0, not {shown_value(value)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_tools(body: Mapping[str, Any]) -> Iterator[str]:
    tools = body.get("tools")
    names: list[str] = []
    if tools is not None:
        if not isinstance(tools, list) or not tools:
            yield "`tools` must be a list with at least one tool"
            return
        for index, tool in enumerate(tools):
            yield from (f"tools[{index}]: {why}" for why in _tool_faults(json.dumps(tool)))
            if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
                names.append(str(tool["function"].get("name")))
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield f"the tool {name} is offered twice"
    yield from _tool_choice(body, names)


def _tool_choice(body: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        if choice != "none":
            yield "`tool_choice` is only allowed with `tools`"
    elif isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if choice.get("type") != "function" or name not in names:
            yield f"`tool_choice` names {shown_value(name)}, which is not offered"
    elif choice not in ("auto", "none", "required"):
        yield f"`tool_choice` must be auto, none, required or a function, not {shown_value(choice)}"


@lru_cache(maxsize=512)
def _tool_faults(text: str) -> tuple[str, ...]:
    tool = loads_bounded(text)
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return ('must be {"type": "function", "function": {...}}',)
    function = tool.get("function")
    if not isinstance(function, dict):
        return ("`function` must be an object",)
    return tuple(_function_faults(function, set(tool) - {"type", "function"}))


def _function_faults(function: dict[str, Any], extra: set[str]) -> Iterator[str]:
    extra |= set(function) - {"name", "description", "parameters", "strict"}
    for name in sorted(extra):
        yield f"unknown key {name!r}"
    if not isinstance(function.get("name"), str) or not _NAME.match(function["name"]):
        yield f"the name {shown_value(function.get('name'))} must match {_NAME.pattern}"
    if not isinstance(function.get("description", ""), str):
        yield "`description` must be a text"
    parameters = function.get("parameters")
    if parameters is None:
        return
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        yield "`parameters` must be a JSON schema of type object"
        return
    yield from _schema_faults(parameters)


def _schema_faults(schema: dict[str, Any]) -> Iterator[str]:
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        place = "/".join(str(step) for step in error.absolute_path) or "parameters"
        yield f"`parameters` is not a valid JSON schema: {place}: {error.message}"
    properties = schema.get("properties", {})
    for name in schema.get("required") or ():
        if isinstance(properties, dict) and name not in properties:
            yield f"`parameters` requires {name!r}, which is not among its properties"
    for reference in _references(schema):
        if not _resolves(schema, reference):
            yield f"`parameters` refers to {reference}, which is not there"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolves(schema: dict[str, Any], reference: str) -> bool:
    if not reference.startswith("#"):
        return False
    node: Any = schema
    for step in reference[1:].strip("/").split("/") if reference != "#" else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def _check_messages(messages: Any) -> list[str]:
    if not isinstance(messages, list) or not messages:
        return ["`messages` must be a list with at least one message"]
    out: list[str] = []
    open_calls: dict[str, str] = {}
    opened_at = 0
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            out.append(f"{where} must be an object, not {shown_value(message)}")
            continue
        role = message.get("role")
        if role != "tool" and open_calls:
            out += _check_unanswered(open_calls, opened_at)
            open_calls = {}
        out += (f"{where}: {why}" for why in _one_message(message, index, messages))
        if role == "tool":
            out += (f"{where}: {why}" for why in _answer_faults(message, open_calls))
        if role == "assistant" and isinstance(message.get("tool_calls"), list):
            open_calls = _opened_calls(message["tool_calls"])
            opened_at = index
    return out + _check_unanswered(open_calls, opened_at)


def _check_unanswered(open_calls: Mapping[str, str], index: int) -> list[str]:
    return [
        f"messages[{index}]: the call {call_id} of {name} has no tool message that answers it"
        for call_id, name in open_calls.items()
    ]


def _answer_faults(message: Mapping[str, Any], open_calls: dict[str, str]) -> Iterator[str]:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str) or not call_id:
        yield "a tool message needs `tool_call_id`"
        if len(open_calls) > 0:
            open_calls.pop(next(iter(open_calls)))
    elif call_id not in open_calls:
        waiting = ", ".join(open_calls) or "none"
        yield f"`tool_call_id` {call_id!r} answers no open call (open: {waiting})"
    else:
        del open_calls[call_id]


def _opened_calls(calls: list[Any]) -> dict[str, str]:
    out = {}
    for call in calls:
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            function = call.get("function")
            out[call["id"]] = str(function.get("name")) if isinstance(function, dict) else "?"
    return out


def _one_message(message: dict[str, Any], index: int, messages: list[Any]) -> Iterator[str]:
    role = message.get("role")
    if not isinstance(role, str) or role not in _MESSAGE_KEYS:
        yield f"the role {shown_value(role)} is not one of {', '.join(_MESSAGE_KEYS)}"
        return
    for key in message:
        if key not in _MESSAGE_KEYS[role]:
            yield f"unknown key {key!r} in a message of role {role}"
    if role in ("system", "developer"):
        earlier = (m.get("role") for m in messages[:index] if isinstance(m, dict))
        if any(r not in ("system", "developer") for r in earlier):
            yield "a system message must stand before all others"
    yield from _content_faults(message, role)
    if role == "assistant":
        yield from _call_faults(message)


def _content_faults(message: dict[str, Any], role: str) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        return
    if content is None:
        if role != "assistant" or not message.get("tool_calls"):
            yield "`content` is missing"
        return
    if not isinstance(content, list):
        yield f"`content` must be a text or a list of parts, not {shown_value(content)}"
        return
    for number, part in enumerate(content):
        yield from (f"content[{number}]: {why}" for why in _part_faults(part, role))


def _part_faults(part: Any, role: str) -> Iterator[str]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _PART_KEYS:
        yield f"the part type {shown_value(kind)} is not one of {', '.join(_PART_KEYS)}"
        return
    for key in part:
        if key not in _PART_KEYS[kind]:
            yield f"unknown key {key!r} in a part of type {kind}"
    if kind == "text" and not isinstance(part.get("text"), str):
        yield "a text part needs `text`"
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else None
        if not isinstance(url, str) or not url.startswith(("data:image/", "http://", "https://")):
            yield f"a picture needs a data: or http(s) URL, not {shown_value(url, 60)}"
    if role in ("system", "assistant", "tool", "developer") and kind not in ("text", "refusal"):
        yield f"a message of role {role} cannot hold a part of type {kind}"


_CALL_RULES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda call: isinstance(call, dict), "must be an object"),
    (lambda call: isinstance(call.get("id"), str) and bool(call["id"]), "needs an `id`"),
    (lambda call: call.get("type") == "function", '`type` must be "function"'),
    (lambda call: isinstance(call.get("function"), dict), "needs `function`"),
    (lambda call: set(call) <= {"id", "type", "function", "index"}, "has an unknown key"),
    (lambda call: set(call["function"]) <= {"name", "arguments"}, "`function` has an unknown key"),
    (lambda call: bool(_NAME.match(str(call["function"].get("name")))), "has no valid name"),
)


def _call_faults(message: Mapping[str, Any]) -> Iterator[str]:
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list) or not calls:
        yield "`tool_calls` must be a list with at least one call"
        return
    seen: set[str] = set()
    for number, call in enumerate(calls):
        where = f"tool_calls[{number}]"
        broken = next((why for rule, why in _CALL_RULES if not rule(call)), None)
        if broken:
            yield f"{where} {broken}"
            continue
        if call["id"] in seen:
            yield f"{where}: the id {call['id']!r} is used twice"
        seen.add(call["id"])
        reason = _arguments_fault(call["function"].get("arguments"))
        if reason:
            yield f"{where}: the arguments of {call['function']['name']} {reason}"


def _arguments_fault(arguments: Any) -> str | None:
    if not isinstance(arguments, str):
        return f"must be JSON text, not {shown_value(arguments, 60)}"
    try:
        value = loads_bounded(arguments)
    except json.JSONDecodeError as error:
        return f"are not JSON ({error.msg} at character {error.pos})"
    return (
        None if isinstance(value, dict) else f"must be a JSON object, not {shown_value(value, 60)}"
    )
