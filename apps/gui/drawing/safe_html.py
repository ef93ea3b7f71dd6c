"""Markdown from models and tools as HTML in which nothing can run and nothing is fetched.

Raw HTML is shown as text. Pictures are shown only when they are files of the conversation; others
become a note with their address, since fetching them would leak the conversation to their host.
Links lead only to http and https, name their host, and open without a referrer. Citations such as
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

from qwenbelt.apps.gui.drawing.code_html import code_block
from qwenbelt.apps.gui.panes.charts import SPEC_ENDING
from qwenbelt.apps.gui.strings import say
from qwenbelt.apps.markdown_rules import add_rules
from qwenbelt.apps.maths import formula_as_mathml
from qwenbelt.core.terminal import terminal_text

MAX_TABLE_ROWS = 500  # of one table; a browser stalls long before memory runs out
MAX_NESTING = 30
# [report.pdf p.3], [report.pdf, p. 3-4], [报告.pdf 第3页]
CITATION = re.compile(
    r"\[(?P<file>[^\[\]\n|]{1,200}?)[,，]?\s*(?:pp?\.\s*|page\s+|第\s*)(?P<page>\d{1,5})"
    r"(?:\s*[-–]\s*\d{1,5})?\s*页?\]",
    re.IGNORECASE,
)
_HEADING = re.compile(r'<h([1-6])(?: aria-level="(\d)")?>')
_NUMBER = re.compile(r"\[(\d{1,3})\](?![(\[])")


@dataclass(frozen=True)
class RenderContext:
    """What a text may refer to.

    Attributes:
        language: of the notes that are put in.
        file_url: returns where a file of the conversation is served, or None if it has no such.
        has_document: returns whether a document of this name can be opened at a page.
        passage: returns the document and page that a bare number such as `[1]` cites, or None;
            it is given the number and the words before it.
        prefix: begins the ids of the text's footnotes.
        tool_html: returns a tool's name as cards show it.
        diagram: draws Mermaid at once, for a page that runs no script; None leaves the source.
        level: of the heading before the text; none of its own may be more than one deeper.
    """

    language: str = "en"
    file_url: Callable[[str], str | None] = lambda name: None
    has_document: Callable[[str], bool] = lambda name: False
    passage: Callable[[int, str], tuple[str, int] | None] = lambda number, words: None
    prefix: str = "qb"
    level: int = 0
    diagram: Callable[[str], str | None] = lambda source: None
    tool_html: Callable[[str], str] = lambda name: f"<b>{escape(name)}</b>"


class _Renderer(RendererHTML):
    """HTML from tokens, by the rules above."""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        around: RenderContext = env["around"]
        token = tokens[idx]
        source = unquote(str(token.attrs.get("src", "")))
        alternative = escape(token.content)
        url = None if "://" in source else around.file_url(source)
        if url is not None:
            return figure_html(url, alternative, chart_of(around, source))
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
        bare = tokens[idx].markup == "bare"  # it shows where it leads
        named = "" if bare else f' data-host="{escape(host)}"'
        return (
            f'<a href="{escape(target)}" title="{escape(target)}" target="_blank" '
            f'rel="noopener noreferrer nofollow"{named}>'
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
        around: RenderContext = env["around"]
        return code_block(token.content, language, around.language, draw=around.diagram)

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return code_block(tokens[idx].content, "", env["around"].language)

    def heading_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # readers step through headings: none may be left out, whatever a model begins with
        tag = tokens[idx].tag
        level = env["level"] = min(int(tag[1]), env["level"] + 1)
        return f"<{tag}>" if level == int(tag[1]) else f'<{tag} aria-level="{level}">'

    def maths(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        display = token.block or bool(token.meta.get("display"))
        drawn = formula_as_mathml(token.content, display)
        if drawn is None:
            source = f'<code class="qb-tex">{escape(token.markup)}</code>'
            return f"<p>{source}</p>\n" if token.block else source
        if display:
            return f'<span class="qb-formula" tabindex="0">{drawn}</span>\n'
        return drawn

    def task(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        ticked = tokens[idx].meta["ticked"]
        label = escape(say("task_done" if ticked else "task_open", env["around"].language))
        kind = " ticked" if ticked else ""
        return f'<span class="qb-task{kind}" role="img" aria-label="{label}"></span> '

    def footnote_ref(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        label = str(tokens[idx].meta["label"])
        note = _note_id(env["around"].prefix, label)
        return (
            f'<sup class="qb-footnote-ref" id="{note}-ref"><a href="#{note}">{escape(label)}</a>'
            "</sup>"
        )

    def footnote_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        label = str(tokens[idx].meta["label"])
        note = _note_id(env["around"].prefix, label)
        return f'<div class="qb-footnote" id="{note}" tabindex="-1"><sup>{escape(label)}</sup> '

    def footnote_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        note = _note_id(env["around"].prefix, str(tokens[idx].meta["label"]))
        back = escape(say("footnote_back", env["around"].language))
        return f' <a href="#{note}-ref" aria-label="{back}">↩</a></div>\n'

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<div class="qb-table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def citation(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        meta = tokens[idx].meta
        return citation_button(meta["file"], meta["page"], tokens[idx].content)


def _note_id(prefix: str, label: str) -> str:
    """Returns a footnote's id; whatever its label, it is no other element's."""
    return f"{prefix}-note-{re.sub(r'[^0-9A-Za-z]', lambda found: f'_{ord(found[0]):x}', label)}"


def chart_of(around: RenderContext, picture: str) -> str:
    """Returns the name of the chart that can be moved and filtered behind a picture, or ""."""
    chart = f"{picture.removeprefix('./').removesuffix('.png')}{SPEC_ENDING}"
    return chart if picture.endswith(".png") and around.has_document(chart) else ""


def figure_html(url: str, alternative: str, chart: str = "") -> str:
    """Returns a picture that a click shows large; its text is escaped already."""
    moved = f' data-chart="{escape(chart)}"' if chart else ""
    # not lazily: the height of the page would jump while it is read
    return (
        f'<button type="button" class="qb-enlarge"{moved}>'
        f'<img class="qb-figure" src="{escape(url)}" '
        f'alt="{alternative or escape(unquote(url.rpartition("/")[2]))}"></button>'
    )


def citation_button(file: str, page: int, text: str) -> str:
    """Returns a button that opens a page of a document in the side panel."""
    return (
        f'<button type="button" class="qb-cite" data-file="{escape(file)}" data-page="{page}">'
        f"{escape(text)}</button>"
    )


def _citation_rule(state: StateInline, silent: bool) -> bool:
    match = CITATION.match(state.src, state.pos)
    around = state.env.get("around")
    if match is None or around is None or not around.has_document(match["file"].strip()):
        return False
    if not silent:
        token = state.push("citation", "button", 0)
        token.content = match.group()[1:-1]
        token.meta = {"file": match["file"].strip(), "page": int(match["page"])}
    state.pos = match.end()
    return True


def _number_rule(state: StateInline, silent: bool) -> bool:
    """Takes `[1]` where a search of the turn has found a passage of that number."""
    match = _NUMBER.match(state.src, state.pos)
    around = state.env.get("around")
    if match is None or around is None or match[1] in state.env.get("references", {}):
        return False
    found = around.passage(int(match[1]), state.src[max(0, state.pos - 400) : state.pos])
    if found is None:
        return False
    if not silent:
        token = state.push("citation", "button", 0)
        token.content = match[1]
        token.meta = {"file": found[0], "page": found[1]}
    state.pos = match.end()
    return True


def _make() -> MarkdownIt:
    options = {"html": False, "linkify": False, "maxNesting": MAX_NESTING}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    add_rules(markdown)
    markdown.inline.ruler.before("link", "citation", _citation_rule)
    markdown.inline.ruler.before("link", "number", _number_rule)
    return markdown


_MARKDOWN = _make()


def markdown_html(text: str, around: RenderContext) -> str:
    """Returns Markdown as safe HTML, without controls that let one text look like another."""
    short = _with_short_tables(terminal_text(text), around.language)
    return str(_MARKDOWN.render(short, {"around": around, "level": around.level}))


def last_level(html: str, before: int) -> int:
    """Returns the level of the last heading of what `markdown_html` gave, else the one before."""
    last = next(reversed(list(_HEADING.finditer(html))), None)
    return before if last is None else int(last[2] or last[1])


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


def quoted_for_url(part: str) -> str:
    """Returns a name for use in a path of a URL."""
    return quote(part, safe="")
