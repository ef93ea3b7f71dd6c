"""Markdown from models and tools as HTML in which nothing can run and nothing is fetched.

Raw HTML is shown as text. Pictures are shown only when they are files of the conversation; others
become a note with their address, since fetching them would tell their host what was said. Links
lead only to http and https, name their host, and open without a referrer. Citations such as
`[report.pdf p.3]` become buttons that open the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from qwenbelt.apps.gui.strings import say
from qwenbelt.core.terminal import terminal_text

MAX_TABLE_ROWS = 500  # of one table; a browser stalls long before memory runs out
MAX_NESTING = 30
# [report.pdf p.3], [report.pdf, p. 3-4], [报告.pdf 第3页]
_CITATION = re.compile(
    r"\[(?P<file>[^\[\]\n|]{1,200}?)[,，]?\s*(?:pp?\.\s*|page\s+|第\s*)(?P<page>\d{1,5})"
    r"(?:\s*[-–]\s*\d{1,5})?\s*页?\]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RenderContext:
    """What a text may refer to.

    Attributes:
        language: of the notes that are put in.
        file_url: returns where a file of the conversation is served, or None if it has no such.
        has_document: says whether a document of this name can be opened at a page.
    """

    language: str = "en"
    file_url: Callable[[str], str | None] = lambda name: None
    has_document: Callable[[str], bool] = lambda name: False


class _Renderer(RendererHTML):
    """HTML from tokens, by the rules above."""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        around: RenderContext = env["around"]
        token = tokens[idx]
        source = unquote(str(token.attrs.get("src", "")))
        alternative = escape(token.content)
        url = None if "://" in source else around.file_url(source)
        if url is not None:
            # not lazily: the height of the page would jump while it is read
            return f'<img class="qb-figure" src="{escape(url)}" alt="{alternative}">'
        note = say("blocked_picture", around.language, source=source[:200])
        return f'<span class="qb-blocked">{alternative} <small>{escape(note)}</small></span>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        target = str(tokens[idx].attrs.get("href", ""))
        try:
            parts = urlsplit(target)
            host = parts.hostname or ""
        except ValueError:
            return "<span>"
        if parts.scheme not in ("http", "https") or not host:
            return "<span>"
        return (
            f'<a href="{escape(target)}" title="{escape(target)}" target="_blank" '
            f'rel="noopener noreferrer nofollow" data-host="{escape(host)}">'
        )

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        depth, at = 1, idx
        while depth and at:
            at -= 1
            depth += {"link_open": -1, "link_close": 1}.get(tokens[at].type, 0)
        opened = self.link_open(tokens, at, options, env)
        return "</a>" if opened.startswith("<a") else "</span>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        language = token.info.split()[0] if token.info.split() else ""
        return code_block(token.content, language, env["around"].language)

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return code_block(tokens[idx].content, "", env["around"].language)

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<div class="qb-table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def citation(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        meta = tokens[idx].meta
        return citation_button(meta["file"], meta["page"], tokens[idx].content)


def citation_button(file: str, page: int, text: str) -> str:
    """Returns a button that opens a page of a document in the side panel."""
    return (
        f'<button type="button" class="qb-cite" data-file="{escape(file)}" data-page="{page}">'
        f"{escape(text)}</button>"
    )


def code_block(text: str, language: str, tongue: str) -> str:
    """Returns a block of code with a button that copies it."""
    name = escape(language[:30])
    copy = escape(say("copy", tongue))
    head = f"<span>{name}</span>" if name else "<span></span>"
    return (
        f'<div class="qb-code"><div class="qb-code-head">{head}'
        f'<button type="button" class="qb-copy">{copy}</button></div>'
        f'<pre tabindex="0"><code>{escape(text)}</code></pre></div>'
    )


def _citation_rule(state: StateInline, silent: bool) -> bool:
    match = _CITATION.match(state.src, state.pos)
    around = state.env.get("around")
    if match is None or around is None or not around.has_document(match["file"].strip()):
        return False
    if not silent:
        token = state.push("citation", "button", 0)
        token.content = match.group()[1:-1]
        token.meta = {"file": match["file"].strip(), "page": int(match["page"])}
    state.pos = match.end()
    return True


def _make() -> MarkdownIt:
    options = {"html": False, "linkify": False, "maxNesting": MAX_NESTING}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.inline.ruler.before("link", "citation", _citation_rule)
    return markdown


_MARKDOWN = _make()


def markdown_html(text: str, around: RenderContext) -> str:
    """Returns Markdown as safe HTML, without controls that let one text look like another."""
    short = _with_short_tables(terminal_text(text), around.language)
    return str(_MARKDOWN.render(short, {"around": around}))


def _with_short_tables(text: str, language: str) -> str:
    """Cuts tables that a browser could not lay out."""
    if text.count("\n|") < MAX_TABLE_ROWS:
        return text
    kept: list[str] = []
    rows = left_out = 0
    for line in text.split("\n"):
        rows = rows + 1 if line.lstrip().startswith("|") else 0
        if rows > MAX_TABLE_ROWS:
            left_out += 1
            continue
        if left_out:
            kept += ["", say("rows_left_out", language, count=left_out), ""]
            left_out = 0
        kept.append(line)
    if left_out:
        kept += ["", say("rows_left_out", language, count=left_out)]
    return "\n".join(kept)


def file_link(name: str, url: str, language: str) -> str:
    """Returns a link that downloads a file of the conversation."""
    title = escape(say("download", language, name=name))
    return (
        f'<a class="qb-file" href="{escape(url)}" download="{escape(name)}" '
        f'aria-label="{title}">{escape(name)}</a>'
    )


def quoted(part: str) -> str:
    """Returns a name for use in a path of a URL."""
    return quote(part, safe="")
