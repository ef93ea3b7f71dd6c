"""Completion, guesses at commands, help in Chinese, `new`, and `doctor --fix`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from qwenbelt.apps import cli, help_words, mending
from qwenbelt.apps.doctor import DoctorFinding
from qwenbelt.apps.project import make_project
from qwenbelt.core.errors import InputError

PROGRAM = "from qwenbelt.apps.cli import main; main()"


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", **environment},
    )


def offered(line: str) -> list[str]:
    """Returns what Tab offers at the end of a line."""
    words = line.split(" ")
    found = run(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _QWENBELT_COMPLETE="bash_complete")
    return found.stdout.split()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("qwenbelt rep", ["plain,report", "plain,replay"]),
        ("qwenbelt run --endp", ["plain,--endpoint"]),
        ("qwenbelt run -e dashscope:qwen3-ma", ["plain,dashscope:qwen3-max"]),
        ("qwenbelt run -t plo", ["plain,plot"]),
        ("qwenbelt tools show plo", ["plain,plot"]),
        ("qwenbelt chat -a fnc", ["plain,fncall"]),
        ("qwenbelt report my", ["file,my"]),
        ("qwenbelt report a.pdf --out my", ["dir,my"]),
        ("qwenbelt trace sho", ["plain,show"]),
        ("qwenbelt completion z", ["plain,zsh"]),
    ],
)
def test_tab_offers_what_fits(line: str, wanted: list[str]) -> None:
    assert offered(line) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_script(shell: str, tmp_path: Path) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_QWENBELT_COMPLETE" in done.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(done.stdout, encoding="utf-8")
        check = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True)
        assert check.returncode == 0, check.stderr
    installed = run("completion", shell, "--install", HOME=str(tmp_path), XDG_DATA_HOME="")
    assert installed.returncode == 0
    assert len([p for p in tmp_path.rglob("*qwenbelt*") if p.is_file()]) == 1


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["rnu"], "run"),
        (["Report"], "report"),
        (["docter"], "doctor"),
        (["tools", "lsit"], "list"),
        (["run", "--endpiont", "x", "hi"], "--endpoint"),
    ],
)
def test_a_mistyped_command_is_answered_with_a_guess(words: list[str], guess: str) -> None:
    english, chinese = run(*words), run(*words, QWENBELT_LANG="zh")
    assert english.returncode == chinese.returncode == 2
    assert f"Did you mean {guess}" in english.stderr
    assert f"您是否想输入：{guess}" in chinese.stderr
    assert "mean" not in chinese.stderr
    assert "Did you mean" not in run("zzzzzz").stderr


def test_the_help_of_each_command_is_chinese() -> None:
    code = (
        "import click, json\nfrom qwenbelt.apps import cli\nsaid = {}\n"
        "def walk(command, context, path):\n"
        "    said[path] = command.get_help(context)\n"
        "    group = isinstance(command, click.Group)\n"
        "    for name in command.list_commands(context) if group else ():\n"
        "        below = command.get_command(context, name)\n"
        "        walk(below, click.Context(below, parent=context, info_name=name), path + [name])\n"
        "def walk_all():\n"
        "    root = cli.root()\n"
        "    from qwenbelt.apps.help_words import speak_chinese\n"
        "    speak_chinese()\n"
        "    walk(root, click.Context(root, info_name='qwenbelt'), [])\n"
    )
    code = code.replace("said[path] =", "said[' '.join(path)] =") + "walk_all()\n"
    code += "print(json.dumps(said))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "zh"},
    )
    said = json.loads(done.stdout)
    assert len(said) > 30
    for path, text in said.items():
        assert "Options:" not in text, path
        assert "Show this message" not in text, path
        lines = text.splitlines()
        assert lines[0].startswith("用法"), path
    missing = [path for path, text in said.items() if not _has_chinese(text.splitlines()[1:])]
    assert not missing
    english = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")  # a line of prose
    left = [
        f"{path}: {line.strip()}"
        for path, text in said.items()
        for line in text.splitlines()[1:]
        if english.search(line) and not _has_chinese([line])
    ]
    assert not left


def _has_chinese(lines: list[str]) -> bool:
    return any("\u4e00" <= c <= "\u9fff" for line in lines[:6] for c in line)


def test_the_catalogue_of_the_help_says_what_its_english_says() -> None:
    for english, chinese in help_words.chinese_help().items():
        assert any("\u4e00" <= c <= "\u9fff" for c in chinese) or english == chinese
        for mark in ("--out", "`-e local:NAME`", "review.csv", "QWENBELT_MCP_TOKEN"):
            assert (mark in english) <= (mark in chinese), english


def test_a_new_project_has_an_agent_whose_test_passes(tmp_path: Path) -> None:
    done = run("new", str(tmp_path / "mine"), "--name", "counter", "--json")
    made = json.loads(done.stdout)
    assert "agents/counter.md" in made["files"]
    assert ".github/workflows/test.yml" in made["files"]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        capture_output=True,
        encoding="utf-8",
    )
    assert tested.returncode == 0, tested.stdout
    again = run("new", str(tmp_path / "mine"), "--name", "counter")
    assert again.returncode == 1
    assert "there already" in again.stderr


@pytest.mark.parametrize("name", ["", "Ä", "../x", "a b", "1st"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no name"):
        make_project(tmp_path / "x", name)


@pytest.mark.parametrize(
    ("fix", "words"),
    [
        ('pip install "qwenbelt[ocr]"', ["install", "qwenbelt[ocr]"]),
        ("pip install a b", ["install", "a", "b"]),
        ("pip install x, or set QWENBELT_CJK_FONT to a font file.", ["install", "x"]),
        ("pip install --index-url http://evil x", []),
        ("Set workspace in qwenbelt.toml.", []),
        ("rm -rf /", []),
        ('pip install "', []),
    ],
)
def test_only_installations_are_done(fix: str, words: list[str]) -> None:
    assert mending.install_command(fix) == words


def test_a_fix_is_asked_for_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    ran: list[list[str]] = []
    monkeypatch.setattr(mending, "_pip_install", lambda words: ran.append(list(words)) or "")
    finding = DoctorFinding("extra ocr", False, "missing", 'pip install "qwenbelt[ocr]"', False)
    other = DoctorFinding("workspace", False, "no", "Set workspace in qwenbelt.toml.")
    monkeypatch.setattr(click, "confirm", lambda text, err: False)
    assert mending.fix_findings([finding, other], yes=False, quiet=False) == [finding, other]
    assert ran == []
    assert "by hand: Set workspace" in capsys.readouterr().out
    (fixed, _) = mending.fix_findings([finding, other], yes=True, quiet=True)
    assert fixed.ok
    assert ran == [["install", "qwenbelt[ocr]"]]


def test_an_installation_that_fails_says_why() -> None:
    assert "no-such-option-zz" in mending._pip_install(["install", "--no-such-option-zz"])


def test_the_root_knows_the_new_commands() -> None:
    names = cli.root().list_commands(click.Context(cli.root()))
    assert {"new", "completion"} <= set(names)
