"""The terminal chat in a real terminal (tmux), narrow and wide, in both languages."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="needs tmux")
ANSWER = {
    "en": """The comparison of **bituminous** and subbituminous coal, as the instructions give it:

| Coal | Heat content | Moisture |
|---|---:|---|
| Bituminous | 19 - 29 MMBtu | typically low |
| Subbituminous | 15 - 20 MMBtu | considerably higher |

Nonconventional measurements are straightforwardly distinguishable from conventional ones.""",
    "zh": """各煤种的比较，**烟煤** bituminous 与次烟煤 subbituminous 如下：

| 煤种 | 热值 | 水分 |
|---|---:|---|
| 烟煤 Bituminous | 19 - 29 MMBtu | 通常较低 |
| 次烟煤 Subbituminous | 15 - 20 MMBtu | 明显较高 |

以上数值取自 instructions 第八页，measurements 均为每吨的热值范围。""",
}


class Pane:
    """A terminal of a width, with the chat in it."""

    def __init__(self, folder: Path, language: str, width: int) -> None:
        self._socket = ["-S", str(folder / "tmux")]
        scenario = folder / "chat.yaml"
        answer = ANSWER[language].replace("\n", "\n          ")
        scenario.write_text(
            f"say: First\nturns:\n  - text: |\n          {answer}\n"
            "  - say: Second\n    text: 'Also answered.'\n",
            encoding="utf-8",
        )
        chat = [
            "-c",
            "from qwenbelt.apps.cli import main; main()",
            "chat",
            "-e",
            f"scripted:{scenario}",
            "-t",
            "none",
        ]
        command = shlex.join([sys.executable, *chat])
        home = {"QWENBELT_WORKSPACE": str(folder / "w"), "XDG_CONFIG_HOME": str(folder / "c")}
        given = {**home, "QWENBELT_LANG": language, "LC_ALL": "C.UTF-8", "EDITOR": "true"}
        self._tmux(
            *("-f", os.devnull, "new-session", "-d", "-x", str(width), "-y", "60"),
            *(word for name, value in given.items() for word in ("-e", f"{name}={value}")),
            command,
        )

    def _tmux(self, *words: str) -> str:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        for name in ("TMUX", "COLUMNS", "LINES"):  # readline puts a size into pytest's workers
            environment.pop(name, None)
        done = subprocess.run(
            [TMUX or "", *self._socket, *words],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            timeout=60,
            check=True,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def lines(self) -> list[str]:
        return self._tmux("capture-pane", "-p", "-S", "-200").rstrip().splitlines()

    def wait_for(self, text: str, count: int = 1) -> list[str]:
        end = time.monotonic() + 120
        while "\n".join(shown := self.lines()).count(text) < count:  # an empty screen counts too
            assert time.monotonic() < end, "\n".join(shown)
            time.sleep(0.2)
        return shown

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def pane(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pane]:
    made = Pane(tmp_path, *request.param)
    yield made
    made.close()


def wholly_shown(words: set[str], lines: list[str]) -> list[str]:
    """Returns the words that no line holds as a whole."""
    text = "\n".join(lines)
    return [word for word in sorted(words) if not re.search(rf"(?<!\w){re.escape(word)}", text)]


@pytest.mark.parametrize(
    "pane",
    [(language, width) for language in ("en", "zh") for width in (44, 80, 120)],
    indirect=True,
    ids=lambda given: f"{given[0]}-{given[1]}",
)
def test_nothing_breaks_inside_a_word_and_what_is_typed_meanwhile_waits(
    pane: Pane, request: pytest.FixtureRequest
) -> None:
    language, width = request.node.callspec.params["pane"]
    pane.wait_for("›")
    pane.keys("First", "Enter", "Second", "Enter")  # the second while it answers the first
    lines = pane.wait_for("Also answered.")
    assert max(map(len, lines)) <= width
    words = set(re.findall(r"[A-Za-z]{3,}", ANSWER[language]))
    assert wholly_shown(words, lines) == [], "\n".join(lines)
    if language == "zh":
        for cell in ("通常较低", "明显较高", "煤种", "热值"):
            assert cell in "\n".join(lines)
    pane.keys("/he", "Tab", "Enter")  # Tab completes it
    shown = pane.wait_for("/quit")
    told = {"en": {"conversation", "clipboard", "thoughts", "server:prompt"}, "zh": set()}
    assert wholly_shown({"/resume", "/compact", "/tools", *told[language]}, shown) == []
