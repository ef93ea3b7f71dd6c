"""Checks an answer's text: its citations are read, and each figure is looked for where it is cited.

Two forms of citations are read: `[3]`, the number of a passage that was shown, and `[file p.3]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from qwenbelt.tools.documents.grounding import (
    NO_PAGE,
    CitedText,
    GroundingCheck,
    check_claims,
    claims_of,
)

PageText = Callable[[str, int], str | None]
CITATION = re.compile(
    r"\[(?P<numbers>\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\](?!\()"
    r"|\[(?P<file>[^\[\]\n]+?)\s+p\.\s?(?P<page>\d+)\](?!\()"
)


def no_page(file: str, page: int) -> str | None:
    """Knows no page; for answers that cite by number."""
    return None


def check_answer(
    answer: str,
    question: str,
    *,
    numbered: Mapping[int, CitedText] | None = None,
    page_text: PageText = no_page,
    unknown: Sequence[str] = (),
    computed: Sequence[str] = (),
) -> list[GroundingCheck]:
    """Returns what became of each claim of an answer; empty for one that claims nothing.

    Args:
        answer: the text with its citations.
        question: what was asked.
        numbered: the passages that were shown, by their numbers.
        page_text: gives the text of a page of a file, or None where there is none.
        unknown: distinctive words of the question that are nowhere in the documents.
        computed: what tools printed that compute.
    """
    lost: list[GroundingCheck] = []
    parts = list(_parts(answer, numbered or {}, page_text, lost))
    checks = check_claims(claims_of(parts), question, unknown=unknown, computed=computed)
    return [*checks, *lost] if checks or any(cited for _, cited in parts) else checks


def _parts(
    answer: str,
    numbered: Mapping[int, CitedText],
    page_text: PageText,
    lost: list[GroundingCheck],
) -> Iterator[tuple[str, tuple[CitedText, ...]]]:
    end = 0
    for mark in CITATION.finditer(answer):
        yield answer[end : mark.start()], ()
        end = mark.end()
        if mark["numbers"]:
            numbers = [int(one) for one in re.findall(r"\d+", mark["numbers"])]
            cited = [numbered[one] for one in numbers if one in numbered]
            whole = len(cited) == len(numbers)
        else:
            text = page_text(mark["file"].strip(), int(mark["page"]))
            cited = [] if text is None else [CitedText(int(mark["page"]), text)]
            whole = text is not None
        if not whole:
            lost.append(GroundingCheck(mark[0], None, NO_PAGE))
        if cited:
            yield "", tuple(cited)
    yield answer[end:], ()
