"""The tools `web_search` and `web_fetch`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import QwenbeltError, ToolError, ToolRefused
from qwenbelt.core.translation import in_language
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.documents.parsing.encodings import decode
from qwenbelt.tools.web.download import Downloaded, download_url
from qwenbelt.tools.web.readable import readable_page
from qwenbelt.tools.web.search import search_web
from qwenbelt.tools.web.strings import FETCH, SEARCH, say

PAGE_CHARACTERS = 12_000
_TEXT = ("text/", "application/json", "application/xml", "application/javascript")


class WebSearch(Tool):
    """Searches the web by the provider that is configured."""

    name = "web_search"
    description = SEARCH
    read_only = True
    idempotent = True
    open_world = True
    timeout = 30.0

    class Arguments(BaseModel):
        """What to look for."""

        query: str = Field(min_length=1, max_length=1000, description="what to look for")
        count: int = Field(8, ge=1, le=20, description="how many results")

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns titles, addresses and snippets."""
        arguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        language = context.language
        try:
            hits = search_web(arguments.query, arguments.count, str(self.cfg.get("provider") or ""))
        except QwenbeltError as error:
            raise ToolError(str(error)) from error
        if not hits:
            return say("nothing", language)
        rows = [f"[{n}] {h.title}\n{h.url}\n{h.snippet}" for n, h in enumerate(hits, 1)]
        return say("notice", language) + "\n\n" + "\n\n".join(rows)


class WebFetch(Tool):
    """Reads a web page as text."""

    name = "web_fetch"
    description = FETCH
    read_only = True
    idempotent = True
    open_world = True
    timeout = 40.0

    class Arguments(BaseModel):
        """Which page, and from where to read."""

        url: str = Field(min_length=1, max_length=4000, description="an http or https address")
        offset: int = Field(0, ge=0, description="the first character to read of a long page")

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Returns the page's text as Markdown, a part at a time."""
        arguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        language = context.language
        allow = self.cfg.get("allow_private_urls")
        try:
            found = download_url(arguments.url, allow_private=allow)
        except ToolRefused:
            raise
        except QwenbeltError as error:
            raise ToolError(str(error)) from error
        title, text = page_text(found, language)
        end = arguments.offset + PAGE_CHARACTERS
        part = text[arguments.offset : end]
        head = f"{say('notice', language)}\n{found.url}\n# {title}\n\n"
        more = say("more", language, end=end, total=len(text)) if end < len(text) else ""
        return f"{head}{part}{more}"


def page_text(found: Downloaded, language: str) -> tuple[str, str]:
    """Returns the title and the readable text of what was downloaded.

    Raises:
        ToolError: it is no text.
    """
    kind = found.media_type
    if kind in ("text/html", "application/xhtml+xml", "") or b"<html" in found.data[:1000].lower():
        page = readable_page(found.data, found.charset)
        notes = "\n".join(f"({in_language(note, language)})" for note in page.notes)
        return page.title, f"{page.text}\n\n{notes}" if notes else page.text
    if kind.startswith(_TEXT):
        return found.url, decode(found.data, found.charset).text
    raise ToolError(
        f"{found.url} is {kind}, not text; give documents to document_search as files instead."
    )
