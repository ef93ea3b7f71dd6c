"""`qwenbelt mcp search`: a stored registry, one on loopback, and none."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from qwenbelt.apps.cli import run as cli

MARK = "io.modelcontextprotocol.registry/official"


def entry(name: str, description: str = "", **keys: Any) -> dict[str, Any]:
    marks = {key: keys.pop(key) for key in ("status", "isLatest") if key in keys}
    server = {"name": name, "description": description, "version": "1.2.0", **keys}
    return {"server": server, "_meta": {MARK: marks}}


def package(kind: str, name: str, **keys: Any) -> dict[str, Any]:
    return {"registryType": kind, "identifier": name, "version": "1.2.0", **keys}


WEATHER = entry(
    "io.example/weather",
    "Rain \x1b[8mand\u202e snow.",
    packages=[
        package(
            "npm",
            "@example/weather",
            transport={"type": "stdio"},
            environmentVariables=[
                {"name": "WEATHER_KEY", "isRequired": True, "isSecret": True},
                {"name": "UNITS", "default": "metric"},
                {"name": "OPTIONAL"},
            ],
            packageArguments=[
                {"type": "named", "name": "--city", "value": "{home_city}"},
                {"type": "positional", "valueHint": "data_dir", "isRequired": True},
            ],
        )
    ],
)
REMOTE = entry(
    "com.example/far",
    "Weather far away",
    remotes=[
        {
            "type": "streamable-http",
            "url": "https://mcp.example.com/mcp",
            "headers": [{"name": "X-Api-Key", "value": "Bearer {token}", "isRequired": True}],
        }
    ],
)
OTHERS = [
    entry("io.example/old-weather", packages=[package("pypi", "w")], status="deprecated"),
    entry("io.example/gone-weather", packages=[package("pypi", "g")], status="deleted"),
    entry("io.example/image-weather", packages=[package("oci", "ghcr.io/e/w")]),
    entry("io.example/odd-weather", packages=[package("npm", "--eval=x"), package("sh", "x")]),
    entry("io.example/notes", packages=[package("npm", "notes")]),
]
ALL = [WEATHER, REMOTE, *OTHERS]


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    assert cli(["mcp", "search", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["servers"]
    return {row["name"].rpartition("/")[2]: row for row in found}


@pytest.mark.parametrize("form", ["reply", "list", "lines", "bare"])
def test_stored_forms(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "\n".join(json.dumps(one) for one in ALL)
    texts = {
        "reply": json.dumps({"servers": ALL, "metadata": {"count": len(ALL)}}),
        "list": json.dumps([{"servers": ALL[:2]}, *ALL[2:]]),
        "lines": lines + "\n\n",
        "bare": json.dumps([one["server"] for one in ALL if one["_meta"][MARK] == {}]),
    }
    file = tmp_path / "registry.json"
    file.write_text(texts[form])
    found = rows(capsys, "WEATHER", "--registry", str(file))
    assert next(iter(found)) == "weather"
    assert "notes" not in found
    assert "gone-weather" not in found
    assert found["far"]["entry"]["url"] == "https://mcp.example.com/mcp"
    assert len(rows(capsys, "weather", "--registry", str(file), "--limit", "2")) == 2
    assert list(rows(capsys, "weather", "AWAY", "--registry", str(file))) == ["far"]


def test_rows_are_ready_for_add(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "registry.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in ALL))
    found = rows(capsys, "weather", "--registry", str(file))
    weather = found["weather"]
    assert weather["wanted"] == ["WEATHER_KEY", "HOME_CITY", "DATA_DIR"]
    assert weather["entry"] == {
        "command": "npx",
        "args": ["-y", "@example/weather@1.2.0", "--city", "${HOME_CITY}", "${DATA_DIR}"],
        "env": {"WEATHER_KEY": "${WEATHER_KEY}", "UNITS": "metric"},
    }
    assert found["far"]["entry"]["headers"] == {"X-Api-Key": "Bearer ${TOKEN}"}
    assert found["old-weather"]["deprecated"]
    assert found["old-weather"]["entry"]["args"] == ["w@1.2.0"]
    assert found["image-weather"]["entry"]["args"][-1] == "ghcr.io/e/w:1.2.0"
    assert found["odd-weather"]["entry"] is None  # an option in the place of a name
    for row in found.values():
        if row["command"]:
            words = shlex.split(row["command"])
            assert words[0] == "qwenbelt"
            assert cli(words[1:]) == 0
    written = json.loads((tmp_path / "mcp.json").read_text())["mcpServers"]
    assert written == {name: row["entry"] for name, row in found.items() if row["entry"]}
    capsys.readouterr()
    assert cli(["mcp", "search", "weather", "--registry", str(file)]) == 0
    said = capsys.readouterr()
    assert "  qwenbelt mcp add weather --env 'WEATHER_KEY=${WEATHER_KEY}'" in said.out
    assert "deprecated" in said.out
    assert not {"\x1b", "\u202e"} & set(said.out)
    assert "source" in said.err


@pytest.fixture
def registry() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            if asked["search"] == ["broken"]:
                body = b"<html>"
            else:
                at = int(asked.get("cursor", ["0"])[0])
                hits = [one for one in ALL if asked["search"][0] in one["server"]["name"]]
                more = str(at + 1) if at + 1 < len(hits) else ""
                page = {"servers": hits[at : at + 1], "metadata": {"nextCursor": more}}
                body = json.dumps(page).encode()
            self.send_response(500 if asked["search"] == ["fails"] else 200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_registry_over_http(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "rain", "weather", "--registry", registry)
    assert list(found) == ["weather"]
    assert len(rows(capsys, "weather", "--registry", f"{registry}/v0.1/servers")) == 4
    for word, said in (("broken", "did not answer with JSON"), ("fails", "answered HTTP 500")):
        assert cli(["mcp", "search", word, "--registry", registry]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert "--registry FILE" in error


def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_MCP_REGISTRY", "http://127.0.0.1:9")
    assert cli(["mcp", "search", "weather"]) == 1
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "http://127.0.0.1:9 cannot be reached" in error
    assert "--registry FILE" in error
    file = tmp_path / "r.jsonl"
    file.write_text('{"name": "a/b"}\n{"nam')
    assert cli(["mcp", "search", "b", "--registry", str(file)]) == 1
    assert "line 2: is no JSON" in capsys.readouterr().err
    assert cli(["mcp", "search", "b", "--registry", str(tmp_path / "none")]) == 1
    file.write_text('{"name": "a/b"}\n7\n{"servers": 3}')
    capsys.readouterr()
    assert cli(["mcp", "search", "b", "--registry", str(file)]) == 0
    assert "a/b" in capsys.readouterr().out
    assert cli(["mcp", "search", "zzz", "--registry", str(file)]) == 1
    assert "Nothing in" in capsys.readouterr().err
