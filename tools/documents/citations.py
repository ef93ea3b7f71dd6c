"""Checking citations: is the quoted text on the page?

Comparison is by letters and digits: spaces, line breaks, hyphens at line ends, the form of quotes
and dashes, full-width forms, simplified or traditional characters (see `folding`) and case do not
matter. "…" or "..." in a quote marks words left out; the pieces must then follow each other
on the page. Raised digits are no digits of the number before them: neither 10^6 nor 10⁶ is 106, and
a footnote's mark ("45[1]") may be left off.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.tools.documents.folding import folded_character, letters
from qwenbelt.tools.documents.model import Box, Page

if TYPE_CHECKING:
    from qwenbelt.tools.documents.index import DocumentIndex

MIN_QUOTE = 3  # letters and digits; less proves nothing
_LEFT_OUT = re.compile(r"\s*(?:\[\s*)?(?:…|\.{3,})(?:\s*\])?\s*")
_SIGNS = frozenset("%$€£¥+<>=^")  # of all that is no letter or digit, only these matter
# of a footnote: "45[1]", "growth[a]", "growth¹"
_MARK = re.compile(
    r"(?<=[\w.,;:!?)%”\"'’])\[(?:\d{1,3}(?:[,;–-]\s?\d{1,3})*|[a-z])\]|(?<=[^\W\d_]{3})[⁰¹²³⁴-⁹]{1,3}"
)
_RAISED = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def find_quote(page: Page, quote: str) -> list[Box]:
    """Returns the boxes of a quote on a page, one a line; empty if it is not there.

    In a format without places the list holds one empty box when the quote was found.
    """
    spans = quote_spans(page.text, quote)
    boxes = [box for start, end in spans for box in page.boxes(start, end)]
    return boxes or ([Box(0, 0, 0, 0)] if spans else [])


def quote_spans(text: str, quote: str) -> list[tuple[int, int]]:
    """Returns where the pieces of a quote are in a text, in order; empty if one is missing."""
    folded, places = _fold(text)
    pieces = [_fold(piece)[0] for piece in _LEFT_OUT.split(quote)]
    pieces = [piece for piece in pieces if piece]
    if sum(map(len, pieces)) < MIN_QUOTE:
        return []
    spans, at = [], 0
    for piece in pieces:
        found = folded.find(piece, at)
        if found < 0:
            return []
        at = found + len(piece)
        spans.append((places[found][0], places[at - 1][1]))
    return spans


def _fold(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Returns what of a text matters in comparing, and where each character is in the text."""
    kept: list[str] = []
    places: list[tuple[int, int]] = []
    marks = {at for match in _MARK.finditer(text) for at in range(*match.span())}
    raised = False
    for place, character in letters(text):
        if place in marks:
            continue
        if character in _RAISED and not raised:
            kept.append("^")
            places.append((place, place + 1))
        raised = character in _RAISED
        for c in folded_character(character):
            if c.isalnum() or c in _SIGNS:
                kept.append(c)
                places.append((place, place + len(character)))
    return "".join(kept), places


def verify_citation(
    source: DocumentIndex | str | Path, file: str | Path, page: int, quote: str
) -> Box | None:
    """Returns the box of a quote that is on the cited page, or None if it is not.

    Args:
        source: an index that holds the document, or the folder or file to read it from.
        file: the document's name, path or id in the index; ignored when `source` is a file.
        page: from 1.
        quote: the quoted text.

    Raises:
        InputError: the document is not in the index or cannot be read.
    """
    found = cited_page(source, file, page)
    boxes = find_quote(found, quote) if found is not None else []
    if not boxes:
        return None
    around = boxes[0]
    for box in boxes[1:]:
        around = around.union(box)
    return around


def cited_page(source: DocumentIndex | str | Path, file: str | Path, page: int) -> Page | None:
    """Returns a page of an index or of a file, or None if there is no such page.

    Raises:
        InputError: the document is not in the index or cannot be read.
    """
    if isinstance(source, (str, Path)):
        from qwenbelt.tools.documents.parsing.formats import open_document

        path = Path(source)
        path = path / file if path.is_dir() else path
        with open_document(path) as opened:
            if not 1 <= page <= opened.pages:
                return None
            return next(iter(opened.read([page])), None)
    pages = source.pages(file, [page])
    return pages[0] if pages else None
