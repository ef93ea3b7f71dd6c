"""Index size and query time with many passages, made from given texts.

    python benchmarks/document_scale.py DATA --chunks 100000 [--place FILE|postgres|postgresql://...]

DATA holds `retrieval/NAME/{passages,questions}.jsonl`; sentences of all sets are shuffled into
passages of about 110 words, a quarter of them Chinese. The questions are those of the sets. With
`--place postgres` a server is started for it; its processor time is not in the figures. With
`--vectors` each sentence gets a vector drawn at random, of 384 numbers: that shows room and time of
search by words and meaning, without the model's own 25 ms a question.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.search.embedding import OFFLINE_COLUMNS, Vectors, unit

SETS = ("xquad_en", "xquad_zh", "cmrc", "cranfield")
PASSAGES = 2000  # a file
WORDS = 110  # a passage; a Chinese character counts as 0.6 of a word


def sentences(data: Path) -> tuple[list[str], list[str]]:
    english, chinese = [], []
    for name in SETS:
        target = chinese if name in ("xquad_zh", "cmrc") else english
        path = data / "retrieval" / name / "passages.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines():
            text = " ".join(json.loads(line)["text"].split())
            target += re.findall(r"[^.!?。！？]{12,}[.!?。！？]+", text)
    return english, chinese


def questions(data: Path) -> list[str]:
    found = []
    for name in SETS:
        path = data / "retrieval" / name / "questions.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [json.loads(line)["question"] for line in lines[:60]]
    return found


def passage(pool: list[str], chance: random.Random) -> str:
    parts: list[str] = []
    size = 0.0
    while size < WORDS:
        sentence = chance.choice(pool)
        parts.append(sentence)
        size += len(sentence.split()) if sentence.isascii() else 0.6 * len(sentence)
    return " ".join(parts)


def files(data: Path, folder: Path, count: int) -> Iterator[Path]:
    english, chinese = sentences(data)
    chance = random.Random(7)
    for first in range(0, count, PASSAGES):
        texts = [
            passage(chinese if chance.random() < 0.25 else english, chance)
            for _ in range(min(PASSAGES, count - first))
        ]
        file = folder / f"part{first // PASSAGES:05}.txt"
        file.write_text("\n\n".join(texts), encoding="utf-8")
        yield file
        file.unlink()


@contextlib.contextmanager
def opened_place(given: str | None, folder: Path) -> Iterator[str]:
    """Gives a place for the index; starts a server for "postgres"."""
    if given == "postgres":
        from throwaway_postgres import postgres

        with postgres() as url:
            yield url
    else:
        yield given or str(folder / "index.db")


def size_of(place: str) -> float:
    """Returns an index's size in MB."""
    if place.startswith("postgresql:"):
        import psycopg

        with psycopg.connect(place) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return float(row[0]) / 1e6 if row else 0.0
    parts = [Path(place + suffix) for suffix in ("", "-wal")]
    return sum(p.stat().st_size for p in parts if p.exists()) / 1e6


class Drawn:
    """Vectors that mean nothing."""

    name = "drawn"
    batch = 1024
    columns: int | None = OFFLINE_COLUMNS

    def __init__(self) -> None:
        self._chance = np.random.default_rng(7)

    def passages(self, texts: Sequence[str]) -> Vectors:
        return unit(self._chance.standard_normal((len(texts), 384), np.float32))

    def query(self, text: str) -> Vectors:
        return self.passages([text])[0]


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--place", help="an index file or a server")
    parser.add_argument("--vectors", action="store_true", help="search by meaning too")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as work,
        opened_place(given.place, Path(work)) as place,
        DocumentIndex(place, workers=0, vectors=Drawn() if given.vectors else None) as index,
    ):
        start = time.process_time()
        chunks = sum(
            index.add_file(file).chunks for file in files(given.data, Path(work), given.chunks)
        )
        index.add([])  # what `add` does at its end
        spent = time.process_time() - start
        figures = query_times(index, questions(given.data) * 2)
        print("| chunks | index MB | CPU-s to index | p50 ms | p95 ms | p50 CPU-ms | p95 CPU-ms |")
        print("|---|---|---|---|---|---|---|")
        shown = " | ".join(f"{figure:.1f}" for figure in figures)
        print(f"| {chunks} | {size_of(place):.0f} | {spent:.0f} | {shown} |")


def query_times(index: DocumentIndex, asked: list[str]) -> list[float]:
    """Returns median and p95 of the milliseconds of a query, on the clock and of the processor."""
    times, cpu = [], []
    for question in asked:
        begun, used = time.perf_counter(), time.process_time()
        index.search(question, 10)
        times.append(1000 * (time.perf_counter() - begun))
        cpu.append(1000 * (time.process_time() - used))
    return [statistics.median(times), p95(times), statistics.median(cpu), p95(cpu)]


if __name__ == "__main__":
    main()
