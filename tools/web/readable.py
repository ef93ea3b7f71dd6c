"""Readable text of a web page, as Markdown, without scripts, menus and forms."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DROPPED = (
    "script style noscript template svg iframe object embed form button input select textarea "
    "nav footer aside dialog canvas video audio"
).split()
_BLANKS = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class WebPage:
    """A page's title and its text as Markdown."""

    title: str
    text: str


def readable(html: bytes, charset: str = "") -> WebPage:
    """Returns the readable part of an HTML page; hostile markup gives text at worst.

    The page's main part is taken where it names one (`main`, `article`), else its whole body.
    """
    from bs4 import BeautifulSoup, Comment, Tag
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser", from_encoding=charset or None)
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for tag in soup.find_all(style=re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")):
        tag.decompose()  # hidden text is a way to slip instructions to a model
    main = soup.find("main") or soup.find("article") or soup.body or soup
    converter = MarkdownConverter(heading_style="atx", strip=["img"], escape_misc=False)
    text = converter.convert_soup(main) if isinstance(main, (Tag, BeautifulSoup)) else ""
    return WebPage(title, _BLANKS.sub("\n\n", text).strip())
