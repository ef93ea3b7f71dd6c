"""A chat request as the scripted model sees it, whatever form its tools and results have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.scenarios.scenario import CallForm

_TOOLS_BLOCK = re.compile(r"<tools>\n?(.*?)</tools>", re.DOTALL)
_NOUS_CALL = re.compile(r"<tool_call>\s*(\{.*?)\s*(?:<code>.*?)?</tool_call>", re.DOTALL)
_NOUS_RESULT = re.compile(r"<tool_response>\n?(.*?)\n?</tool_response>", re.DOTALL)
_REACT_NAMES = re.compile(r"^Action:[^\n\[]*\[([^\]]*)\]", re.MULTILINE)
_REACT_STEP = re.compile(
    r"(?m)^(?P<key>Action|Observation)(?: \d+ \((?P<name>[^)]*)\))?:[ \t]*(?P<value>.*?)"
    r"(?=^\s*(?:Action|Action Input|Observation(?: \d+ \([^)]*\))?|Thought|Final Answer):|\Z)",
    re.DOTALL,
)
_QWEN_STEP = re.compile(r"✿(?P<key>FUNCTION|RESULT)✿:[ \n]?(?P<value>.*?)(?=\n?✿|\Z)", re.DOTALL)
_STEPS = {"react": _REACT_STEP, "qwen": _QWEN_STEP}
_QWEN_NAME = re.compile(r"^### (\S+)", re.MULTILINE)
_SCHEMA_FIELDS = ("guided_json", "json_schema", "structured_outputs", "grammar", "format")


@dataclass(frozen=True)
class ToolResult:
    """One tool result in the conversation, oldest first."""

    name: str
    text: str
    call_id: str = ""


@dataclass
class ChatRequest:
    """A request for a reply.

    Attributes:
        body: the JSON body.
        headers: the HTTP headers, names in lower case.
        number: counts the server's requests from 1.
    """

    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages as they were sent."""
        messages = self.body.get("messages")
        return messages if isinstance(messages, list) else []

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self.body.get("stream"))

    @cached_property
    def system(self) -> str:
        """The text of the system messages."""
        return "\n".join(self._texts("system", "developer"))

    @cached_property
    def user(self) -> str:
        """The text of the last user message."""
        texts = list(self._texts("user"))
        return texts[-1] if texts else ""

    @cached_property
    def first_user(self) -> str:
        """The text of the first user message."""
        return next(self._texts("user"), "")

    @cached_property
    def images(self) -> int:
        """How many pictures the messages hold."""
        parts = (
            part for message in self.messages for part in _content_parts(message.get("content"))
        )
        return sum(part.get("type") == "image_url" for part in parts)

    @cached_property
    def form(self) -> CallForm | None:
        """How the request offers tools; None when it offers none."""
        if self.schema is not None and not self.body.get("tools"):
            return "constrained"
        if self.body.get("tools"):
            return "native"
        if "<tools>" in self.system and "<tool_call>" in self.system:
            return "nous"
        if "✿FUNCTION✿" in self.system:
            return "qwen"
        return "react" if self._react_prompt else None

    @cached_property
    def _react_prompt(self) -> str:
        for text in (self.first_user, self.user, self.system):
            if "Action Input:" in text and "Observation" in text and "Action:" in text:
                return text
        return ""

    @cached_property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that the reply must fit; an empty one for any JSON; None for text."""
        wanted = self.body.get("response_format")
        if isinstance(wanted, Mapping) and wanted.get("type") in ("json_schema", "json_object"):
            inner = wanted.get("json_schema")
            return _schema_in(inner if isinstance(inner, Mapping) else wanted)
        for name in _SCHEMA_FIELDS:
            value = self.body.get(name)
            if isinstance(value, Mapping):
                return _schema_in(value)
        return None

    @cached_property
    def offered(self) -> tuple[str, ...]:
        """The names of the tools that the request offers, in any form."""
        if self.form == "native":
            return tuple(_tool_names(self.body["tools"]))
        if self.form == "nous":
            lines = "\n".join(_TOOLS_BLOCK.findall(self.system)).splitlines()
            return tuple(_tool_names(filter(None, map(_json_of_line, lines))))
        if self.form == "qwen":
            return tuple(_QWEN_NAME.findall(self.system))
        if self.form == "constrained":
            return tuple(dict.fromkeys(_schema_names(self.schema)))
        found = _REACT_NAMES.search(self._react_prompt)
        return tuple(n.strip() for n in found.group(1).split(",")) if found else ()

    @cached_property
    def results(self) -> tuple[ToolResult, ...]:
        """All tool results in the conversation, whatever form they have."""
        return tuple((_written_results if self.form in _STEPS else _tool_results)(self))

    def _texts(self, *roles: str) -> Iterator[str]:
        for message in self.messages:
            if isinstance(message, dict) and message.get("role") in roles:
                yield text_of(message.get("content"))


def _tool_results(request: ChatRequest) -> Iterator[ToolResult]:
    """The results in tool messages, and in Nous' `<tool_response>` blocks."""
    names: dict[str, str] = {}
    waiting: list[str] = []
    for message in request.messages:
        text = text_of(message.get("content"))
        role = message.get("role")
        if role == "assistant":
            names.update((str(c.get("id")), _call_name(c)) for c in message.get("tool_calls") or [])
            waiting += [_nous_name(found) for found in _NOUS_CALL.findall(text)]
        elif role == "tool":
            call_id = str(message.get("tool_call_id", ""))
            yield ToolResult(names.get(call_id) or str(message.get("name", "")), text, call_id)
        elif role == "user":
            for found in _NOUS_RESULT.findall(text):
                yield ToolResult(waiting.pop(0) if waiting else "", found)


def _written_results(request: ChatRequest) -> Iterator[ToolResult]:
    """The results in transcripts: ReAct's, or those of qwen-agent's older text form."""
    pattern = _STEPS[request.form or "react"]
    waiting: list[str] = []
    for message in request.messages:
        if message.get("role") in ("system", "developer"):
            continue
        text = text_of(message.get("content"))
        for step in pattern.finditer(text, max(text.find("Begin!"), 0)):
            value = step.group("value").strip()
            if step.group("key") in ("Action", "FUNCTION"):
                waiting.append(value)
            elif waiting:
                yield ToolResult(waiting.pop(0), value)


def text_of(content: Any) -> str:
    """Returns the text of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in _content_parts(content) if "text" in part)


def _content_parts(content: Any) -> list[dict[str, Any]]:
    return [p for p in content if isinstance(p, dict)] if isinstance(content, list) else []


def _json_of_line(line: str) -> Any:
    try:
        return loads_bounded(line)
    except json.JSONDecodeError:
        return None


def _tool_names(tools: Any) -> Iterator[str]:
    for tool in tools:
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        if isinstance(function, dict) and function.get("name"):
            yield str(function.get("name_for_model") or function["name"])


def _call_name(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def _nous_name(text: str) -> str:
    found = re.search(r'"name"\s*:\s*"([^"]+)"', text)
    return found.group(1) if found else ""


def _schema_in(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("schema", "json", "json_schema"):
        inner = value.get(name)
        if isinstance(inner, Mapping):
            return inner
    return value if {"type", "anyOf", "oneOf", "$ref", "properties"} & set(value) else {}


def _schema_names(node: Any) -> Iterator[str]:
    """The constants that a schema allows under a property called `name`, `tool` or `action`."""
    if isinstance(node, list):
        for entry in node:
            yield from _schema_names(entry)
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key in ("name", "tool", "action", "function") and isinstance(value, Mapping):
            yield from (str(v) for v in value.get("enum", ()))
            if "const" in value:
                yield str(value["const"])
        yield from _schema_names(value)
