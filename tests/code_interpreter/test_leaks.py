"""Nothing is left behind: not by sessions that end, and not by a host that is killed."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbelt.tools.code_interpreter.host import KernelHost
from qwenbelt.tools.code_interpreter.options import SessionLimits, SessionOptions
from qwenbelt.tools.code_interpreter.sandbox.level import layers
from qwenbelt.tools.code_interpreter.session import CodeCell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SECONDS = 120


def descendants(process: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            text = Path(f"/proc/{process}/task/{thread}/children").read_text(encoding="ascii")
            for child in map(int, text.split()):
                found += [child, *descendants(child)]
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def until(done: Callable[[], bool]) -> bool:
    """Waits until it is so; the limit is far beyond what it takes on a busy machine."""
    deadline = time.monotonic() + SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    return done()


def run_one(host: KernelHost, name: str, folder: Path, options: SessionOptions) -> None:
    folder.mkdir()
    call = CodeCell("open('made.txt', 'w').write('x'); print('hello'); 1 + 1", 60)
    result = host.submit(host.run(name, folder, options, call)).result(SECONDS)
    assert result.outcome.values == ["2"]
    host.submit(host.end(name)).result(SECONDS)


@pytest.mark.parametrize("count", [10, pytest.param(500, marks=pytest.mark.slow)])
def test_sessions_one_after_another_leave_nothing(short_folder, tmp_path, monkeypatch, count):
    runtime = short_folder
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    before_all = descriptors()
    children = set(descendants(os.getpid()))
    host = KernelHost()
    options = SessionOptions(allow_unsandboxed=True)
    try:
        warm = max(3, count // 10)
        for number in range(warm):
            run_one(host, f"w{number}", tmp_path / f"w{number}", options)
        open_files, memory = descriptors(), resident()
        for number in range(count):
            run_one(host, f"s{number}", tmp_path / f"s{number}", options)
        assert until(lambda: descriptors() <= open_files + 4)
        assert resident() - memory < 8 << 20
        assert host.sessions == {}
        # the warm process, and a spare session's two
        assert until(lambda: len(set(descendants(os.getpid())) - children) <= 5)
        assert until(lambda: len(list(runtime.glob("*/*"))) <= 2)
    finally:
        host.close()
    assert set(descendants(os.getpid())) <= children
    assert list(runtime.iterdir()) == []
    assert descriptors() <= before_all


@pytest.mark.parametrize("count", [8, pytest.param(64, marks=pytest.mark.slow)])
def test_sessions_at_once_leave_nothing(short_folder, tmp_path, monkeypatch, count):
    runtime = short_folder
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    before, children = descriptors(), set(descendants(os.getpid()))
    host = KernelHost()
    options = SessionOptions(allow_unsandboxed=True, limits=SessionLimits(seconds=60))
    failures: list[BaseException] = []

    def use(number: int) -> None:
        try:
            folder = tmp_path / str(number)
            folder.mkdir()
            for code, value in (("x = 3", []), (f"x * {number}", [str(3 * number)])):
                work = host.run(str(number), folder, options, CodeCell(code, 60))
                assert host.submit(work).result(SECONDS).outcome.values == value
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alive = len(set(descendants(os.getpid())) - children)
    host.close()
    assert not failures
    assert alive >= count
    assert set(descendants(os.getpid())) <= children
    assert descriptors() <= before
    assert list(runtime.iterdir()) == []


_HOST = """
import os, sys, time
from pathlib import Path
from qwenbelt.tools.code_interpreter.host import kernel_host
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.session import CodeCell
host = kernel_host()
folder = Path(sys.argv[1])
def run(name, code):
    return host.submit(host.run(name, folder / name, options, CodeCell(code, 300)))
for level in sys.argv[2:]:
    options = SessionOptions(allow_unsandboxed=True, isolation=level)
    for name in ("a", "b"):
        (folder / (name + level)).mkdir()
    code = "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True).pid"
    run("a" + level, code).result()
    run("b" + level, "1").result()
    run("b" + level, "import time; time.sleep(300)")
time.sleep(0.3)
print("ready", flush=True)
time.sleep(300)
"""


def test_nothing_outlives_a_host_that_is_killed(short_folder, tmp_path):
    works = [("namespaces", layers().namespaces), ("landlock", layers().landlock), ("none", True)]
    levels = [name for name, there in works if there]
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, str(tmp_path), *levels],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(short_folder)},
    )
    assert host.stdout is not None
    with host.stdout:
        assert host.stdout.readline() == b"ready\n"
        started = descendants(host.pid)
        # the warm process, and for each level two supervisors, two kernels and one more process
        assert len(started) >= 1 + 5 * len(levels)
        host.send_signal(signal.SIGKILL)
        host.wait()
    assert until(lambda: not [p for p in started if Path(f"/proc/{p}").exists()])
    assert until(lambda: list(short_folder.iterdir()) == [])


def test_an_owner_that_is_gone_before_the_libraries_are_loaded_is_no_news(short_folder):
    code = "import os; from qwenbelt.tools.code_interpreter.forked import Zygote\n"
    code += "zygote = Zygote(); os._exit(0)"
    done = subprocess.run(  # returns when the warm process, which inherits the pipe, has ended too
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(short_folder)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(short_folder.iterdir()) == []
