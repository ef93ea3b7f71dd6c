"""Search by words in PostgreSQL at sizes that take long to fill: segments are made, not read.

    python benchmarks/store_words.py [--chunks 1000000] [--questions 300]

Words of made chunks are drawn by Zipf's law (70 of each chunk), and written as the segments that a
filled index has: one of three quarters, then smaller ones. Questions have 4 to 12 words,
drawn so that rare and frequent ones are as likely as in questions of the retrieval sets. Measured
is `WordSearch.ranked`: one query to the database and the adding up; beside it other ways that were
tried: skipping wherever it can be, everything kept by the worker, and adding up in SQL.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from stores import memory, p95
from throwaway_postgres import postgres

from qwenbelt.tools.documents.search.stems import Stemmer
from qwenbelt.tools.documents.stores import postgres_search, postings
from qwenbelt.tools.documents.stores.postgres import PostgresStore
from qwenbelt.tools.documents.stores.postgres_words import Rows, Tidying

WORDS = 70  # different ones of a chunk
PARTS = (0.75, 0.15, 0.06, 0.03, 0.01)  # segments
PER_DOCUMENT = 100  # chunks
IN_SQL = """SELECT place, sum(w) FROM (SELECT p.segment, get_byte(p.list, 4 * n + 3)::bigint << 24
    | get_byte(p.list, 4 * n + 2) << 16 | get_byte(p.list, 4 * n + 1) << 8
    | get_byte(p.list, 4 * n) AS place, get_byte(p.list, 4 * size + n) AS w
    FROM (SELECT *, length(list) / 5 AS size FROM qwenbelt.postings WHERE term = ANY(%s)) p,
    generate_series(0, p.size - 1) n) s GROUP BY segment, place ORDER BY 2 DESC LIMIT 60"""


def word(rank: int) -> str:
    """Returns a made word that the stemmer leaves as it is."""
    return f"z{rank}q"


def fill(store: PostgresStore, chunks: int, chance: Any) -> None:
    """Writes segments of made words."""
    server, collection = store._server, store._collection
    tidying, first = Tidying(server, collection), 1
    for share in PARTS:
        size = max(1, int(chunks * share))
        ranks = np.exp(chance.random(size * WORDS) * np.log(2_000_000)).astype(np.uint32)
        places = np.repeat(np.arange(size, dtype=np.uint32), WORDS)
        order = np.lexsort((places, ranks))
        ranks, places = ranks[order], places[order]
        new = np.concatenate([[True], (ranks[1:] != ranks[:-1]) | (places[1:] != places[:-1])])
        ranks, places = ranks[new], places[new]
        starts = np.flatnonzero(np.concatenate([[True], ranks[1:] != ranks[:-1]]))
        stops = [*starts[1:].tolist(), len(ranks)]
        counts = chance.integers(1, 4, len(ranks)).astype(np.uint8)
        lists = sorted(
            (word(int(ranks[start])), start, stop)
            for start, stop in zip(starts.tolist(), stops, strict=True)
        )
        documents = np.arange(0, size, PER_DOCUMENT)
        rows = Rows(
            np.arange(first, first + size),
            chance.integers(60, 140, size),
            documents + first,
            documents,
        )
        made = ((term, places[a:b], counts[a:b]) for term, a, b in lists)
        connection = server.get()
        with connection.transaction():
            tidying._write(connection, rows, made)
            tidying._lock(connection)
        first += size


def questions(count: int, chance: Any) -> list[list[str]]:
    """Returns questions: ranks from frequent to rare, each order of size as likely."""
    found = []
    for _ in range(count):
        ranks = np.exp(np.log(20) + chance.random(int(chance.integers(4, 13))) * np.log(20_000))
        found.append([word(int(rank)) for rank in ranks])
    return found


def shown(name: str, times: list[float]) -> None:
    """Prints a row."""
    print(f"| {name} | {statistics.median(times):.1f} | {p95(times):.1f} | {memory():.0f} |")


def timed(ask: Any, asked: list[list[str]]) -> list[float]:
    """Returns the milliseconds of each question."""
    times = []
    for terms in asked:
        begun = time.perf_counter()
        ask(terms)
        times.append(1000 * (time.perf_counter() - begun))
    return times


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    chance = np.random.default_rng(5)
    with postgres(["shared_buffers=512MB", "max_wal_size=4GB"]) as url:
        store = PostgresStore(url, "made")
        begun = time.perf_counter()
        fill(store, given.chunks, chance)
        ((size,),) = store._server.rows("SELECT pg_total_relation_size('qwenbelt.postings')")
        spent = time.perf_counter() - begun
        print(f"{given.chunks} chunks, {size / 1e6:.0f} MB of lists, {spent:.0f} s")
        asked = questions(given.questions, chance)
        search = postgres_search.WordSearch(store._server, store._collection, Stemmer())

        def ask(terms: list[str]) -> object:
            return search.ranked(terms, 60, None)

        begun = time.perf_counter()
        ask(asked[0])
        print(f"the first question of a process: {1000 * (time.perf_counter() - begun):.0f} ms")
        print("| way | p50 ms | p95 ms | MB here |", "|---|---|---|---|", sep="\n")
        shown("lists by term, each question new", timed(ask, asked))
        shown("the same, asked again", timed(ask, asked))
        long, postings.LONG = postings.LONG, 0
        shown("skipping wherever it can be", timed(ask, asked))
        postings.LONG = long
        if given.chunks <= 100_000:
            shown("added up in SQL", timed(lambda t: store._server.rows(IN_SQL, t), asked[:20]))
        kept, postgres_search.KEPT_BYTES = postgres_search.KEPT_BYTES, 1 << 40
        timed(ask, asked)
        shown("everything kept by the worker", timed(ask, asked))
        postgres_search.KEPT_BYTES = kept
        store.close()


if __name__ == "__main__":
    main()
