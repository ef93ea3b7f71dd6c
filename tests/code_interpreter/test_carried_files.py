"""What the sandbox made is carried out without harm, and one file's trouble is only a note."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from qwenbelt.core.trace import TraceWriter
from qwenbelt.tools.code_interpreter.sandbox.level import layers
from qwenbelt.tools.documents.stores.sqlite_schema import Connections

MB = 1 << 20
on_linux = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="descriptors of folders")


def _mode(name: str) -> str:
    found = layers()
    if name == "namespaces" and not found.namespaces:
        pytest.skip("no namespaces here")
    if name == "landlock" and not found.landlock:
        pytest.skip("no Landlock here")
    return name


def _blocks(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["folder", "file", "nested"])
def test_a_link_in_the_session_folder_leads_no_writing_elsewhere(make, tmp_path, kind):
    there = tmp_path / "there"
    there.mkdir()
    precious = there / "precious.txt"
    precious.write_text("mine", encoding="utf-8")
    run = make({"isolation": _mode("namespaces")})
    folder = run.context.folder
    if kind == "folder":
        (folder / "data").symlink_to(there)
    elif kind == "file":
        (folder / "data").mkdir()
        (folder / "data" / "precious.txt").symlink_to(precious)
    else:
        (folder / "data").mkdir()
        (folder / "data" / "deep").symlink_to(there)
    deep = "data/deep" if kind == "nested" else "data"
    code = f"import os; os.makedirs({deep!r}, exist_ok=True)\n"
    code += f"for n in ('precious.txt', 'new.txt'): open({deep!r} + '/' + n, 'w').write('EVIL')\n"
    text = run(code + "print('done')")
    assert "done" in text
    assert {path.name: path.read_text("utf-8") for path in there.iterdir()} == {
        "precious.txt": "mine"
    }


@pytest.mark.parametrize(
    ("first", "second", "there"),
    [
        (
            "open('out', 'w').write('1')",
            "os.remove('out'); os.mkdir('out'); open('out/x', 'w').write('2')",
            {"out/x": "2"},
        ),
        (
            "os.makedirs('d/e'); open('d/e/x', 'w').write('1')",
            "shutil.rmtree('d'); open('d', 'w').write('2')",
            {"d": "2"},
        ),
        ("x = 1", f"open({'文' * 83 + '.txt'!r}, 'w').write('2')", {"文" * 83 + ".txt": "2"}),
    ],
)
def test_names_change_their_kind_and_the_session_goes_on(make, first, second, there):
    run = make({"isolation": _mode("namespaces")})
    run(f"import os, shutil; kept = 7; {first}")
    assert "done" in run(f"{second}; print('done')")
    assert "next 7" in run("print('next', kept)")
    folder = run.context.folder
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert {name: path.read_text("utf-8") for name, path in found.items()} == there


def test_what_cannot_be_carried_is_named_once_and_a_persons_file_stays(make):
    run = make({"isolation": _mode("namespaces")})
    folder = run.context.folder
    (folder / "plan").write_text("a person's", encoding="utf-8")
    run("import os; os.remove('plan'); os.mkdir('plan'); open('plan/x', 'w').write('1')")
    text = run("os.mkfifo('pipe'); print('done')")
    assert "done" in text
    assert "pipe" in text
    assert (folder / "plan").read_text(encoding="utf-8") == "a person's"
    assert run("print('again')") == "again"


@pytest.mark.parametrize(
    "code",
    [
        "for i in range(20):\n    with open(f's{i}', 'wb') as f: f.truncate(7 << 20)",
        "import os\nopen('a', 'wb').write(os.urandom(7 << 20))\n"
        "for i in range(20): os.link('a', f's{i}')",
    ],
    ids=["sparse", "hard links"],
)
def test_files_take_no_more_of_the_machine_than_the_session_may(make, code):
    run = make({"isolation": _mode("namespaces"), "limits": {"disk": 8 * MB}})
    run(code)
    assert _blocks(run.context.folder) <= 8 * MB


def test_the_limit_of_disk_is_the_sessions_and_not_the_kernels(make):
    limits = {"disk": 4 * MB, "input_file": MB}
    run = make({"isolation": _mode("namespaces"), "limits": limits})
    for number in range(4):
        text = run(
            f"import os; open('f{number}', 'wb').write(os.urandom(3 << 20)); print('done')",
            restart=True,
        )
        assert "done" in text
    assert _blocks(run.context.folder) <= 5 * MB
    assert "limit of disk" in text


def test_a_pipe_under_any_temporary_name_holds_nobody_up(make):
    run = make({"isolation": _mode("landlock")})
    run(
        "import os\n"
        f"for pid in {{os.getppid(), os.getpid(), {os.getpid()}}}: "
        "os.mkfifo(f'.figure-1.png.{pid}.tmp')"
    )
    got: list[str] = []
    draw = "import matplotlib.pyplot as p; p.plot([1, 2]); p.show(); print('drawn')"
    thread = threading.Thread(target=lambda: got.append(run(draw)), daemon=True)
    thread.start()
    thread.join(30)
    assert "drawn" in got[0]


@on_linux
def test_code_writes_neither_to_the_runs_trace_nor_to_an_open_index(make):
    run = make({"isolation": _mode("namespaces")})
    trace, index = run.context.folder / "trace.jsonl", run.context.folder / "index.db"
    with TraceWriter(trace) as writer:
        writer.note("begun")
        connections = Connections(index)
        connections.get()
        said = "for n in ('trace.jsonl', 'index.db', 'index.db-journal', 'own.txt'):\n"
        text = run(said + "    open(n, 'w').write('EVIL')\nprint('done')")
        writer.note("ended")
    connections.close()
    assert "done" in text
    assert "trace.jsonl" in text
    assert "EVIL" not in trace.read_text("utf-8")
    assert trace.read_text("utf-8").count("\n") == 2
    assert index.read_bytes().startswith(b"SQLite format 3")
    assert not (run.context.folder / "index.db-journal").exists()
    assert (run.context.folder / "own.txt").read_text("utf-8") == "EVIL"
    run("open('trace.jsonl', 'w').write('later')")  # a run that is over keeps nothing
    assert trace.read_text("utf-8") == "later"


def test_a_file_that_a_person_gave_is_not_written_over(make, tmp_path):
    run = make({"isolation": _mode("namespaces")})
    given = tmp_path / "given.csv"
    given.write_text("a\n1\n")
    run.context.files = {"given.csv": given}
    text = run("open('given.csv', 'w').write('b'); open('made.csv', 'w').write('c')")
    assert "given.csv" in text
    assert "given by a person" in text
    assert (run.context.folder / "given.csv").read_text() == given.read_text() == "a\n1\n"
    assert (run.context.folder / "made.csv").read_text() == "c"
    assert "given by a person" not in run("import os; os.unlink('given.csv')")
    assert (run.context.folder / "given.csv").is_file()
