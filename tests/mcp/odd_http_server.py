"""MCP servers over HTTP that misbehave, one at each path: python odd_http_server.py."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOL = {"name": "go", "inputSchema": {"type": "object"}}
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
reached: list[str] = []


class Odd(BaseHTTPRequestHandler):
    """Does as it should until the tool is called."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/reached"):
            self.give(json.dumps(reached).encode())
        elif self.path.startswith("/elsewhere"):
            reached.append(self.path)
            self.give(b"{}")
        else:
            self.give(b"", status=405)

    do_DELETE = do_GET

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        asked = json.loads(self.rfile.read(size) or b"{}")
        odd, number = self.path[1:], asked.get("id")
        if odd.startswith("elsewhere"):
            reached.append(self.path)
            self.give(b"{}")
        elif number is None:
            self.give(b"", status=202)
        elif asked["method"] == "initialize" and odd == "greets-html":
            self.give(b"<html>Welcome to the portal</html>", "text/html")
        elif asked["method"] == "initialize":
            told = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": odd, "version": "1"},
            }
            session = {} if odd == "no-session" else {"mcp-session-id": "one"}
            self.reply(number, told, session)
        elif asked["method"] == "tools/list":
            self.reply(number, {"tools": [TOOL]})
        elif asked["method"] == "tools/call":
            with contextlib.suppress(OSError):
                getattr(self, "odd_" + odd.replace("-", "_"))(number)
        else:
            error = {"code": -32601, "message": "no"}
            self.give(json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode())

    def give(
        self,
        body: bytes,
        kind: str = "application/json",
        status: int = 200,
        more: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reply(self, number: Any, result: Any, more: dict[str, str] | None = None) -> None:
        self.give(json.dumps(message(number, result)).encode(), more=more)

    def stream(self, *events: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events:
            self.wfile.write(event.encode())
        self.wfile.flush()

    def odd_no_session(self, number: Any) -> None:
        self.reply(number, said("fine"))

    def odd_html(self, number: Any) -> None:
        self.give(b"<html><b>502 Bad gateway of a proxy</b></html>", "text/html")

    def odd_no_type(self, number: Any) -> None:
        self.give(json.dumps(message(number, said("fine"))).encode(), "")

    def odd_charset(self, number: Any) -> None:
        body = json.dumps(message(number, said("fine"))).encode()
        self.give(body, "Application/JSON; charset=UTF-8")

    def odd_empty(self, number: Any) -> None:
        self.give(b"")

    def odd_accepted(self, number: Any) -> None:
        self.give(b"", status=202)

    def odd_broken(self, number: Any) -> None:
        self.give(b'{"jsonrpc": "2.0", "id": ')

    def odd_list_result(self, number: Any) -> None:
        self.reply(number, ["a list"])

    def odd_deep(self, number: Any) -> None:
        self.give(f'{{"jsonrpc":"2.0","id":{json.dumps(number)},"result":{DEEP}}}'.encode())

    def odd_bomb(self, number: Any) -> None:
        packed = gzip.compress(b" " * 80_000_000, 1)
        self.give(packed, more={"content-encoding": "gzip"})

    def odd_stream_bomb(self, number: Any) -> None:
        packed = gzip.compress(b"data: " + b"x" * 80_000_000, 1)
        self.give(packed, "text/event-stream", more={"content-encoding": "gzip"})

    def odd_redirect(self, number: Any) -> None:
        self.give(b"", status=307, more={"location": "http://169.254.169.254/latest/meta-data"})

    def odd_redirect_near(self, number: Any) -> None:
        port = self.server.server_address[1]  # another host name: another origin
        self.give(b"", status=307, more={"location": f"http://localhost:{port}/elsewhere"})

    def odd_expired(self, number: Any) -> None:
        self.give(b'{"error": "Session not found"}', status=404)

    def odd_error_page(self, number: Any) -> None:
        self.give(b"<html>" + b"x" * 5_000_000, "text/html", status=500)

    def odd_other_number(self, number: Any) -> None:
        self.reply("somebody else's", said("wrong"))

    def odd_stream_ends(self, number: Any) -> None:
        self.stream(": nothing\n\n")

    def odd_stream_broken(self, number: Any) -> None:
        self.stream("event: message\ndata: {broken\n\n")

    def odd_endless(self, number: Any) -> None:
        self.stream()
        while True:
            self.wfile.write(b": still here\n\n")
            self.wfile.flush()
            time.sleep(0.05)

    def odd_flood(self, number: Any) -> None:
        told = {"progressToken": number, "progress": "x"}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
        event = f"event: message\ndata: {json.dumps(note)}\n\n"
        last = f"event: message\ndata: {json.dumps(message(number, said('fine')))}\n\n"
        self.stream(event * 5000, last)

    def odd_flood_of_words(self, number: Any) -> None:
        self.stream()
        for _ in range(3000):
            self.wfile.write(b"data: " + b"x" * 1_000_000)

    def odd_late(self, number: Any) -> None:
        time.sleep(4)
        self.reply(number, said("too late"))

    def odd_half(self, number: Any) -> None:
        body = json.dumps(message(number, said("fine"))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body) + 100))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: Any) -> None: ...


def message(number: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever(0.05)
