"""Finds the passages that an answer rests on, where the model has named none.

Small models answer from the passages and forget to cite. Asking again costs a turn; code can see
where the words and figures stand. All or nothing: where one figure stands on no passage with a row
that fits, or an answer without figures has a sentence that is found nowhere, it stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from qwenbelt.tools.documents.answer_checks import CITATION
from qwenbelt.tools.documents.computed import computed_lines, contradicted
from qwenbelt.tools.documents.grounding import (
    AGAINST,
    BARE,
    CitedText,
    Claim,
    GroundingCheck,
    abstains,
    check_claims,
    claims_of,
    figures_of,
    row_words,
    words_of,
)

_PASSAGE = re.compile(r"\[(\d{1,3})\]")
_BARE = re.compile(r"(?:yes|no|true|false|是|否|是的|不是|有|没有)?[\s.。!,，]*", re.I)
LEAST_WORDS = 4  # of a sentence without figures that can be told from others
LEAST_SHARE = 0.6  # of its words that one row, or two in a row, of a passage must have
LONGEST_TOLD = 200  # characters of an answer
MOST = 4  # passages of an answer; one that rests on more is not one that forgot a citation


def supporting_passages(
    answer: str, question: str, passages: Mapping[int, CitedText]
) -> tuple[int, ...]:
    """Returns the numbers of the passages that an answer without citations rests on, ascending.

    None where it has citations, says that the documents do not tell, or does not stand on the
    passages as a whole.

    Args:
        answer: the text.
        question: what was asked.
        passages: those that were shown, by their numbers.
    """
    if not passages or CITATION.search(answer) or abstains(answer):
        return ()
    found: set[int] = set()
    computed = computed_lines(question, {number: p.text for number, p in passages.items()})
    bare = not any(figures_of(answer))
    for claim in claims_of([(answer, ())]):
        numbers = _computed(claim.text, computed) or _of_sentence(claim.text, question, passages)
        if numbers is None and (bare or any(figures_of(claim.text))):
            return ()
        found.update(numbers or ())
    return tuple(sorted(found)) if len(found) <= MOST else ()


def missing_marks(answer: str, question: str, passages: Mapping[int, CitedText]) -> str:
    """Returns the marks of the passages that an answer rests on and does not name, or ""."""
    found = supporting_passages(answer, question, passages)
    return "".join(f" [{number}]" for number in found)


def is_bare(answer: str) -> bool:
    """Returns whether an answer says yes or no alone, with whatever marks: nothing to check."""
    return bool(_BARE.fullmatch(CITATION.sub("", answer).strip()))


def wrong_as_a_whole(answer: str, lines: Sequence[str]) -> list[GroundingCheck]:
    """Returns what is wrong with an answer besides its single claims.

    Args:
        answer: the text.
        lines: what code computed for the question.
    """
    if abstains(answer):
        return []
    if is_bare(answer):
        return [GroundingCheck(answer.strip(), None, BARE)]
    against = contradicted(answer, lines)
    if against:
        return [GroundingCheck(answer.strip()[:LONGEST_TOLD], None, AGAINST, computed=against)]
    return []


def _computed(sentence: str, lines: Sequence[str]) -> set[int]:
    """Returns the passages of computed figures, if all figures of a sentence are in their lines."""
    figures = {match[0].rstrip("0").rstrip(".") for match in figures_of(sentence)}
    for line in lines:
        told = {match[0].rstrip("0").rstrip(".") for match in figures_of(_PASSAGE.sub(" ", line))}
        if figures and figures <= told:
            return {int(number) for number in _PASSAGE.findall(line)}
    return set()


def _of_sentence(
    sentence: str, question: str, passages: Mapping[int, CitedText]
) -> set[int] | None:
    """Returns the passages of a sentence; none for one that claims nothing, None if it has none."""
    if any(figures_of(sentence)):
        number = _with_figures(sentence, question, passages)
    elif len(words_of(sentence)) < LEAST_WORDS:
        return set()
    else:
        number = _with_words(sentence, passages)
    return None if number is None else {number}


def _with_figures(sentence: str, question: str, passages: Mapping[int, CitedText]) -> int | None:
    """Returns the passage that has all figures of a sentence, in the rows that fit it best."""
    best: tuple[float, int] | None = None
    for number, passage in passages.items():
        checks = check_claims([Claim(sentence, (passage,))], question)
        if not checks or not all(check.ok for check in checks):
            continue
        share = _share(words_of(sentence), passage)
        if best is None or share > best[0]:
            best = share, number
    return None if best is None else best[1]


def _with_words(sentence: str, passages: Mapping[int, CitedText]) -> int | None:
    words = words_of(sentence)
    shares = {number: _share(words, passage) for number, passage in passages.items()}
    best = max(shares, key=lambda number: (shares[number], -number))
    return best if shares[best] >= LEAST_SHARE else None


def _share(words: frozenset[str], passage: CitedText) -> float:
    """Returns the part of some words that a row, or two in a row, of a passage has."""
    rows = row_words(passage.text)
    pairs = [one | two for one, two in zip(rows, [*rows[1:], frozenset[str]()], strict=True)]
    return max((len(words & row) for row in pairs), default=0) / max(1, len(words))
