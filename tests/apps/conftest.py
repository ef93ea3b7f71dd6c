"""What the tests of the faces share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SCENARIO = """
conversations:
  - say: Hello
    turns:
      - think: I look three times.
        text: "Let me look:"
        calls:
          - look: {word: first, seconds: 0.4}
          - look: {word: second, seconds: 0.5}
          - draw: {}
      - text: "It **is** so: ![a drawing](drawing.png)"
      - say: Wait
        calls: [{look: {seconds: 30, word: long}}]
  - say: Send it
    turns:
      - calls: [{mail: {word: dear}}]
      - text: Sent.
  - say: Attack
    turns:
      - text: |
          <script>document.title = "owned"</script><img src=x onerror="document.title='owned'">

          ![leak](https://evil.example/leak.png) [click](javascript:document.title='owned')
          [bank](https://evil.example/) [up](../../../etc/passwd)
"""


@dataclass
class ChatServer:
    """A running chat server.

    Attributes:
        folder: where it keeps conversations: `gui/sessions/SESSION/`.
    """

    url: str
    folder: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="session")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """One server for all tests; each of them is another user of it."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs the extra gui")
    folder = tmp_path_factory.mktemp("gui")
    (folder / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    program = Path(__file__).with_name("gui_program.py")
    process = subprocess.Popen(
        [sys.executable, program, folder / "s.yaml", folder],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en"},
    )
    assert process.stdout is not None
    yield ChatServer(process.stdout.readline().strip().rstrip("/"), folder, process)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


@contextmanager
def _example(name: str, folder: Path) -> Iterator[str]:
    """Runs an example that serves something, with `s.yaml` in a folder; yields its address."""
    file = Path(__file__).resolve().parents[2] / "examples" / name
    process = subprocess.Popen(
        [sys.executable, file, f"scripted:{folder / 's.yaml'}", "0"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", "QWENBELT_WORKSPACE": str(folder)},
    )
    assert process.stdout is not None
    words = process.stdout.readline().split()
    try:
        yield next(word for word in words if word.startswith("http")).rstrip("/")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture
def running_example() -> Callable[[str, Path], AbstractContextManager[str]]:
    return _example
