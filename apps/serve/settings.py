"""Settings of a request: passed on to the model, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenbelt.core.errors import InputError

_PASSED = (
    *("temperature", "top_p", "seed", "stop", "max_tokens", "reasoning_effort"),
    *("frequency_penalty", "presence_penalty", "top_k", "min_p", "repetition_penalty"),
)
# other names of the same: chat completions' newer one, and that of responses
_RENAMED = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
# what asks for something that an agent cannot give; a value that asks for nothing is no reason
_REFUSED = (
    *("logit_bias", "logprobs", "top_logprobs", "prediction", "audio", "web_search_options"),
    *("function_call", "tool_choice", "background", "truncation", "max_tool_calls", "prompt"),
)
_NOTHING = (None, False, 0, "", "auto", "none", "disabled")


def settings_of(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Returns the settings for the model, and the JSON schema that the answer must have.

    Raises:
        InputError: the request asks for something that cannot be honoured.
    """
    for key in _REFUSED:
        value = body.get(key)
        if value not in _NOTHING and value != {} and value != []:
            if key == "background":
                raise InputError(
                    "`background` needs a server that keeps replies.",
                    fix="Start it with --store, and ask /v1/responses.",
                )
            raise InputError(
                f"`{key}` cannot be honoured here: an agent answers.",
                fix="Leave it out; for an answer of a given form send `response_format`.",
            )
    if "audio" in (body.get("modalities") or ()):
        raise InputError("`modalities` must be text: this server gives no audio.")
    settings = {}
    for key in (*_PASSED, *_RENAMED):
        value = body.get(key)
        if value is not None:
            settings[_RENAMED.get(key, key)] = _checked_setting(key, value)
    reasoning = body.get("reasoning")  # of responses
    if isinstance(reasoning, Mapping) and isinstance(reasoning.get("effort"), str):
        settings["reasoning_effort"] = reasoning["effort"]
    if settings.get("reasoning_effort") in ("none", "minimal"):
        del settings["reasoning_effort"]
        settings["thinking"] = False
    return settings, _wanted_schema(body)


def _checked_setting(key: str, value: Any) -> Any:
    if key == "stop":
        stops = [value] if isinstance(value, str) else value
        good = isinstance(stops, list) and all(isinstance(stop, str) and stop for stop in stops)
        if good and len(stops) <= 16:
            return stops
        raise InputError("`stop` must be a text, or a list of at most 16 texts.")
    if key == "reasoning_effort":
        if isinstance(value, str):
            return value
        raise InputError("`reasoning_effort` must be a text.")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"`{key}` must be a number.")
    whole = key in ("seed", "top_k") or key.startswith("max_")
    if whole and (value != int(value) or (key.startswith("max_") and value < 1)):
        raise InputError(f"`{key}` must be a whole number above 0.")
    return int(value) if whole else value


def _wanted_schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the schema that `response_format`, or `text.format` of responses, asks for."""
    text = body.get("text")
    form = body.get("response_format") or (
        text.get("format") if isinstance(text, Mapping) else None
    )
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema":
        given = form.get("json_schema", form)
        schema = given.get("schema") if isinstance(given, Mapping) else None
        if isinstance(schema, Mapping):
            return dict(schema)
        raise InputError("`response_format` of the type json_schema needs a `schema`.")
    raise InputError("`response_format` must be text, json_object or json_schema.")
