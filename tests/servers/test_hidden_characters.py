"""Results of our servers whose text holds characters that nobody sees."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp import mcp_tools

from .conftest import python_server

HIDDEN = "pay\u202e001\x1b[8m\U000e0041\u200b"
SHOWN = r"pay\u202e001\u001b[8m\udb40\udc41\u200b"


def test_text_shows_them_and_the_rest_is_true(connect: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    file = folder / "note.txt"
    file.write_text(f"{HIDDEN}\r\n\tend\n", newline="")
    client = connect("filesystem", folder)
    result = client.call("read_text_file", path=str(file))
    assert result.content[0].text == f"{SHOWN}\r\n\tend\n"
    assert "escapes" in result.content[1].text
    assert result.structured_content["content"] == f"{HIDDEN}\r\n\tend\n"
    edit = {"oldText": HIDDEN, "newText": "paid"}
    assert SHOWN in client.text("edit_file", path=str(file), edits=[edit])
    assert file.read_bytes() == b"paid\r\n\tend\n"
    assert len(client.call("read_text_file", path=str(file)).content) == 1  # nothing to remark

    base = sqlite3.connect(tmp_path / "a.db")
    with base:
        base.execute("create table t (a text)")
        base.execute("insert into t values (?)", (HIDDEN,))
    base.close()
    rows = connect("sqlite", "--db-path", tmp_path / "a.db").call(
        "read_query", query="select * from t"
    )
    assert "\u202e" not in rows.content[0].text
    assert rows.structured_content["rows"] == [[HIDDEN]]


def test_our_client_does_not_bring_them_back(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(HIDDEN)
    config = {"mcpServers": {"s": python_server("filesystem", tmp_path)}}
    tools = {tool.name: tool for tool in mcp_tools(config)}
    arguments = {"path": str(tmp_path / "note.txt")}
    text = str(tools["s-read_text_file"].call(arguments, context=ToolContext()))
    assert text.count("pay") == 1  # told once
    assert SHOWN in text
    assert not {"\u202e", "\x1b", "\U000e0041", "\u200b"} & set(text)
