"""`qwenbelt mock`, `record`, `replay`, `trace to-scenario` as processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from qwenbelt.core.events import Done, ModelStarted, RunStarted, TextDelta
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing import Scenario, ScriptedServer

QWENBELT = (
    sys.executable,
    "-c",
    "import sys; from qwenbelt.apps.cli import main; sys.exit(main())",
)
SCENARIO = "turns:\n  - answer: hello\n  - answer: again\n"


@contextmanager
def served(*arguments: str, code: int = 0) -> Iterator[str]:
    environment = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [*QWENBELT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield re.findall(r"http://127\.0\.0\.1:\d+/v1", line)[-1]
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (line, out, err)


def ask(url: str, text: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return httpx.post(url + "/chat/completions", json=body, timeout=60).json()


def test_mock_plays_any_number_of_times_or_once(tmp_path: Path) -> None:
    file = tmp_path / "a.scenario.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    with served("mock", str(file), "--once", "--check", code=1) as url:
        assert ask(url, "x")["choices"][0]["message"]["content"] == "hello"
    file.write_text("turns:\n - answr: x\n", encoding="utf-8")
    done = subprocess.run(
        [*QWENBELT, "mock", str(file)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "a.scenario.yaml:2: turns[1].answr: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_record_then_replay(tmp_path: Path) -> None:
    tape = tmp_path / "t.cassette.yaml"
    with ScriptedServer(Scenario().answer("kept")) as real:
        with served("record", str(tape), "-e", real.url) as url:
            assert ask(url, "x")["choices"][0]["message"]["content"] == "kept"
    with served("replay", str(tape)) as url:
        assert ask(url, "x")["choices"][0]["message"]["content"] == "kept"
        assert "asked 'y'" in ask(url, "y")["error"]["message"]


def test_to_scenario_writes_a_file(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with TraceWriter(trace) as writer:
        asked = [{"role": "user", "content": "hi?"}]
        writer.write(RunStarted("r", "a", "m", "u", (), asked))
        writer.write(ModelStarted(1, 0.0))
        writer.write(TextDelta("hello"))
        writer.write(Done("answer", "hello"))
    out = tmp_path / "saved.scenario.yaml"
    run = [*QWENBELT, "trace", "to-scenario"]
    done = subprocess.run([*run, str(trace), "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "answer: hello" in out.read_text(encoding="utf-8")
    missing = subprocess.run([*run, str(tmp_path / "no.jsonl")], capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1


def test_replay_needs_a_cassette(tmp_path: Path) -> None:
    done = subprocess.run(
        [*QWENBELT, "replay", str(tmp_path / "no.yaml")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no such file. Make it with `qwenbelt record`." in done.stderr
