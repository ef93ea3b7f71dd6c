"""Research in the web: pages are searched for, read, kept, and cited from the copies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.apps import cli
from qwenbelt.core.errors import ConfigError, EndpointError
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.workflows.report import check_report
from qwenbelt.workflows.research import research

ASK = "How many tonnes did the mill make in 2023?"
PAGE = "<html><title>The mill</title><main><p>In 2023 the mill made 120 tonnes.</p></main></html>"


class Site(BaseHTTPRequestHandler):
    """A search engine, and the pages that it finds."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        here = f"http://{self.headers['Host']}"
        found = [{"title": "T", "url": f"{here}/{name}", "content": ""} for name in ("a", "gone")]
        body = json.dumps({"results": found}) if self.path.startswith("/search") else PAGE
        self.send_response(404 if self.path == "/gone" else 200)
        kind = "application/json" if self.path.startswith("/search") else "text/html"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    asked: list[str] = []
    handler = type("Here", (Site,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SEARXNG_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("QWENBELT_ALLOW_PRIVATE_URLS", "1")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join(10)


def model(request: Any) -> dict[str, Any]:
    """Plays the planners, the searcher and the writer."""
    told = [(m["role"], str(m["content"])) for m in request.messages]
    system = " ".join(text for role, text in told if role == "system")
    results = [text for role, text in told if role == "tool"]
    if "queries for a search engine" in system:
        return {"answer": {"queries": ["tonnes made by the mill", "mill output 2023"]}}
    if "You plan research" in system:
        return {"answer": {"questions": [ASK]}}
    if "You look up one question" in system and not results:
        return {"calls": [("document_search", {"query": "tonnes made by the mill"})]}
    number = (results or [told[-1][1]])[-1].split("[", 1)[1].split("]", 1)[0]
    return {"answer": f"The mill made 120 tonnes [{number if results else 1}]."}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scenario = Scenario()
    for _ in range(6):
        scenario.turn(compute=model)
    with ScriptedServer(scenario, plays=None, strict=False) as running:
        yield running


def test_pages_are_kept_and_cited_from_the_copies(
    site: list[str], server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    out = tmp_path / "out"
    words = [ASK, "--web", "--out", str(out), "-e", f"openai:m@{server.url}", "--json"]
    assert cli.run(["research", *words]) == 0
    assert [path for path in site if not path.startswith("/search")].count("/a") == 1
    (copy,) = (out / "web").glob("*.md")
    assert copy.read_text("utf-8").startswith("# The mill\n\nhttp://127.0.0.1:")
    check = check_report(out)
    assert check.ok, check.problems
    assert check.verified == check.citations == 1
    before = len(site)
    research(ASK, [], out, llm=server.llm, web=True)
    assert len(site) == before  # the copies are used again
    research(ASK, [], out, llm=server.llm, web=True, fresh=True)
    assert len(site) > before


def test_what_lacks_is_said(
    site: list[str], server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["research", ASK, "--out", str(tmp_path)]) == 2
    monkeypatch.delenv("QWENBELT_ALLOW_PRIVATE_URLS")
    with pytest.raises(EndpointError, match="No page that was found"):  # all are on this machine
        research(ASK, [], tmp_path / "out", llm=server.llm, web=True)
    monkeypatch.delenv("SEARXNG_URL")
    with pytest.raises(ConfigError, match="No web search"):
        research(ASK, [], tmp_path / "out", llm=server.llm, web=True)
