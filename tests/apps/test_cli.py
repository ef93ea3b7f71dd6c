"""The command line as a whole: lazy commands, errors as one line, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from qwenbelt.apps import cli
from qwenbelt.apps.table import COMMANDS, CommandTarget
from qwenbelt.core.errors import (
    ConfigError,
    EndpointError,
    InputError,
    NoEndpointError,
    ToolRefused,
)

HEAVY = ("pydantic", "qwen_agent", "openai", "rich", "gradio", "numpy", "httpx", "mcp")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from qwenbelt.apps.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", **environment},
    )


EARLY = """
import signal, sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupted())
from qwenbelt.apps.program import main
main()
"""


@pytest.mark.parametrize(("language", "line"), [("en", "Interrupted.\n"), ("zh", "已中断。\n")])
def test_ctrl_c_before_there_is_a_command_line(language: str, line: str) -> None:
    """The program has its own lines to load first, seconds on a busy machine."""
    done = subprocess.run(
        [sys.executable, "-c", EARLY, "--help"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": language, "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr) == (130, line)
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert 'qwenbelt = "qwenbelt.apps.program:main"' in project.read_text(encoding="utf-8")


def test_help_lists_every_command_that_is_there_without_heavy_imports() -> None:
    code = (
        "import sys; from qwenbelt.apps.cli import run; run(['--help']);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stderr.strip() == "[]"
    for name in ("tools", "trace", "doctor"):
        assert f"\n  {name} " in done.stdout


def test_every_command_of_the_table_that_is_listed_can_be_imported() -> None:
    group = cli.root()
    context = click.Context(group)
    for name in group.list_commands(context):
        assert group.get_command(context, name) is not None, name


def test_help_speaks_chinese() -> None:
    done = run("--help", QWENBELT_LANG="zh")
    assert done.returncode == 0
    assert COMMANDS["doctor"].chinese in done.stdout


def test_version() -> None:
    done = run("--version")
    assert done.stdout.startswith("qwenbelt ")
    assert done.returncode == 0


@pytest.mark.parametrize("words", [("nonsense",), ("trace", "nonsense"), ("trace", "show")])
def test_wrong_usage_is_2(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_without_its_module_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "ghost", CommandTarget("A ghost.", "幽灵。", "ghost:ghost"))
    group = cli.root()
    assert "ghost" not in group.list_commands(click.Context(group))
    assert cli.run(["ghost"]) == 2


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command that raises what the list holds."""
    errors: list[BaseException] = []

    class Group:
        def main(self, *args: object, **kwargs: object) -> None:
            raise errors[0]

    monkeypatch.setattr(cli, "root", Group)
    monkeypatch.setenv("QWENBELT_LANG", "en")
    return errors


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("x.pdf: no such file."), 1, "Error: x.pdf: no such file."),
        (ConfigError("It is unset.", fix="Set it."), 2, "Error: It is unset. Set it."),
        (EndpointError("no answer\nfrom it"), 3, "Error: no answer from it"),
        (NoEndpointError("none found"), 3, "Error: none found"),
        (ToolRefused("not allowed"), 4, "Error: not allowed"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (click.Abort(), 130, "Interrupted."),
        (click.UsageError("what?"), 2, "Error: what?"),
        (RuntimeError("a bug"), 1, "Internal error: RuntimeError: a bug (--debug shows where)."),
        (InputError("key sk-abcdefghijklmnopqrstu"), 1, "Error: key [secret]"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    raising: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    raising.append(error)
    assert cli.run([]) == code
    assert capsys.readouterr().err == line + "\n"


def test_debug_shows_the_traceback_wherever_it_stands(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(InputError("x"))
    cli.run(["trace", "show", "--debug", "x"])
    assert "Traceback" in capsys.readouterr().err
    cli.run(["run", "--", "--debug"])
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path: object) -> None:
    code = "from qwenbelt.apps.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), errors) == (0, b"")
