"""What the tests of the faces share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 180  # a server needs three on an idle machine
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
          ![svg](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+) [x](vbscript:x)
        calls: [{look: {word: '<img src=x onerror=document.title=1>'}}]
      - text: Done.
"""


# pytest-timeout ends this process at once; what it started must not outlive it
_DIES_WITH_PARENT = [
    "-c",
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
]
if sys.platform != "linux":
    _DIES_WITH_PARENT = []


@dataclass
class Program:
    """A server in a process of its own.

    Attributes:
        url: the address that it told, without a slash at its end.
    """

    process: subprocess.Popen[str]
    url: str


@contextmanager
def _program(*words: str | Path, **environment: str) -> Iterator[Program]:
    """Runs Python with these words until the block ends, however it ends."""
    process = subprocess.Popen(
        [sys.executable, *_DIES_WITH_PARENT, *words],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", **environment},
    )
    try:
        yield Program(process, _address(process))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[str]) -> str:
    """Reads the address that a server prints when it listens."""
    assert process.stdout is not None
    too_long = threading.Timer(START_SECONDS, process.kill)
    too_long.start()
    words = process.stdout.readline().split()
    too_long.cancel()
    found = next((word for word in words if word.startswith("http")), "")
    assert found, f"no address within {START_SECONDS} s: {words}"
    return found.rstrip(";").rstrip("/")


@pytest.fixture(scope="session")
def running_program() -> Callable[..., AbstractContextManager[Program]]:
    return _program


@dataclass
class ChatServer:
    """A running chat server.

    Attributes:
        folder: where it keeps conversations: `gui/sessions/SESSION/`.
    """

    url: str
    folder: Path


@pytest.fixture(scope="session")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """One server for all tests; each of them is another user of it."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("needs the extra gui")
    folder = tmp_path_factory.mktemp("gui")
    (folder / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    with _program(Path(__file__).with_name("gui_program.py"), folder / "s.yaml", folder) as server:
        yield ChatServer(server.url, folder)


@contextmanager
def _example(name: str, folder: Path) -> Iterator[str]:
    """Runs an example that serves something, with `s.yaml` in a folder; yields its address."""
    file = Path(__file__).resolve().parents[2] / "examples" / name
    scenario = f"scripted:{folder / 's.yaml'}"
    with _program(file, scenario, "0", QWENBELT_WORKSPACE=str(folder)) as server:
        yield server.url


@pytest.fixture
def running_example() -> Callable[[str, Path], AbstractContextManager[str]]:
    return _example
