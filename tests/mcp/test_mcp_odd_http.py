"""Servers over HTTP that misbehave: one clear line each, within the limits, as over stdio."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.tools.mcp import mcp_tools

SAID = {
    "html": "Unexpected content type: text/html",
    "empty": "no valid JSON-RPC",
    "accepted": "202 Accepted",
    "broken": "no valid JSON-RPC",
    "list-result": "no valid JSON-RPC",
    "deep": "no valid JSON-RPC",
    "bomb": "larger than 64 MiB",
    "stream-bomb": "cut off",
    "redirect": "Redirect to http://169.254.169.254/latest/meta-data not followed",
    "redirect-near": "not followed",
    "expired": "keeps forgetting its sessions",
    "error-page": "HTTP 500",
    "stream-ends": "cut off",
    "stream-broken": "no valid JSON-RPC",
    "flood-of-words": "cut off",
    "half": "cut off",
}
SILENT = ("other-number", "endless", "late")
FINE = ("no-session", "charset", "flood")


def test_each_oddity_is_one_line(
    tools_of: Callable[..., dict[str, Any]],
    listening: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = listening("odd_http_server.py")
    caplog.set_level(logging.WARNING)

    def ask(odd: str, limit: float) -> str:
        server = {"url": f"{url}/{odd}", "type": "streamable-http", "call_timeout": limit}
        try:
            return str(tools_of(c=server)["c-go"].call({}))
        except ToolError as error:
            return str(error)

    for odd, words in SAID.items():
        said = ask(odd, 60)
        assert words in said, odd
        assert len(said.splitlines()) == 1
        assert len(said) < 200
    for odd in SILENT:
        assert "gave no answer within 0.5 s." in ask(odd, 0.5), odd
    for odd in FINE:
        assert ask(odd, 60) == "fine", odd
    with pytest.raises(ConfigError, match="text/html"):
        mcp_tools({"mcpServers": {"c": {"url": f"{url}/greets-html", "type": "streamable-http"}}})
    with urllib.request.urlopen(f"{url}/reached") as reply:
        assert json.load(reply) == [], "no redirect was followed"
    assert "Failed to validate notification" not in caplog.text, "one for each of the flood"
