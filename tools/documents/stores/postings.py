"""Postings in arrays: how often each word is in each chunk, packed for a store and searched here.

A list says of one word in which chunks it is and how often. Scores are BM25, with the constants and
the steps of the SQLite store's snapshot, so that both find the same. Words that many chunks have
weigh little: where a question has a lot of those, and enough chunks have scores that they cannot
make up for, only such chunks are looked up in the long lists (the rule known as MaxScore); the best
are the same as without it. Else adding up is quicker: a million entries take some 3 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qwenbelt.tools.documents.stores.fulltext_snapshot import K1, B, Floats, Places, best, floor_of

TOP = K1 + 1.0  # the limit of a word's weight before its rarity
STEPS = 255.0
FEW = 16  # times as many entries as chosen places: these are looked up in the lists
LONG = 2  # times as many entries as places: fewer are added up sooner than skipped
Counts = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Packed(NamedTuple):
    """The words of one document's chunks, ready for a row of a store.

    Attributes:
        lengths: how many tokens each chunk has.
        terms: the words, sorted.
        ends: where the entries of each word end.
        places: chunks of the entries, counted within the document.
        counts: how often; words of titles and table headers count twice.
    """

    lengths: npt.NDArray[np.uint32]
    terms: list[str]
    ends: npt.NDArray[np.uint32]
    places: Places
    counts: Counts


def packed(chunks: Iterable[tuple[Mapping[str, float], int]]) -> Packed:
    """Packs the words of chunks, given as counts by word and number of tokens."""
    numbers: dict[str, int] = {}
    owners: list[int] = []
    counted: list[float] = []
    sizes, lengths = [], []
    for counts, tokens in chunks:
        owners += [numbers.setdefault(word, len(numbers)) for word in counts]
        counted += counts.values()
        sizes.append(len(counts))
        lengths.append(tokens)
    terms = sorted(numbers)
    ranks = np.zeros(len(terms), np.uint32)
    ranks[[numbers[term] for term in terms]] = np.arange(len(terms))
    owner = ranks[np.array(owners, np.int64)]
    order = np.argsort(owner, kind="stable")  # places of a word stay in order
    places = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
    return Packed(
        np.array(lengths, np.uint32),
        terms,
        np.cumsum(np.bincount(owner, minlength=len(terms))).astype(np.uint32),
        places[order],
        np.minimum(counted, 255).astype(np.uint8)[order],
    )


def joined(parts: Sequence[Packed]) -> Iterable[tuple[str, Places, Counts]]:
    """Yields the lists of several documents as one, by word; chunks are counted through."""
    numbers: dict[str, int] = {}
    owners, places = [], []
    base = 0
    for part in parts:
        own = np.array([numbers.setdefault(t, len(numbers)) for t in part.terms], np.uint32)
        ends = part.ends.tolist()
        sizes = [stop - start for start, stop in zip([0, *ends], ends, strict=False)]
        owners.append(np.repeat(own, sizes))
        places.append(part.places + np.uint32(base))
        base += len(part.lengths)
    if not numbers:
        return
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")  # places of a word stay in order
    place = np.concatenate(places)[order]
    count = np.concatenate([part.counts for part in parts])[order]
    ends = np.cumsum(np.bincount(owner, minlength=len(numbers)))
    for term in sorted(numbers):
        stop = ends[numbers[term]]
        start = ends[numbers[term] - 1] if numbers[term] else 0
        yield term, place[start:stop], count[start:stop]


def to_bytes(places: Places, counts: Counts) -> bytes:
    """Returns a list as it is stored."""
    return places.astype("<u4").tobytes() + counts.tobytes()


def from_bytes(data: bytes) -> tuple[Places, Counts]:
    """Returns a stored list: five bytes an entry."""
    size = len(data) // 5
    return np.frombuffer(data, "<u4", size), np.frombuffer(data, np.uint8, size, 4 * size)


def steps_of(
    places: Places, counts: Counts, lengths: npt.NDArray[np.uint32], mean: float
) -> Counts:
    """Returns the BM25 weights of a list before the word's rarity, in steps."""
    numbers = counts.astype(np.float32)
    scale = K1 * (1 - B + B * lengths[places] / np.float32(mean))
    return np.rint(numbers * STEPS / (numbers + scale)).astype(np.uint8)


class Word(NamedTuple):
    """A word of a question: how rare it is, and its lists with the place where each begins."""

    rarity: float
    lists: list[tuple[int, Places, Counts]]

    @property
    def most(self) -> float:
        """The most that it adds to a score."""
        highest = max((int(steps.max()) for _, _, steps in self.lists if len(steps)), default=0)
        return self.rarity * TOP * highest / STEPS

    @property
    def size(self) -> int:
        """How many entries it has."""
        return sum(len(places) for _, places, _ in self.lists)


class Scores:
    """How well the places of a collection fit a question's words.

    A question is searched for in all documents, and then in those that it names: once all words
    were added up, the sums serve again.
    """

    def __init__(self, words: Sequence[Word], size: int) -> None:
        # the rarest first: it adds most
        self._words = sorted(words, key=lambda word: -word.rarity)
        self._size = size
        self._total: Floats | None = None

    def best(self, limit: int, within: Mask | None = None) -> list[tuple[int, float]]:
        """Returns the places with the highest scores, best first, and their scores.

        Args:
            limit: at most this many.
            within: the places to choose from; None for all.
        """
        if self._total is None:
            found = self._some(within, limit) if within is not None else None
            found = self._skipped(within, limit) if found is None else found
            if found is not None:
                return found
        total = self._added_up() if self._total is None else self._total
        return [(int(place), float(total[place])) for place in best(total, limit, within)]

    def _some(self, within: Mask, limit: int) -> list[tuple[int, float]] | None:
        """Looks up few places in the lists; None where there are too many for that."""
        some = np.flatnonzero(within)
        if len(some) * FEW >= self._size + sum(word.size for word in self._words):
            return None
        return _finished(some, np.zeros(len(some), np.float32), self._words, limit)

    def _skipped(self, within: Mask | None, limit: int) -> list[tuple[int, float]] | None:
        """Adds up words until the places are few that can still be among the best (MaxScore).

        Returns:
            The best, or None where all words had to be added up.
        """
        left = sum(word.size for word in self._words)
        if left < LONG * self._size:
            return None
        words = sorted(self._words, key=lambda word: -word.most)
        bounds = [word.most for word in words]
        total = np.zeros(self._size, np.float32)
        for done, word in enumerate(words):
            if done and left >= LONG * self._size:
                bound = sum(bounds[done:])
                least = floor_of(total if within is None else total * within, limit)
                # what has none of the words so far cannot be among the best
                if least > bound:
                    enough = total >= np.float32((least - bound) * 0.9999)
                    some = np.flatnonzero(enough if within is None else enough & within)
                    if len(some) * FEW < left:
                        return _finished(some, total[some], words[done:], limit)
            _add(total, word)
            left -= word.size
        self._total = total
        return None

    def _added_up(self) -> Floats:
        total = np.zeros(self._size, np.float32)
        for word in self._words:
            _add(total, word)
        self._total = total
        return total


def top(
    words: Sequence[Word], size: int, limit: int, within: Mask | None = None
) -> list[tuple[int, float]]:
    """Returns the places with the highest scores for words, best first (see `Scores.best`)."""
    return Scores(words, size).best(limit, within)


def _add(total: Floats, word: Word) -> None:
    factor = np.float32(word.rarity * TOP / STEPS)
    for base, places, steps in word.lists:
        if len(places):
            total[base : base + int(places[-1]) + 1][places] += steps * factor


def _finished(
    some: npt.NDArray[np.intp], scores: Floats, words: Sequence[Word], limit: int
) -> list[tuple[int, float]]:
    """Adds the last words to the scores of some places only."""
    for word in words:
        factor = np.float32(word.rarity * TOP / STEPS)
        for base, places, steps in word.lists:
            if not len(places):
                continue
            first, last = np.searchsorted(some, [base, base + int(places[-1]) + 1])
            here = (some[first:last] - base).astype(np.uint32)
            at = np.searchsorted(places, here)
            found = places[at] == here
            scores[first:last][found] += steps[at[found]] * factor
    ordered = np.lexsort((some, -scores))[:limit]
    return [(int(some[n]), float(scores[n])) for n in ordered if scores[n] > 0]
