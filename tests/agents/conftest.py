"""An OTLP receiver on loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Collector(ThreadingHTTPServer):
    """Takes in what is sent by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: dict[str, list[bytes]] = {}

    def spans(self) -> list[Any]:
        """All spans so far, by the time of their beginning."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        found: list[Any] = []
        for body in self.bodies.get("/v1/traces", ()):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [(span, scope.scope.name) for span in scope.spans]
        return sorted(found, key=lambda entry: entry[0].start_time_unix_nano)

    def tree(self) -> list[str]:
        """The spans as lines: each below its parent, and the package that told of it."""
        spans = self.spans()
        known = {span.span_id for span, _ in spans}

        def below(parent: bytes, depth: int) -> Iterator[str]:
            for span, scope in spans:
                above = span.parent_span_id if span.parent_span_id in known else b""
                if above == parent:
                    yield f"{'  ' * depth}{span.name} [{scope}]"
                    yield from below(span.span_id, depth + 1)

        return list(below(b"", 0))


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
