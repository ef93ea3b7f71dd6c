"""Documents from URLs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.fetching import is_url, name_of

PAGES = {
    "/guide": ("text/html; charset=gbk", "<h1>说明</h1><p>灯塔建于一九一二年。</p>".encode("gbk")),
    "/notes.md": ("text/plain", b"# Notes\n\nThe lighthouse burned for two days."),
}


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cut: ClassVar[set[str]] = set()  # pages that end in their middle

    def do_GET(self) -> None:
        path, _, way = self.path.partition("?")
        kind, data = PAGES.get(path, ("", b""))
        self.close_connection = True
        if path in self.cut:
            self._cut_off(kind, data, chunked=way == "chunked")
            return
        self.send_response(200 if kind else 404)
        self.send_header("content-type", kind or "text/plain")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _cut_off(self, kind: str, data: bytes, *, chunked: bool) -> None:
        half = data[: len(data) // 2]
        self.send_response(200)
        self.send_header("content-type", kind)
        if chunked:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half) if chunked else half)

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


@pytest.mark.parametrize("way", ["length", "chunked"])
def test_a_download_that_is_cut_off_is_told_and_the_old_version_stays(
    site: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("QWENBELT_ALLOW_PRIVATE_URLS", "1")
    url = f"{site}/notes.md?{way}"
    with DocumentIndex(workers=0) as index:
        assert index.add(url)[0].state == "added"
        monkeypatch.setattr(_Site, "cut", {"/notes.md"})
        (failed,) = index.add(url)
        assert failed.state == "failed"
        assert url in failed.error
        assert "\n" not in failed.error
        assert index.search("burned for two days", 1)[0].page == 1
        monkeypatch.setattr(_Site, "cut", set())
        assert index.add(url)[0].state == "unchanged"


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
