"""What was left out of a document, guessed or hidden in it: one line each, for readers.

A page's notes do not name it; those of a document begin with "Page 3: ". They are kept in English
and shown in the person's language (`core.translation.in_language`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

MAX_NOTES = 200  # of one document; hostile ones would have one for each of their pages


def noted(text: str) -> str:
    """Returns the text of a note; the tests of translation find it by this call."""
    return text


def document_notes(
    whole: Iterable[str], pages: Iterable[tuple[int, Iterable[str]]], chunks: int
) -> list[str]:
    """Returns the notes of a document: those of the whole, then those of its pages, each once.

    Args:
        whole: notes about the whole document.
        pages: number and notes of each page, in order.
        chunks: how many passages it gave.
    """
    numbers: dict[str, list[int]] = {}
    for number, notes in pages:
        for note in notes:
            numbers.setdefault(note, []).append(number)
    found = [_of_pages(on, note) for note, on in numbers.items()]
    if not chunks:
        whole = [noted("No text was found: nothing of it can be searched or quoted."), *whole]
    every = list(dict.fromkeys([*whole, *found]))
    if len(every) > MAX_NOTES:
        left = len(every) - MAX_NOTES
        every = [*every[:MAX_NOTES], noted(f"{left} more notes are with their pages.")]
    return every


def stored_notes(whole: Iterable[str], rows: Iterable[tuple[int, str]], chunks: int) -> list[str]:
    """Returns `document_notes` of pages whose notes are JSON."""
    pages = ((number, json.loads(notes)) for number, notes in rows if notes != "[]")
    return document_notes(whole, pages, chunks)


def _of_pages(numbers: list[int], note: str) -> str:
    if len(numbers) == 1:
        return noted(f"Page {numbers[0]}: {note}")
    pages = where(numbers).removeprefix("Pages ")
    return noted(f"Pages {pages}: {note}")


def where(numbers: list[int]) -> str:
    """Returns "Page 3" or "Pages 1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    if len(numbers) == 1:
        return f"Page {numbers[0]}"
    pages = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"Pages {pages}"


def page_name(number: int, label: str) -> str:
    """Returns "p.3", or "p.3 (printed: iii)" where another label is printed on the page."""
    return f"p.{number} (printed: {label})" if label else f"p.{number}"
