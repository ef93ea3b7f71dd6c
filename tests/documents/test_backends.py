"""The same index in SQLite, PostgreSQL (with and without pgvector) and Qdrant."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cluster import programs, programs_with_pgvector, running
from embedding_server import embedding_server

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.search.embedding import EndpointEmbedder
from qwenbelt.tools.documents.store import Scope

TEXTS = {
    "harbour.txt": "The harbour was closed in the winter of 1912 and the ferries stopped.",
    "bread.txt": "Bread is baked before dawn; the baker's car stands outside.",
    "灯塔.txt": "灯塔建于一九一二年，守塔人每天写信。",
    "odd.txt": "It's a \\ backslash, a 'quote', 3.50 and U.S. law.",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Servers that were started so far, by name."""
    with ExitStack() as stack:
        started: dict[str, str] = {}

        def start(name: str) -> str:
            if name not in started:
                found = programs() if name == "postgres" else programs_with_pgvector()
                if importlib.util.find_spec("psycopg") is None:
                    pytest.skip("needs psycopg: pip install qwenbelt[postgres]")
                if not found:
                    pytest.skip(f"needs {name}: apt-get install postgresql")
                started[name] = stack.enter_context(running(found[0]))
            return started[name]

        yield start  # type: ignore[misc]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("pgvector", marks=pytest.mark.postgres),
        "qdrant",
    ]
)
def place(request: pytest.FixtureRequest, servers, tmp_path: Path) -> str:
    if request.param in ("postgres", "pgvector"):
        return servers(request.param)
    if request.param == "qdrant":
        if importlib.util.find_spec("qdrant_client") is None:
            pytest.skip("needs qdrant-client: pip install qwenbelt[qdrant]")
        return f"qdrant:{tmp_path / 'qdrant'}"
    return str(tmp_path / "i.db")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [tmp_path / name for name in TEXTS]


def test_add_search_change_remove(
    place: str, files: list[Path], report_pdf: Path, request: pytest.FixtureRequest
) -> None:
    with DocumentIndex(place, collection=request.node.name, workers=0) as index:
        added = index.add([*files, report_pdf], meta={"year": 1912})
        assert [a.state for a in added] == ["added"] * 5
        assert [a.state for a in index.add(files)] == ["unchanged"] * 4
        assert index.search("when were the ferries stopped")[0].file == "harbour.txt"
        assert index.search("灯塔建于哪一年")[0].file == "灯塔.txt"
        assert index.search("backslash 3.5 US law")[0].file == "odd.txt"
        hit = index.search("river works finished", files=["report.pdf"])[0]
        assert (hit.page, hit.section) == (1, "Canals")
        assert "1912" in hit.quote
        assert hit.box is not None
        assert index.search("grain", pages=[2], section="grain")[0].page == 2
        assert not index.search("grain", pages=[1], section="grain sales")
        assert index.search("baker", where={"year": 1912})
        assert not index.search("baker", where={"year": 1})
        assert index.tables("report.pdf")[0].rows[1] == ["1911", "1,250", "3.10"]
        assert index.neighbours(hit.chunk)[0].kind == "text"
        files[0].write_text("The mill burned.", encoding="utf-8")
        assert index.add(files[0])[0].state == "added"
        assert not index.search("ferries")
        assert "ferries" in index.pages("harbour.txt", version=1)[0].text
        assert index.search("mill")[0].file == "harbour.txt"
        assert [d.version for d in index.documents() if d.file == "harbour.txt"] == [2]
        index.remove(["harbour.txt", "report.pdf"])
        assert not index.search("mill river")
        assert len(index.documents()) == 3
    with DocumentIndex(place, collection=request.node.name, workers=0) as index:
        assert len(index.documents()) == 3
        assert index.search("守塔人")[0].file == "灯塔.txt"
    if not place.startswith("qdrant"):
        with DocumentIndex(place, collection="another", workers=0) as index:
            assert not index.documents()


def test_vectors(place: str, files: list[Path], request: pytest.FixtureRequest) -> None:
    with embedding_server() as server:
        maker = EndpointEmbedder("m", server.url, batch=10)
        name = request.node.name
        with DocumentIndex(place, collection=name, workers=0, vectors=maker) as index:
            index.add(files)
            assert index.embed() == 0
            assert index.search("automobile", 1, files=["bread.txt"])[0].file == "bread.txt"
            assert "bread.txt" in {h.file for h in index.search("an automobile", 4)}
            index.remove(["bread.txt"])
            assert "bread.txt" not in {h.file for h in index.search("an automobile", 4)}


def test_a_part_of_a_passage_is_found(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = "Nothing here says more about it than the weather of that week did. "
    texts = {
        "long.txt": other * 6 + "The doctor slept. " + other * 6,
        "all.txt": "doctor slept weather week nothing about",
        "far.txt": other * 3,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with embedding_server() as server:
        found = []
        for columns in (None, 30):
            maker = EndpointEmbedder("m", server.url, batch=10, columns=columns)
            collection = f"{request.node.name}{columns}"
            with DocumentIndex(place, collection=collection, workers=0, vectors=maker) as index:
                index.add([tmp_path / name for name in texts])
                hits = index.search("physician the slept", 3, files=["long.txt", "far.txt"])
                question = maker.query("the physician slept")
                near = index._store.nearest(maker.name, question, 3, Scope())
                found.append([index._store.find(m.passage.document)[0].file for m in near])
                assert hits[0].file == "long.txt"
    assert found[0][0] == "all.txt"  # the whole of the long passage says little of it
    assert found[1][0] == "long.txt"  # one of its sentences says all of it


@pytest.mark.postgres
def test_postgres_ranks_as_sqlite_does(servers, tmp_path: Path) -> None:
    url = servers("postgres")
    for n in range(60):
        words = " ".join(f"word{k}" for k in range(n % 7, 40, 1 + n % 5))
        (tmp_path / f"t{n}.txt").write_text(f"{words} common " * (1 + n % 3), encoding="utf-8")
    found = []
    for place in (str(tmp_path / "i.db"), url):
        with DocumentIndex(place, collection="ranks", workers=0) as index:
            index.add(tmp_path)
            hits = index.search("word3 word17 word36 common", 20)
            found.append({hit.file: hit.score for hit in hits})
    for file in found[0].keys() & found[1].keys():
        assert found[0][file] == pytest.approx(found[1][file], rel=0.02)
    assert len(found[0].keys() & found[1].keys()) >= 15


def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match="PostgreSQL index cannot be used") as error:
        DocumentIndex("postgresql://me:hunter2secret@127.0.0.1:9/db")
    assert "hunter2secret" not in str(error.value)
    assert "\n" not in str(error.value)
