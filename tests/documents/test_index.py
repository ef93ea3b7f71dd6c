"""The index: taking in, searching, changing, removing."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex, render_page, verify_citation
from qwenbelt.tools.documents.stores.fulltext_snapshot import best
from qwenbelt.tools.documents.stores.sqlite_fulltext import places_within

FIRST = "BT /F1 10 Tf 72 700 Td (The harbour was closed in winter.) Tj ET"
SECOND = "BT /F1 10 Tf 72 700 Td (The lighthouse keeper wrote letters.) Tj ET"


@pytest.fixture
def index(tmp_path: Path):
    with DocumentIndex(tmp_path / "index.db") as opened:
        yield opened


def test_hit_names_page_quote_box_and_section(index: DocumentIndex, report_pdf: Path) -> None:
    (added,) = index.add(report_pdf)
    assert (added.state, added.pages) == ("added", 2)
    hit = index.search("when were the river works finished?", 3)[0]
    assert (hit.file, hit.page, hit.section) == ("report.pdf", 1, "Canals")
    assert "finished in 1912" in hit.quote
    assert hit.box is not None
    assert verify_citation(index, hit.file, hit.page, hit.quote) is not None
    assert verify_citation(report_pdf, "", hit.page, hit.quote) is not None
    assert verify_citation(index, hit.file, 2, hit.quote) is None


def test_unchanged_file_is_recognised_and_changed_file_replaces(
    index: DocumentIndex, make_pdf
) -> None:
    path = make_pdf("a.pdf", [FIRST])
    assert [a.state for a in index.add(path)] == ["added"]
    assert [a.state for a in index.add(path)] == ["unchanged"]
    assert index.search("harbour")
    make_pdf("a.pdf", [SECOND])
    assert [a.state for a in index.add(path)] == ["added"]
    assert not index.search("harbour")
    assert index.search("lighthouse")[0].file == "a.pdf"
    assert len(index.documents()) == 1


def test_filters(index: DocumentIndex, make_pdf, report_pdf: Path) -> None:
    index.add([make_pdf("a.pdf", [FIRST, FIRST]), report_pdf])
    assert {h.page for h in index.search("harbour", files=["a.pdf"])} == {1, 2}
    assert {h.page for h in index.search("harbour", pages=[2])} == {2}
    assert not index.search("harbour", files=["report.pdf"])
    assert index.search("1912", section="grain")[0].page == 2
    with pytest.raises(InputError, match=r"nothing\.pdf: is not in the index"):
        index.search("x", files=["nothing.pdf"])


def test_same_content_under_two_names_is_one_document(index: DocumentIndex, make_pdf) -> None:
    index.add([make_pdf("a.pdf", [FIRST]), make_pdf("b.pdf", [FIRST])])
    assert [d.file for d in index.documents()] == ["a.pdf", "b.pdf"]
    assert [h.file for h in index.search("harbour")] == ["a.pdf"]
    assert [h.file for h in index.search("harbour", files=["b.pdf"])] == ["b.pdf"]
    index.remove(["a.pdf"])
    assert [h.file for h in index.search("harbour")] == ["b.pdf"]


def test_older_version_stays_readable(index: DocumentIndex, make_pdf) -> None:
    for text in (FIRST, SECOND, FIRST.replace("harbour", "bridge"), FIRST):
        index.add(make_pdf("a.pdf", [text]))
    (now,) = index.documents()
    assert now.version == 4
    assert [d.version for d in index.documents(versions=True)] == [4, 3]
    assert "bridge" in index.pages("a.pdf", version=3)[0].text
    assert not index.search("bridge")
    assert index.search("harbour")
    with pytest.raises(InputError, match="version 1 is not"):
        index.pages("a.pdf", version=1)


def test_metadata_and_collections(tmp_path: Path, make_pdf) -> None:
    with DocumentIndex(tmp_path / "m.db") as one:
        one.add(make_pdf("a.pdf", [FIRST]), meta={"year": 1911})
        one.add(make_pdf("b.pdf", [FIRST.replace("winter", "spring")]), meta={"year": 1912})
        assert [h.file for h in one.search("harbour", where={"year": 1912})] == ["b.pdf"]
        assert not one.search("harbour", where={"year": 1913})
    with DocumentIndex(tmp_path / "m.db", collection="other") as other:
        assert not other.search("harbour")
        assert not other.documents()


def test_document_that_the_question_names_comes_first(index: DocumentIndex, make_pdf) -> None:
    for name in ("ACME_2021_report.pdf", "BESTBUY_2022_report.pdf", "GLOBEX_2022_report.pdf"):
        index.add(make_pdf(name, [FIRST.replace("winter", f"winter of {name[0]}")]))
    assert index.search("was the harbour closed by Best Buy?")[0].file.startswith("BESTBUY")
    assert index.search("harbour at Acme in 2021")[0].file.startswith("ACME")


def test_one_passage_a_page_unless_asked(index: DocumentIndex, make_pdf) -> None:
    words = " ".join(f"word{n}" for n in range(14))
    page = "\n".join(
        f"BT /F1 8 Tf 1 0 0 1 40 {780 - 9 * n} Tm (harbour {words}.) Tj ET" for n in range(80)
    )
    index.add(make_pdf("a.pdf", [page, page.replace("word1", "other1")]))
    assert sorted(h.page for h in index.search("harbour")) == [1, 2]
    assert len(index.search("harbour", per_page=None)) > 4


def test_remove_forgets_everything(index: DocumentIndex, make_pdf) -> None:
    index.add([make_pdf("a.pdf", [FIRST]), make_pdf("b.pdf", [SECOND])])
    assert index.remove(["a.pdf"]) == ["a.pdf"]
    assert not index.search("harbour")
    assert index.search("lighthouse")
    connection = index._store._connections.get()
    for table in ("documents", "names", "pages", "chunks"):
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert count == 1
    connection.execute("INSERT INTO words_1 (words_1) VALUES ('integrity-check')")


def test_bad_files_are_reported_and_the_others_go_on(
    index: DocumentIndex, make_pdf, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pdf"
    bad.write_text("not a pdf", encoding="utf-8")
    results = index.add([bad, make_pdf("a.pdf", [FIRST])])
    assert [r.state for r in results] == ["failed", "added"]
    assert "bad.pdf" in results[0].error


def test_foreign_database_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(InputError, match="not a document index"):
        DocumentIndex(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        DocumentIndex(path)


def test_readers_work_while_another_thread_writes(index: DocumentIndex, make_pdf) -> None:
    index.add(make_pdf("a.pdf", [FIRST]))
    files = [make_pdf(f"w{n}.pdf", [SECOND.replace("letters", f"{n} letters")]) for n in range(8)]
    done = threading.Event()
    found: list[int] = []

    def read() -> None:
        while not done.is_set():
            found.append(len(index.search("harbour")))

    reader = threading.Thread(target=read)
    reader.start()
    index.add(files)
    done.set()
    reader.join()
    assert found
    assert set(found) == {1}
    assert len(index.search("lighthouse", 20)) == 8


def test_interrupted_file_goes_on_where_it_was(index: DocumentIndex, make_pdf) -> None:
    path = make_pdf("long.pdf", [FIRST] * 80)

    def stop(page: int, pages: int) -> None:
        if page == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add_file(path, stop)
    assert not index.search("harbour")
    seen: list[int] = []
    index.add_file(path, lambda page, pages: seen.append(page))
    assert seen[0] > 1
    assert len(index.search("harbour", 100)) == 80


def test_snapshot_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwenbelt.tools.documents.stores import sqlite_fulltext as fulltext

    texts = [
        f"{'harbour ' * (n % 5)} ship {n} {'winter ' * (n % 3)} port{n % 7}" for n in range(60)
    ]
    for n, text in enumerate(texts):
        (tmp_path / f"{n}.txt").write_text(text, encoding="utf-8")
    queries = ["harbour in winter", "ship 12", "port3 harbour", "nothing"]
    found = {}
    for least in (10_000, 20):
        monkeypatch.setattr(fulltext, "LEAST", least)
        with DocumentIndex(tmp_path / f"{least}.db") as index:
            index.add([tmp_path / f"{n}.txt" for n in range(50)])
            index.add([tmp_path / f"{n}.txt" for n in range(50, 60)])  # found by FTS5 alone
            index.remove(["7.txt"])
            found[least] = [[(h.file, h.score) for h in index.search(q, 99)] for q in queries]
            only = index.search("harbour winter", 20, files=["3.txt", "8.txt", "55.txt"])
            assert {h.file for h in only} == {"3.txt", "8.txt", "55.txt"}
    for one, other in zip(found[10_000], found[20], strict=True):
        assert dict(one) == pytest.approx(dict(other), rel=0.1)


def test_what_another_index_of_the_file_adds_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenbelt.tools.documents.stores import sqlite_fulltext as fulltext

    monkeypatch.setattr(fulltext, "LEAST", 3)
    for n in range(12):
        (tmp_path / f"{n}.txt").write_text(f"harbour ship {n}", encoding="utf-8")
    with (
        DocumentIndex(tmp_path / "i.db", workers=0) as reader,
        DocumentIndex(tmp_path / "i.db", workers=0) as writer,
    ):
        for last in (1, 4, 5, 12):  # by FTS5 alone, with a snapshot, beside one, with the next
            writer.add([tmp_path / f"{n}.txt" for n in range(last)])
            assert len(reader.search("harbour", 20)) == last
        writer.remove([f"{n}.txt" for n in range(10)])
        assert {hit.file for hit in reader.search("harbour", 20)} == {"10.txt", "11.txt"}


@pytest.mark.parametrize("count", [0, 1, 3, 10, 80])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 640, 2000])
def test_the_best_scores_are_those_of_a_sort(size: int, count: int) -> None:
    scores = np.random.default_rng(size + count).integers(-2, 30, size).astype(np.float32)
    places = [n for n in np.argsort(-scores, kind="stable").tolist() if scores[n] > 0]
    assert best(scores, count).tolist() == places[:count]


@pytest.mark.parametrize("masked", [True, False])
def test_the_best_scores_of_some_places(masked: bool) -> None:
    chance = np.random.default_rng(5)
    scores = chance.integers(-2, 30, 900).astype(np.float32)
    mask = chance.random(900) < 0.2
    expected = [n for n in np.argsort(-scores, kind="stable").tolist() if mask[n] and scores[n] > 0]
    within = mask if masked else np.flatnonzero(mask)
    assert best(scores, 40, within).tolist() == expected[:40]
    assert best(scores, 40, np.zeros(0, np.intp)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6))
def test_places_within_ranges_are_those_of_each_id(ranges: list[tuple[int, int]]) -> None:
    ids = np.array([3, 4, 9, 10, 11, 30, 31, 50], np.uint32)
    inside = [n for n, i in enumerate(ids) if any(low <= i <= high for low, high in ranges)]
    assert places_within(ids, ranges).tolist() == inside
    assert places_within(ids, None) is None


def test_a_second_search_of_the_same_words_reads_no_lists_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that names a document is searched for twice, at a million passages for 8 ms."""
    from qwenbelt.tools.documents.stores import sqlite_fulltext as fulltext

    monkeypatch.setattr(fulltext, "LEAST", 3)
    for name in ("coal", "oil", "gas", "wind", "sun", "hydro"):
        (tmp_path / f"{name} report.txt").write_text(f"the {name} fleet grew", encoding="utf-8")
    read: list[int] = []
    scores = fulltext.Snapshot.scores
    monkeypatch.setattr(
        fulltext.Snapshot, "scores", lambda *args: (read.append(1), scores(*args))[1]
    )
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(sorted(tmp_path.glob("*.txt")))
        first = [hit.file for hit in index.search("How did the wind report fleet grow?", 4)]
        assert first[0] == "wind report.txt"
        assert len(read) == 1
        (tmp_path / "more.txt").write_text("a wind fleet", encoding="utf-8")
        index.add([tmp_path / "more.txt"])
        assert "more.txt" in [hit.file for hit in index.search("wind report fleet grow", 9)]


def test_names_of_hits_are_looked_up_by_their_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were searched for in all names of a collection, 7.6 ms of a question at 2 570 files."""
    from qwenbelt.tools.documents.stores.sqlite import SqliteStore

    asked: list[tuple[str, tuple[object, ...]]] = []
    every = SqliteStore._all
    monkeypatch.setattr(
        SqliteStore,
        "_all",
        lambda store, query, *args: (asked.append((query, args)), every(store, query, *args))[1],
    )
    for n in range(6):
        (tmp_path / f"{n}.txt").write_text(f"the harbour was closed {n} times", encoding="utf-8")
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(sorted(tmp_path.glob("*.txt")))
        asked.clear()
        assert len(index.search("harbour", 6)) == 6
    names = [entry for entry in asked if "d.id IN" in entry[0]]
    assert len(names) == 1  # of all hits at once
    with contextlib.closing(sqlite3.connect(tmp_path / "i.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {names[0][0]}", names[0][1]).fetchall()
    assert any("names_by_document" in str(step) for step in plan), plan


def test_page_picture_shows_the_highlight(index: DocumentIndex, make_pdf) -> None:
    path = make_pdf("a.pdf", [FIRST])
    index.add(path)
    hit = index.search("harbour")[0]
    plain, marked = render_page(path, 1), render_page(path, 1, boxes=[hit.box])
    assert plain.startswith(b"\x89PNG")
    assert plain != marked
    with pytest.raises(InputError, match="no page 9"):
        render_page(path, 9)
