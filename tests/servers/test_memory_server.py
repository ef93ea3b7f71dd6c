from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REFERENCE = {
    "create_entities": {"entities"},
    "create_relations": {"relations"},
    "add_observations": {"observations"},
    "delete_entities": {"entityNames"},
    "delete_observations": {"deletions"},
    "delete_relations": {"relations"},
    "read_graph": set(),
    "search_nodes": {"query"},
    "open_nodes": {"names"},
}


def entity(number: int) -> dict:
    return {"name": f"e{number}", "entityType": "t", "observations": [f"o{number}"]}


def test_it_drops_in_for_the_reference(connect, tmp_path: Path) -> None:
    client = connect("memory", "--file", tmp_path / "m.db")
    tools = {tool.name: tool for tool in client.servers.ready()["s"].tools}
    for name, arguments in REFERENCE.items():
        assert set(tools[name].input_schema["required"]) == arguments
    created = client.call("create_entities", entities=[entity(1), entity(2)]).structured_content
    assert created == {"entities": [entity(1), entity(2)]}
    relation = {"from": "e1", "to": "e2", "relationType": "knows"}
    client.text("create_relations", relations=[relation])
    added = client.call(
        "add_observations", observations=[{"entityName": "e1", "contents": ["喜欢茶"]}]
    )
    assert added.structured_content == {
        "results": [{"entityName": "e1", "addedObservations": ["喜欢茶"]}]
    }
    found = client.call("search_nodes", query="喜欢").structured_content
    assert [e["name"] for e in found["entities"]] == ["e1"]
    assert found["relations"] == [relation]
    assert "Nobody not found" in client.error(
        "add_observations", observations=[{"entityName": "Nobody", "contents": ["x"]}]
    )
    read = client.request(lambda c: c.read_resource("memory://knowledge-graph"))
    assert "喜欢茶" in read.contents[0].text
    assert client.text("delete_entities", entityNames=["e1"]) == "Entities deleted successfully"
    assert json.loads(client.text("read_graph")) == {"entities": [entity(2)], "relations": []}


def test_sixty_four_at_once(connect, tmp_path: Path) -> None:
    client = connect("memory", "--file", tmp_path / "m.db")
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(lambda i: client.text("create_entities", entities=[entity(i)]), range(64)))
    graph = client.call("read_graph").structured_content
    assert {e["name"] for e in graph["entities"]} == {f"e{i}" for i in range(64)}


def test_two_servers_on_one_file(connect, tmp_path: Path) -> None:
    clients = [connect("memory", "--file", tmp_path / "m.db") for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(
                lambda i: clients[i % 2].text("create_entities", entities=[entity(i)]), range(200)
            )
        )
    for client in clients:
        graph = client.call("read_graph").structured_content
        assert {e["name"] for e in graph["entities"]} == {f"e{i}" for i in range(200)}


def test_the_references_file_is_taken_over(connect, tmp_path: Path) -> None:
    old = tmp_path / "memory.jsonl"
    old.write_text(json.dumps({"type": "entity", **entity(1)}) + "\n", encoding="utf-8")
    before = old.read_bytes()
    client = connect("memory", env={"MEMORY_FILE_PATH": str(old)})
    assert json.loads(client.text("read_graph"))["entities"] == [entity(1)]
    assert old.read_bytes() == before
    assert (tmp_path / "memory.db").exists()
    command = [
        sys.executable,
        "-m",
        "qwenbelt.mcp_servers.memory",
        "--file",
        tmp_path / "memory.db",
    ]
    out = tmp_path / "out.jsonl"
    subprocess.run([*command, "--export", out], check=True)
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"type": "entity", **entity(1)}
    ]
