"""Text becomes search tokens: words, and overlapping bigrams of Chinese, Japanese and Korean.

Stemming is left to SQLite's porter tokenizer. Texts are cut where the script changes, so that
"2018年合作" gives 2018, 年合, 合作 and not one long token.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

TOKENS_VERSION = 1
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
# a decimal or grouped number, a word with inner apostrophe or dot (u.s., e.g.), a CJK stretch
_PIECE = re.compile(
    rf"(?P<number>\d[\d,]*(?:\.\d+)*)|(?P<cjk>[{_CJK}]+)|(?P<word>[^\W\d_{_CJK}]+(?:['’.][^\W\d_{_CJK}]+)*)"
)
_BETWEEN_CJK = re.compile(rf"(?<=[{_CJK}])\s+(?=[{_CJK}])")

STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before
    being below between both but by can could did do does doing down during each few for from
    further had has have having he her here hers him his how i if in into is it its itself just me
    more most my myself no nor not now of off on once only or other our ours out over own please
    same she should so some such than that the their theirs them then there these they this those
    through to too under until up us very was we were what when where which while who whom why
    will with would you your yours s t d ll m re ve""".split()
)


def tokens(text: str) -> Iterator[str]:
    """Yields the search tokens of a text, in order, stop words included."""
    text = _BETWEEN_CJK.sub("", unicodedata.normalize("NFKC", text)).lower()
    for match in _PIECE.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if kind == "number":
            yield _number(piece)
        elif kind == "word":
            yield from _word(piece)
        elif len(piece) == 1:
            yield piece
        else:
            for index in range(len(piece) - 1):
                yield piece[index : index + 2]


def _number(piece: str) -> str:
    """Returns a number without grouping and without zeros at the end of its fraction."""
    plain = piece.replace(",", "")
    whole, point, fraction = plain.partition(".")
    if not point or "." in fraction:
        return plain
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _word(piece: str) -> Iterator[str]:
    if "." in piece:
        letters = piece.split(".")
        if all(len(part) == 1 for part in letters):
            yield "".join(letters)  # u.s. -> us would be a stop word; both forms are indexed alike
            return
        for part in letters:
            yield from _word(part)
        return
    head, _, tail = piece.replace("’", "'").partition("'")
    yield head
    if tail and tail != "s":
        yield tail


def index_text(text: str) -> str:
    """Returns the text as it goes into the full-text index: tokens separated by spaces."""
    return " ".join(token for token in tokens(text) if token not in STOP_WORDS)
