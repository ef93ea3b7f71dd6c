"""The file tools as an agent has them: by name, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.core.errors import ToolError, ToolRefused
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.registry import BUILTIN, tool_class

NAMES = [name for name in BUILTIN if name.startswith("file_")]


def test_stock_agents_find_them_by_name() -> None:
    import qwenbelt.tools  # noqa: F401, I001 - registers
    from qwen_agent.tools.base import TOOL_REGISTRY

    assert len(NAMES) == 13
    for name in NAMES:
        tool = TOOL_REGISTRY[name]({"folders": ["."]})
        assert tool.function["name"] == name
        assert tool.function["parameters"]["type"] == "object"


def test_a_session_works_in_its_folder(tmp_path: Path) -> None:
    context = ToolContext(folder=tmp_path)

    def call(name: str, **arguments: object) -> object:
        return tool_class(name)().call(arguments, context=context)

    assert call("file_write", path="a.txt", content="one\ntwo\n") == "Successfully wrote to a.txt"
    assert call("file_read", path="a.txt", startLine=2) == "two"
    edits = [{"oldText": "two", "newText": "2"}]
    assert "+2" in str(call("file_edit", path="a.txt", edits=edits))
    assert call("file_grep", path=".", pattern="2") == "a.txt:2: 2"
    with pytest.raises(ToolRefused, match="outside the allowed folders"):
        call("file_read", path="/etc/passwd")
    with pytest.raises(ToolError, match=r"edits.0.oldText: Field required"):
        call("file_edit", path="a.txt", edits=[{"newText": "x"}])


def test_pictures_become_files(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "p.png")
    (item,) = tool_class("file_read_media")().call(
        {"path": "p.png"}, context=ToolContext(folder=tmp_path)
    )
    assert Path(item.image).read_bytes() == (tmp_path / "p.png").read_bytes()


def test_folders_and_read_only_by_configuration(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    cfg = {"folders": [str(tmp_path)], "read_only": True}
    assert tool_class("file_read")(cfg).call('{"path": "a"}') == "x"
    with pytest.raises(ToolRefused, match="read-only"):
        tool_class("file_write")(cfg).call({"path": "a", "content": "y"})


def test_what_the_scheduler_may_know(tmp_path: Path) -> None:
    read, write = tool_class("file_read")(), tool_class("file_write")()
    assert (read.read_only, read.idempotent, read.destructive) == (True, True, False)
    assert (write.read_only, write.idempotent, write.destructive) == (False, True, True)
    assert read.resources(read.parse({"path": "a/../b"})) == ({"file:b"}, set())
    assert write.resources(write.parse({"path": "b", "content": ""})) == (set(), {"file:b"})
