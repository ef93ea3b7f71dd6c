"""The same tool over a real Jupyter server on loopback."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from qwenbelt.core.errors import ConfigError, ToolError, ToolRefused
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
from tests.code_interpreter.test_calls_from_code import (
    AFTER_THE_END,
    BROKEN,
    FROM_A_FORK,
    RAW,
    Calls,
    settled,
)

pytest.importorskip("jupyter_server")
TOKEN = "a-token-for-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={home}"]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = {**os.environ, **{name: str(home / name) for name in names}}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=2).close()
            break
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, (home / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(20)


@pytest.fixture
def run(make, server):
    return make({"allow_unsandboxed": False, "server": server, "token": TOKEN})


def test_it_does_the_same_as_a_kernel_here(run, tmp_path):
    source = tmp_path / "数据.csv"
    source.write_text("a\n1\n2\n", encoding="utf-8")
    run.context.files = {"数据.csv": source}
    code = """
import pandas as pd, matplotlib.pyplot as plt
frame = pd.read_csv('数据.csv')
plt.plot(frame['a']); plt.show()
frame.to_csv('out/sum.csv') if __import__('os').makedirs('out', exist_ok=True) is None else None
print('sum', frame['a'].sum())
frame
"""
    items = run.items(code)
    names = [Path(i.value).name for i in items[1:]]
    assert names == ["figure-1.png", "table-1.html", "sum.csv"]
    assert items[0].value.startswith("sum 3")
    assert Path(items[3].value).read_text(encoding="utf-8").startswith(",a\n0,1")
    assert run("frame.shape") == "(2, 1)"
    assert run("open('figure-1.png', 'rb').read(4)") == r"b'\x89PNG'"


def test_errors_limits_and_restart(run):
    assert "ZeroDivisionError" in run("1 / 0")
    run("kept = 1")
    started = time.monotonic()
    assert "time limit" in run("while True: pass", timeout=0.5)
    assert time.monotonic() - started < 15
    assert run("kept") == "1"
    stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    assert "gone" in run(stubborn, timeout=0.5)
    assert "NameError" in run("kept")
    assert "restarted" in run("", restart=True)
    assert len(run("print('x' * 10**6)")) < 40_000


def test_a_crash_is_told(run):
    assert "crashed" in run("import os; os._exit(3)", timeout=20)
    assert run("1 + 1") == "2"


def test_the_kernel_ends_with_the_session(run, server):
    run("1")
    request = f"{server}/api/kernels?token={TOKEN}"
    run.tool.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with urllib.request.urlopen(request) as reply:
            if reply.read() == b"[]":
                return
        time.sleep(0.1)
    pytest.fail(urllib.request.urlopen(request).read().decode())


def test_a_wrong_token_and_a_missing_server_are_one_clear_line(make, server):
    with pytest.raises(ToolError, match="403"):
        make({"server": server, "token": "wrong"})("1")
    with pytest.raises(ToolError, match="cannot be reached"):
        make({"server": "http://127.0.0.1:9"})("1")
    with pytest.raises(ConfigError, match="not the address"):
        make({"server": "ftp://x"})("1")


def test_the_description_says_where_the_code_runs():
    assert "Jupyter server" in CodeInterpreter({"server": "http://x"}).function["description"]


@pytest.fixture
def calling(run):
    """A session there whose code may call tools, and what notes the calls."""
    made = run.context.calls = Calls()
    yield run, made
    run.context.calls = None
    made.close()


def test_code_there_calls_the_tools(calling):
    run, calls = calling
    assert run("print(tools.double(x=4), await tools.double(5), input is not None)") == "8 10 True"
    said = run("""
print(await asyncio.gather(*(tools.meet(count=5) for _ in range(5))))
print([tools.meet(count=4) for _ in range(4)])
try: tools.fails()
except tools.ToolError as error: print(error)
print(len(tools.large(size=3_000_000)), len(tools.given('x' * 3_000_000, 1)['class']))
print(sum(tools.double(x=i) for i in range(300)), tools.given(**{'class': '\ud83d 中', 'b-c': 1.5}))
""")
    assert said.splitlines() == [
        "[5, 5, 5, 5, 5]",
        "[4, 4, 4, 4]",
        "it cannot be done",
        "3000000 3000000",
        f"{sum(2 * i for i in range(300))} " + "{'class': '� 中', 'b-c': 1.5}",
    ]
    assert run("print('half \\ud83d of it')").startswith("half ")
    assert "StdinNotImplementedError" in run("input('a question')")
    assert "time limit" in run("tools.slow(seconds=30)", timeout=1)
    assert calls.stopped == 1
    assert run("print(tools.double(x=2))") == "4"
    run.context.calls = None
    assert "the cell has ended" in run("tools.double(x=2)")


def test_what_calls_there_by_force_gets_nothing(calling):
    run, calls = calling
    run("import threading")
    run(RAW + AFTER_THE_END[1])
    time.sleep(0.5)
    run(RAW + FROM_A_FORK[1])
    run(RAW + "forged(cell=99); forged(cell=-1)")
    run("get_ipython().kernel._input_request('!', [], {}, False)", timeout=1)
    assert settled(calls, 0) == []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(RAW + "for i in range(20_000): forged(x=7, y='y' * 200)", timeout=60)
    assert len(calls.made) <= calls.most
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # kilobytes
    assert "restart" in run(RAW + BROKEN[1] + "\ntime.sleep(0.3); tools.double(x=2)")
    assert run("print(tools.double(x=2))", restart=True) == "4"


def test_a_kernel_that_is_too_old_is_refused_the_tools_in_one_line(run):
    run("get_ipython().kernel.stdin_socket = None")
    run.context.calls = SimpleNamespace(functions=[], most=1, side_by_side=1, loop=None, call=None)
    with pytest.raises(ToolRefused, match="Code in this kernel cannot reach the tools") as told:
        run("import tools; tools.double(x=1)")
    assert "ipykernel 6 or newer" in str(told.value)
    assert "\n" not in str(told.value)
    run.context.calls = None
    assert run("1 + 1") == "2"  # the session itself goes on
