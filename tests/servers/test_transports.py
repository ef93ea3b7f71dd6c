"""What every server of ours keeps to, on either transport; tried with the filesystem server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from qwenbelt.core.errors import ToolTimeout

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
JUNK = [
    b"",
    b"hello",
    b'{"half": ',
    b"\xff\xfe\x00\x01",
    b"[]",
    b"null",
    b'"x"',
    b'{"jsonrpc": "2.0"}',
    b"[" * 100_000,
    b'{"jsonrpc":"2.0","id":{},"method":1}',
]
JSON = {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_tools_over_either_transport(connect, serve_http, tmp_path: Path, transport: str) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    if transport == "stdio":
        client = connect("filesystem", tmp_path)
    else:
        client = connect(serve_http("filesystem", tmp_path))
    assert client.text("read_text_file", path="a.txt") == "hello\n"
    assert "outside the allowed folders" in client.error("read_text_file", path="/etc/passwd")
    assert "edits: Field required" in client.error("edit_file", path="a.txt")
    offer = client.servers.ready()["s"]
    assert len(offer.tools) == 16
    for tool in offer.tools:
        assert tool.description
        assert tool.annotations is not None
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == tool.input_schema["type"] == "object"


def test_junk_never_ends_a_server(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alive")
    command = [sys.executable, "-m", "qwenbelt.mcp_servers.filesystem", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def say(raw: bytes) -> None:
            process.stdin.write(raw + b"\n")
            process.stdin.flush()

        def answer(number: int) -> dict:
            for line in process.stdout:
                message = json.loads(line)
                if message.get("id") == number:
                    return message
            raise AssertionError("the server has ended")

        for junk in JUNK:
            say(junk)
        process.stdin.write(b"x" * (65 * 1024 * 1024) + b"\n")
        say(json.dumps(HELLO).encode())
        assert answer(1)["result"]["serverInfo"]["name"] == "qwenbelt-filesystem"
        say(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        call = {"name": "read_text_file", "arguments": {"path": "a.txt"}}
        say(
            json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}).encode()
        )
        assert answer(2)["result"]["structuredContent"]["content"] == "alive"
        say(b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"none"}}')
        assert "Unknown tool" in answer(3)["error"]["message"]
        process.stdin.close()
        assert process.wait(5) == 0


def test_hosts_and_origins_are_checked(serve_http, tmp_path: Path) -> None:
    url = serve_http("filesystem", tmp_path, "--allow-name", "tools.example")
    assert httpx.post(url, json=HELLO, headers=JSON).status_code == 200
    named = {**JSON, "host": "tools.example", "origin": "https://tools.example"}
    assert httpx.post(url, json=HELLO, headers=named).status_code == 200
    for bad, status in (
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost.evil.example:80"}, 403),
    ):
        assert httpx.post(url, json=HELLO, headers={**JSON, **bad}).status_code == status
    good = {"origin": "http://localhost:5173", "host": "localhost:1"}
    assert httpx.post(url, json=HELLO, headers={**JSON, **good}).status_code == 200
    assert httpx.post(url, content=b"x" * 17_000_000, headers=JSON).status_code == 413
    assert (
        httpx.post(
            url, content=b"{", headers={**JSON, "content-type": "application/json"}
        ).status_code
        == 400
    )


def test_beyond_loopback_a_token_is_needed(connect, serve_http, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "qwenbelt.mcp_servers.filesystem", str(tmp_path)]
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        done = subprocess.run(
            [*command, "--http", "0", "--host", host], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "needs a token. Set QWENBELT_MCP_TOKEN" in done.stderr
        assert "Traceback" not in done.stderr
    token = "a-token-that-is-long-enough"
    url = serve_http("filesystem", tmp_path, "--host", "0.0.0.0", QWENBELT_MCP_TOKEN=token)
    local = url.replace("0.0.0.0", "127.0.0.1")
    assert httpx.post(local, json=HELLO, headers=JSON).status_code == 401
    wrong = {**JSON, "authorization": "Bearer a-token-that-is-not-it!!!"}
    assert httpx.post(local, json=HELLO, headers=wrong).status_code == 401
    client = connect(local, headers={"Authorization": f"Bearer {token}"})
    assert "Allowed directories" in client.text("list_allowed_directories")


def test_bad_command_lines(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "qwenbelt.mcp_servers.filesystem"]
    for arguments, said in (
        ([], "Missing argument"),
        ([str(tmp_path / "none")], "is not a folder"),
        ([str(tmp_path), "--http", "99999"], "99999"),
    ):
        done = subprocess.run([*module, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_read_only_offers_no_change(connect, tmp_path: Path) -> None:
    client = connect("filesystem", tmp_path, "--read-only")
    names = {tool.name for tool in client.servers.ready()["s"].tools}
    assert "write_file" not in names
    assert "read_text_file" in names


def test_a_stuck_call_holds_up_nobody(connect, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 5000 + "!")
    client = connect("filesystem", tmp_path, call_timeout=5)

    async def both() -> bool:
        loop = client.connection.loop
        stuck = asyncio.wrap_future(
            loop.submit(
                client.connection.request(
                    lambda c: c.call_tool("grep_files", {"path": ".", "pattern": "(.*a){12}[b-z]"}),
                    "stuck",
                )
            )
        )
        await asyncio.sleep(0.1)
        await asyncio.wrap_future(
            loop.submit(
                client.connection.request(
                    lambda c: c.call_tool("list_allowed_directories", {}), "quick"
                )
            )
        )
        waits = not stuck.done()  # the other one has its answer before
        with pytest.raises(ToolTimeout):
            await stuck
        return waits

    assert asyncio.run(both())


def test_a_missing_folder_does_not_take_the_others_away(connect, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("kept")
    client = connect("filesystem", tmp_path, tmp_path / "unplugged")
    assert "kept" in client.text("read_text_file", path=str(tmp_path / "a.txt"))


def test_media_come_as_the_reference_sends_them(connect, tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"\0\1")
    (tmp_path / "p.png").write_bytes(b"\x89PNG")
    client = connect("filesystem", tmp_path)
    result = client.call("read_media_file", path=str(tmp_path / "a b.bin"))
    uri = (tmp_path / "a b.bin").resolve().as_uri()
    assert result.content[0].resource.uri == uri
    assert result.structured_content["content"] == [
        {
            "type": "resource",
            "resource": {"uri": uri, "blob": "AAE=", "mimeType": "application/octet-stream"},
        }
    ]
    picture = client.call("read_media_file", path=str(tmp_path / "p.png")).structured_content
    assert picture["content"] == [{"type": "image", "data": "iVBORw==", "mimeType": "image/png"}]
