"""`qwenbelt run` and `chat` at a real (pseudo) terminal, against the scripted endpoint."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
PROGRAM = Path(__file__).with_name("terminal_program.py")
SCENARIO = """
say: What is the answer?
turns:
  - think: I look it up three times.
    text: Let me look.
    calls:
      - look_up: {word: answer}
      - look_up: {word: question}
      - send_mail: {word: "line one\\nline two"}
  - text: "It is **42**.\\n"
  - say: Again, please.
    calls:
      - send_mail: {word: slowly}
  - say: Still there?
    text: Yes.
"""
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


# makes the terminal the program's own, so that Ctrl-C reaches it; forking this process, which has
# threads, could block the child
_BEGIN = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


class Terminal:
    """A program in a pseudo-terminal: what it shows, and keys for it."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._fd, side = pty.openpty()
        known = {"TERM": "xterm", "QWENBELT_LANG": "en", "COLUMNS": "100", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, PROGRAM, *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env={**os.environ, **known, **environment},
        )
        os.close(side)
        self.raw = b""

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw.decode("utf-8", "replace")).replace("\r", "")

    def wait_for(self, text: str, count: int = 1, seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while self.text.count(text) < count:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.text}"
            assert self._read(0.1), f"the program ended before {text!r}:\n{self.text}"

    def wait_for_prompt(self) -> None:
        """Waits until the line editor reads; a Ctrl-D before that would be lost."""
        end = time.monotonic() + 20
        while not self.text.endswith("› "):
            assert time.monotonic() < end, self.text
            self._read(0.1)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self._fd, 65536)
        except OSError:  # Linux says so when the program has closed its side
            return False
        self.raw += piece
        return bool(piece)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def exit_code(self) -> int:
        end = time.monotonic() + 30
        while self._read(1.0):
            if time.monotonic() > end:
                self.process.send_signal(signal.SIGUSR1)
                time.sleep(1)
                self._read(1.0)
                raise AssertionError(f"the program did not end:\n{self.text}")
        return self.process.wait(10)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._fd)


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    return f"scripted:{tmp_path / 's.yaml'}"


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


TOOLS = ("-t", "look_up", "-t", "send_mail", "--approve", "ask")


def test_a_chat_streams_asks_stops_and_keeps_the_history(
    scenario: str, terminals: list[Terminal], tmp_path: Path
) -> None:
    chat = Terminal("chat", "-e", scenario, *TOOLS, QWENBELT_WORKSPACE=str(tmp_path / "w"))
    terminals.append(chat)
    chat.wait_for("tools: 2")
    chat.wait_for_prompt()
    chat.type("half a question\x03")
    chat.wait_for("\n/quit or Ctrl-D")
    chat.type("What is the answer?\n")
    chat.wait_for("[a]lways: ")
    assert "word:\n  line one\n  line two\n" in chat.text
    chat.type("y\n")
    chat.wait_for("It is 42.")
    chat.wait_for("calls: 3")
    assert "✓ send_mail" in chat.text
    assert "thought for" in chat.text

    chat.type("Again, please.\n")
    chat.wait_for("[a]lways: ", 2)
    chat.type("a\n")
    chat.wait_for('send_mail {"word": "slowly"} 0.')
    chat.type("\x03")
    chat.wait_for("⊘ send_mail")
    chat.wait_for("Interrupted.")
    assert "^C" not in chat.text, "a typed key shifts what is redrawn"
    chat.type("Still there?\n")
    chat.wait_for("Yes.")

    chat.type("/nonsense\n")
    chat.wait_for("There is no command /nonsense")
    chat.type("/tools off send_mail\n")
    chat.wait_for("off  send_mail")
    chat.type("/lanes\n")
    chat.wait_for("model 1", 2)
    chat.type(f"/save {tmp_path / 'chat.json'}\n")
    chat.wait_for("Saved:")
    chat.type(f"/save {tmp_path / 'chat.md'}\n")
    chat.wait_for("Saved:", 2)
    chat.wait_for_prompt()
    chat.type("\x04")
    assert chat.exit_code() == 0
    assert b"\x1b]0;title" not in chat.raw, "a tool's result reached the terminal's title"
    assert "\u202e" not in chat.text

    saved = (tmp_path / "chat.md").read_text(encoding="utf-8")
    assert "answer: red evil" in saved
    assert not set(saved) & set("\x1b\x07\u202e"), "shown by cat it would do things"
    messages = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))["messages"]
    said = [m["content"] for m in messages if m["role"] == "user"]
    assert said == ["What is the answer?", "Again, please.", "Still there?"]
    results = [m for m in messages if m["role"] == "function"]
    assert len(results) == 4
    assert "cancelled" in results[-1]["content"]
    traces = list((tmp_path / "w" / "sessions").glob("chat-*/trace-*.jsonl"))
    assert len(traces) == 3


def test_run_refuses_what_nobody_can_be_asked_about_and_reads_what_is_piped(
    scenario: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.jsonl"
    done = subprocess.run(
        [sys.executable, PROGRAM, "run", "-e", scenario, *TOOLS, "--trace", trace],
        input="What is the answer?",
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en"},
    )
    assert (done.returncode, done.stdout) == (0, "It is **42**.\n\n")
    assert "send_mail needs an approval and nobody can be asked" in done.stderr
    events = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    results = {e["name"]: e for e in events if e["event"] == "tool_finished"}
    assert not results["send_mail"]["ok"]


def test_an_interrupted_run_is_130(tmp_path: Path, terminals: list[Terminal]) -> None:
    scenario = tmp_path / "slow.yaml"
    scenario.write_text(
        "say: Send it.\nturns: [{calls: [{send_mail: {word: slowly}}]}]", encoding="utf-8"
    )
    words = ("run", "-e", f"scripted:{scenario}", "-t", "send_mail", "--approve", "auto")
    run = Terminal(*words)
    terminals.append(run)
    run.wait_for('send_mail {"word": "slowly"}')
    run.type("\x03")
    assert run.exit_code() == 130
    assert "Traceback" not in run.text
    assert "Interrupted.\n" in run.text
