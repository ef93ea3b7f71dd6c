"""An OpenAI-compatible endpoint for vectors and ranking, played on the loopback."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZE = 64
# words that this "model" takes for the same
SAME = {"automobile": "car", "physician": "doctor", "汽车": "car", "医生": "doctor"}


def vector(text: str) -> list[float]:
    """A bag of words, folded into a few numbers; some words count as the same."""
    values = [0.001] * SIZE
    for word in text.lower().replace("?", " ").replace(".", " ").split():
        values[zlib.crc32(SAME.get(word, word).encode()) % SIZE] += 1.0
    return values


class EmbeddingServer(ThreadingHTTPServer):
    """Remembers what was asked; `failures` are status codes that come first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.batches: list[int] = []
        self.failures: list[int] = []
        self.most = 10
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.failures:
            self._answer(self.server.failures.pop(0), {"error": "busy"})
        elif self.path.endswith("/rerank"):
            words = set(body["query"].lower().split())
            rows = [
                {"index": n, "relevance_score": len(words & set(text.lower().split()))}
                for n, text in enumerate(body["documents"])
            ]
            self._answer(200, {"results": rows[::-1]})
        elif len(body["input"]) > self.server.most:
            self._answer(400, {"error": "too many texts"})
        else:
            self.server.batches.append(len(body["input"]))
            rows = [{"index": n, "embedding": vector(t)} for n, t in enumerate(body["input"])]
            self._answer(200, {"data": rows[::-1]})

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """Runs the endpoint as long as the block."""
    with EmbeddingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
