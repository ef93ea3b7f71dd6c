"""Calls decoded under a JSON schema, for models that cannot be trusted to write them freely.

A schema makes every finished call valid, but it cannot decide whether to call: forced calls make a
model call for "hello" too. So the model first decides, in a small constrained step, which tool the
message needs or none; then the call is written under the schema of that tool, or the answer freely.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbelt.agents.models.codecs.base import (
    NOTHING_YET,
    Codec,
    Reader,
    SoFar,
    compact_json,
    tool_names,
    valid_arguments,
)
from qwenbelt.agents.models.codecs.native import NativeReader
from qwenbelt.agents.models.deltas import CallResult, JsonDict, ModelReply
from qwenbelt.agents.prompts import (
    ANSWER_SHOTS,
    DECIDE_PROMPT,
    FOREIGN_SHOTS,
    RESULT_OF,
    WRITE_CALL_PROMPT,
    WRITE_CELL_PROMPT,
)
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language

ANSWER = "answer"
_READER, _READS = "read_artifact", "Reads more of a tool result"
_CELL_TOOL, _CELL_CALLS = "code_interpreter", "tools."
_BLOCK = re.compile(
    r"```[ \t]*(?:python|py)?[ \t]*\n(?P<code>.*?)(?P<end>\n[ \t]*```|\Z)", re.DOTALL
)
MAX_CALLS = 8


class ConstrainedCodec(Codec):
    """History as plain text and JSON; the steps themselves are made by `agents.constrained`."""

    form = "constrained"

    def offer(
        self, messages: list[JsonDict], tools: Sequence[JsonDict], choice: str, language: Language
    ) -> JsonDict:
        """Changes nothing: each step has a prompt of its own."""
        return {}

    def reader(self, tools: Sequence[JsonDict], so_far: SoFar = NOTHING_YET) -> Reader:
        """Returns a reader for one reply; its calls come as native ones."""
        return NativeReader(tools, so_far)

    def reply_message(self, reply: ModelReply) -> JsonDict:
        """Returns the assistant message; calls are written as the schema has them."""
        if not reply.calls:
            return {"role": "assistant", "content": reply.text}
        calls = [
            {"name": call.name, "arguments": loads_bounded(valid_arguments(call.arguments))}
            for call in reply.calls
        ]
        return {"role": "assistant", "content": compact_json({"call": calls[0], "more": calls[1:]})}

    def result_messages(self, results: Sequence[CallResult]) -> list[JsonDict]:
        """Returns one user message with all results."""
        parts = [f"{RESULT_OF}{r.name}:\n{r.text}" for r in results]
        return [{"role": "user", "content": "\n\n".join(parts)}]


def offered_tools(messages: Sequence[JsonDict], tools: Sequence[JsonDict]) -> Sequence[JsonDict]:
    """Returns the tools that a step may call: a reader of long results once one was shortened.

    It is declared from the start like the others, so that prefixes stay, but the smallest models
    call it for everything.
    """
    if len(listed_tools(tools)) == len(tools):
        return tools
    shortened = any(_READER in str(message.get("content")) for message in messages)
    return tools if shortened else listed_tools(tools)


def listed_tools(tools: Sequence[JsonDict]) -> Sequence[JsonDict]:
    """Returns the tools that the prompt names; of the reader the shortened results tell."""
    last = tools[-1] if len(tools) > 1 else {}
    ours = last.get("name") == _READER and str(last.get("description")).startswith(_READS)
    return tools[:-1] if ours else tools


def decision_schema(tools: Sequence[JsonDict], *, may_answer: bool) -> JsonDict:
    """Returns the schema of the first step: one name of a tool, or "answer"."""
    names = ([ANSWER] if may_answer else []) + tool_names(tools)
    return _object_schema({"tool": {"type": "string", "enum": names}})


def call_schema(tools: Sequence[JsonDict], name: str, most: int) -> JsonDict:
    """Returns the schema of the second step: a call of that tool, and up to `most - 1` others."""
    first = next(tool for tool in tools if tool["name"] == name)
    properties = {"call": _call_schema(first)}
    if most > 1:
        anything = [_call_schema(tool) for tool in tools]
        items = anything[0] if len(anything) == 1 else {"anyOf": anything}
        properties["more"] = {"type": "array", "maxItems": most - 1, "items": items}
    return _object_schema(properties)


def _call_schema(tool: JsonDict) -> JsonDict:
    name = {"type": "string", "enum": [tool["name"]]}
    return _object_schema({"name": name, "arguments": tool.get("parameters") or {"type": "object"}})


def _object_schema(properties: JsonDict) -> JsonDict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def decision_messages(
    messages: Sequence[JsonDict], tools: Sequence[JsonDict], language: Language, may_answer: bool
) -> list[JsonDict]:
    """Returns the prompt of the first step: the tools, examples made of them, the conversation."""
    tools = listed_tools(tools)
    listed = "\n".join(f"- {tool['name']}: {_first_line(tool)}" for tool in tools)
    text = DECIDE_PROMPT[language].format(tools=listed)
    out: list[JsonDict] = []
    system, rest = _split_messages(messages)
    out.append({"role": "system", "content": f"{text}\n\n{system}" if system else text})
    answered = any(str(message.get("content")).startswith(RESULT_OF) for message in rest)
    for asked, decided in _few_shot_examples(tools, language, answered) if may_answer else ():
        out.append({"role": "user", "content": asked})
        out.append({"role": "assistant", "content": compact_json({"tool": decided})})
    return out + rest


def call_messages(
    messages: Sequence[JsonDict], tools: Sequence[JsonDict], name: str, language: Language
) -> list[JsonDict]:
    """Returns the prompt of the second step: the declarations, and the conversation."""
    named = listed_tools(tools)
    named = named if name in tool_names(named) else tools
    declared = "\n".join(compact_json(tool) for tool in named)
    text = WRITE_CALL_PROMPT[language].format(tools=declared, name=name)
    system, rest = _split_messages(messages)
    return [{"role": "system", "content": f"{text}\n\n{system}" if system else text}, *rest]


def takes_a_cell(tool: JsonDict) -> bool:
    """Returns whether a tool is the interpreter of code mode, for which code is written freely."""
    is_interpreter = tool["name"] == _CELL_TOOL
    return is_interpreter and _CELL_CALLS in str(tool.get("description"))


def cell_messages(
    messages: Sequence[JsonDict], tool: JsonDict, language: Language
) -> list[JsonDict]:
    """Returns the prompt of the second step where code is written: the functions, and the talk."""
    text = WRITE_CELL_PROMPT[language].format(tool=tool.get("description") or "")
    system, rest = _split_messages(messages)
    return [{"role": "system", "content": f"{text}\n\n{system}" if system else text}, *rest]


def cell_in(text: str) -> tuple[str, bool]:
    """Returns the code in a reply, and whether its block is closed; "" when there is none."""
    found = _BLOCK.search(text)
    if found is not None:
        return found.group("code").strip("\n"), bool(found.group("end").strip())
    return (text.strip(), False) if "```" not in text and fault_of(text) == "" else ("", False)


def fault_of(code: str) -> str:
    """Returns what is wrong with a cell's syntax, or ""; lines of magics and commands are right."""
    lines = ("pass" if line.lstrip()[:1] in ("%", "!") else line for line in code.split("\n"))
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _split_messages(messages: Sequence[JsonDict]) -> tuple[str, list[JsonDict]]:
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return str(first["content"]), list(messages[1:])
    return "", list(messages)


def _few_shot_examples(
    tools: Sequence[JsonDict], language: Language, answered: bool
) -> Iterator[tuple[str, str]]:
    """Yields examples: for each tool a request that no tool is for, chat, and its description.

    A tool comes last: after examples that are answered the smallest models only answer.
    """
    chat = ANSWER_SHOTS[language]
    foreign = _requests_without_tool(tools, language) or list(chat)
    for number, tool in enumerate(tools):
        yield foreign[-1 - number % len(foreign)], ANSWER
        yield chat[number % len(chat)], ANSWER
        yield _first_line(tool), tool["name"]
    if answered:
        yield f"{RESULT_OF}{tools[-1]['name']}:\nok", ANSWER


def _requests_without_tool(tools: Sequence[JsonDict], language: Language) -> list[str]:
    """Returns requests that none of the tools seems to be for."""
    known = compact_json(list(tools)).lower()
    return [
        asked[language]
        for asked, words in FOREIGN_SHOTS
        if not any(word in known for word in words.split())
    ]


def _first_line(tool: JsonDict) -> str:
    return str(tool.get("description") or tool["name"]).strip().split("\n")[0][:200]


def calls_in(text: str) -> list[tuple[str, str]]:
    """Returns the calls of the second step's reply, without exact repetitions.

    Raises:
        ValueError: the text is not the JSON that the schema asks for.
    """
    value: Any = loads_bounded(text)
    if not isinstance(value, Mapping) or not isinstance(value.get("call"), Mapping):
        raise ValueError("the reply has no call")
    more = value.get("more")
    entries = [value["call"], *(more if isinstance(more, list) else [])]
    found = [
        (str(entry.get("name") or ""), compact_json(entry.get("arguments") or {}))
        for entry in entries
        if isinstance(entry, Mapping)
    ]
    return list(dict.fromkeys(found))
