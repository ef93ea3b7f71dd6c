"""What an MCP server's tools cost in tokens, and what is wrong with how they are described."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.runtime.context_window import TOKENS_PER_BYTE
from qwenbelt.core.texts import Texts
from qwenbelt.tools.mcp.icons import own_icon
from qwenbelt.tools.mcp.tool import tool_name

if TYPE_CHECKING:
    from mcp_types import Tool

_LONG_TOKENS = 1000
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\ufeff\U000e0000-\U000e007f]"
)
_TEXTS = {
    "no description": ("{tool}: has no description", "{tool}：没有说明"),
    "odd name": (
        "{tool}: its name is too long or has odd characters; the model sees {name}",
        "{tool}：名称过长或含特殊字符；模型看到的是 {name}",
    ),
    "undescribed": (
        "{tool}: {names}: no description and no enum",
        "{tool}：{names}：既无说明也无枚举值",
    ),
    "untyped": ("{tool}: {names}: no type", "{tool}：{names}：没有类型"),
    "missing": (
        "{tool}: requires {names}, which it does not describe",
        "{tool}：要求 {names}，却没有定义",
    ),
    "unresolved": (
        "{tool}: refers to {names}, which is not in it",
        "{tool}：引用了不存在的 {names}",
    ),
    "long": ("{tool}: costs about {count} tokens", "{tool}：约占 {count} 个词元"),
    "invisible": (
        "{tool}: its description has invisible characters",
        "{tool}：说明中含有不可见字符",
    ),
    "twice": ("{tool}: is listed twice", "{tool}：重复列出"),
    "icons": (
        "{tool}: {count} of its icons are not shown: they are no small pictures in data: addresses",
        "{tool}：有 {count} 个图标不予显示：只显示随附的小图片（data:）",
    ),
    "defined": ("{tool}: declares no hints (read-only or not)", "{tool}：未声明是否只读"),
}
say = Texts(_TEXTS).for_user


def tokens_of(tool: Tool) -> int:
    """Returns roughly what a tool's declaration costs in each request."""
    declared = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": tool.input_schema,
    }
    return int(TOKENS_PER_BYTE * len(json.dumps(declared, ensure_ascii=False).encode()))


def tool_findings(server: str, tools: Sequence[Tool]) -> list[str]:
    """Returns what is wrong with a server's tools, one line each, in the user's language."""
    found: list[str] = []
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            found.append(say("twice", tool=tool.name))
        seen.add(tool.name)
        found += _of_one(server, tool)
        if refused := own_icon(tool.icons)[1]:
            found.append(say("icons", tool=tool.name, count=refused))
    return found


def _of_one(server: str, tool: Tool) -> Iterator[str]:
    name = tool_name(server, tool.name)
    if not (tool.description or tool.title):
        yield say("no description", tool=tool.name)
    if name != f"{server}-{tool.name}":
        yield say("odd name", tool=tool.name, name=name)
    if _INVISIBLE.search(tool.description or ""):
        yield say("invisible", tool=tool.name)
    schema = tool.input_schema
    properties = schema.get("properties") or {}
    known = {n: p for n, p in properties.items() if isinstance(p, Mapping)}
    plain = [n for n, p in known.items() if not _says_something(p)]
    if plain:
        yield say("undescribed", tool=tool.name, names=", ".join(plain))
    if untyped := [n for n, p in known.items() if not _has_type(p)]:
        yield say("untyped", tool=tool.name, names=", ".join(untyped))
    if missing := [str(n) for n in schema.get("required") or () if n not in properties]:
        yield say("missing", tool=tool.name, names=", ".join(missing))
    if lost := sorted({r for r in _schema_references(schema) if not _resolves(schema, r)}):
        yield say("unresolved", tool=tool.name, names=", ".join(lost))
    if (count := tokens_of(tool)) > _LONG_TOKENS:
        yield say("long", tool=tool.name, count=count)
    if tool.annotations is None or tool.annotations.read_only_hint is None:
        yield say("defined", tool=tool.name)


def _says_something(schema: Mapping[str, Any]) -> bool:
    return any(schema.get(key) for key in ("description", "enum", "const", "$ref"))


def _has_type(schema: Mapping[str, Any]) -> bool:
    kinds = ("type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "not", "properties")
    return any(key in schema for key in kinds)


def _schema_references(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > 60:
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _schema_references(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _schema_references(inner, depth + 1)


def _resolves(schema: Mapping[str, Any], reference: str) -> bool:
    if not reference.startswith("#"):
        return False
    place: Any = schema
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or key not in place:
            return False
        place = place[key]
    return True
