from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenbelt.core.errors import ConfigError, InputError, ToolError
from qwenbelt.tools.memory.jsonl import read_jsonl, write_jsonl
from qwenbelt.tools.memory.pages import some_of_it, whole_graph
from qwenbelt.tools.memory.store import GraphStore
from qwenbelt.tools.operation import MAX_REPLY_BYTES


@pytest.fixture
def store(tmp_path: Path) -> GraphStore:
    return GraphStore(tmp_path / "memory.db")


@pytest.fixture
def people(store: GraphStore) -> GraphStore:
    store.create_entities(
        [
            ("Ada Lovelace", "person", ["wrote the first program", "born in 1815"]),
            ("Charles Babbage", "person", ["designed the analytical engine"]),
            ("张衡", "人物", ["发明了地动仪", "精通天文和数学"]),
            ("Zürich_Office", "place", ["Straße 5, café on the ground floor"]),
        ]
    )
    store.create_relations(
        [("Ada Lovelace", "Charles Babbage", "worked with"), ("张衡", "洛阳", "居住在")]
    )
    return store


def names(store: GraphStore, query: str) -> list[str]:
    return [e["name"] for e in some_of_it(store, store.search(query), None).entities]


def test_what_is_added_once_is_there_once(people: GraphStore) -> None:
    assert people.counts() == (4, 6, 2)
    assert people.create_entities([("Ada Lovelace", "x", ["y"]), ("New", "t", ["a", "a"])]) == [
        ("New", "t", ["a"])
    ]
    assert people.create_relations([("张衡", "洛阳", "居住在")]) == []
    assert people.add_observations([("New", ["a", "b"]), ("New", ["b"])]) == [
        ("New", ["b"]),
        ("New", []),
    ]


def test_an_unknown_entity_changes_nothing(people: GraphStore) -> None:
    before = people.counts()
    with pytest.raises(ToolError, match="Entity with name Nobody not found"):
        people.add_observations([("Ada Lovelace", ["new"]), ("Nobody", ["x"])])
    assert people.counts() == before


def test_deleting(people: GraphStore) -> None:
    assert (
        people.delete_observations([("Ada Lovelace", ["born in 1815", "no"]), ("No", ["x"])]) == 1
    )
    assert names(people, "1815") == []
    assert people.delete_relations([("张衡", "洛阳", "居住在"), ("a", "b", "c")]) == 1
    assert people.delete_entities(["Ada Lovelace", "Nobody"]) == 1
    assert people.counts() == (3, 4, 0)
    assert names(people, "Lovelace") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ada", ["Ada Lovelace"]),
        ("LOVELACE program", ["Ada Lovelace"]),
        ("person engine", ["Charles Babbage"]),
        ("prog", ["Ada Lovelace"]),
        ("ovelac", ["Ada Lovelace"]),
        ("地动仪", ["张衡"]),
        ("数学", ["张衡"]),
        ("人物 天文", ["张衡"]),
        ("天文学家和数学家", ["张衡"]),
        ("zurich cafe", ["Zürich_Office"]),
        ("Zürich_Office", ["Zürich_Office"]),
        ("strasse", []),
        ("engine born nothing-else", ["Ada Lovelace", "Charles Babbage"]),
        ('"quoted" AND (', []),
        ("* OR NOT", []),
        ("%", []),
        ("1815", ["Ada Lovelace"]),
        ("person", ["Ada Lovelace", "Charles Babbage"]),
    ],
)
def test_search_in_english_and_chinese(people: GraphStore, query: str, expected: list[str]) -> None:
    assert names(people, query) == expected


@pytest.mark.parametrize("few", [1, 3, 100])
def test_rare_words_lead_to_what_common_words_hide(
    store: GraphStore, monkeypatch, few: int
) -> None:
    monkeypatch.setattr("qwenbelt.tools.memory.store._FEW", few)
    many = [(f"pump {i}", "machine", [f"pressure of number {i}", "压力正常"]) for i in range(50)]
    store.create_entities([*many, ("valve", "machine", ["no 压力 at all"])])
    assert names(store, "pressure 49") == ["pump 49"]
    assert names(store, "pump 压力 37") == ["pump 37"]
    assert names(store, "machine 压力 all") == ["valve"]
    assert len(names(store, "machine pressure")) == 50


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.text(max_size=40))
def test_no_query_is_an_error(people: GraphStore, query: str) -> None:
    try:
        query.encode()
    except UnicodeEncodeError:
        return
    people.search(query)


def test_relations_come_with_either_end(people: GraphStore) -> None:
    part = some_of_it(people, people.ids_of(["Charles Babbage", "Nobody"]), None)
    assert part.relations == [
        {"from": "Ada Lovelace", "to": "Charles Babbage", "relationType": "worked with"}
    ]


def collect(step) -> tuple[dict[str, list[str]], list[tuple]]:
    entities: dict[str, list[str]] = {}
    relations = []
    cursor, parts = None, 0
    while True:
        part = step(cursor)
        assert len(json.dumps(part.data, ensure_ascii=False).encode()) < MAX_REPLY_BYTES * 1.2
        for entity in part.entities:
            entities.setdefault(entity["name"], []).extend(entity["observations"])
        relations += [tuple(r.values()) for r in part.relations]
        cursor, parts = part.cursor, parts + 1
        if cursor is None:
            assert parts > 1
            return entities, relations


def test_a_large_graph_comes_in_parts_that_fit(store: GraphStore) -> None:
    many = [
        (f"e{i}", "thing", [f"observation {j} of {i} " + "中" * 50 for j in range(5)])
        for i in range(600)
    ]
    long = ("long", "thing", [f"{i} " + "x" * 1000 for i in range(800)])
    huge = ("huge", "thing", ["y" * 300_000])
    store.create_entities([*many, long, huge])
    links = [
        (f"e{i}", f"e{i + 1}", "next to the one with a long name " + "z" * 100) for i in range(599)
    ]
    store.create_relations(links)
    expected = {name: observations for name, _, observations in [*many, long, huge]}
    expected["huge"] = ["y" * 50_000 + "… [250000 more characters]"]
    assert collect(lambda cursor: whole_graph(store, cursor)) == (expected, links)
    found = store.search("thing")
    assert len(found) == 602
    assert collect(lambda cursor: some_of_it(store, found, cursor)) == (expected, links)
    with pytest.raises(ToolError, match="no cursor"):
        whole_graph(store, "nonsense")


def test_the_references_file_goes_in_and_out(people: GraphStore, tmp_path: Path) -> None:
    file, again = tmp_path / "memory.jsonl", tmp_path / "again.jsonl"
    write_jsonl(people, file)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {
        "type": "entity",
        "name": "Ada Lovelace",
        "entityType": "person",
        "observations": ["wrote the first program", "born in 1815"],
    }
    assert lines[-1] == {"type": "relation", "from": "张衡", "to": "洛阳", "relationType": "居住在"}
    other = GraphStore(tmp_path / "other.db")
    other.create_entities([("Ada Lovelace", "person", ["known already"])])
    assert read_jsonl(other, file) == (3, 2)
    assert read_jsonl(other, file) == (0, 0)
    assert other.counts() == (4, 7, 2)
    write_jsonl(other, again)
    file.write_text('{"type": "entity", "name": "x"}\n')
    with pytest.raises(InputError, match=r"memory.jsonl:1: neither an entity nor a relation"):
        read_jsonl(other, file)


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    jsonl = tmp_path / "memory.json"
    jsonl.write_text('{"type":"entity","name":"a","entityType":"b","observations":[]}\n' * 50)
    before = jsonl.read_bytes()
    with pytest.raises(ConfigError, match=r"read with --import"):
        GraphStore(jsonl)
    assert jsonl.read_bytes() == before
    other = tmp_path / "shop.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE items (a)")
    connection.close()
    with pytest.raises(ConfigError, match="belongs to another program"):
        GraphStore(other)


def test_many_threads_lose_nothing(store: GraphStore) -> None:
    store.create_entities([("log", "t", [])])
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(lambda i: store.create_entities([(f"e{i}", "t", ["o"])]), range(64)))
        list(pool.map(lambda i: store.add_observations([("log", [f"o{i}"])]), range(200)))
    assert store.counts() == (65, 264, 0)


def test_an_observation_is_quick_at_ten_thousand_entities(store: GraphStore) -> None:
    store.create_entities(
        [(f"entity {i}", "thing", [f"number {i} of many"]) for i in range(10_000)]
    )
    times = []
    for i in range(50):
        started = time.perf_counter()
        store.add_observations([(f"entity {i * 100}", [f"seen at {i}"])])
        times.append(time.perf_counter() - started)
    assert sorted(times)[25] < 0.5
    started = time.perf_counter()
    assert len(store.search("number 77")) >= 1
    assert time.perf_counter() - started < 10


WRITER = """
import sys
from pathlib import Path
from qwenbelt.tools.memory.store import GraphStore
store = GraphStore(Path(sys.argv[1]))
start = int(sys.argv[2])
for i in range(start, start + 100000):
    store.create_entities([(f"e{i}", "t", [f"observation of {i}"])])
    print(i, flush=True)
"""


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost_by_kill(tmp_path: Path, kills: int) -> None:
    file = tmp_path / "memory.db"
    acknowledged: set[int] = set()
    for attempt in range(kills):
        command = [sys.executable, "-c", WRITER, str(file), str(attempt * 100_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                acknowledged.add(int(line))
                if count >= attempt % 7:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            rest, _ = process.communicate()
            acknowledged |= {int(line) for line in rest.splitlines() if line.isdigit()}
    store = GraphStore(file)
    kept = {item[0] for kind, item in store.everything() if kind == "entity" and item[2]}
    assert {f"e{i}" for i in acknowledged} <= kept
    assert len(store.search("observation")) == len(kept)
    store.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
