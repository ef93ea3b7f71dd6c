"""Pages of servers (MCP Apps): kept for the chat where the configuration says so. A real server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps.gui.panes.app_frames import app_document
from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp.config import read_config

SERVER = {"command": sys.executable, "args": [str(Path(__file__).with_name("app_server.py"))]}


@pytest.mark.parametrize("shown", [True, False])
def test_a_page_is_offered_only_where_it_is_wanted(
    tools_of: Callable[..., dict[str, Any]], tmp_path: Path, shown: bool
) -> None:
    tools = tools_of(c={**SERVER, **({"apps": True} if shown else {})})
    assert set(tools) >= {"c-clock"}
    assert "c-wind" not in tools, "a tool for the page is not the model's"
    offered: list[tuple[str, str]] = []
    context = ToolContext(folder=tmp_path, show_app=lambda *told: offered.append(told))
    assert tools["c-clock"].call({"day": "Monday"}, context=context) == "noon of Monday"
    assert len(offered) == (1 if shown else 0)
    for server, file in offered:
        kept = json.loads((tmp_path / file).read_text())
        assert server == "c"
        response = app_document(tmp_path / file)
        assert response.headers["connection-allowlist"] == "()"
        assert "sandbox allow-scripts; " in response.headers["content-security-policy"]
        page = bytes(response.body).decode()
        assert page.startswith("<!doctype html><meta http-equiv")
        assert "default-src 'none'" in page
        assert page.endswith("<p>tick</p>")
        assert kept["html"].endswith("<p>tick</p>")
        assert kept["arguments"] == {"day": "Monday"}
        assert kept["result"]["content"][0]["text"] == "noon of Monday"


def test_what_is_no_yes_or_no_is_refused() -> None:
    with pytest.raises(ConfigError, match="apps must be true or false"):
        read_config({"mcpServers": {"c": {**SERVER, "apps": "yes"}}})
