"""Reading in other processes: crashes, hangs, errors, resuming after being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing import worker_pool as workers
from qwenbelt.tools.documents.parsing.worker_pool import Workers

PAGE = "BT /F1 10 Tf 72 700 Td (The harbour was closed in winter.) Tj ET"

# a reader that dies on page 2 and never answers on page 4
TREACHEROUS = """
import json, os, sys, time
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.worker import encode
def main():
    for line in sys.stdin:
        for number in json.loads(line)["pages"]:
            if number == 2:
                os._exit(11)
            if number == 4:
                time.sleep(60)
            print(json.dumps(dict(page=encode(Page(number, text=str(number))))), flush=True)
        print(json.dumps(dict(done=True)), flush=True)
"""


def test_pages_that_kill_or_stop_their_reader_are_left_out(
    use_reader, monkeypatch, tmp_path: Path
) -> None:
    use_reader(TREACHEROUS)
    monkeypatch.setattr(workers, "PAGE_SECONDS", 3.0)
    pool = Workers(1)
    try:
        pages = list(pool.read(tmp_path / "x.pdf", range(1, 7), None, layout=True))
    finally:
        pool.close()
    assert [p.number for p in pages] == [1, 2, 3, 4, 5, 6]
    assert [p.text for p in pages] == ["1", "", "3", "", "5", "6"]
    assert [bool(p.notes) for p in pages] == [False, True, False, True, False, False]


def test_a_file_of_endless_pages_ends(use_reader, monkeypatch, tmp_path: Path) -> None:
    """Every other page hangs: the first is waited for, the next ones less, the rest not at all."""
    endless = TREACHEROUS.replace("number == 2", "number == 0").replace("== 4", "% 2 == 0")
    use_reader(endless)
    monkeypatch.setattr(workers, "PAGE_SECONDS", 4.0)
    monkeypatch.setattr(workers, "MAX_STUCK", 3)
    pool = Workers(2)
    began = time.monotonic()
    try:
        pages = list(pool.read(tmp_path / "x.pdf", range(1, 1001), None, layout=True))
    finally:
        pool.close()
    assert time.monotonic() - began < 60  # not 500 x 4 s
    assert sorted(p.number for p in pages) == list(range(1, 1001))
    assert sum("it makes its reader fail" in note for p in pages for note in p.notes) in (3, 4)
    left_out = [p for p in pages if any("other pages" in note for note in p.notes)]
    assert len(left_out) > 900
    assert all(p.text == str(p.number) for p in pages if not p.notes)


def test_document_that_kills_its_reader_is_refused(use_reader, tmp_path: Path) -> None:
    use_reader("import os; os._exit(11)")
    pool = Workers(1)
    with pytest.raises(InputError, match=r"x\.pdf: cannot be read"):
        pool.open(tmp_path / "x.pdf", None, layout=True)


def test_a_document_that_is_not_opened_in_time_is_not_called_damaged(
    use_reader, monkeypatch, tmp_path: Path
) -> None:
    use_reader("import time\ndef main():\n    time.sleep(60)\n")
    monkeypatch.setattr(workers, "OPEN_SECONDS", 0.2)
    pool = Workers(1)
    with pytest.raises(InputError, match=r"x\.pdf: could not be opened in time"):
        pool.open(tmp_path / "x.pdf", None, layout=True)


HALTED = """
import json, os, signal, sys
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.worker import encode
def main():
    for line in sys.stdin:
        for number in json.loads(line)["pages"]:
            if number == 3:
                os.kill(os.getpid(), signal.SIGSTOP)
            print(json.dumps(dict(page=encode(Page(number, text=str(number))))), flush=True)
        print(json.dumps(dict(done=True)), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell states of threads")
def test_a_reader_that_is_given_no_processor_loses_no_page(
    use_reader, monkeypatch, tmp_path: Path
) -> None:
    """A busy machine left 143 of 160 pages empty, and the index kept them so."""
    use_reader(HALTED)
    monkeypatch.setattr(workers, "PAGE_SECONDS", 1.0)
    monkeypatch.setattr(workers, "_SLACK", 1.5)
    pool = Workers(1)
    try:
        pages = pool.read(tmp_path / "x.pdf", range(1, 5), None, layout=True)
        with pytest.raises(InputError, match=r"x\.pdf: could not be read in time") as told:
            list(pages)
    finally:
        pool.close()
    assert "less busy" in str(told.value.fix)


def test_errors_come_back_as_they_are(tmp_path: Path) -> None:
    pool = Workers(1)
    try:
        with pytest.raises(InputError, match="no such file"):
            pool.open(tmp_path / "x.pdf", None, layout=True)
    finally:
        pool.close()


def test_several_processes_read_what_one_reads(make_pdf) -> None:
    pages = [PAGE.replace("winter", f"winter {n}") for n in range(50)]
    path = make_pdf("long.pdf", pages)
    texts = []
    for count in (0, 2):
        with DocumentIndex(workers=count) as index:
            index.add(path)
            texts.append([p.text for p in index.pages("long.pdf")])
    assert texts[0] == texts[1]
    assert "winter 49" in texts[0][49]


def test_standard_output_stays_clean(make_pdf, tmp_path: Path) -> None:
    path = make_pdf("a.pdf", [PAGE])
    code = (
        "import sys; from qwenbelt.tools.documents import DocumentIndex\n"
        "with DocumentIndex(sys.argv[1]) as index: print(index.add(sys.argv[2])[0].state)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "i.db"), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "added\n"
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_while_taking_in_files_nothing_is_lost_or_double(make_pdf, tmp_path: Path) -> None:
    files = [
        make_pdf(f"{n}.pdf", [PAGE.replace("winter", f"winter {n} {p}") for p in range(120)])
        for n in range(6)
    ]
    path = tmp_path / "i.db"
    code = "import sys; from qwenbelt.tools.documents import DocumentIndex\n"
    code += "DocumentIndex(sys.argv[1]).add(sys.argv[2:])"
    process = subprocess.Popen([sys.executable, "-c", code, str(path), *map(str, files)])
    deadline = time.monotonic() + 60
    done: list[str] = []
    while len(done) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        if path.exists():
            with DocumentIndex(path) as index:
                done = [d.file for d in index.documents()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with DocumentIndex(path) as index:
        states = [a.state for a in index.add(files)]
        assert states.count("unchanged") >= len(done)
        assert [d.file for d in index.documents()] == [f.name for f in files]
        for file in files:
            assert [p.number for p in index.pages(file.name)] == list(range(1, 121))
            assert len(index.search("harbour", 500, files=[file.name])) == 120


def test_pages_that_nobody_reads_on_may_be_collected_in_a_reading_thread(
    use_reader, tmp_path: Path
) -> None:
    """The collector comes by in any thread; this one printed "cannot join current thread"."""
    use_reader(TREACHEROUS.replace("== 2", "== 0").replace("== 4", "== 0"))
    held: list[Iterator[Page]] = []
    first, last = threading.Event(), threading.Event()

    class Collected(Workers):
        def _read_some(self, request: Any, pages: Any, patience: Any) -> None:
            super()._read_some(request, pages, patience)
            if request["pages"][0] > 1:
                first.wait()
                held.clear()  # the last to know it: it is ended here
                last.set()

    pool = Collected(1)
    held.append(pool.read(tmp_path / "x.pdf", range(1, 9), None, layout=True, size=1))
    try:
        assert next(held[0]).number == 1
        first.set()
        last.wait()
    finally:
        pool.close()


ENDLESS = """
import json, os, pathlib, sys, time
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.worker import encode
def main():
    for line in sys.stdin:
        asked = json.loads(line)
        for number in asked["pages"]:
            if number == 3:  # under its name when it is whole
                pathlib.Path(asked["path"] + ".new").write_text(str(os.getpid()))
                os.replace(asked["path"] + ".new", asked["path"] + ".pid")
            while number == 3 and not os.path.exists(asked["path"] + ".go"):
                time.sleep(0.01)
            if number == 4:
                time.sleep(3600)
            print(json.dumps(dict(page=encode(Page(number, text=str(number))))), flush=True)
        print(json.dumps(dict(done=True)), flush=True)
"""


@pytest.mark.timeout(120)
def test_what_is_left_waits_for_a_page_and_not_for_its_whole_range(
    use_reader, monkeypatch, tmp_path: Path
) -> None:
    """Ctrl-C in `docs add` waited for sixteen pages: ten seconds of OCR."""
    use_reader(ENDLESS)
    monkeypatch.setattr(workers, "PAGE_SECONDS", 3600.0)
    pool, number = Workers(1), tmp_path / "x.pdf.pid"
    reading = pool.read(tmp_path / "x.pdf", range(1, 5), None, layout=True, size=2)
    assert next(reading).number == 1
    while not number.exists():
        time.sleep(0.01)
    reading.close()
    (tmp_path / "x.pdf.go").touch()
    while _lives(int(number.read_text())):
        time.sleep(0.01)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
