"""`qwenbelt doctor`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from qwenbelt.apps import doctor
from qwenbelt.apps.commands.doctor import doctor as command
from qwenbelt.core import extras


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without keys, settings and servers."""
    for name in ("DASHSCOPE_API_KEY", "QWENBELT_ENDPOINT", "QWENBELT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("QWENBELT_LANG", "en")
    for name in ("VLLM", "OLLAMA", "LLAMACPP", "SGLANG"):
        monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:1/v1")


def finding(name: str) -> doctor.DoctorFinding:
    return next(entry for entry in doctor.run_checks() if entry.name == name)


def test_json_has_name_ok_detail_and_fix() -> None:
    done = CliRunner().invoke(command, ["--json"], standalone_mode=False)
    checks = json.loads(done.output)["checks"]
    assert len(checks) >= 12
    for entry in checks:
        assert set(entry) >= {"name", "ok", "detail", "fix"}
        assert entry["detail"]
    by_name = {entry["name"]: entry for entry in checks}
    for name in ("python", "packages", "qwen-agent", "settings", "workspace", "sqlite FTS5"):
        assert by_name[name]["ok"], by_name[name]
    assert not by_name["endpoint"]["ok"]
    assert "DASHSCOPE_API_KEY" in by_name["endpoint"]["fix"]


def test_a_check_that_breaks_is_a_finding_and_the_exit_code_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> doctor.DoctorFinding:
        raise OSError("the disk\nis gone")

    monkeypatch.setattr(doctor, "CHECKS", [broken, doctor.python])
    done = CliRunner().invoke(command, [], standalone_mode=False)
    assert done.return_value == 1
    assert "OSError: the disk is gone" in done.output
    assert "python" in done.output


def test_mcp_servers_of_the_folder_are_looked_at_and_not_started(tmp_path: Path) -> None:
    assert finding("MCP servers").detail == "no mcp.json in this folder"
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    servers = {
        "here": {"command": str(program)},
        "gone": {"command": "no-such-program-x"},
        "far": {"url": "https://example.com/mcp?key=1"},
        "blank": {"command": "sh", "env": {"A": "${NOT_SET_ANYWHERE}"}},
        "off": {"command": "sh", "disabled": True},
        "odd": 7,
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    found = {e.name[4:]: e for e in doctor.run_checks() if e.name.startswith("MCP ")}
    assert {name: entry.ok for name, entry in found.items()} == {
        "here": True,
        "gone": False,
        "far": True,
        "blank": False,
        "off": True,
        "odd": False,
    }
    assert str(program) in found["here"].detail
    assert "Install it" in found["gone"].fix
    assert "NOT_SET_ANYWHERE" in found["blank"].detail
    assert "key=1" not in found["far"].detail
    assert not any(entry.needed for entry in found.values())
    assert not (tmp_path / "started").exists()
    (tmp_path / "mcp.json").write_text("{")
    assert not finding("MCP servers").ok


def test_an_extra_that_is_missing_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, "gui", ("no_such_module.inner",))
    assert finding("extra gui").fix == 'pip install "qwenbelt[gui]"'
    assert not finding("extra gui").needed


def test_a_workspace_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "file" / "inner"))
    found = finding("workspace")
    assert not found.ok
    assert found.needed
    assert "QWENBELT_WORKSPACE" in found.fix


def test_a_settings_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "qwenbelt.toml").write_text("endpont = 'x'", encoding="utf-8")
    found = finding("settings")
    assert not found.ok
    assert "endpont" in found.detail


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "qwen3-8b"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def model_server() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Models)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_local_server_is_found(monkeypatch: pytest.MonkeyPatch, model_server: int) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", f"http://127.0.0.1:{model_server}/v1")
    assert "qwen3-8b" in finding("endpoint").detail
    assert "1 models" in finding("local servers").detail


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-0123456789abcdef0123")
    done = CliRunner().invoke(command, ["--json"], standalone_mode=False)
    assert "0123456789abcdef" not in done.output
    assert '"ok": true,\n      "detail": "DashScope: a key is set"' in done.output
