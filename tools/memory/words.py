"""Words of English and Chinese text for the full-text index.

SQLite's tokenizer takes a run of Chinese characters for one word. So each such character is set
apart before it is indexed, and a Chinese word is looked up as a phrase of its characters, which
finds it wherever it is, without a dictionary.
"""

from __future__ import annotations

import re

_APART = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WORD = re.compile(r"[^\W_]+")


def text_for_index(text: str) -> str:
    """Returns a text as the index takes it."""
    return text if text.isascii() else _APART.sub(r" \g<0> ", text)


def query_phrases(query: str) -> list[str]:
    """Returns the terms of a query as FTS5 phrases; the last word of each is a prefix."""
    found = []
    for term in query.split():
        words = _WORD.findall(text_for_index(term))
        if words:
            more = "" if _APART.match(words[-1]) else "*"
            found.append(f'"{" ".join(words)}"{more}')
    return found


def loose_phrases(query: str) -> list[str]:
    """Returns the terms of a query with long Chinese ones as pairs of characters."""
    found = []
    for phrase in query_phrases(query):
        words = phrase.strip('"*').split()
        if len(words) > 2 and all(_APART.match(word) for word in words):
            found += [f'"{a} {b}"' for a, b in zip(words, words[1:])]  # noqa: B905, RUF007
        else:
            found.append(phrase)
    return found
