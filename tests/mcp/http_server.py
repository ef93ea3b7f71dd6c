"""A streamable HTTP server written by hand, to misbehave: python http_server.py FAULT."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULT = sys.argv[1]
LOST = json.loads(sys.argv[2]) if len(sys.argv) > 2 else [404, None]  # status, body
sessions: set[str] = set()
TOOLS = [
    {"name": name, "inputSchema": {"type": "object", "properties": {}}}
    for name in ("echo", "slow", "silent", "headers")
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: dict | str | None = None, session: str = "") -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        if isinstance(body, str):
            raw = body.encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/plain" if isinstance(body, str) else "application/json"
        )
        self.send_header("Content-Length", str(len(raw)))
        if session:
            self.send_header("mcp-session-id", session)
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self) -> None:
        self.reply(405)

    def do_DELETE(self) -> None:
        self.reply(200)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, number = message["method"], message.get("id")
        if FAULT == "silent":
            time.sleep(600)
        if FAULT.isdigit():
            return self.reply(int(FAULT))
        if method == "initialize":
            return self.welcome(number, message["params"]["protocolVersion"])
        if method == "server/discover":
            return self.reply(
                200,
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "error": {"code": -32601, "message": "Method not found"},
                },
            )
        if self.headers.get("mcp-session-id") not in sessions:
            return self.reply(*LOST)
        if number is None:
            return self.reply(202)
        if method == "tools/list":
            return self.reply(200, self.answer(number, {"tools": TOOLS}))
        return self.call(number, message["params"]["name"])

    def welcome(self, number: object, version: str) -> None:
        session = str(len(sessions))
        sessions.add(session)
        result = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "hand", "version": "1"},
        }
        self.reply(200, self.answer(number, result), session)

    def call(self, number: object, name: str) -> None:
        if name == "silent":
            time.sleep(600)
        if name == "slow":
            time.sleep(1)
        text = json.dumps(dict(self.headers)) if name == "headers" else name
        if FAULT == "forget":
            sessions.clear()
        if FAULT == "cut":
            return self.connection.shutdown(2)
        self.reply(200, self.answer(number, {"content": [{"type": "text", "text": text}]}))

    def answer(self, number: object, result: dict) -> dict:
        return {"jsonrpc": "2.0", "id": number, "result": result}


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
server.serve_forever()
