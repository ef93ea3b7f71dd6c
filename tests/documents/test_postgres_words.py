"""Lists of words in PostgreSQL: the same hits as SQLite's, whatever was merged, removed or old."""

from __future__ import annotations

import importlib.util
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from cluster import programs, running

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.stores import postgres, postgres_words, postings
from qwenbelt.tools.documents.stores.postings import Scores, Word, joined, packed, steps_of, top

QUESTIONS = ("mill river 7", "water wheel 12", "word3 stone", "灯塔 1912", "nothing of it")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("needs psycopg: pip install qwenbelt[postgres]")
    if not programs():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with running(programs()[0]) as started:
        yield started


def texts(folder: Path, count: int, seed: int = 1) -> list[Path]:
    chance = random.Random(seed)
    words = [*(f"word{n}" for n in range(30)), *"mill river water wheel stone 灯塔 守塔人".split()]
    made = []
    for number in range(count):
        parts = [
            " ".join([*chance.choices(words, k=40), str(chance.randint(1, 20)), f"x{number}y{n}"])
            for n in range(chance.randint(1, 9))
        ]
        made.append(folder / f"{seed}-{number}.txt")
        made[-1].write_text("\n\n".join(parts), encoding="utf-8")
    return made


def hits(index: DocumentIndex) -> dict[tuple[str, str, str], float]:
    """What each question finds, and how well it fits."""
    return {
        (question, h.file, h.text): h.score
        for question in QUESTIONS
        for h in index.search(question, 500, per_page=None)
    }


def close(found: dict[tuple[str, str, str], float]) -> object:
    """Weights are kept in steps of 1/255; FTS5 has them whole."""
    return pytest.approx(found, rel=0.02)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few documents, so that few of them show what many do."""
    for module in (postgres, postgres_words):
        monkeypatch.setattr(module, "ROWS", 3)
    monkeypatch.setattr(postgres_words, "SMALLEST", 20)
    monkeypatch.setattr(postgres_words.Tidying.run, "__defaults__", (3,))


@pytest.mark.postgres
def test_hits_are_those_of_sqlite_after_merges_and_removals(
    url: str, tmp_path: Path, small: None
) -> None:
    made = texts(tmp_path, 40)
    with (
        DocumentIndex(url, collection="same", workers=0) as ours,
        DocumentIndex(tmp_path / "i.db", collection="same", workers=0) as theirs,
        DocumentIndex(url, collection="same", workers=0) as reader,
    ):
        for file in made:
            ours.add_file(file)
            if file.stem.endswith("5"):  # a reader follows in the middle of it
                assert reader.search(f"x{file.stem[2:]}y0")[0].file == file.name
        ours.add([])
        theirs.add(made)
        segments = ours._store._server.rows("SELECT count(*) FROM qwenbelt.segments")[0][0]
        assert 1 <= segments < 12
        assert hits(reader) == hits(ours) == close(hits(theirs))
        for index in (ours, theirs):
            index.remove([file.name for file in made[::3]])
        gone = {file.name for file in made[::3]}
        assert not gone & {h.file for q in QUESTIONS for h in reader.search(q, 500, per_page=None)}
        assert len(reader.search("x1y0", files=[made[1].name])) == 1
        ours.add(texts(tmp_path, 8, seed=2))  # segments are written again, without what is dead
        theirs.add([tmp_path / f"2-{n}.txt" for n in range(8)])
        ours._store._tidying.run(0)
        numbers = [n for (n,) in ours._store._server.rows("SELECT id FROM qwenbelt.segments")]
        ours._store._tidying._join(numbers)
        assert ours._store._server.rows("SELECT count(*) FROM qwenbelt.dead")[0][0] == 0
        assert hits(reader) == hits(ours) == close(hits(theirs))


@pytest.mark.postgres
def test_several_writers_at_once(url: str, tmp_path: Path, small: None) -> None:
    made = texts(tmp_path, 24)
    errors: list[BaseException] = []

    def write(part: int) -> None:
        try:
            with DocumentIndex(url, collection="many", workers=0) as index:
                index.add([*made[part::3], made[0]])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with (
        DocumentIndex(url, collection="many", workers=0) as index,
        DocumentIndex(tmp_path / "i.db", workers=0) as theirs,
    ):
        theirs.add(made)
        assert len(index.documents()) == 24
        assert hits(index) == close(hits(theirs))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_skipping_finds_what_adding_up_finds(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10_000))
    chance = np.random.default_rng(seed)
    size = int(chance.integers(1, 20_000))
    lengths = chance.integers(20, 200, size).astype(np.uint32)
    words, total = [], np.zeros(size)
    mask = chance.random(size) < (0.7 if seed % 3 else 0.005) if seed % 2 else None
    for share in (0.001, 0.01, 0.3, 0.5, 0.9)[: 2 + seed % 4]:
        places = np.flatnonzero(chance.random(size) < share).astype(np.uint32)
        counts = chance.integers(1, 9, len(places)).astype(np.uint8)
        steps = steps_of(places, counts, lengths, 100.0)
        rarity = float(-np.log(share))
        cut = size // 2  # two parts, as two segments
        first = places < cut
        lists = [(0, places[first], steps[first]), (cut, places[~first] - cut, steps[~first])]
        words.append(Word(rarity, [(b, p.astype(np.uint32), s) for b, p, s in lists]))
        total[places] += steps * np.float32(rarity * 2.2 / 255)
    if mask is not None:
        total *= mask
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "LONG", 0)  # wherever it can be
        found = top(words, size, 10, mask)
    best = np.sort(total[total > 0])[::-1][:10]
    assert [score for _, score in found] == pytest.approx(best.tolist(), rel=1e-4)
    assert [total[place] for place, _ in found] == pytest.approx(best.tolist(), rel=1e-4)


@pytest.mark.parametrize("long", [0, 2])
def test_scores_serve_all_documents_and_then_those_that_are_named(
    long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, size = np.random.default_rng(5), 3000
    monkeypatch.setattr(postings, "LONG", long)
    words = []
    for share in (0.01, 0.4, 0.9):
        places = np.flatnonzero(chance.random(size) < share).astype(np.uint32)
        steps = chance.integers(1, 255, len(places)).astype(np.uint8)
        words.append(Word(float(-np.log(share)), [(0, places, steps)]))
    named = np.zeros(size, bool)
    named[700:1900] = True
    scores = Scores(words, size)
    for within in (None, named, None):
        found = scores.best(10, within)
        assert [place for place, _ in found] == [p for p, _ in top(words, size, 10, within)]
        assert within is None or all(within[place] for place, _ in found)


def test_a_word_that_one_part_lacks_is_skipped_there() -> None:
    few, all_of_them = np.arange(3, dtype=np.uint32), np.arange(400, dtype=np.uint32)
    none = np.array([], np.uint32)
    words = [
        Word(6.0, [(0, few, np.full(3, 200, np.uint8)), (400, none, none.astype(np.uint8))]),
        Word(
            0.1, [(0, none, none.astype(np.uint8)), (400, all_of_them, np.full(400, 9, np.uint8))]
        ),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "LONG", 0)
        assert {place for place, _ in top(words, 800, 3)} == {0, 1, 2}


def test_packed_words_join_as_if_they_were_one_document() -> None:
    first = packed([({"b": 1.0, "a": 2.0}, 3), ({"a": 400.0}, 400)])
    second = packed([({"c": 1.0, "a": 1.0}, 2)])
    assert first.terms == ["a", "b"]
    lists = {t: (p.tolist(), c.tolist()) for t, p, c in joined([first, second])}
    assert lists == {"a": ([0, 1, 2], [2, 255, 1]), "b": ([0], [1]), "c": ([2], [1])}
    assert list(joined([packed([])])) == []


def as_schema_1(url: str, base: Path) -> None:
    """Makes the tables of the version before, as it made them."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS qwenbelt CASCADE")
    with DocumentIndex(url, workers=0):
        pass
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """DROP TABLE qwenbelt.packed, qwenbelt.segments, qwenbelt.postings, qwenbelt.dead,
            qwenbelt.identity;
            ALTER TABLE qwenbelt.documents DROP COLUMN packed;
            ALTER TABLE qwenbelt.chunks ADD COLUMN words tsvector NOT NULL;
            CREATE INDEX chunks_words ON qwenbelt.chunks USING gin (words);
            CREATE TABLE qwenbelt.words (collection integer NOT NULL, word text NOT NULL,
            count bigint NOT NULL, PRIMARY KEY (collection, word));
            UPDATE qwenbelt.meta SET value = '1' WHERE key = 'schema'"""
        )


@pytest.mark.postgres
def test_a_database_of_the_version_before_comes_forward_under_running_replicas(
    url: str, tmp_path: Path, small: None
) -> None:
    made = texts(tmp_path, 12)
    as_schema_1(url, tmp_path)
    with (
        DocumentIndex(url, workers=0) as first,
        DocumentIndex(url, workers=0) as second,
        DocumentIndex(tmp_path / "i.db", workers=0) as theirs,
    ):
        for file in made[:8]:
            first.add_file(file)  # as the version before: nobody has brought it forward
        server = first._store._server
        assert server.schema() == 1
        assert server.rows("SELECT count(*) FROM qwenbelt.packed")[0][0] == 0
        theirs.add(made[:8])
        assert hits(second) == close(hits(theirs))
        first.add([])
        assert server.schema() == 2
        theirs.add(made[8:11])
        second.add(made[8:10])  # it was open all the time
        old_replica_adds(first, made[10])
        for index in (first, second):
            assert hits(index) == close(hits(theirs))
        server.get().execute("UPDATE qwenbelt.meta SET value = '2026-01-01' WHERE key = 'forward'")
        second.remove([made[0].name])
        theirs.remove([made[0].name])
        for index in (first, second):
            assert hits(index) == close(hits(theirs))
        assert not server.has_old_words()
        first.add(made[11])
        theirs.add(made[11])
        assert hits(second) == close(hits(theirs))


def old_replica_adds(index: DocumentIndex, file: Path) -> None:
    """Adds a file as a replica of the version before does, which does not know that it is."""
    store = index._store
    store._schema_for_writing = lambda: 1  # type: ignore[method-assign]
    try:
        index.add_file(file)
    finally:
        del store._schema_for_writing
