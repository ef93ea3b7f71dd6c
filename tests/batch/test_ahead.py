"""DashScope's Batch API as the executor of the tasks' first requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError
from qwenbelt.workflows.batch import ahead
from qwenbelt.workflows.batch.job import batch
from qwenbelt.workflows.batch.tasks import TaskOptions
from tests.batch.conftest import Model, lines_of  # type: ignore[import-not-found]

BASE = "/compatible-mode/v1"


class BatchService(ThreadingHTTPServer):
    """Plays files and batches; answers every question but the one about rain."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent = ""
        self.batches = 0
        self.chats: list[str] = []

    @property
    def spec(self) -> str:
        return f"dashscope:qwen-plus@http://127.0.0.1:{self.server_port}{BASE}"

    def output(self) -> str:
        lines = []
        for text in self.sent.splitlines():
            if not text.startswith('{"custom_id"'):
                continue
            entry = json.loads(text)
            assert "stream" not in entry["body"]
            question = str(entry["body"]["messages"][-1]["content"])
            reply = {"status_code": 200, "body": whole(f"by batch: {question}")}
            if "rain" in question:
                reply = {"status_code": 400, "body": {"error": {"message": "no"}}}
            lines.append(json.dumps({"custom_id": entry["custom_id"], "response": reply}))
        return "\n".join(lines)


def whole(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        service = self.server
        assert isinstance(service, BatchService)
        if self.path.endswith("/content"):
            self.send(service.output().encode())
        else:
            self.send(json.dumps(state("completed")).encode())

    def do_POST(self) -> None:
        service = self.server
        assert isinstance(service, BatchService)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == f"{BASE}/files":
            service.sent = body
            file = {"id": "f1", "object": "file", "bytes": 1, "created_at": 1, "filename": "a"}
            self.send(json.dumps({**file, "purpose": "batch", "status": "processed"}).encode())
        elif self.path == f"{BASE}/batches":
            service.batches += 1
            self.send(json.dumps(state("in_progress")).encode())
        else:
            question = json.loads(body)["messages"][-1]["content"]
            service.chats.append(question)
            self.send(json.dumps(whole(f"by chat: {question}")).encode())

    def send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def state(status: str) -> dict[str, Any]:
    fixed = {"id": "b1", "object": "batch", "endpoint": "/v1/chat/completions", "created_at": 1}
    more = {"input_file_id": "f1", "completion_window": "24h", "status": status}
    return {**fixed, **more, "output_file_id": "out"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchService]:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    monkeypatch.setattr(ahead, "EVERY", 0.01)
    server = BatchService()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_first_requests_go_out_as_one_batch(service: BatchService, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    questions = ["Is it dry?", "Is there rain?", "Is it warm?"]
    lines = [json.dumps({"id": f"t{n}", "ask": q}) for n, q in enumerate(questions)]
    path.write_text("\n".join(lines), encoding="utf-8")
    out, options = tmp_path / "out", TaskOptions(endpoint=service.spec)
    made = batch(path, out, options=options, dashscope_batch=True)
    assert made.done == 3
    answers = [line["result"]["answer"] for line in lines_of(out)]
    assert answers[0] == "by batch: Is it dry?"
    assert answers[1] == "by chat: Is there rain?"  # what the batch refused is asked as usual
    assert answers[2] == "by batch: Is it warm?"
    assert (service.batches, service.chats) == (1, ["Is there rain?"])
    path.write_text("\n".join([*lines, '{"ask": "Is it late?"}']), encoding="utf-8")
    assert batch(path, out, options=options, dashscope_batch=True).done == 4
    assert service.batches == 2
    assert service.sent.count('"custom_id"') == 1


def test_other_endpoints_have_no_batch_api(model: Model, tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DashScope"):
        batch(tasks, tmp_path / "out", options=model.options, dashscope_batch=True)
