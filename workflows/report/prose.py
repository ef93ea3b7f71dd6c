"""Markdown as a tree of plain dicts, read safely: what a model or a document wrote is never code.

Blocks have `kind` heading, paragraph, list, quote, code, table, rule or figure; inline nodes text,
strong, emph, strike, code, link, break, image or cite. HTML is text, links lead to http, https or
mailto only, and pictures are names that the caller maps to its own files.

A citation is written `[3]`, `[3, 7]`, `[3 "quoted words"]` or 【3】.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

Node = dict[str, Any]
LONGEST = 400_000  # characters of an answer that are read
_NUMBER = r"\d{1,5}"
_CITE = re.compile(
    rf"[\[【]\s*(?P<numbers>{_NUMBER}(?:\s*[,，、;；]\s*{_NUMBER})*)"
    r"(?:\s*[:：]?\s*[\"“](?P<quote>[^\"”\n]{1,600})[\"”])?\s*[\]】]"
)
_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
_CHINESE_BREAK = re.compile(rf"(?<={_WIDE})\n(?={_WIDE})")  # no space between characters
_LINKS = ("http://", "https://", "mailto:")


def parse_prose(text: str) -> list[Node]:
    """Returns the blocks of a Markdown text."""
    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 12})
    # references could turn [1] into a link of the writer's choice
    reader.enable(["table", "strikethrough"]).disable(["reference", "html_block", "html_inline"])
    clean = "".join(c for c in text[:LONGEST] if c in "\n\t" or c.isprintable())
    return list(_blocks(SyntaxTreeNode(reader.parse(clean))))


def _blocks(parent: SyntaxTreeNode) -> Iterator[Node]:
    for node in parent.children:
        reader = _BLOCKS.get(node.type)
        if reader is not None:
            yield from reader(node)


def _heading(node: SyntaxTreeNode) -> Iterator[Node]:
    yield {"kind": "heading", "level": int(node.tag[1:]), "inline": _inlines(node)}


def _paragraph(node: SyntaxTreeNode) -> Iterator[Node]:
    """A paragraph; pictures in it become blocks of their own."""
    kept: list[Node] = []
    for inline in _inlines(node):
        if inline["kind"] == "image":
            yield from _flushed(kept)
            kept = []
            yield {"kind": "figure", "name": inline["name"], "caption": inline["inline"]}
        else:
            kept.append(inline)
    yield from _flushed(kept)


def _flushed(inline: list[Node]) -> Iterator[Node]:
    while inline and _is_gap(inline[0]):
        inline = inline[1:]
    while inline and _is_gap(inline[-1]):
        inline = inline[:-1]
    if plain_text(inline).strip() or any(n["kind"] == "cite" for n in inline):
        yield {"kind": "paragraph", "inline": inline}


def _is_gap(node: Node) -> bool:
    return node["kind"] == "break" or (node["kind"] == "text" and not node["text"].strip())


def _list(node: SyntaxTreeNode) -> Iterator[Node]:
    start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else 1
    yield {
        "kind": "list",
        "ordered": node.type == "ordered_list",
        "start": start,
        "items": [list(_blocks(item)) for item in node.children],
    }


def _quote(node: SyntaxTreeNode) -> Iterator[Node]:
    yield {"kind": "quote", "blocks": list(_blocks(node))}


def _code(node: SyntaxTreeNode) -> Iterator[Node]:
    made = {"kind": "code", "text": node.content.rstrip("\n")}
    yield {**made, "language": "mermaid"} if node.info.strip().lower() == "mermaid" else made


def _rule(node: SyntaxTreeNode) -> Iterator[Node]:
    yield {"kind": "rule"}


def _table(node: SyntaxTreeNode) -> Iterator[Node]:
    rows = [row for part in node.children for row in part.children]
    cells = [[_inlines(cell) for cell in row.children] for row in rows]
    align = [_align(cell) for cell in rows[0].children]
    yield {"kind": "table", "align": align, "head": cells[0], "rows": cells[1:]}


def _align(cell: SyntaxTreeNode) -> str:
    style = str(cell.attrs.get("style", ""))
    return style.removeprefix("text-align:") if style else "left"


_BLOCKS: dict[str, Callable[[SyntaxTreeNode], Iterator[Node]]] = {
    "heading": _heading,
    "paragraph": _paragraph,
    "bullet_list": _list,
    "ordered_list": _list,
    "blockquote": _quote,
    "fence": _code,
    "code_block": _code,
    "hr": _rule,
    "table": _table,
}


def _inlines(node: SyntaxTreeNode) -> list[Node]:
    """Returns the inline nodes below a block; neighbouring texts are joined before citing."""
    out: list[Node] = []
    for child in node.children:
        for made in _inline(child):
            if made["kind"] == "text" and out and out[-1]["kind"] == "text":
                out[-1] = {"kind": "text", "text": out[-1]["text"] + made["text"]}
            else:
                out.append(made)
    return [cited for made in out for cited in _with_cites(made)]


def _inline(node: SyntaxTreeNode) -> Iterator[Node]:
    if node.type == "inline":
        for child in node.children:
            yield from _inline(child)
    elif node.type in ("text", "text_special"):
        yield {"kind": "text", "text": node.content}
    elif node.type in ("strong", "em", "s"):
        kind = {"strong": "strong", "em": "emph", "s": "strike"}[node.type]
        yield {"kind": kind, "inline": _inlines(node)}
    elif node.type == "code_inline":
        yield {"kind": "code", "text": node.content}
    elif node.type == "softbreak":
        yield {"kind": "text", "text": "\n"}
    elif node.type == "hardbreak":
        yield {"kind": "break"}
    elif node.type == "link":
        yield from _link(node)
    elif node.type == "image":
        caption = [{"kind": "text", "text": node.content}] if node.content else []
        name = unquote(str(node.attrs.get("src", "")))  # the reader has encoded it
        yield {"kind": "image", "name": name, "inline": caption}


def _link(node: SyntaxTreeNode) -> Iterator[Node]:
    url = str(node.attrs.get("href", ""))
    inline = _inlines(node)
    if url.casefold().startswith(_LINKS):
        yield {"kind": "link", "url": url, "inline": inline}
    else:  # a path or a script: only its text is kept
        yield from inline


def _with_cites(node: Node) -> Iterator[Node]:
    if node["kind"] != "text":
        yield node
        return
    text, at = _CHINESE_BREAK.sub("", node["text"]).replace("\n", " "), 0
    for match in _CITE.finditer(text):
        if match.start() > at:
            yield {"kind": "text", "text": text[at : match.start()]}
        quote = (match["quote"] or "").strip()
        for number in re.findall(r"\d+", match["numbers"]):
            yield {"kind": "cite", "source": int(number), "quote": quote}
        at = match.end()
    if at < len(text) or not text:
        yield {"kind": "text", "text": text[at:]}


def plain_text(nodes: list[Node]) -> str:
    """Returns the words of inline nodes, without citations and pictures."""
    out = []
    for node in nodes:
        if "text" in node:
            out.append(node["text"])
        elif node["kind"] == "break":
            out.append("\n")
        else:
            out.append(plain_text(node.get("inline", [])))
    return "".join(out)


def block_text(block: Node) -> str:
    """Returns the words of a block."""
    kind = block["kind"]
    if kind in ("heading", "paragraph"):
        return plain_text(block["inline"])
    if kind == "code":
        return str(block["text"])
    if kind == "table":
        rows = [block["head"], *block["rows"]]
        return "\n".join("\t".join(plain_text(cell) for cell in row) for row in rows)
    inner = block.get("blocks") or [b for item in block.get("items", ()) for b in item]
    return "\n".join(block_text(b) for b in inner)


def inline_lists(blocks: list[Node]) -> Iterator[list[Node]]:
    """Yields every list of inline nodes of the blocks, in reading order."""
    for block in blocks:
        kind = block["kind"]
        if kind in ("heading", "paragraph"):
            yield block["inline"]
        elif kind == "figure":
            yield block["caption"]
        elif kind == "table":
            for row in [block["head"], *block["rows"]]:
                yield from row
        elif kind == "quote":
            yield from inline_lists(block["blocks"])
        elif kind == "list":
            for item in block["items"]:
                yield from inline_lists(item)
