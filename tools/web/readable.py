"""Readable text of a web page, as Markdown, without scripts, menus and forms.

The page is read by the reader of HTML documents (`html_page`): what a browser does not show is
left out here as there, and reported.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwenbelt.tools.documents.parsing.html.blocks import table_places
from qwenbelt.tools.documents.parsing.html.page import html_page

if TYPE_CHECKING:
    from bs4 import Tag

_DROPPED = (
    "script style noscript template svg iframe object embed form button input select textarea "
    "nav footer aside dialog canvas video audio"
).split()
_BLANKS = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class WebPage:
    """A page's title, its text as Markdown, and what was left out of it, one line each."""

    title: str
    text: str
    notes: list[str] = field(default_factory=list)


def readable_page(html: bytes, charset: str = "") -> WebPage:
    """Returns the readable part of an HTML page; hostile markup gives text at worst.

    The page's main part is taken where it names one (`main`, `article`), else its whole body.
    """
    from bs4 import BeautifulSoup, Tag

    page = html_page(html, charset)
    soup = page.soup
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    for tag in soup.find_all(["ol", "li"]):
        if tag.name == "ol" or (tag.parent is not None and tag.parent.name == "div"):
            tag.name = "div"  # its items have their numbers in their text
    main = soup.find("main") or soup.find("article") or soup.body or soup
    converter = _converter()(heading_style="atx", strip=["img"], escape_misc=False)
    text = converter.convert_soup(main) if isinstance(main, (Tag, BeautifulSoup)) else ""
    return WebPage(page.title, _BLANKS.sub("\n\n", text).strip(), page.notes)


@functools.cache
def _converter() -> Any:
    from markdownify import MarkdownConverter

    class Converter(MarkdownConverter):
        """Writes tables by the places of their cells: spans are filled."""

        def convert_table(self, el: Tag, text: str, parent_tags: set[str]) -> str:
            places = table_places(el)
            if places is None:
                return str(super().convert_table(el, text, parent_tags))  # type: ignore[misc]
            width = max(map(len, places.rows))
            rows = [[_cell(c) for c in row] + [""] * (width - len(row)) for row in places.rows]
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            lines.insert(1, "|" + " --- |" * width)
            return "\n\n" + "\n".join(lines) + "\n\n"

    return Converter


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
