"""What operators of `qwenbelt serve` rely on: readiness, an end without losses, counts, logs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from qwenbelt.testing import ScriptedLLM, ScriptedServer

PATIENCE = 120.0  # a busy machine
COMMAND = "import sys; from qwenbelt.apps.cli import main; sys.exit(main())"


class HeldModel:
    """Says its answer when it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        llm = ScriptedLLM(model="m")
        llm.turn(self._reply)
        self.server = ScriptedServer(llm, plays=None)

    async def _reply(self, request: Any) -> dict[str, Any]:
        self.asked.set()
        while not self.go.is_set():
            await asyncio.sleep(0.02)
        return {"answer": f"answer to {request.user}"}


@pytest.fixture
def model() -> Iterator[HeldModel]:
    held = HeldModel()
    with held.server:
        yield held


def _words(model: HeldModel, *further: str) -> list[str]:
    endpoint = f"openai:m@{model.server.url}"
    return ["-c", COMMAND, "serve", "-e", endpoint, "--port", "0", *further]


def _http(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)


def _body(text: str, stream: bool = False) -> dict[str, Any]:
    return {"model": "qwenbelt", "stream": stream, "messages": [{"role": "user", "content": text}]}


def _totals(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_is_ended_finishes_its_answers(
    model: HeldModel, running_program: Any, workers: str, tmp_path: Path
) -> None:
    home = {"QWENBELT_WORKSPACE": str(tmp_path), "OPENAI_API_KEY": "none"}
    with (
        running_program(*_words(model, "--workers", workers), **home) as program,
        _http(program.url) as http,
        http.stream("POST", "/chat/completions", json=_body("Slowly", True)) as response,
    ):
        assert model.asked.wait(PATIENCE)
        program.process.send_signal(signal.SIGTERM)
        lines = response.iter_lines()
        threading.Timer(4.0, model.go.set).start()  # it has to hold out until then
        sent = [line.removeprefix("data: ") for line in lines if line]
        assert sent.pop() == "[DONE]"
        chunks = [json.loads(line)["choices"][0]["delta"] for line in sent]
        text = "".join(chunk.get("content") or "" for chunk in chunks)
        assert text == "answer to Slowly"
        assert program.process.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_readiness_counts_and_logs(model: HeldModel, tmp_path: Path, running_program: Any) -> None:
    model.go.set()
    log = tmp_path / "log.jsonl"
    words = ["serve", "-e", f"openai:m@{model.server.url}", "--port", "0", "--log", "json"]
    script = f"import os; os.dup2(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT), 2); {COMMAND}"
    store = ["--store", str(tmp_path / "store.db")]
    home = {"QWENBELT_WORKSPACE": str(tmp_path), "OPENAI_API_KEY": "none"}
    with (
        running_program("-c", script, *words, *store, **home) as program,
        _http(program.url.removesuffix("/v1")) as http,
    ):
        assert http.get("/healthz").json() == {"status": "ok", "running": 0}
        assert http.get("/readyz").json() == {"status": "ready"}
        for text in ("One", "Two"):
            assert http.post("/v1/chat/completions", json=_body(text)).status_code == 200
        assert http.post("/v1/responses", json={"input": "Three"}).status_code == 200
        counts = _totals(http.get("/metrics").text)
        assert counts["qwenbelt_run_seconds_count"] == 3
        assert counts["qwenbelt_first_piece_seconds_count"] == 3
        assert counts["qwenbelt_runs_running"] == counts["qwenbelt_runs_failed_total"] == 0
        assert counts["qwenbelt_requests_total"] == 3
    runs = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [run["status"] for run in runs] == ["ok"] * 3
    assert [run["route"] for run in runs][1:] == ["/v1/chat/completions", "/v1/responses"]
    assert runs[2]["run"].startswith("resp_")
    assert {"time", "seconds", "input_tokens", "output_tokens", "calls"} <= set(runs[0])


@pytest.mark.skipif(sys.platform == "win32", reason="needs sockets that are handed on")
def test_workers_count_together(model: HeldModel, tmp_path: Path, running_program: Any) -> None:
    model.go.set()
    home = {"QWENBELT_WORKSPACE": str(tmp_path), "OPENAI_API_KEY": "none"}
    with running_program(*_words(model, "--workers", "2"), **home) as program:
        url = program.url.removesuffix("/v1")
        for text in map(str, range(6)):
            with _http(url) as http:  # a connection each: any worker may take it
                assert http.post("/v1/chat/completions", json=_body(text)).status_code == 200
        for _ in range(3):
            with _http(url) as http:
                assert _totals(http.get("/metrics").text)["qwenbelt_run_seconds_count"] == 6


def test_a_store_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from qwenbelt.apps.serve.stored import StoredReplies\n"
        "from qwenbelt.core.errors import InputError\n"
        "stored = StoredReplies(sys.argv[1], None)\n"
        "def gone(*words): raise InputError('away')\n"
        "print(asyncio.run(stored.answers()))\n"
        "stored._store.get = gone\n"
        "print(asyncio.run(stored.answers()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False"]
