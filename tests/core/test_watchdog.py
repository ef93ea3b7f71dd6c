from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

OWNER = """
import subprocess, sys, time
from qwenbelt.core.processes.per_process import watchdog
def child():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                            start_new_session=True).pid
kept, taken_back = child(), child()
watchdog().add(kept)
watchdog().add(taken_back)
watchdog().remove(taken_back)
print(kept, taken_back, flush=True)
time.sleep(60)
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_children_end_when_their_owner_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        kept, taken_back = map(int, owner.stdout.readline().split())
        assert running(kept)
        owner.kill()
        owner.wait()
    end = time.monotonic() + 3
    while running(kept) and time.monotonic() < end:
        time.sleep(0.02)
    try:
        assert not running(kept)
        assert running(taken_back)
    finally:
        subprocess.run(["kill", "-9", str(taken_back)], check=True)
