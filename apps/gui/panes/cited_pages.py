"""Pages of cited documents, with the cited words found and highlighted."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.core.errors import InputError

if TYPE_CHECKING:
    from qwenbelt.tools.documents.model import Page

_QUOTED = re.compile(r"[\"“«「『](.{8,400}?)[\"”»」』]", re.DOTALL)
_MOST_BOXES = 60
_MOST_LINES = 3000


async def cited_page(
    session: ChatSession, name: str, page: int, words: str, sought: str = ""
) -> dict[str, Any]:
    """Returns where the cited words are: `{"found", "pages", "boxes", "size", "lines"}`.

    `lines` are the texts of the page with their boxes, to be selected over its picture.

    Args:
        session: the conversation.
        name: a document of it.
        page: from 1.
        words: the text before the citation; quotes in it are looked for first.
        sought: words that a person looks for; all their places are returned instead.

    Raises:
        InputError: there is no such document or page, or it cannot be read.
    """
    path = _document_path(session, name)
    return await asyncio.to_thread(_page_with_boxes, path, page, words[-2000:], sought[:200])


async def page_png(
    session: ChatSession, name: str, page: int, boxes: Any, *, small: bool = False
) -> bytes:
    """Returns a page as a picture with the boxes highlighted.

    Raises:
        InputError: there is no such document or page, or the boxes are no list of boxes.
    """
    from qwenbelt.tools.documents.parsing.pdf.page_pictures import render_page

    try:
        places = [tuple(float(edge) for edge in box[:4]) for box in boxes[:_MOST_BOXES]]
        fits = all(len(place) == 4 for place in places)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError("The boxes must be lists of four numbers.")
    path = _document_path(session, name)
    return await asyncio.to_thread(
        render_page, path, page, boxes=places, scale=0.2 if small else 1.6
    )


def _document_path(session: ChatSession, name: str) -> Path:
    path = session.file(name)
    if path is None or path.suffix.lower() != ".pdf":
        raise PageError("no_pdf", file=name)
    return path


def _page_with_boxes(path: Path, page: int, words: str, sought: str) -> dict[str, Any]:
    from qwenbelt.tools.documents.citations import cited_page as read_page
    from qwenbelt.tools.documents.parsing.pdf.reader import pdf_facts

    found = read_page(path.parent, path.name, page)
    if found is None:
        raise PageError("no_page", file=path.name, page=page)
    spans = _sought_spans(found.text, sought) if sought.strip() else _word_spans(found, words)
    boxes = [box for start, end in spans for box in found.boxes(start, end)]
    places = [[box.x0, box.top, box.x1, box.bottom] for box in boxes[:_MOST_BOXES]]
    lines = [
        [found.text[line.start : line.end], *(round(edge, 2) for edge in line.box)]
        for line in found.lines[:_MOST_LINES]
    ]
    return {
        "found": bool(places),
        "pages": pdf_facts(path).pages,
        "boxes": places,
        "size": [found.width, found.height],
        "lines": lines,
    }


def cited_words(path: Path, page: int, words: str) -> str:
    """Returns the words of a page that a text before a citation speaks of, or "".

    Raises:
        InputError: the document cannot be read.
    """
    from qwenbelt.tools.documents.citations import cited_page as read_page

    found = read_page(path.parent, path.name, page)
    if found is None:
        return ""
    spans = _word_spans(found, words)
    return " … ".join(" ".join(found.text[start:end].split()) for start, end in spans)


def _sought_spans(text: str, sought: str) -> list[tuple[int, int]]:
    """Returns every place of words, however they are spaced, in either case."""
    form = r"\s+".join(re.escape(word) for word in sought.split())
    return [match.span() for match in re.finditer(form, text, re.IGNORECASE)]


def _word_spans(page: Page, words: str) -> list[tuple[int, int]]:
    """Returns where the words are: quotes if there are any, else the passage most like them."""
    from qwenbelt.tools.documents.citations import quote_spans
    from qwenbelt.tools.documents.search.hits import best_quote
    from qwenbelt.tools.documents.search.tokens import index_text

    for match in reversed(list(_QUOTED.finditer(words))):
        spans = quote_spans(page.text, match.group(1))
        if spans:
            return spans
    terms = {term: 1.0 + 2.0 * term.isdigit() for term in index_text(words[-400:]).split()}
    if not terms:
        return []
    start, end = best_quote(page.text, terms)
    shared = terms.keys() & set(index_text(page.text[start:end]).split())
    return [(start, end)] if len(shared) >= min(3, len(terms)) else []
