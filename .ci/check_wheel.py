"""Builds sdist and wheel, and uses the wheel as a stranger would: nothing of the checkout is seen.

    python .ci/check_wheel.py [--keep FOLDER] [PYTHON...]

Both stay in FOLDER. For each interpreter (this one by default) a new environment gets the wheel,
then come `pip check`, the licences, the demo and the check of its citations, an MCP server called
by a client, a reply of the chat's page, and the tests of the pytest plugin, all from an empty
folder. Needs `build`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEEL_LIMIT = 2_900_000  # bytes; the demo's PDF and the code
PLUGIN_TESTS = ("conftest.py", "test_plugin.py", "test_golden.py", "test_public.py")


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--keep", type=Path)
    given.add_argument("interpreters", nargs="*", default=[sys.executable])
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as made:
        wheel = build(Path(made))
        contents(wheel)
        if options.keep:
            shutil.copytree(made, options.keep, dirs_exist_ok=True)
        for interpreter in options.interpreters:
            with tempfile.TemporaryDirectory() as folder:
                check(Path(folder), interpreter, wheel)


def build(folder: Path) -> Path:
    """Builds the sdist, and the wheel from the sdist, so that the sdist is known to be whole."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    for made in (sdist, wheel):
        say(f"{made.name}: {made.stat().st_size:,} bytes")
    return wheel


def contents(wheel: Path) -> None:
    """The wheel holds the package and nothing beside it, and stays small."""
    names = zipfile.ZipFile(wheel).namelist()
    outside = [n for n in names if not re.match(r"qwenbelt(/|-[\d.]+\.dist-info/)", n)]
    if outside or wheel.stat().st_size > WHEEL_LIMIT:
        sys.exit(f"{wheel.name}: {wheel.stat().st_size} bytes, not of the package: {outside[:5]}")
    say(f"{len(names)} files, all of the package; limit {WHEEL_LIMIT:,} bytes")


def check(folder: Path, interpreter: str, wheel: Path) -> None:
    run(interpreter, "-m", "venv", folder / "venv")
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    here = folder / "work"
    here.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("QWENBELT", "PYTHON"))},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "QWENBELT_WORKSPACE": str(here / "workspace"),
    }

    def inside(*words: object) -> str:
        return run(programs / str(words[0]), *words[1:], cwd=here, env=environment)

    inside("python", "-m", "pip", "install", "-q", f"{wheel}[gui]", "pytest>=8,<10", "packaging")
    inside("python", "-m", "pip", "check")
    home = inside("python", "-c", "import sys, qwenbelt.core as c; print(sys.version, c.__file__)")
    say(home)
    if str(folder) not in home.splitlines()[-1]:
        sys.exit(f"this is not the wheel: {home}")
    say(inside("python", ROOT / ".ci" / "licences.py").splitlines()[-1])
    say(inside("qwenbelt", "demo", "--scripted", "--out", "demo"))
    say(inside("qwenbelt", "report", "--verify", "demo"))
    server = {"command": "qwenbelt", "args": ["mcp", "serve", "memory", "--file", "memory.db"]}
    (here / "mcp.json").write_text(json.dumps({"mcpServers": {"memory": server}}), "utf-8")
    say(inside("qwenbelt", "mcp", "test", "mcp.json"))
    with chat(programs, here, environment) as url, urllib.request.urlopen(url) as reply:
        say(f"{url}: {reply.status}, {len(reply.read()):,} bytes")
    for name in PLUGIN_TESTS:
        shutil.copy(ROOT / "tests" / "testing" / name, here)
    shutil.copy(ROOT / "examples" / "regression_test.py", here)
    options = ("--import-mode=importlib", "-p", "no:cacheprovider", "-o", "python_files=*test*.py")
    say(inside("pytest", "-q", *options, ".").splitlines()[-1])


@contextmanager
def chat(programs: Path, here: Path, environment: dict[str, str]) -> Iterator[str]:
    """A chat server; gives its address once it has told it."""
    (here / "model.yaml").write_text("turns:\n  - answer: Hello.\n", encoding="utf-8")
    command = [programs / "qwenbelt", "gui", "-e", "scripted:model.yaml", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        found = (re.search(r"http://[\w.:]+", line) for line in process.stdout or ())
        yield next(match[0] for match in found if match)
    finally:
        process.terminate()
        process.wait(60)


def run(*words: object, **settings: object) -> str:
    """Runs a program to its end; what it prints is returned, or shown when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        **settings,  # type: ignore[call-overload]
    )
    line = " ".join(str(word) for word in words)[:100]
    print(f"$ {line}  ({time.monotonic() - began:.0f} s)", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nexit code {done.returncode}")
    return str(done.stdout).strip()


def say(text: str) -> None:
    print("  " + text.replace("\n", "\n  "), flush=True)


if __name__ == "__main__":
    main()
