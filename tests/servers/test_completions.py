"""Names that our servers complete, and a full disk said by its name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ResourceTemplateReference

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.memory.store import GraphStore


def completed(client: Any, template: str, name: str, begun: str) -> list[str]:
    reference = ResourceTemplateReference(uri=template)
    ask = lambda c: c.complete(reference, {"name": name, "value": begun})  # noqa: E731
    return list(client.request(ask).completion.values)


def test_tables_are_completed(connect: Callable[..., Any], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as database:
        for name in ("Orders", "order lines", "people"):
            database.execute(f'CREATE TABLE "{name}" (x)')
    database.close()
    client = connect("sqlite", "--db-path", tmp_path / "a.db")
    template = "sqlite:///schema/{table}"
    assert sorted(completed(client, template, "table", "ord")) == ["Orders", "order%20lines"]
    assert completed(client, "sqlite:///other/{x}", "x", "o") == []
    uri = "sqlite:///schema/order%20lines"
    text = client.request(lambda c: c.read_resource(uri)).contents[0].text
    assert "order lines" in text


def test_entities_are_completed_and_read(connect: Callable[..., Any], tmp_path: Path) -> None:
    client = connect("memory", "--file", tmp_path / "m.db")
    names = ["Ann", "anna b", "50%_x", "李雷", *(f"many{n:03}" for n in range(150))]
    client.call(
        "create_entities",
        entities=[{"name": n, "entityType": "t", "observations": ["seen"]} for n in names],
    )
    template = "memory://entity/{name}"
    assert completed(client, template, "name", "an") == ["Ann", "anna%20b"]
    assert completed(client, template, "name", "50%") == ["50%25_x"]
    assert completed(client, template, "name", "5_") == []
    assert len(completed(client, template, "name", "many")) == 100
    (found,) = completed(client, template, "name", "李")
    text = client.request(lambda c: c.read_resource(f"memory://entity/{found}")).contents[0].text
    assert json.loads(text)["entities"][0]["name"] == "李雷"


def test_a_full_disk_is_said_and_nothing_changes(tmp_path: Path) -> None:
    store = GraphStore(tmp_path / "m.db")
    try:
        store.create_entities([])
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages}")
        big = [(f"e{n}", "t", ["x" * 5000]) for n in range(50)]
        with pytest.raises(ToolError, match="disk is full"):
            store.create_entities(big)
        assert store.counts()[0] == 0
        store._writer.execute("PRAGMA max_page_count = 1000000")
        store.create_entities(big[:1])
        assert store.counts()[0] == 1
    finally:
        store.close()


def test_paths_are_completed_inside_the_folders_only(tmp_path: Path) -> None:
    from qwenbelt.core.paths import Fence
    from qwenbelt.mcp_servers.filesystem import begun_paths

    folder = tmp_path / "shared"
    (folder / "in a").mkdir(parents=True)
    for name in ("in a/x.txt", "index.md", ".hidden"):
        (folder / name).write_text("A text.")
    (tmp_path / "secret.txt").write_text("no")
    (folder / "away").symlink_to(tmp_path)
    fence = Fence([str(folder)])
    start = str(folder.resolve())[1:]

    def begun(text: str) -> list[str]:
        return [path.removeprefix(start) for path in begun_paths(fence, text)]

    assert begun(f"{start}/in") == ["/in%20a/", "/index.md"]
    assert begun(f"{start}/in%20a/") == ["/in%20a/x.txt"]
    assert begun(f"{start}/.h") == ["/.hidden"]
    assert begun(start[:-3]) == ["/"], "the way to the folder, and nothing beside it"
    assert begun("") == ["/"]
    for text in (f"{start}/../s", f"{start}/away/s", str(tmp_path)[1:] + "/s", "etc/pass", "%00"):
        assert all(path == "/" for path in begun(text)), text
