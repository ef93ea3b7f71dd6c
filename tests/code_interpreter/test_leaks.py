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
from pathlib import Path

import pytest

from qwenbelt.tools.code_interpreter.host import KernelHost
from qwenbelt.tools.code_interpreter.options import Limits, Options
from qwenbelt.tools.code_interpreter.session import Call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


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


def run_one(host: KernelHost, name: str, folder: Path, options: Options) -> None:
    folder.mkdir()
    call = Call("open('made.txt', 'w').write('x'); print('hello'); 1 + 1", 60)
    result = host.submit(host.run(name, folder, options, call)).result(60)
    assert result.outcome.values == ["2"]
    host.submit(host.end(name)).result(30)


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_sessions_one_after_another_leave_nothing(short_folder, tmp_path, monkeypatch, count):
    runtime = short_folder
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    before_all = descriptors()
    children = set(descendants(os.getpid()))
    host = KernelHost()
    options = Options(allow_unsandboxed=True)
    try:
        warm = max(5, count // 10)
        for number in range(warm):
            run_one(host, f"w{number}", tmp_path / f"w{number}", options)
        open_files, memory = descriptors(), resident()
        for number in range(count):
            run_one(host, f"s{number}", tmp_path / f"s{number}", options)
        assert descriptors() <= open_files + 4
        assert resident() - memory < 8 << 20
        assert host.sessions == {}
        # the warm process, and a spare session's two
        assert len(set(descendants(os.getpid())) - children) <= 5
        assert len(list(runtime.glob("*/*"))) <= 2
    finally:
        host.close()
    assert set(descendants(os.getpid())) <= children
    assert list(runtime.iterdir()) == []
    assert descriptors() <= before_all
    print(f"{count} sessions: descriptors {open_files} -> {before_all} at the end")


@pytest.mark.parametrize("count", [8, pytest.param(64, marks=pytest.mark.slow)])
def test_sessions_at_once_leave_nothing(short_folder, tmp_path, monkeypatch, count):
    runtime = short_folder
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    before, children = descriptors(), set(descendants(os.getpid()))
    host = KernelHost()
    options = Options(allow_unsandboxed=True, limits=Limits(seconds=60))
    failures: list[BaseException] = []

    def use(number: int) -> None:
        try:
            folder = tmp_path / str(number)
            folder.mkdir()
            for code, value in (("x = 3", []), (f"x * {number}", [str(3 * number)])):
                work = host.run(str(number), folder, options, Call(code, 60))
                assert host.submit(work).result(120).outcome.values == value
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
from qwenbelt.tools.code_interpreter.options import Options
from qwenbelt.tools.code_interpreter.session import Call
host = kernel_host()
folder = Path(sys.argv[1])
options = Options(allow_unsandboxed=True, isolation=sys.argv[2])
code = "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True).pid"
host.submit(host.run("a", folder, options, Call(code, 30))).result()
host.submit(host.run("b", folder, options, Call("1", 30))).result()
host.submit(host.run("b", folder, options, Call("import time; time.sleep(300)", 300)))
time.sleep(0.3)
print("ready", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("isolation", ["", "landlock", "none"])
def test_nothing_outlives_a_host_that_is_killed(short_folder, tmp_path, isolation):
    runtime, folder = short_folder, tmp_path / "session"
    folder.mkdir()
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, str(folder), isolation],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(runtime)},
    )
    assert host.stdout is not None
    with host.stdout:
        assert host.stdout.readline() == b"ready\n"
        started = descendants(host.pid)
        assert len(started) >= 5
        host.send_signal(signal.SIGKILL)
        host.wait()
    deadline = time.monotonic() + 10
    alive = started
    while (alive or list(runtime.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [process for process in alive if Path(f"/proc/{process}").exists()]
    assert alive == []
    assert list(runtime.iterdir()) == []
