"""What answers of models hold beyond CommonMark: formulas, tasks, footnotes, bare addresses.

The rules make tokens; each front end decides how a token looks. Tokens: `maths` (content: the TeX;
markup: the source as written; block: on a line of its own), `task` (meta: whether it is ticked),
`footnote_ref` and `footnote` (meta: the label; the footnote's children follow as `inline`).
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)", "$": "$"}
_MONEY = re.compile(r"\d[\d.,]*[^\\^_={}<>+*/]*\s")  # "5 and the meal 10"
_LABEL = re.compile(r"\[\^([^\]\s]{1,40})\]")
_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
# up to what cannot be part of an address; full stops and Chinese signs at its end are not
_ADDRESS = re.compile(r"https?://[^\s<>\"'`\u3000-\u303f\uff00-\uffef|\\^{}]+", re.IGNORECASE)
_AFTER = ".,;:!?*_~"
_MOST_LINES = 200


def add_rules(markdown: MarkdownIt, *, addresses: bool = True) -> None:
    """Adds the rules to a parser.

    Args:
        markdown: the parser.
        addresses: whether bare addresses become links.
    """
    around: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.before("fence", "maths", _block_maths, around)
    markdown.block.ruler.before("reference", "footnote", _footnote_rule, around)
    markdown.inline.ruler.before("escape", "maths", _inline_maths)
    markdown.inline.ruler.before("link", "footnote_ref", _footnote_ref)
    markdown.core.ruler.after("text_join", "tasks", _task_list_rule)
    if addresses:
        markdown.core.ruler.after("tasks", "addresses", _bare_address_rule)


# -- formulas -------------------------------------------------------------------------------


def _block_maths(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    at = state.bMarks[start] + state.tShift[start]
    opening = state.src[at : at + 2]
    if opening not in ("$$", "\\[") or state.is_code_block(start):
        return False
    closing, lines = _CLOSING[opening], []
    for line in range(start, min(end, start + _MOST_LINES)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            return False
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        lines.append(text[2:] if line == start else text)
        if closing in lines[-1]:
            if not lines[-1].endswith(closing):
                return False  # words follow: a formula in a paragraph
            if not silent:
                token = state.push("maths", "math", 0)
                token.block = True
                token.content = "\n".join(lines)[: -len(closing)]
                token.markup = f"{opening}{token.content}{closing}"
                token.map = [start, line + 1]
                state.line = line + 1
            return bool("".join(lines)[: -len(closing)].strip())
    return False


def _inline_maths(state: StateInline, silent: bool) -> bool:
    at, source = state.pos, state.src
    opening = source[at : at + 2]
    if opening not in ("$$", "\\[", "\\("):
        opening = source[at]
    if opening not in _CLOSING:
        return False
    begin = at + len(opening)
    end = (
        _end_of_dollars(source, begin) if opening == "$" else source.find(_CLOSING[opening], begin)
    )
    if opening == "$" and at and source[at - 1].isascii() and source[at - 1].isalnum():
        return False  # US$5
    content = source[begin:end] if end > 0 else ""
    if not content.strip() or "\n\n" in content or "`" in content:
        return False
    if not silent:
        token = state.push("maths", "math", 0)
        token.content = content
        token.markup = source[at : end + len(opening)]
        token.meta = {"display": opening in ("$$", "\\[")}
    state.pos = end + len(opening)
    return True


def _end_of_dollars(source: str, begin: int) -> int:
    """Returns where `$...$` ends, or -1: two prices in a sentence are no formula."""
    if begin >= len(source) or source[begin].isspace():
        return -1
    end = begin
    while True:
        end = source.find("$", end)
        if end < 0:
            return -1
        if source[end - 1] != "\\":
            break
        end += 1
    content, after = source[begin:end], source[end + 1 : end + 2]
    if not content or content[-1].isspace() or (after.isascii() and after.isalnum()):
        return -1
    return -1 if _MONEY.match(content) else end


# -- footnotes ------------------------------------------------------------------------------


def _footnote_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    at = state.bMarks[start] + state.tShift[start]
    match = _LABEL.match(state.src, at, state.eMarks[start])
    if match is None or state.src[match.end() : match.end() + 1] != ":":
        return False
    if silent:
        return True
    last = start + 1
    while last < end and not state.isEmpty(last) and state.sCount[last] > state.blkIndent:
        last += 1
    lines = state.getLines(start, last, state.blkIndent, False).strip()
    opened = state.push("footnote_open", "div", 1)
    opened.meta = {"label": match[1]}
    inside = state.push("inline", "", 0)
    inside.content = lines[lines.index(":") + 1 :].strip()
    inside.map = [start, last]
    inside.children = []
    closed = state.push("footnote_close", "div", -1)
    closed.meta = opened.meta
    state.line = last
    return True


def _footnote_ref(state: StateInline, silent: bool) -> bool:
    match = _LABEL.match(state.src, state.pos)
    if match is None or state.src[match.end() : match.end() + 1] in ("(", "["):
        return False
    if not silent:
        state.push("footnote_ref", "sup", 0).meta = {"label": match[1]}
    state.pos = match.end()
    return True


# -- tasks and addresses --------------------------------------------------------------------


def _task_list_rule(state: StateCore) -> None:
    tokens = state.tokens
    for before, paragraph, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.type != "list_item_open" or paragraph.type != "paragraph_open":
            continue
        match = _TASK.match(inline.content)
        if match is None or not inline.children or inline.children[0].type != "text":
            continue
        first = inline.children[0]
        if not first.content.startswith(match.group()):
            continue
        first.content = first.content[match.end() :]
        task = Token("task", "span", 0, meta={"ticked": match[1] != " "})
        inline.children = [task, *inline.children]
        before.attrJoin("class", "qb-task-item")


def _bare_address_rule(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and "://" in token.content and token.children:
            token.children = _with_links(token.children)


def _with_links(children: list[Token]) -> list[Token]:
    out: list[Token] = []
    inside = 0
    for child in children:
        inside += (child.type == "link_open") - (child.type == "link_close")
        if child.type != "text" or inside:
            out.append(child)
            continue
        at = 0
        for match in _ADDRESS.finditer(child.content):
            address = _trimmed(match.group())
            out += _inline_text(child.content[at : match.start()])
            out += [
                Token("link_open", "a", 1, attrs={"href": address}, markup="bare"),
                *_inline_text(address),
                Token("link_close", "a", -1, markup="bare"),
            ]
            at = match.start() + len(address)
        out += _inline_text(child.content[at:])
    return out


def _trimmed(address: str) -> str:
    """Returns an address without the signs of the sentence around it."""
    while address:
        last = address[-1]
        unopened = last == ")" and address.count(")") > address.count("(")
        if last not in _AFTER and not unopened and not (last == "]" and "[" not in address):
            break
        address = address[:-1]
    return address


def _inline_text(content: str) -> list[Token]:
    return [Token("text", "", 0, content=content)] if content else []
