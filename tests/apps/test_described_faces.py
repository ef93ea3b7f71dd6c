"""An agent of a file behind the server, the chat in the browser and the batch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

PROGRAM = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()"]
AGENT = """---
name: Zeichner
description: Draws.
tools: [plot]
endpoint: scripted:s.yaml
---
You draw.
"""
SCRIPT = """
say: Hello
turns:
  - answer: Hi there.
    expect: {system: {contains: You draw.}, tools: [plot]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "drawer.md").write_text(AGENT, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def serving(folder: Path) -> Iterator[Callable[[str], str]]:
    """Starts a face on a free port and returns its address."""
    started: list[subprocess.Popen[str]] = []

    def start(face: str) -> str:
        process = subprocess.Popen(
            [*PROGRAM, face, "-a", "drawer", "--port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=surroundings(folder),
        )
        started.append(process)
        assert process.stdout is not None
        words = process.stdout.readline().split()
        return next(word for word in words if word.startswith("http")).rstrip("/")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def surroundings(folder: Path) -> dict[str, str]:
    return {**os.environ, "QWENBELT_WORKSPACE": str(folder / "ws"), "QWENBELT_LANG": "en"}


def test_serve(serving: Callable[[str], str]) -> None:
    url = serving("serve")
    (model,) = httpx.get(f"{url}/models", timeout=60).json()["data"]
    assert model["id"] == "Zeichner"
    body = {"model": "Zeichner", "messages": [{"role": "user", "content": "Hello"}]}
    reply = httpx.post(f"{url}/chat/completions", json=body, timeout=120).json()
    assert reply["choices"][0]["message"]["content"] == "Hi there."


def test_gui(serving: Callable[[str], str]) -> None:
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs the extra gui")
    page = httpx.get(f"{serving('gui')}/en/", timeout=120).text
    assert "Zeichner" in page
    assert "Draws." in page


def test_batch(folder: Path) -> None:
    pytest.importorskip("dbos", reason='needs pip install "qwenbelt[durable]"')
    (folder / "tasks.jsonl").write_text('{"ask": "Hello"}\n', encoding="utf-8")
    done = subprocess.run(
        [*PROGRAM, "batch", "tasks.jsonl", "-a", "drawer", "--out", "out"],
        cwd=folder,
        env=surroundings(folder),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (folder / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["result"]["answer"] == "Hi there."
