"""Search by words and by meaning, brought together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.embedding import Embedder, embedder
from qwenbelt.tools.documents.reranking import DEPTH, Reranker
from qwenbelt.tools.documents.store import Match, Store
from qwenbelt.tools.documents.vectorcache import CACHE_NAME, CachedEmbedder, small

RRF_K = 60  # Cormack, Clarke and Buettcher 2009
WORK = 64  # vectors that are stored at a time
_SHARPNESS = 20.0  # cosines of one model lie close together; 0.035 more counts twice


def fused(lists: Sequence[Sequence[Match]]) -> list[Match]:
    """Returns matches of several searches by reciprocal rank fusion; one list stays as it is."""
    if len(lists) == 1:
        return list(lists[0])
    scores: dict[int, float] = {}
    held: dict[int, Match] = {}
    for matches in lists:
        for rank, match in enumerate(matches, 1):
            number = match.passage.id
            held.setdefault(number, match)
            scores[number] = scores.get(number, 0.0) + 1 / (RRF_K + rank)
    order = sorted(scores, key=lambda number: (-scores[number], number))
    return [Match(held[number].passage, scores[number]) for number in order]


def meaning(vectors: str | Embedder | None) -> Embedder | None:
    """Returns the embedder that a spec names, with the workspace's cache; others as they are.

    Raises:
        ConfigError: the spec is not understood, or an extra or a key is missing.
    """
    if not isinstance(vectors, str):
        return vectors
    return CachedEmbedder(embedder(vectors), load_settings().workspace / CACHE_NAME)


def sharpened(matches: Iterable[Match]) -> list[Match]:
    """Returns matches with cosines spread out, so that they can be weighed as other scores are."""
    return [Match(m.passage, float(np.exp(_SHARPNESS * (m.score - 1)))) for m in matches]


def embed_missing(store: Store, maker: Embedder) -> int:
    """Makes the vectors that are missing, some at a time; returns how many.

    What was stored stays, so that an interrupted run goes on where it was.

    Raises:
        EndpointError: the embedder's endpoint fails.
    """
    size = max(WORK, maker.batch)
    count = 0
    while found := store.missing_vectors(maker.name, size):
        rows = small(maker.passages([text for _, text in found]))
        store.put_vectors(maker.name, [chunk for chunk, _ in found], rows)
        count += len(found)
    return count


def reranked(
    reranker: Reranker, question: str, matches: list[Match], texts: Sequence[str]
) -> list[Match]:
    """Returns the first matches in the order that a reranker gives them, then the others.

    Args:
        reranker: the model that reads them.
        question: what was asked.
        matches: best first.
        texts: the text of each of the first matches.

    Raises:
        EndpointError: its endpoint fails.
    """
    head = matches[: len(texts)]
    scores = reranker.scores(question, texts)
    order = sorted(range(len(head)), key=lambda n: -scores[n])
    return [Match(head[n].passage, scores[n]) for n in order] + matches[len(head) :]


__all__ = ["DEPTH", "embed_missing", "fused", "meaning", "reranked", "sharpened"]
