"""Each extra taken away in turn: what needs it says in one line which command installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from qwenbelt.apps.table import COMMANDS, CommandTarget
from qwenbelt.core.extras import MODULES, missing_extra

# runs commands one after another in a process to which modules, and all below them, are missing
PROGRAM = """
import contextlib, importlib.abc, io, json, os, sys

gone, commands = json.loads(sys.argv[1]), json.loads(sys.argv[2])

class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(f"{name}.".startswith(f"{module}.") for module in gone):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Gone())
from qwenbelt.apps import cli

for command in commands:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        status = cli.run(command)
    print(json.dumps([command, status, out.getvalue()]))
"""
SCENARIO = "name: hello\nturns:\n  - text: Hello.\n"
Row = tuple[list[str], int, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "tasks.jsonl").write_text(json.dumps({"ask": "Hello?"}), encoding="utf-8")
    (tmp_path / "a.txt").write_text("Net sales were 12.", encoding="utf-8")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    return tmp_path


def run_without(
    modules: Sequence[str], commands: Sequence[Sequence[str]], folder: Path, **env: str
) -> list[Row]:
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QWENBELT", "OTEL"))}
    given = {"QWENBELT_WORKSPACE": str(folder / "w"), "QWENBELT_LANG": "en", **env}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(modules), json.dumps(commands)],
        cwd=folder,
        env={**kept, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


NEEDS: dict[str, list[list[str]]] = {
    "gui": [["gui", "-e", "scripted:s.yaml", "--port", "0"]],
    "local": [["run", "Hello?", "-e", "local:no-such.gguf"]],
    "embed": [["docs", "add", "a.txt", "--vectors", "offline", "--index", "v.db"]],
    "postgres": [["docs", "list", "--index", "postgresql://nobody@127.0.0.1:1/none"]],
    "qdrant": [["docs", "list", "--index", "qdrant:folder"]],
    "vision": [["inspect", "clip.mp4", "--out", "r.pdf", "-e", "scripted:s.yaml"]],
    "durable": [["batch", "tasks.jsonl", "--out", "b", "-e", "scripted:s.yaml"]],
    "otel": [["run", "Hello?", "-e", "scripted:s.yaml"]],
}


@pytest.mark.parametrize(
    ("extra", "module"),
    [(extra, module) for extra, modules in MODULES.items() if extra in NEEDS for module in modules],
)
def test_a_missing_part_of_an_extra_is_told_in_one_line(
    extra: str, module: str, folder: Path
) -> None:
    if extra == "vision" and module == "pillow_heif":
        pytest.skip("only HEIC pictures need it; see tests/inspection")
    if any(find_spec(other.partition(".")[0]) is None for other in MODULES[extra]):
        pytest.skip(f"the extra {extra} is not installed whole")
    env = {"QWENBELT_OTEL": "1"} if extra == "otel" else {}
    for command, status, words in run_without([module], NEEDS[extra], folder, **env):
        assert status != 0, command
        assert f'pip install "qwenbelt[{extra}]"' in words
        assert "Internal error" not in words
        assert len([line for line in words.splitlines() if "pip install" in line]) == 1


def test_a_scan_that_cannot_be_read_names_the_extra(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (600, 800), "white").save(folder / "scan.pdf")
    for module in MODULES["ocr"]:  # the reader is another process, which a hook does not reach
        stub = folder / "gone" / f"{module}.py"
        stub.parent.mkdir(exist_ok=True)
        stub.write_text("raise ModuleNotFoundError(__name__, name=__name__)\n", encoding="utf-8")
    command = ["docs", "add", "scan.pdf", "--index", "scan.db"]
    ((_, status, words),) = run_without([], [command], folder, PYTHONPATH=str(folder / "gone"))
    assert status == 0  # the file is known, and what it lacks is told
    assert 'it was not read: pip install "qwenbelt[ocr]"' in words


def test_all_help_works_without_any_extra(folder: Path) -> None:
    def names(members: dict[str, CommandTarget], before: list[str]) -> list[list[str]]:
        found = []
        for name, place in members.items():
            found.append([*before, name, "--help"])
            found += names(dict(place.members), [*before, name])
        return found

    commands = [["--help"], ["doctor", "--json"], *names(dict(COMMANDS), [])]
    everything = [module.partition(".")[0] for modules in MODULES.values() for module in modules]
    for command, status, words in run_without(everything, commands, folder):
        assert "Internal error" not in words, command
        if command[0] != "doctor":
            assert status == 0, (command, words)


def test_an_import_that_no_extra_owns_stays_what_it_is() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'x'", name="x")) is None
    assert missing_extra(ImportError("no name")) is None
    below = ModuleNotFoundError("…", name="opentelemetry.exporter")
    found = missing_extra(below)
    assert found is not None
    assert found.fix == 'pip install "qwenbelt[otel]"'
