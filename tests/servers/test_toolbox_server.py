"""The pack's own tools over MCP: pictures, progress, cancelling, a session for each client."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.mcp_servers.toolbox import Toolbox, media_of, service
from qwenbelt.tools.operation import OperationCall

FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"QWENBELT_WORKSPACE": str(tmp_path / "work"), "QWENBELT_ALLOW_UNSANDBOXED": "1"}


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    folder = tmp_path / "manuals"
    folder.mkdir()
    text = "# Pump\n\nThe tensile strength of the rod is 412 MPa at 20 degrees.\n"
    (folder / "pump.md").write_text(text, encoding="utf-8")
    (tmp_path / "private.md").write_text("# Private\n\nThe tensile password is swordfish.\n")
    (folder / "link.md").symlink_to(tmp_path / "private.md")
    return folder


def test_the_tools_work_for_a_client(connect, manual: Path, env: dict[str, str]) -> None:
    client = connect("toolbox", manual, env=env, start_timeout=60)
    tools = {tool.name: tool for tool in client.servers.ready()["s"].tools}
    assert set(tools) >= {"code_interpreter", "document_search", "read_document", "plot", "report"}
    assert all(t.description and t.annotations and t.output_schema for t in tools.values())
    assert tools["document_search"].annotations.read_only_hint is True

    told: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    code = f"import time\nx = 21\nprint('one', flush=True)\ntime.sleep(0.3)\nprint(x * 2)\n{FIGURE}"
    result = client.request(
        lambda c: c.call_tool("code_interpreter", {"code": code}, progress_callback=on_progress)
    )
    assert not result.is_error
    assert "42" in result.structured_content["text"]
    images = [block for block in result.content if block.type == "image"]
    assert base64.b64decode(images[0].data).startswith(b"\x89PNG")
    assert any("one" in (message or "") for _, message in told)
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    assert client.text("code_interpreter", code="print(x)").strip() == "21"

    found = client.text("document_search", query="tensile strength")
    assert "412 MPa" in found
    assert "pump.md" in found
    assert "swordfish" not in found
    for name in ("../private.md", str(manual.parent / "private.md"), "/etc/passwd"):
        assert "swordfish" not in str(client.call("document_search", query="tensile", files=[name]))
        assert "root:" not in str(client.call("read_document", file=name))
    chart = client.call("plot", kind="bar", labels=["a"], series=[{"name": "s", "values": [1]}])
    assert {block.type for block in chart.content} == {"text", "image", "resource"}

    # two sessions of one client keep apart
    client.text("code_interpreter", code="x = 'a'", session="a")
    client.text("code_interpreter", code="x = 'b'", session="b")
    assert client.text("code_interpreter", code="print(x)", session="a").strip() == "a"
    assert "NameError" in client.text("code_interpreter", code="print(y)", session="b")


def test_cancel_stops_the_code(connect, env: dict[str, str]) -> None:
    client = connect("toolbox", "--tool", "code_interpreter", env=env, start_timeout=60)
    client.text("code_interpreter", code="x = 1")

    async def run() -> None:
        request = client.connection.request(
            lambda c: c.call_tool("code_interpreter", {"code": "while True: pass"}), "endless"
        )
        task = asyncio.wrap_future(client.connection.loop.submit(request))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    started = time.monotonic()
    client.text("code_interpreter", code="print(1)")
    assert time.monotonic() - started < 25


def test_clients_over_http_have_sessions_of_their_own() -> None:
    toolbox = Toolbox()
    names = {
        toolbox.session(OperationCall(client=client)) for client in ("", "a1", "b2", "../../b2")
    }
    assert len(names) == 4
    assert all("/" not in name for name in names)
    assert toolbox.session(OperationCall(client="a1")) == toolbox.session(
        OperationCall(client="a1")
    )


def test_only_files_of_the_session_are_sent(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG")
    (folder / "stolen.png").symlink_to("/etc/passwd")
    (folder / "big.bin").write_bytes(b"x" * 700_000)
    assert media_of(folder / "a.png", folder).data == b"\x89PNG"
    assert media_of(folder / "stolen.png", folder) is None
    assert media_of(folder / "big.bin", folder) is None
    assert media_of(Path("/etc/passwd"), folder) is None


def test_folders_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        service([tmp_path / "none"])


def test_the_report_is_an_operation_of_its_own(tmp_path: Path) -> None:
    from qwenbelt.workflows.report.operation import REPORT, ReportArguments

    toolbox = Toolbox([tmp_path])
    with pytest.raises(ToolError, match="without PDF files"):
        REPORT.run(toolbox, ReportArguments(question="What?"), OperationCall())
