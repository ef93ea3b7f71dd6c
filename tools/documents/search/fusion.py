"""Fuses the results of search by words and by meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.search.embedding import Embedder, embedder
from qwenbelt.tools.documents.search.reranking import DEPTH, Reranker
from qwenbelt.tools.documents.search.sentence_vectors import parts_of
from qwenbelt.tools.documents.search.vector_cache import CACHE_NAME, CachedEmbedder, small
from qwenbelt.tools.documents.store import DocumentStore, Match, Scope

WORK = 64  # vectors that are stored at a time
MEANING_WEIGHT = 0.75  # of the best by meaning, beside the best by words
_SHARPNESS = 2.0  # the last of a list of vectors counts exp(-2) of the first


def fused(lists: Sequence[Sequence[Match]]) -> list[Match]:
    """Returns matches by words and, if there are any, by meaning, best first.

    Scores are added after the best by words was made 1, that by meaning `MEANING_WEIGHT`. Adding
    scores keeps what ranks throw away, how far a passage is ahead, and does better than reciprocal
    ranks (Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023;
    `benchmarks/RESULTS.md`).
    """
    if len(lists) == 1:
        return list(lists[0])
    scores: dict[int, float] = {}
    held: dict[int, Match] = {}
    for matches, weight in zip(lists, (1.0, MEANING_WEIGHT), strict=True):
        most = max((match.score for match in matches), default=1.0) / weight
        for match in matches:
            number = match.passage.id
            held.setdefault(number, match)
            scores[number] = scores.get(number, 0.0) + match.score / most
    order = sorted(scores, key=lambda number: (-scores[number], number))
    return [Match(held[number].passage, scores[number]) for number in order]


class Meaning:
    """Searches by the vector of one question.

    Cosines of one model are close together, and how close differs from model to model; so they are
    spread between the best and the last of the first search.
    """

    def __init__(self, store: DocumentStore, maker: Embedder, question: str) -> None:
        self._store, self._model = store, maker.name
        self._vector = maker.query(question)
        self._range: tuple[float, float] | None = None

    def find(self, limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that mean most like the question; the best of all counts 1."""
        found = self._store.nearest(self._model, self._vector, max(limit, DEPTH), scope)
        if self._range is None and found:
            self._range = found[0].score, max(found[0].score - found[-1].score, 1e-6)
        best, spread = self._range or (1.0, 1.0)
        return [
            Match(m.passage, float(np.exp(_SHARPNESS * (m.score - best) / spread))) for m in found
        ]


def meaning(vectors: str | Embedder | None) -> Embedder | None:
    """Returns the embedder that a spec names, with the workspace's cache; others as they are.

    Raises:
        ConfigError: the spec is not understood, or an extra or a key is missing.
    """
    if not isinstance(vectors, str):
        return vectors
    return CachedEmbedder(embedder(vectors), load_settings().workspace / CACHE_NAME)


def embed_missing(store: DocumentStore, maker: Embedder) -> int:
    """Makes the vectors that are missing, some at a time; returns how many.

    What was stored stays, so that an interrupted run resumes where it was.

    Raises:
        EndpointError: the embedder's endpoint fails.
    """
    size = max(WORK, maker.batch)
    count = 0
    while found := store.missing_vectors(maker.name, size):
        texts = [
            parts_of((one.section, one.context), one.text, one.kind, maker.columns) for one in found
        ]
        rows = small(maker.passages([text for parts in texts for text in parts]))
        ends = np.cumsum([len(parts) for parts in texts])[:-1]
        store.put_vectors(maker.name, [one.id for one in found], np.split(rows, ends))
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


__all__ = ["DEPTH", "Meaning", "embed_missing", "fused", "meaning", "reranked"]
