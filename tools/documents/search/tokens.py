"""Text becomes search tokens: words, and overlapping bigrams of Chinese, Japanese and Korean.

Stemming is left to SQLite's porter tokenizer. Texts are cut where the script changes, so that
"2018年合作" gives 2018, 年合, 合作 and not one long token. Codes of letters and digits ("C150",
"GB/T 50016", "INV-2024-0017") are words of their own beside their parts, and upper-case words
that are spelled like a stop word (IT, US, WHO) are other words than it, us and who.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from qwenbelt.tools.documents.folding import caseless, folded

TOKENS_VERSION = 2
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


UPPER = "\u1d00"  # a small capital A, before an upper-case word that is no stop word
_CAPITALS = re.compile(r"\b[A-Z]{2,4}\b(?!['’]\w)")
# letters and digits in one stretch, or joined by signs
_CODE = re.compile(r"[A-Za-z0-9]+(?:(?:[-/_:\u2010-\u2015]|\.(?=\d))[A-Za-z0-9]+)*")
# "GB/T 50016", "ISO 9001": an upper-case name and its number
_NAMED = re.compile(
    r"\b([A-Z]{1,5}(?:/[A-Z]{1,3})?) ([0-9]{3,}(?!,[0-9])(?:[-/_:\u2010-\u2015][A-Za-z0-9]+)*)"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DIGIT = re.compile(r"[0-9]")
_JOINTS = re.compile(r"[-/_:\u2010-\u2015]")
MAX_CODE = 40  # characters; what is longer is no code that people type
MAX_SEGMENTS = 6


def tokens(text: str) -> Iterator[str]:
    """Yields the search tokens of a text, in order, stop words included."""
    text = _BETWEEN_CJK.sub("", folded(text)).replace("İ", "I")  # "İ".lower() is two characters
    yield from _words(_CAPITALS.sub(_marked, text).lower())
    for code in codes(text):
        yield from code.tokens


def _marked(match: re.Match[str]) -> str:
    word = match.group()
    return UPPER + word if word.lower() in STOP_WORDS else word


def _words(text: str) -> Iterator[str]:
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


class Code(NamedTuple):
    """A code that is in a text.

    Attributes:
        tokens: it in one word, and what of it people leave off: "gbt50016", "gbt500162014".
        text: as it is there, in lower case.
        strict: whether a text with its parts alone is about something else; not so for amounts
            ("10kg"), nor for a name and a year.
    """

    tokens: list[str]
    text: str
    strict: bool

    @property
    def parts(self) -> list[str]:
        """The words and numbers that it is made of."""
        return list(_words(self.text))


def codes(text: str) -> Iterator[Code]:
    """Yields the codes of a text."""
    if not _DIGIT.search(text):
        return
    for code in _CODE.findall(text):
        if not code.isalpha() and not code.isdigit() and len(code) <= MAX_CODE:
            tokens = _joined("", _JOINTS.split(code.lower()))
            if tokens:
                yield Code(tokens, code.lower(), code[0].isalpha())
    for name, code in _NAMED.findall(text):
        tokens = _joined(name.lower(), _JOINTS.split(code.lower()))
        yield Code(tokens, f"{name} {code}".lower(), not _YEAR.fullmatch(code))


def _joined(name: str, segments: list[str]) -> list[str]:
    """Returns a code's segments joined from the first on, and those that are codes themselves."""
    found: list[str] = []
    whole = name.replace("/", "")
    for segment in segments[:MAX_SEGMENTS]:
        whole += segment
        found += [form for form in (whole, segment) if is_code(form)]
    return list(dict.fromkeys(found))


@functools.lru_cache(maxsize=20_000)
def is_code(form: str) -> bool:
    """Returns whether a token is a code: letters and digits."""
    if form.isalpha() or form.isdigit():
        return False
    return any(c.isalpha() for c in form) and any(c.isdigit() for c in form)


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
            joined = "".join(letters)
            yield UPPER + joined if joined in STOP_WORDS else joined  # u.s. is US, not us
            return
        for part in letters:
            yield from _word(part)
        return
    head, _, tail = piece.replace("’", "'").partition("'")
    yield head
    if not head.isascii() and (plain := caseless(head)) != head:
        yield plain  # "strasse" beside "straße", for capitals write STRASSE
    if tail and tail != "s":
        yield tail


def index_text(text: str) -> str:
    """Returns the text as it goes into the full-text index: tokens separated by spaces."""
    return " ".join(token for token in tokens(text) if token not in STOP_WORDS)
