"""Markdown of answers in a terminal: as rich draws it, formulas in Unicode, tasks as boxes."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.markdown import Markdown

from qwenbelt.apps.markdown_rules import add_rules
from qwenbelt.apps.maths import unicode_maths
from qwenbelt.apps.terminal_chat.terminal_table import WholeWordTable


class _WholeWords(Markdown):
    """Markdown with tables in which no word is broken."""

    elements: ClassVar = {**Markdown.elements, "table_open": WholeWordTable}


def terminal_markdown(text: str) -> Markdown:
    """Returns what rich draws of an answer.

    Args:
        text: the answer, without control characters.
    """
    # hyperlinks off: the address stays visible, so that a link cannot pose as another
    drawn = _WholeWords("", hyperlinks=False)
    drawn.markup = text
    drawn.parsed = [plain for token in _parser().parse(text) for plain in _token_for_rich(token)]
    return drawn


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # tags are shown as they are written: rich would drop them with what they fold away
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    add_rules(parser, addresses=False)  # a terminal makes them links by itself
    return parser


def _token_for_rich(token: Token) -> list[Token]:
    """Returns a token as those that rich knows."""
    if token.type == "maths" and token.block:
        inside = Token(
            "inline", "", 0, content=token.content, children=[_inline_token_for_rich(token)]
        )
        return [Token("paragraph_open", "p", 1), inside, Token("paragraph_close", "p", -1)]
    if token.type == "footnote_open":
        return [Token("paragraph_open", "p", 1), _inline(f"[{token.meta['label']}] ")]
    if token.type == "footnote_close":
        return [Token("paragraph_close", "p", -1)]
    if token.children:
        token.children = [_inline_token_for_rich(child) for child in token.children]
    return [token]


def _inline(text: str) -> Token:
    return Token("inline", "", 0, content=text, children=[_inline_text(text)])


def _inline_token_for_rich(token: Token) -> Token:
    """Returns an inline token; one that rich does not know as text."""
    if token.type == "maths":
        return _inline_text(unicode_maths(token.content) or token.markup)
    if token.type == "task":
        return _inline_text("☑ " if token.meta["ticked"] else "☐ ")
    if token.type == "image":
        return _inline_text(f"🖼 {token.content} ({token.attrs.get('src', '')})")
    if token.type == "footnote_ref":
        return _inline_text(f"[{token.meta['label']}]")
    return token


def _inline_text(content: str) -> Token:
    return Token("text", "", 0, content=content)
