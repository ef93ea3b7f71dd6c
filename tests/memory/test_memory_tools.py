from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.registry import BUILTIN, tool_class

NAMES = [name for name in BUILTIN if name.startswith("memory_")]


def test_an_agent_remembers_without_a_server(tmp_path: Path) -> None:
    cfg = {"file": str(tmp_path / "m.db")}
    tools = {name: tool_class(name)(cfg) for name in NAMES}
    assert len(tools) == 9
    entity = {"name": "Ada", "entityType": "person", "observations": ["likes tea"]}
    tools["memory_create_entities"].call({"entities": [entity]})
    tools["memory_add_observations"].call(
        {"observations": [{"entityName": "Ada", "contents": ["喜欢喝茶"]}]}
    )
    relation = {"from": "Ada", "to": "London", "relationType": "lives in"}
    tools["memory_create_relations"].call({"relations": [relation]})
    found = json.loads(tools["memory_search"].call({"query": "喝茶"}))
    assert found == {
        "entities": [{**entity, "observations": ["likes tea", "喜欢喝茶"]}],
        "relations": [relation],
    }
    assert json.loads(tools["memory_open"].call({"names": ["Ada"]})) == found
    assert json.loads(tools["memory_read_graph"].call("")) == found
    tools["memory_delete_entities"].call({"entityNames": ["Ada"]})
    assert json.loads(tools["memory_read_graph"].call("")) == {"entities": [], "relations": []}
    with pytest.raises(ToolError, match="entities: Field required"):
        tools["memory_create_entities"].call({})


def test_what_the_scheduler_may_know(tmp_path: Path) -> None:
    cfg = {"file": "m.db"}
    search, create, delete = (
        tool_class(f"memory_{name}")(cfg)
        for name in ("search", "create_entities", "delete_entities")
    )
    assert (search.read_only, create.read_only, create.destructive, delete.destructive) == (
        1,
        0,
        0,
        1,
    )
    assert search.resources(search.parse({"query": "x"})) == ({"memory:m.db"}, set())
    assert create.resources(create.parse({"entities": []})) == (set(), {"memory:m.db"})
