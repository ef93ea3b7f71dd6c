"""Text and Markdown become blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qwenbelt.tools.documents.parsing.pagination import Block, Paragraph, TableRows, Title

_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")


def text_blocks(text: str) -> Iterator[Block]:
    """Yields the paragraphs of plain text."""
    for paragraph in _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        if paragraph.strip():
            yield Paragraph(paragraph.strip("\n"))


def markdown_blocks(text: str) -> Iterator[Block]:
    """Yields titles, tables and the source of all else, by CommonMark with tables."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    lines = text.split("\n")
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = _closing(tokens, index)
        if token.type == "heading_open":
            yield Title(tokens[index + 1].content, int(token.tag[1:]))
        elif token.type == "table_open":
            yield TableRows(_markdown_rows(tokens[index:end]))
        elif token.map is not None:
            yield Paragraph("\n".join(lines[token.map[0] : token.map[1]]).strip("\n"))
        index = end + 1


def _closing(tokens: list[Any], index: int) -> int:
    """Returns the index of the token that closes a block."""
    depth = 0
    for place in range(index, len(tokens)):
        depth += tokens[place].nesting
        if depth == 0:
            return place
    return len(tokens) - 1


def _markdown_rows(tokens: list[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.content)
    return rows
