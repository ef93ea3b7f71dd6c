"""A page of an MCP server in its frame, against every way out that Chromium is known to have.

The judges are a listener for datagrams (WebRTC), and the browser's own log of its network: every
name that it looked up, for whatever reason, is in it.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the chat needs Gradio")
sync_api = pytest.importorskip("playwright.sync_api")
import qwenbelt.apps.gui as gui  # noqa: E402
from qwenbelt.apps.gui.access.guards import PAGE_POLICY  # noqa: E402
from qwenbelt.apps.gui.panes.app_frames import app_document  # noqa: E402

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]
WAYS = Path(__file__).parent / "frames" / "ways_out.html"
SCRIPT = Path(str(gui.__file__)).parent / "static" / "apps.js"
CHAT = """<!doctype html><title>chat</title><body><script>
window.said = [];
window.qwenbelt = { hooks: { put: [] }, language: "en", write: (text) => said.push(text),
  make: (tag, keys = {}, ...inner) => {
    const made = Object.assign(document.createElement(tag), keys);
    made.append(...inner);
    return made;
  } };
</script><script src="/apps.js"></script>
<div id="put"><p class="qb-app" aria-label="x" data-app="/qb/file/s/page" data-link=""></p></div>
<script>qwenbelt.hooks.put.forEach((one) => one(document.getElementById("put")));</script>"""


@pytest.fixture
def datagrams() -> Iterator[tuple[int, list[bytes]]]:
    reached: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def listen() -> None:
            while (data := listener.recv(4096)) != b"end":
                reached.append(data)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        yield port, reached
        listener.sendto(b"end", ("127.0.0.1", port))
        thread.join()


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[str]:
    """A page as the chat's, with the chat's own script and policy and a frame of `page`."""
    kept = tmp_path / "page.mcp-app.json"

    class Chat(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {"content-type": "text/html", "content-security-policy": PAGE_POLICY}
            body = CHAT.encode()
            if self.path == "/apps.js":
                headers["content-type"], body = "text/javascript", SCRIPT.read_bytes()
            elif self.path.startswith("/qb/file/"):
                headers["content-type"], body = "application/json", kept.read_bytes()
            elif self.path.startswith("/qb/app/"):
                document = app_document(kept)
                headers, body = dict(document.headers), bytes(document.body)
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_no_way_leads_out_of_the_frame(
    chat: str, chromium_program: str, datagrams: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    port, reached = datagrams
    html = WAYS.read_text(encoding="utf-8").replace("@U@", str(port)).replace("@T@", "9")
    told = {"html": html, "arguments": {"day": "Monday"}, "result": {}}
    (tmp_path / "page.mcp-app.json").write_text(json.dumps(told), encoding="utf-8")
    log = tmp_path / "network.json"
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium_program,
            args=[
                *("--no-sandbox", "--disable-dev-shm-usage"),
                "--allow-loopback-in-peer-connection",
                f"--log-net-log={log}",
            ],
            # with it, nothing is looked up or connected in advance, whatever a page says
            ignore_default_args=["--disable-background-networking"],
        )
        page = browser.new_page()
        windows: list[str] = []
        page.context.on("page", lambda opened: windows.append(opened.url))
        page.goto(chat)
        page.wait_for_function("said.length", timeout=120_000)
        out = json.loads(page.evaluate("said[0]"))
        page.wait_for_timeout(4000)  # for its last attempts, which lead the frame away
        assert page.evaluate("document.title") == "chat", "the tab lives"
        browser.close()
    names = sorted(set(re.findall(r"way-[a-z0-9-]+\.invalid", log.read_text(encoding="utf-8"))))
    assert (names, reached, windows) == ([], [], []), out
    assert len(out) > 40
    assert out["own-rtc2"].startswith("refused")
    assert out["closed-shadow"] == "undefined", "pages write HTML as before, but no frames"
