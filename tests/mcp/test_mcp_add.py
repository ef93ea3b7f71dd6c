"""`qwenbelt mcp add`, `import` and what `test` finds."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps.cli import run as cli

HERE = Path(__file__).parent


def servers(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())["mcpServers"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_programs_and_addresses_are_added(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / "mcp.json"
    file.write_text('{"other": 1}')
    assert cli(["mcp", "add", "files", "--env", "A=${B}", "--", "npx", "-y", "pkg", "--x"]) == 0
    url = "https://example.com/mcp"
    assert cli(["mcp", "add", "far", url, "--header", "X-Team: a", "--auth", "oauth"]) == 0
    assert servers(file) == {
        "files": {"command": "npx", "args": ["-y", "pkg", "--x"], "env": {"A": "${B}"}},
        "far": {"url": url, "headers": {"X-Team": "a"}, "auth": "oauth"},
    }
    assert json.loads(file.read_text())["other"] == 1
    assert "qwenbelt mcp test" in capsys.readouterr().out
    assert cli(["mcp", "add", "far", url]) == 2
    assert "already" in capsys.readouterr().err
    assert cli(["mcp", "add", "far", url, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entry"] == {"url": url}


def test_a_secret_makes_the_file_private(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["mcp", "add", "a", "--env", "API_KEY=verysecretvalue", "--", "prog"]) == 0
    assert stat.S_IMODE((here / "mcp.json").stat().st_mode) == 0o600
    said = capsys.readouterr()
    assert "plain text" in said.err
    assert "verysecretvalue" not in said.out + said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["a"],
        ["a b", "--", "x"],
        ["a", "https://e.example/mcp", "--env", "A=1"],
        ["a", "--env", "A", "--", "x"],
        ["a", "--header", "A:1", "--", "x"],
    ],
)
def test_wrong_arguments_write_nothing(here: Path, arguments: list[str]) -> None:
    assert cli(["mcp", "add", *arguments]) == 2
    assert not (here / "mcp.json").exists()


def test_a_file_with_comments_is_left_alone(here: Path) -> None:
    (here / "mcp.json").write_text('{"mcpServers": {} // mine\n}')
    assert cli(["mcp", "add", "a", "--", "x"]) == 2
    assert "mine" in (here / "mcp.json").read_text()


def test_other_programs_servers_are_taken_in(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = here.parent / "home"
    files = {
        home / "Claude" / "claude_desktop_config.json": {
            "mcpServers": {"db": {"command": "uvx", "args": ["db"]}}
        },
        here / ".vscode" / "mcp.json": {
            "inputs": [{"id": "api-key", "type": "promptString"}],
            "servers": {
                "gh": {
                    "type": "http",
                    "url": "https://gh.example/mcp",
                    "headers": {"Authorization": "Bearer ${input:api-key}"},
                }
            },
        },
        home / ".cursor" / "mcp.json": {"mcpServers": {"db": {"command": "other"}}},
        home / ".qwen" / "settings.json": {
            "theme": "x",
            "mcpServers": {"q": {"httpUrl": "https://q.example/mcp", "timeout": 5000}, "bad": {}},
        },
        here / ".gemini" / "settings.json": {"theme": "none of this"},
    }
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    assert cli(["mcp", "import", "--json", "--dry-run"]) == 0
    assert not (here / "mcp.json").exists()
    capsys.readouterr()
    if sys.platform not in ("darwin", "win32"):
        assert cli(["mcp", "import", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        by_source = {Path(s["source"]).parent.name: s for s in answer["sources"]}
        assert by_source["Claude"]["added"] == ["db"]
        assert by_source[".vscode"]["wanted"] == ["API_KEY"]
        assert by_source[".cursor"]["differing"] == ["db"]
        assert by_source[".qwen"]["added"] == ["q"]
        assert list(by_source[".qwen"]["unusable"]) == ["bad"]
        found = servers(here / "mcp.json")
        assert set(found) == {"db", "gh", "q"}
        assert found["gh"]["headers"] == {"Authorization": "Bearer ${API_KEY}"}
    assert cli(["mcp", "import", "vscode"]) == 0
    assert cli(["mcp", "import", "no-such-program"]) == 2
    assert cli(["mcp", "import", "windsurf"]) == 2


def test_what_is_wrong_with_tools_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mcp_types import Tool

    from qwenbelt.apps.mcp_findings import tokens_of, tool_findings

    schema = {
        "type": "object",
        "properties": {"a": {}, "b": {"$ref": "#/$defs/none"}, "c": {"enum": ["x"]}},
        "required": ["a", "gone"],
    }
    bad = Tool(name="bad" * 30, input_schema=schema)
    said = "\n".join(tool_findings("s", [bad, bad]))
    for part in (
        "no description",
        "the model sees",
        "a: no type",
        "gone",
        "#/$defs/none",
        "listed twice",
    ):
        assert part in said
    assert tokens_of(bad) > 20
    good = {"command": sys.executable, "args": [str(HERE / "sdk_server.py"), "stdio"]}
    (here / "good.json").write_text(json.dumps({"mcpServers": {"sdk": good}}))
    assert cli(["mcp", "test", "good.json", "--json"]) == 0
    (view,) = json.loads(capsys.readouterr().out)["servers"]
    assert view["tokens"] == sum(tool["tokens"] for tool in view["tools"]) > 0
    assert any("add: a, b: no description" in line for line in view["findings"])
