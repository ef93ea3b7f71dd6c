"""The same tool in a container.

Without an engine here its command line is played by a script that runs the container's command on
this machine: the bridge, the kernel and the carrying of files are real, the walls are not. Where an
engine has the image (or QWENBELT_TEST_ENGINE and QWENBELT_TEST_IMAGE name them), the same tests run
in real containers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError, ToolRefused
from qwenbelt.tools.code_interpreter import launch, tool
from qwenbelt.tools.code_interpreter.options import SessionLimits, SessionOptions
from qwenbelt.tools.code_interpreter.remote_kernels.container import (
    IMAGE,
    find_engine,
    run_arguments,
)
from qwenbelt.tools.code_interpreter.sandbox.level import Layers
from tests.code_interpreter.test_calls_from_code import Calls

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the player needs POSIX")
ENGINE, TEST_IMAGE = (os.environ.get(f"QWENBELT_TEST_{n}", "") for n in ("ENGINE", "IMAGE"))
SECONDS = 120
PLAYER = """#!{python}
import os, signal, sys
place, words = {place!r}, sys.argv[1:]
if words[:2] == ["image", "inspect"]:
    sys.exit(0 if words[-1] == "here" else 1)
def end(process):
    for thread in os.listdir(f"/proc/{{process}}/task"):
        with open(f"/proc/{{process}}/task/{{thread}}/children") as file:
            for child in file.read().split():
                end(child)
    os.kill(int(process), signal.SIGKILL)
if words[0] == "rm":
    with open(f"{{place}}/{{words[-1]}}") as file:
        end(file.read())
    sys.exit(0)
name = words[words.index("--name") + 1]
with open(f"{{place}}/{{name}}", "w") as file:
    file.write(str(os.getpid()))
os.environ.update(HOME=place, TMPDIR=place, IPYTHONDIR=place)
os.environ.pop("DASHSCOPE_API_KEY", None)
os.execv(sys.executable, [sys.executable, *words[words.index("here") + 1:]])
"""


@pytest.fixture
def player(short_folder: Path) -> str:
    """The path of a script that takes an engine's command line."""
    place = short_folder / "place"
    place.mkdir()
    script = short_folder / "engine"
    script.write_text(PLAYER.format(python=sys.executable, place=str(place)), encoding="utf-8")
    script.chmod(0o755)
    return str(script)


@pytest.fixture(params=["played", "real"])
def cfg(request: pytest.FixtureRequest, player: str) -> dict[str, Any]:
    if request.param == "played":
        return {"isolation": "container", "engine": player, "image": "here"}
    engine = find_engine(SessionOptions(engine=ENGINE, image=TEST_IMAGE))
    if not engine:
        pytest.skip(f"no Docker or Podman with the image {TEST_IMAGE or IMAGE} here")
    return {"isolation": "container", "engine": engine, "image": TEST_IMAGE or IMAGE}


def test_code_runs_in_it_as_everywhere(make, cfg, tmp_path):
    run = make({**cfg, "allow_unsandboxed": False})
    source = tmp_path / "数据.csv"
    source.write_text("a\n1\n2\n", encoding="utf-8")
    run.context.files = {"数据.csv": source}
    code = """
import matplotlib.pyplot as plt
rows = open('数据.csv', encoding='utf-8').read().split()
plt.plot([int(n) for n in rows[1:]]); plt.show()
open('out.txt', 'w').write('made')
print('sum', sum(map(int, rows[1:])))
"""
    items = run.items(code)
    assert items[0].value.startswith("sum 3")
    assert [Path(i.value).name for i in items[1:]] == ["figure-1.png", "out.txt"]
    assert "ZeroDivisionError" in run("1 / 0")
    assert "time limit" in run("import time; kept = 1; time.sleep(300)", timeout=1)
    assert run("kept") == "1"
    assert len(run("print('x' * 10**6)")) < 40_000
    assert "crashed (exit code 3)" in run("import os; os._exit(3)")
    assert run("open('out.txt').read()") == "'made'"
    assert "restarted" in run("", restart=True)


def test_code_in_it_calls_the_tools(make, cfg):
    run, calls = make(cfg), Calls()
    run.context.calls = calls
    try:
        said = run("print(await asyncio.gather(*(tools.meet(count=3) for _ in range(3))))")
        assert said == "[3, 3, 3]"
        assert run("print(tools.double(x=2), len(tools.large(size=3_000_000)))") == "4 3000000"
    finally:
        calls.close()


@pytest.mark.slow
def test_what_cannot_be_interrupted_is_ended(make, cfg):
    run = make(cfg)
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    assert "gone" in run(code, timeout=1)
    assert run("6 * 7") == "42"


_HOST = """
import sys
from pathlib import Path
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.code_interpreter.tool import CodeInterpreter
folder, engine, image = sys.argv[1:]
tool = CodeInterpreter({"isolation": "container", "engine": engine, "image": image})
context = ToolContext(session="killed", folder=Path(folder))
print(tool.call({"code": "import os; os.getppid()"}, context=context)[0].text, flush=True)
tool.call({"code": "import time; time.sleep(300)", "timeout": 300}, context=context)
"""


def test_it_ends_with_a_host_that_is_killed(player, tmp_path):
    command = [sys.executable, "-c", _HOST, str(tmp_path), player, "here"]
    host = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert host.stdout is not None
    with host.stdout:
        first = int(host.stdout.readline())  # the bridge, the container's first process
        host.send_signal(signal.SIGKILL)
        host.wait()
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{first}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{first}").exists()


def test_the_limits_are_the_engines_to_keep(tmp_path):
    limits = SessionLimits(
        memory=1 << 30, disk=200 << 20, processes=50, open_files=99, cpu_seconds=7
    )
    words = run_arguments("n", SessionOptions(limits=limits, read_only=(tmp_path,), image="i"))
    line = " ".join(words)
    for wanted in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 65534:65534",
        "--pull never",
        f"--memory {1 << 30} ",
        f"--memory-swap {1 << 30} ",
        "--pids-limit 50",
        f"size={150 << 20},",
        f"--shm-size {50 << 20}",
        "--ulimit=nofile=99:99",
        "--ulimit=cpu=7:7",
        f"--volume={tmp_path}:{tmp_path}:ro",
    ):
        assert wanted in line


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_the_real_command_line_takes_the_arguments(name):
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    words = run_arguments("n", SessionOptions(image="qwenbelt/no-such-image"))
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode != 0  # there is no such image, or no engine behind the program
    assert "flag" not in done.stderr
    assert "invalid" not in done.stderr


def test_without_an_engine_it_is_refused_with_the_mend(make):
    run = make({"isolation": "container", "engine": "no-such-engine", "image": "some/image"})
    with pytest.raises(ToolRefused, match="docker pull some/image"):
        run("1")


@pytest.mark.parametrize("option", [{"network": True}, {"packages": ["x"]}])
def test_what_containers_do_not_have_is_said(make, player, option):
    run = make({"isolation": "container", "engine": player, "image": "here", **option})
    with pytest.raises(ConfigError, match="not available in containers"):
        run("1")


def test_it_takes_over_where_the_layers_are_missing(make, player, monkeypatch):
    async def none(self: object) -> Layers:
        return Layers()

    monkeypatch.setattr(launch.Launcher, "layers", none)
    monkeypatch.setattr(tool, "layers", Layers)
    run = make({"engine": player, "image": "here", "allow_unsandboxed": False})
    assert "(engine container)" in run.tool.function["description"]
    assert run("6 * 7") == "42"
