"""Documents from URLs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.fetching import is_url, name_of

PAGES = {
    "/guide": ("text/html; charset=gbk", "<h1>说明</h1><p>灯塔建于一九一二年。</p>".encode("gbk")),
    "/notes.md": ("text/plain", b"# Notes\n\nThe lighthouse burned for two days."),
}


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, data = PAGES.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("content-type", kind or "text/plain")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_urls_are_taken_in_and_known_again(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_ALLOW_PRIVATE_URLS", "1")
    with DocumentIndex(workers=0) as index:
        added = index.add([f"{site}/guide", f"{site}/notes.md", f"{site}/gone"])
        assert [a.state for a in added] == ["added", "added", "failed"]
        assert "404" in added[2].error
        hit = index.search("灯塔建于哪一年", 1)[0]
        assert (hit.file, hit.path) == ("guide.html", f"{site}/guide")
        assert index.search("burned", 1)[0].file == "notes.md"
        assert index.add(f"{site}/guide")[0].state == "unchanged"
        assert index.remove([f"{site}/guide"]) == ["guide.html"]


def test_private_addresses_are_refused_in_one_line(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QWENBELT_ALLOW_PRIVATE_URLS", raising=False)
    with DocumentIndex(workers=0) as index:
        (refused,) = index.add(f"{site}/guide")
    assert refused.state == "failed"
    assert "private address" in refused.error
    assert "\n" not in refused.error


def test_names_follow_the_servers_word() -> None:
    assert name_of("https://h/a/report.pdf?x=1", "application/pdf") == "report.pdf"
    assert name_of("https://h/a/paper", "application/pdf") == "paper.pdf"
    assert name_of("https://h/", "text/html") == "h.html"
    assert name_of("https://h/%2e%2e/%2Fetc%2Fpasswd", "text/plain") == "passwd.txt"
    assert is_url("HTTPS://h/a")
    assert not is_url("a.pdf")
