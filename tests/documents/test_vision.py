"""Scans and figures that a vision model reads; the endpoint is scripted."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.documents import DocumentIndex, vision
from qwenbelt.tools.documents.citations import quote_spans
from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.model_answers import seen_in
from qwenbelt.tools.documents.vision import page_reader

SCAN = (
    "```html\n<html><body>"
    '<h1 data-bbox="100 50 600 90">Lease of the mill</h1>'
    '<p data-bbox="100 100 900 160">The rent is 412,500 euro a year and is due on the first of '
    "March.</p>"
    '<table data-bbox="100 200 900 400"><tr><th>Year</th><th>Rent</th></tr>'
    "<tr><td>2024</td><td>410,000</td></tr><tr><td>2025</td><td>412,500</td></tr></table>"
    "</body></html>\n```"
)
FIGURE = '<p data-bbox="0 0 500 100">Sales grew by 17 percent</p>'


class Endpoint(ThreadingHTTPServer):
    """Answers each request by the next of its replies: words, or a status."""

    def __init__(self, replies: list[str | int], finish: str = "stop") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.finish = list(replies), finish
        self.requests: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.guard = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.guard:
            self.server.requests.append(body)
            reply = self.server.replies.pop(0) if self.server.replies else 500
        status, said = (200, reply) if isinstance(reply, str) else (reply, "")
        choice = {
            "message": {"role": "assistant", "content": said},
            "finish_reason": self.server.finish,
        }
        data = json.dumps({"choices": [choice]} if status == 200 else {"error": "refused"}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    running: list[Endpoint] = []

    def start(*replies: str | int, finish: str = "stop") -> Endpoint:
        server = Endpoint(list(replies), finish)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QWENBELT_ALLOW_PRIVATE_URLS", "1")
    return tmp_path / "cache" / "vision"


def scan(make_pdf, pages: int = 1, name: str = "scan.pdf", typed: str = "") -> Path:
    """Pages that are one picture each, of another shade; or a figure on a page of typed text."""
    objects, contents = {}, []
    for n in range(pages):
        shade = b"%c" % (250 - n)
        data = shade * 10_000
        head = b"<< /Type /XObject /Subtype /Image /Width 100 /Height 100 /BitsPerComponent 8 "
        head += b"/ColorSpace /DeviceGray /Length %d >>\nstream\n" % len(data)
        objects[90 + n] = head + data + b"\nendstream"
        place = "q 300 0 0 200 100 300 cm" if typed else "q 612 0 0 792 0 0 cm"
        contents.append(f"{place} /Im{n} Do Q {typed}")
    names = " ".join(f"/Im{n} {90 + n} 0 R" for n in range(pages))
    return make_pdf(
        name, contents, extra_resources=f"/XObject << {names} >>", extra_objects=objects
    )


def spec(server: Endpoint, model: str = "qwen3-vl-plus") -> str:
    return f"vision:vllm:{model}@{server.url}"


def test_a_scan_is_read_by_the_model_and_marked(make_pdf, tmp_path: Path, endpoint) -> None:
    server = endpoint(SCAN)
    with DocumentIndex(tmp_path / "i.db", reader=spec(server)) as index:
        (added,) = index.add(scan(make_pdf))
        (page,) = index.pages("scan.pdf")
        hit = index.search("rent due March", 1)[0]
    (note,) = page.notes
    assert note == "Read by the model qwen3-vl-plus from a picture of the page, not typed text."
    assert added.notes == (f"Page 1: {note}",)
    assert hit.notes == (note,)
    assert page.headings[0].title == "Lease of the mill"
    assert page.tables[0].rows[2] == ["2025", "412,500"]
    ((start, end),) = quote_spans(page.text, "2025  412,500")[:1]
    (box,) = page.boxes(start, end)
    assert box.x0 == pytest.approx(61.2, abs=1)  # 100 thousandths of 612 points
    assert box.bottom == pytest.approx(0.4 * 792, abs=1)
    (request,) = server.requests
    picture, prompt = request["messages"][0]["content"]
    assert prompt["text"] == "qwenvl html"
    from PIL import Image

    data = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        assert all(side % 32 == 0 for side in image.size)


def test_boxes_of_qwen25_are_pixels_of_the_picture() -> None:
    region = Box(0, 0, 600, 800)
    answer = '<p data-bbox="280 280 560 308">One line</p>'
    seen = seen_in(answer, region, (1120.0, 1512.0), 1)
    assert seen.lines[0].box == (150.0, 148.15, 300.0, 162.96)


def test_a_figure_on_a_typed_page_is_read_too(make_pdf, tmp_path: Path, endpoint) -> None:
    server = endpoint(FIGURE)
    typed = "BT /F1 12 Tf 72 700 Td (This page is typed, with a figure.) Tj ET"
    with DocumentIndex(tmp_path / "i.db", reader=spec(server)) as index:
        index.add(scan(make_pdf, typed=typed))
        (page,) = index.pages("scan.pdf")
    lines = page.text.strip().split("\n")
    assert lines[0] == "This page is typed, with a figure."
    assert lines[1:] == ["Figure, read by a model:", "Sales grew by 17 percent"]
    assert page.notes == ["Figures on it were read by the model qwen3-vl-plus."]
    at = page.text.index("Sales")
    (box,) = page.boxes(at, at + 24)
    assert 100 <= box.x0 < box.x1 <= 251
    assert 291 <= box.top < box.bottom <= 313


def test_no_page_is_asked_for_twice(make_pdf, tmp_path: Path, endpoint, cache: Path) -> None:
    server = endpoint(SCAN)
    file = scan(make_pdf)
    for name in ("a.db", "b.db"):  # two workspaces
        with DocumentIndex(tmp_path / name, reader=spec(server)) as index:
            index.add(file)
            assert index.search("rent")
    assert len(server.requests) == 1
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_stopped_reading_goes_on(
    make_pdf, tmp_path: Path, endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENBELT_CACHE", "off")  # what the index has is enough
    file = scan(make_pdf, pages=12)
    down = endpoint(*[f"<p>Page text {n} of the contract.</p>" for n in range(7)], *[404] * 12)
    with DocumentIndex(tmp_path / "i.db", reader=spec(down)) as index:
        (added,) = index.add(file)
    assert added.state == "failed"
    assert "404" in added.error
    up = endpoint(*[f"<p>Later text {n} of the contract.</p>" for n in range(12)])
    with DocumentIndex(tmp_path / "i.db", reader=spec(up)) as index:
        (added,) = index.add(file)
        texts = [page.text for page in index.pages("scan.pdf")]
    assert added.state == "added"
    assert len(up.requests) < 12
    assert sum("Page text" in text for text in texts) == 12 - len(up.requests)
    assert all("text" in text for text in texts)


def test_a_page_that_the_endpoint_refuses_costs_itself(
    make_pdf, tmp_path: Path, endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision, "CONCURRENCY", 1)  # the first page gets the first reply
    server = endpoint("<p>First page is read here.</p>", 400)
    reader = spec(server)
    with DocumentIndex(tmp_path / "i.db", reader=reader) as index:
        (added,) = index.add(scan(make_pdf, pages=2))
    assert added.state == "added"
    assert any("refused to read it" in note for note in added.notes)


def test_answers_that_are_cut_or_empty_are_told(make_pdf, tmp_path: Path, endpoint) -> None:
    server = endpoint("<p data-bbox='1 1 900 30'>Half of", finish="length")
    with DocumentIndex(tmp_path / "i.db", reader=spec(server)) as index:
        (added,) = index.add(scan(make_pdf))
    assert any("cut off" in note for note in added.notes)
    empty = endpoint("")
    with DocumentIndex(tmp_path / "j.db", reader=spec(empty, "other-vl")) as index:
        (added,) = index.add(scan(make_pdf))
    assert added.chunks == 0
    assert any("found no text" in note for note in added.notes)


def test_without_a_reader_nothing_is_sent(make_pdf, tmp_path: Path, endpoint) -> None:
    server = endpoint(SCAN)
    monkey = scan(make_pdf, typed="BT /F1 12 Tf 72 700 Td (This page is typed as usual.) Tj ET")
    with DocumentIndex(tmp_path / "i.db") as index:
        index.add(monkey)
    assert not server.requests


@pytest.mark.parametrize(
    "answer",
    [
        "<script>steal()</script><style>p{}</style>",
        '<p data-bbox="9 9 1 1">turned</p><p data-bbox="nan inf 1e999 -5">odd</p>',
        '<table data-bbox="0 0 1 1"><tr><td colspan="999999">x</td></tr></table>' * 50,
        "<div>" * 3000 + "deep",
        "plain words\nof two lines",
        '<p data-bbox="1 2 3">' + "字" * 3000 + "</p>",
    ],
)
def test_any_answer_is_only_text(answer: str) -> None:
    region = Box(0, 0, 600, 800)
    seen = seen_in(answer, region, (1000.0, 1000.0), 1)
    assert "steal" not in seen.text
    for line in seen.lines:
        assert 0 <= line.start <= line.end <= len(seen.text)
        assert 0 <= line.box.x0 <= line.box.x1 <= 600
        assert 0 <= line.box.top <= line.box.bottom <= 800.01


@pytest.mark.parametrize("given", ["vision", "ocr", "vision:nothing", "vision:vllm:qwen3-vl"])
def test_a_reader_that_is_not_understood_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QWENBELT_ENDPOINT", raising=False)
    with pytest.raises(ConfigError):
        page_reader(given)
