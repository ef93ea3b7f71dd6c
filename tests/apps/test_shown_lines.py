"""What commands say in one line: full disks, names with line ends, empty indexes, guesses."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from qwenbelt.apps import cli

CODE = "from qwenbelt.apps.cli import main; main()"
FULL = Path("/dev/full")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command line in a folder of its own; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWENBELT_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.setenv("QWENBELT_LANG", "en")

    def call(*words: str) -> tuple[int, str, str]:
        return cli.run(words), *capsys.readouterr()

    return call


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "Error: The output cannot be written (No space left on device).\n"),
        ("zh", "错误：无法写入输出（设备上没有剩余空间）。\n"),
    ],
)
def test_a_full_disk_behind_stdout_is_no_internal_error(language: str, line: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "QWENBELT_LANG": language},
        )
    assert (done.returncode, done.stderr) == (1, line)


def test_a_folder_without_documents_and_an_empty_index_say_so(command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = command("docs", "add", "empty")
    assert (code, out, err) == (0, "", "Nothing was added: there is no document in empty.\n")
    _, _, err = command("docs", "search", "canal")
    assert err == "The index is empty. Take documents in with `qwenbelt docs add`.\n"


def test_a_name_with_a_line_end_stays_on_its_line(command, tmp_path: Path) -> None:
    (tmp_path / "two\nlines.txt").write_text("The canal was finished.", encoding="utf-8")
    _, out, _ = command("docs", "add", "two\nlines.txt")
    assert out == "two lines.txt: added, 1 page, 1 passage\n"
    _, out, _ = command("docs", "list")
    assert len(out.splitlines()) == 1
    _, _, err = command("docs", "search", "zeppelin")
    assert err == "Nothing found.\n"


def test_docs_speak_chinese(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    (tmp_path / "a.txt").write_text("运河已经完工。", encoding="utf-8")
    assert command("docs", "add", "a.txt")[1] == "a.txt：已加入，1 页，1 段\n"
    assert command("docs", "add", "a.txt")[1] == "a.txt：未变化，1 页，1 段\n"
    assert command("docs", "remove", "a.txt")[1] == "a.txt：已移除\n"
    assert command("docs", "search", "运河")[2] == "索引为空。请用 `qwenbelt docs add` 加入文档。\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["docs", "search"], "请给出查询或 --queries FILE.jsonl 之一。"),
        (["batch", "t.jsonl", "--out", "o", "--rate", "5"], "形式为 TASKS/SECONDS，例如 60/60"),
        (
            ["run", "hi", "--approve", "maybe"],
            "'maybe' 不在可选值 'untrusted', 'ask'",
        ),
        (["run", "hi", "--max-tokens", "x"], "'x' 不是有效的数字。"),
        (["run", "a", "b", "c"], "多余的参数（b c）"),
        (["mcp", "add", "x", "--env", "AB", "--", "ls"], "--env 的形式为 NAME=VALUE"),
    ],
)
def test_wrong_usage_is_told_in_chinese(
    command, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    cli.run(["--version"])  # click's own words are replaced by the first run
    code, _, err = command(*words)
    assert code == 2
    assert line in err


def test_a_word_of_what_commands_do_is_answered_with_them(command) -> None:
    assert "Did you mean report, run?" in command("ask")[2]


def test_a_report_of_nothing_is_wrong_usage(command) -> None:
    code, _, err = command("report", "--ask", "What?", "--out", "out")
    assert code == 2
    assert err.endswith("Error: Name one or more files.\n")


def test_a_name_like_markup_is_read_at_a_terminal(tmp_path: Path) -> None:
    for name in ("[b].txt", "[/b].txt", "[red]x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name.replace("/", "⁄")).write_text("The canal.", encoding="utf-8")
    folder = tmp_path / "[bold]"
    folder.mkdir()
    (folder / "b].txt").write_text("The canal.", encoding="utf-8")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", CODE, "docs", "add", str(tmp_path), "--index", "i.db"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        encoding="utf-8",
        env={**os.environ, "QWENBELT_LANG": "en", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode("utf-8", "replace")
    os.close(ours)
    assert done.returncode == 0, shown
    assert done.stdout.count("added") == 4
