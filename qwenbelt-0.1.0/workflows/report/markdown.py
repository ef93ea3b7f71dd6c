"""Writes the tree of `prose` as Markdown that reads back as the same tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from qwenbelt.workflows.report.prose import Node

_SPECIAL = re.compile(
    r"([\\`*\[\]<])|(~)(?=~)|(?<=~)(~)|(?<![^\W_])(_)|(_)(?![^\W_])|(&)(?=#?\w+;)|(!)(?=\[)"
)
_START = re.compile(r"(?m)^(?:#{1,6}|[-+=~]+|\d{1,9}[.)])(?=\s|$)|^>|^~~~")


def write_markdown(blocks: list[Node]) -> str:
    """Returns the blocks as Markdown; a citation is written as its number in brackets."""
    return "\n\n".join(text for block in blocks if (text := _block(block)))


def inline_markdown(nodes: list[Node]) -> str:
    """Returns inline nodes as Markdown on one line."""
    return "".join(map(_inline, nodes)).strip()


def escaped(text: str) -> str:
    """Returns text so that Markdown shows it as it is."""
    folded = re.sub(r"\s+", " ", text)
    return _SPECIAL.sub(lambda found: "\\" + found.group(0), folded)


def _inline(node: Node) -> str:
    kind = node["kind"]
    if kind == "text":
        return escaped(node["text"])
    if kind == "cite":
        return f"[{node['n']}]"
    if kind == "code":
        return _code_span(node["text"])
    if kind == "break":
        return "\\\n"
    inner = inline_markdown(node["inline"])
    if kind == "link":
        return f"[{inner}](<{_url(node['url'])}>)"
    mark = {"strong": "**", "emph": "*", "strike": "~~"}.get(kind, "")
    return f"{mark}{inner}{mark}" if inner else ""


def _url(url: str) -> str:
    return url.replace("\\", "%5C").replace("<", "%3C").replace(">", "%3E")


def _code_span(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _block(block: Node) -> str:
    return _WRITERS[block["kind"]](block)


def _heading(block: Node) -> str:
    text = inline_markdown(block["inline"]).replace("\\\n", " ")
    text = re.sub(r"#(?=#*$)", r"\\#", text)  # a run of # at the end would be dropped
    return f"{'#' * block['level']} {text}" if text else ""


def _paragraph(block: Node) -> str:
    text = inline_markdown(block["inline"])
    return _START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", text)


def _list(block: Node) -> str:
    lines = []
    for number, item in enumerate(block["items"], block["start"]):
        mark = f"{number}." if block["ordered"] else "-"
        lines.append(_indented(write_markdown(item), f"{mark} ", " " * (len(mark) + 1)))
    return "\n".join(lines)


def _indented(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    body = [first + lines[0], *(rest + line if line else "" for line in lines[1:])]
    return "\n".join(body).rstrip() or first.rstrip()


def _quote(block: Node) -> str:
    return _indented(write_markdown(block["blocks"]), "> ", "> ").replace("\n\n", "\n>\n")


def _code(block: Node) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", block["text"])), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{block['text']}\n{fence}"


def _table(block: Node) -> str:
    rules = {"left": "---", "right": "--:", "center": ":-:"}
    lines = [_row(block["head"]), _row_of(rules.get(a, "---") for a in block["align"])]
    return "\n".join([*lines, *map(_row, block["rows"])])


def _row(cells: list[list[Node]]) -> str:
    return _row_of(inline_markdown(cell).replace("\\\n", " ") for cell in cells)


def _row_of(cells: Iterator[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rule(block: Node) -> str:
    return "---"


def _figure(block: Node) -> str:
    caption = inline_markdown(block["caption"])
    alt = re.sub(r"\[(\d+)\]", "", caption).strip()
    return f"![{alt}](<{block['path']}>)\n\n*{block['label']}* {caption}".rstrip()


_WRITERS: dict[str, Callable[[Node], str]] = {
    "heading": _heading,
    "paragraph": _paragraph,
    "list": _list,
    "quote": _quote,
    "code": _code,
    "table": _table,
    "rule": _rule,
    "figure": _figure,
}
