"""Search hits, and the words in them that answer best."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from qwenbelt.tools.documents.folding import aligned, without_unseen
from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.search.tokens import UPPER, is_code

QUOTE_CHARACTERS = 320
CODE_WEIGHT = 3  # of a code against its parts and other words: the quote is the code's own row
_END = re.compile(r"[.!?](?=\s+[A-Z0-9\"“(])|[。！？；]|\n")  # of a sentence or a line


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage that fits a query.

    Attributes:
        file: the document's name.
        page: from 1.
        quote: the words of the passage that fit best; they are on the page.
        score: higher is better; comparable within one search only.
        box: where the quote is, in points from the page's top left, or None.
        section: titles of its sections, outermost first, joined by " > ".
        text: the whole passage.
        context: a table's caption and header, where the passage starts below them.
        kind: "text" or "table".
        document: the document's id.
        chunk: the passage's id, for asking for its neighbours.
        path: where the document was read from.
        label: the printed label of the page, where it is another than its number.
        notes: what was left out of the page, guessed or hidden.
    """

    file: str
    page: int
    quote: str
    score: float
    box: Box | None
    section: str = ""
    text: str = ""
    context: str = ""
    kind: str = "text"
    document: int = 0
    chunk: int = 0
    path: str = field(default="", repr=False)
    label: str = ""
    notes: tuple[str, ...] = ()


def best_quote(text: str, terms: Iterable[str]) -> tuple[int, int]:
    """Returns the stretch of at most `QUOTE_CHARACTERS` that has the most of the query's terms.

    Args:
        text: a passage.
        terms: search tokens; words are found by their beginnings, as stemming would.

    Returns:
        start and end in the text; whole sentences or lines where they are short enough.
    """
    parts = list(_parts(text))
    if not parts:
        return 0, min(len(text), QUOTE_CHARACTERS)
    given = list(terms)
    named = {term for term in given if is_code(term)}
    held = _terms_in_parts(text, [start for start, _ in parts], given)
    best, chosen = -1.0, parts[0]
    # a stretch that begins or ends with a part that adds nothing is never best: it is only longer
    firsts = [at for at, terms in enumerate(held) if terms] or range(len(parts))
    for first in firsts:
        seen: set[str] = set()
        start = parts[first][0]
        for last in range(first, len(parts)):
            end = parts[last][1]
            if end - start > QUOTE_CHARACTERS and last > first:
                break
            if last > first and held[last] <= seen:
                continue
            seen |= held[last]
            weight = len(seen) - 0.001 * (end - start)
            if named:
                weight += (CODE_WEIGHT - 1) * len(seen & named)
            if weight > best:
                best, chosen = weight, (start, end)
    return chosen


def _terms_in_parts(text: str, starts: list[int], terms: Iterable[str]) -> list[set[str]]:
    held: list[set[str]] = [set() for _ in starts]
    text, places = without_unseen(text)
    if "ß" in text:  # the words to look for have it as ss
        places = [places[at] for at, c in enumerate(text) for _ in ("ss" if c == "ß" else c)]
        text = text.replace("ß", "ss")
    lowered = aligned(text)
    for term in terms:
        if is_code(term) or term.startswith(UPPER):
            for at in _places_of_code(term, text, lowered):
                held[max(0, bisect_right(starts, places[at]) - 1)].add(term)
            continue
        is_ascii = term.isascii()
        stem = term if len(term) < 5 or not is_ascii else term[: max(4, len(term) - 2)]
        at = lowered.find(stem)
        while at >= 0:
            if not (is_ascii and lowered[at - 1 : at].isalnum()):
                held[max(0, bisect_right(starts, places[at]) - 1)].add(term)
            at = lowered.find(stem, at + len(stem))
    return held


def _places_of_code(term: str, text: str, lowered: str) -> Iterator[int]:
    """Yields where a code is, whatever signs join its parts, or a word in capitals."""
    if term.startswith(UPPER):
        spread = re.escape(term[1:].upper())
    else:
        spread, text = r"[-/_: \u2010-\u2015]?".join(map(re.escape, term)), lowered
    for match in re.finditer(rf"(?<![^\W_]){spread}(?![^\W_])", text):
        yield match.start()


def _parts(text: str) -> Iterator[tuple[int, int]]:
    for start, end in sentences(text):
        while end - start > QUOTE_CHARACTERS:
            cut = text.rfind(" ", start, start + QUOTE_CHARACTERS)
            cut = cut if cut > start else start + QUOTE_CHARACTERS
            yield start, cut
            start = cut + (text[cut : cut + 1] == " ")
        if text[start:end].strip():
            yield start, end


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yields where sentences and lines are, without the space before them."""
    at = 0
    for stop, after in [
        *((m.start() if m.group() == "\n" else m.end(), m.end()) for m in _END.finditer(text)),
        (len(text), len(text)),
    ]:
        part = text[at:stop]
        yield stop - len(part.lstrip()), stop
        at = after
