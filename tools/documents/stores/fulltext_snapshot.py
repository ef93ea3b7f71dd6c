"""A faster form of the full-text table for many passages: one list of places and weights a term.

FTS5 computes BM25 row by row, microseconds for each row that has any of the terms. The snapshot
holds the same numbers ready: for each term the places of its chunks and their BM25 weights in one
blob, added up by numpy. It is made from the full-text table and covers the chunks up to the last
one then; newer ones are found by FTS5, with the same formula, until the next snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TOKENIZER = "porter unicode61 tokenchars '.'"  # of FTS5
SECTION_WEIGHT = 2.0  # of words in section titles and table headers, against 1 in the passage
LEAST = 256  # fewer chunks are searched by FTS5 alone
GROWTH = 1.25  # a snapshot is made again when it lacks a fifth of the chunks
BATCH = 2000  # terms that are written at once, so that other writers need not wait
K1, B = 1.2, 0.75  # the constants of FTS5's bm25()
_TOP = K1 + 1.0  # the limit of a term's weight before its rarity
_STEPS = 255.0
_BLOCK = 64  # scores of which the best is looked for at once

Places = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]


def table(name: str) -> str:
    """Returns the statement that makes a snapshot's table."""
    return f"""CREATE TABLE IF NOT EXISTS {name} (
        term TEXT PRIMARY KEY, count INTEGER NOT NULL, places BLOB NOT NULL, weights BLOB NOT NULL
    )"""


def lists(
    reader: sqlite3.Connection, words: str, ids: Places, lengths: Floats
) -> Iterator[tuple[str, int, bytes, bytes]]:
    """Yields the rows of a snapshot: a term, how many chunks have it, their places and weights.

    The first row, of the empty term, holds the ids of the chunks.

    Args:
        reader: a connection that sees one state of the full-text table.
        words: the full-text table.
        ids: the chunks to cover, in order.
        lengths: how many tokens each has.
    """
    yield "", len(ids), ids.tobytes(), b""
    scale = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
    reader.execute(f"CREATE VIRTUAL TABLE temp.seen USING fts5vocab(main, '{words}', 'instance')")
    cursor = reader.execute(
        """SELECT term, group_concat(CASE col WHEN 'context' THEN -doc ELSE doc END, ' ')
        FROM temp.seen WHERE doc <= ? GROUP BY term""",
        (int(ids[-1]),),
    )
    for term, joined in cursor:
        signed = np.array(joined.split(" "), np.int64)
        # of the type of `ids`: all of them would be converted for each term else
        chunks = np.abs(signed).astype(ids.dtype)
        places, inverse = np.unique(np.searchsorted(ids, chunks), return_inverse=True)
        counts = np.bincount(inverse, np.where(signed < 0, SECTION_WEIGHT, 1.0))
        weights = counts * _TOP / (counts + scale[places])
        steps = np.rint(weights / _TOP * _STEPS).astype(np.uint8)
        yield term, len(places), places.astype(np.uint32).tobytes(), steps.tobytes()
    reader.execute("DROP TABLE temp.seen")


class Snapshot:
    """Searches a snapshot's table over one connection."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def ids(self) -> Places:
        """Returns the ids of the chunks that it covers, in order."""
        row = self._connection.execute(
            f"SELECT places FROM {self._name} WHERE term = ''"  # noqa: S608
        ).fetchone()
        return np.frombuffer(row[0], np.uint32) if row else np.zeros(0, np.uint32)

    def scores(self, stems: Iterable[str], size: int) -> Floats:
        """Returns BM25 of each covered chunk, in the order of `ids`."""
        total = np.zeros(size, np.float32)
        for stem in stems:
            row = self._connection.execute(
                f"SELECT count, places, weights FROM {self._name} WHERE term = ?",  # noqa: S608
                (stem,),
            ).fetchone()
            if row is not None:
                count, places, weights = row
                rarity = max(float(np.log((size - count + 0.5) / (count + 0.5))), 1e-6)
                part = np.frombuffer(weights, np.uint8) * np.float32(rarity * _TOP / _STEPS)
                total[np.frombuffer(places, np.uint32)] += part
        return total


def stems_of(connection: sqlite3.Connection, terms: Iterable[str]) -> dict[str, str]:
    """Returns terms by their stems, as the full-text table makes them; the first of each."""
    given = list(terms)
    found: dict[str, int] = {}
    for row, stem in stem_rows(connection, given):
        found[stem] = min(row, found.get(stem, row))
    return {stem: given[row] for stem, row in sorted(found.items(), key=lambda entry: entry[1])}


def stem_rows(connection: sqlite3.Connection, terms: Sequence[str]) -> list[tuple[int, str]]:
    """Returns stems, each with the place of its term, as the full-text table makes them."""
    # one transaction: one a term takes twenty times as long
    connection.execute("SAVEPOINT stems")
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.stems "
            f"USING fts5(t, content='', columnsize=0, tokenize=\"{TOKENIZER}\")"
        )
        connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.stemmed USING fts5vocab(temp, stems, instance)"
        )
        connection.execute("INSERT INTO temp.stems (stems) VALUES ('delete-all')")
        insert = "INSERT INTO temp.stems (rowid, t) VALUES (?, ?)"
        connection.executemany(insert, enumerate(terms))
        return connection.execute("SELECT doc, term FROM temp.stemmed").fetchall()
    finally:
        connection.execute("RELEASE stems")


def best(scores: Floats, count: int, within: Any = None) -> npt.NDArray[np.intp]:
    """Returns the places of the highest scores above 0, best first.

    Args:
        scores: one score a chunk.
        count: how many.
        within: places to choose from, ascending, or a mask of them; None for all.
    """
    if within is not None:
        chosen = np.flatnonzero(within) if within.dtype == np.bool_ else within
        return chosen[best(scores[chosen], count)]
    top = np.flatnonzero(scores >= floor_of(scores, count))
    ordered: npt.NDArray[np.intp] = top[np.lexsort((top, -scores[top]))][:count]
    return ordered


def floor_of(scores: Floats, count: int) -> float:
    """Returns a score above 0 that at least the `count` best reach, and not many more.

    The best of each of many blocks are distinct scores, so the `count`-th best of them will do;
    finding it costs one look at every score, which a partition of all scores does not.
    """
    whole = len(scores) - len(scores) % _BLOCK
    # blocks of every so many-th score: whole rows are compared at once, ten times as fast
    highest = scores[:whole].reshape(_BLOCK, -1).max(axis=0)
    least = float(np.nextafter(np.float32(0), np.float32(1)))
    if not 0 < count <= len(highest):
        return least
    floor = np.partition(highest, len(highest) - count)[len(highest) - count]
    return max(float(floor), least)
