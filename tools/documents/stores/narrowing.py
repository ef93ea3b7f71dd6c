"""The best matches within a scope, where a store ranks without looking at pages and sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qwenbelt.tools.documents.store import Match, Passage, Scope

Ranked = list[tuple[int, float]]  # chunk id and score, higher is better


def best_within(
    rank: Callable[[int], Ranked],
    passages: Callable[[Sequence[int]], dict[int, Passage]],
    limit: int,
    scope: Scope,
) -> list[Match]:
    """Asks for more until enough of the best are within the scope, or there are no more.

    Args:
        rank: returns that many of the best chunks, of the documents of the scope.
        passages: returns chunks by their ids; those that are gone are not among them.
        limit: at most this many matches.
        scope: where to search.
    """
    filtered = scope.pages is not None or bool(scope.section)
    fetch = 20 * limit if filtered else limit
    while True:
        ranked = rank(fetch)
        found = _chosen(ranked, passages([chunk for chunk, _ in ranked]), limit, scope)
        if len(found) >= limit or len(ranked) < fetch:
            return found
        fetch *= 8  # too few of the best are within the scope, or some are gone


def _chosen(ranked: Ranked, passages: dict[int, Passage], limit: int, scope: Scope) -> list[Match]:
    pages = None if scope.pages is None else frozenset(scope.pages)
    section = (scope.section or "").lower()
    found: list[Match] = []
    for chunk, score in ranked:
        passage = passages.get(chunk)
        if passage is None or (pages is not None and passage.page not in pages):
            continue
        if section and section not in passage.section.lower():
            continue
        found.append(Match(passage, score))
        if len(found) >= limit:
            break
    return found
