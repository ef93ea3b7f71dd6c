"""Texts that the model reads, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
    "nothing": ("(the tool returned nothing)", "（工具没有返回任何内容）"),
    "unreadable": ("[{kind} that could not be decoded]", "[无法解码的{kind}]"),
    "link": ("[resource {uri}: {name}]", "[资源 {uri}：{name}]"),
    "unfit": (
        "(its structured result does not fit its schema: {fault})",
        "（其结构化结果不符合自身的模式：{fault}）",
    ),
    "list_resources": (
        "Lists the resources (URIs that can be read) of the MCP server {server}.",
        "列出 MCP 服务器 {server} 的资源（可读取的 URI）。",
    ),
    "read_resource": (
        "Reads one resource of the MCP server {server} by its URI.",
        "按 URI 读取 MCP 服务器 {server} 的一个资源。",
    ),
    "uri": ("The URI of the resource", "资源的 URI"),
}
say = Texts(_TEXTS)
