"""The stores of the document index side by side: room, pace of adding, time of a question, hits.

    python benchmarks/stores.py DATA --chunks 100000 --places sqlite postgres [--keep FOLDER]

DATA holds `retrieval/NAME/{passages,questions}.jsonl`. The passages of the sets are added as they
are, a file each; the rest is made from them, by one seeded generator: passages of about 110 words,
a quarter of them Chinese, put together from short stretches of the sets, with rare words (numbers,
codes) by Zipf's law, so that the vocabulary grows as that of real files does. Questions are those
of the sets, in a fixed random order, after a few to warm up. The processor time of a PostgreSQL
server that is started here is read from its processes.

With `--writers N` so many processes add N equal parts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from document_scale import SETS, p95, size_of

from qwenbelt.tools.documents import DocumentIndex

PASSAGES = 2000  # of a made file
WORDS = 110  # of a passage; a Chinese character counts as 0.6 of a word
STRETCH = 7  # words, or twice as many Chinese characters, that are taken over together
RARE = 3  # words of a passage that are drawn by Zipf's law
VOCABULARY = 5_000_000
QUESTIONS = 100  # of a set
TOP = 10
COLUMNS = (
    "chunks|MB|add s|add CPU-s here|add CPU-s server|first ms|p50 ms|p95 ms|CPU-ms here"
    "|CPU-ms server|nDCG@10|hit@10|MB here"
).split("|")


# -- texts ----------------------------------------------------------------------------------------


def lines(data: Path, name: str, kind: str) -> list[dict]:
    path = data / "retrieval" / name / f"{kind}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stretches(data: Path) -> tuple[list[str], list[str]]:
    """Returns short stretches of the English and of the Chinese passages."""
    english: list[str] = []
    chinese: list[str] = []
    for name in SETS:
        for row in lines(data, name, "passages"):
            text = " ".join(row["text"].split())
            if name in ("xquad_zh", "cmrc"):
                chinese += [text[n : n + 2 * STRETCH] for n in range(0, len(text), 2 * STRETCH)]
            else:
                words = text.split()
                english += [" ".join(words[n : n + STRETCH]) for n in range(0, len(words), STRETCH)]
    return english, chinese


def rare_word(chance: random.Random) -> str:
    """Returns a made word; the n-th most frequent about 1/n as often as the first."""
    rank = int(math.exp(chance.random() * math.log(VOCABULARY)))
    return f"{rank:,}" if rank % 2 else f"{'bcdfgklm'[rank % 8]}{'aeio'[rank // 8 % 4]}x{rank}"


def passage(english: list[str], chinese: list[str], chance: random.Random) -> str:
    pool = chinese if chance.random() < 0.25 else english
    parts: list[str] = []
    size = 0.0
    while size < WORDS:
        part = chance.choice(pool)
        parts.append(part)
        size += len(part.split()) if pool is english else 0.6 * len(part)
    parts += [rare_word(chance) for _ in range(RARE)]
    chance.shuffle(parts)
    return (" " if pool is english else "，").join(parts) + "."


def real_files(data: Path, folder: Path) -> list[Path]:
    made = []
    for name in SETS:
        for row in lines(data, name, "passages"):
            made.append(folder / f"{name}-{row['id']}.txt")
            made[-1].write_text(row["text"], encoding="utf-8")
    return made


def made_files(
    data: Path, folder: Path, count: int, part: int, parts: int, known: set[str]
) -> Iterator[Path]:
    english, chinese = stretches(data)
    for number in range(part, math.ceil(count / PASSAGES), parts):
        chance = random.Random(f"7 {number}")
        size = min(PASSAGES, count - number * PASSAGES)
        texts = [passage(english, chinese, chance) for _ in range(size)]
        file = folder / f"part{number:05}.txt"
        if file.name in known:
            continue
        file.write_text("\n\n".join(texts), encoding="utf-8")
        yield file
        file.unlink()


def questions(data: Path) -> list[tuple[str, set[str]]]:
    """Returns questions and the names of the files that answer them."""
    found = []
    for name in SETS:
        rows = lines(data, name, "questions")
        chosen = random.Random(name).sample(rows, min(QUESTIONS, len(rows)))
        for row in chosen:
            found.append((row["question"], {f"{name}-{n}.txt" for n in row["relevant"]}))
    random.Random(3).shuffle(found)
    return found


# -- places ---------------------------------------------------------------------------------------


class Place:
    """Somewhere an index is; `folder` of a server that was started for it, to read its times."""

    def __init__(self, name: str, url: str, folder: Path | None = None) -> None:
        self.name, self.url, self.folder = name, url, folder

    def server_seconds(self) -> float:
        """Returns the processor time of the server's processes, those that ended too."""
        if self.folder is None:
            return 0.0
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        total = _seconds(first, ended=True)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(int(entry.name)) == first:
                total += _seconds(int(entry.name), ended=False)
        return total


def _fields(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []  # it ended just now


def _parent(process: int) -> int:
    return int((_fields(process) or ["", "0"])[1])


def _seconds(process: int, *, ended: bool) -> float:
    found = _fields(process)
    ticks = sum(map(int, found[11 : 15 if ended else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def opened(name: str, folder: Path, *, kept: bool) -> Iterator[Place]:
    if name == "postgres":
        from throwaway_postgres import postgres

        options = ["shared_buffers=512MB", "max_wal_size=4GB"]
        with postgres(options, folder / "server" if kept else None) as url:
            row = _one(url, "SHOW data_directory")
            yield Place(name, url, Path(row).parent)
    elif name == "qdrant":
        yield Place(name, f"qdrant:{folder / 'qdrant'}")
    elif name == "sqlite":
        yield Place(name, str(folder / "index.db"))
    else:
        yield Place(name.partition(":")[0], name)


def _one(url: str, query: str) -> str:
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


# -- measuring ------------------------------------------------------------------------------------


def add_part(url: str, data: str, count: int, part: int, parts: int) -> None:
    """Adds one of several equal parts, in this process."""
    with (
        tempfile.TemporaryDirectory() as work,
        DocumentIndex(url, workers=0) as index,
    ):
        known = {document.file for document in index.documents()}  # of an earlier run
        if part == 0:
            for file in real_files(Path(data), Path(work)):
                if file.name not in known:
                    index.add_file(file)
        for file in made_files(Path(data), Path(work), count, part, parts, known):
            index.add_file(file)
        index.add([])  # what `add` does at its end


def filled(place: Place, data: Path, count: int, writers: int) -> tuple[float, float, float]:
    """Fills a place; returns seconds on the clock, and of processor here and at the server."""
    begun, server = time.perf_counter(), place.server_seconds()
    before = os.times()
    jobs = [
        multiprocessing.get_context("spawn").Process(
            target=add_part, args=(place.url, str(data), count, part, writers)
        )
        for part in range(writers)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        if job.exitcode:
            raise SystemExit(f"a writer ended with {job.exitcode}")
    after = os.times()
    here = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - begun, here, place.server_seconds() - server


def asked(place: Place, data: Path) -> dict[str, float]:
    """Asks the questions; returns milliseconds and how well they are answered."""
    times, cpu, gains, hits = [], [], [], []
    told = questions(data)
    with DocumentIndex(place.url, workers=0) as index:
        begun = time.perf_counter()
        index.search(told[0][0], TOP)
        first = 1000 * (time.perf_counter() - begun)
        for question, _ in told[:40]:
            index.search(question, TOP)
        server = place.server_seconds()
        for question, relevant in told:
            begun, used = time.perf_counter(), time.process_time()
            found = index.search(question, TOP)
            times.append(1000 * (time.perf_counter() - begun))
            cpu.append(1000 * (time.process_time() - used))
            names = list(dict.fromkeys(hit.file for hit in found))
            gains.append(ndcg(names, relevant))
            hits.append(bool(relevant & set(names)))
        server = place.server_seconds() - server
    return {
        "first ms": first,
        "p50 ms": statistics.median(times),
        "p95 ms": p95(times),
        "CPU-ms here": statistics.mean(cpu),
        "CPU-ms server": 1000 * server / len(told),
        "nDCG@10": statistics.mean(gains),
        "hit@10": statistics.mean(hits),
        "MB here": memory(),
    }


def memory() -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1000 if found else 0.0


def ndcg(found: list[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(n + 2) for n, name in enumerate(found[:TOP]) if name in relevant)
    best = sum(1 / math.log2(n + 2) for n in range(min(len(relevant), TOP)))
    return gain / best if best else 0.0


def measured(name: str, given: argparse.Namespace) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        if given.keep is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            work = given.keep / f"{name.partition(':')[0]}-{given.chunks}"
            work.mkdir(parents=True, exist_ok=True)
        place = stack.enter_context(opened(name, work, kept=given.keep is not None))
        row: dict[str, float] = {}
        if not given.questions_only:
            wall, here, server = filled(place, given.data, given.chunks, given.writers)
            row = {"add s": wall, "add CPU-s here": here, "add CPU-s server": server}
        with DocumentIndex(place.url, workers=0) as index:
            row["chunks"] = sum(document.chunks for document in index.documents())
        if name != "qdrant":
            row["MB"] = size_of(place.url)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row.update(pool.apply(asked, (place, given.data)))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000, help="passages that are made")
    parser.add_argument("--places", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--writers", type=int, default=1, help="processes that add at once")
    parser.add_argument("--keep", type=Path, help="a folder for indexes; the next run goes on")
    parser.add_argument("--json", type=Path, help="a file that the rows are added to")
    parser.add_argument("--questions-only", action="store_true", help="a filled place is given")
    given = parser.parse_args()
    print(f"| place | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|", sep="\n")
    for name in given.places:
        row = measured(name, given)
        if given.json is not None:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"place": name.partition(":")[0], **row}) + "\n")
        shown = [
            f"{row[c]:.4f}" if "@" in c else f"{row[c]:.1f}" if c in row else "-" for c in COLUMNS
        ]
        print(f"| {name.partition(':')[0]} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
