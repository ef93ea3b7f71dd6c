"""What scripts do that were not written for a session: it goes on, and says what happened."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sessions are forked on Linux")
Runner = Any

STREAMS = {
    "reconfigure": "import sys; sys.stdout.reconfigure(encoding='utf-8'); print('中文')",
    "wrapped": "import sys, io\n"
    "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nprint('中文')",
    "codecs": "import sys, codecs\n"
    "sys.stdout = codecs.getwriter('utf-8')(sys.stdout.detach())\nprint('中文')",
    "bytes": "import sys; a, b = '中文'.encode()[:2], '中文'.encode()[2:]\n"
    "out = sys.stdout.buffer; out.write(a); out.write(b); None",
    "closed": "import sys; sys.stdout.close(); print('中文')",
    "with": "import sys\nwith sys.stdout as out: _ = out.write('中文')",
}


@pytest.mark.parametrize("code", STREAMS.values(), ids=STREAMS)
def test_standard_output_can_be_wrapped_and_closed(shared: Runner, code: str) -> None:
    assert shared(code).strip() == "中文"
    assert shared("print('after')") == "after"


@pytest.mark.parametrize("put", ["None", "io.StringIO()", "open('log.txt', 'w')"])
def test_output_that_went_elsewhere_is_told_and_later_cells_print(shared: Runner, put: str) -> None:
    said = shared(f"import io, sys\nsys.stdout = {put}\nprint('lost')")
    assert said.startswith("[sys.stdout was replaced by the code")
    assert shared("print('after')") == "after"


def test_a_folder_that_is_gone_is_left(shared: Runner) -> None:
    said = shared("import os; os.makedirs('q/r'); os.chdir('q/r'); print(os.getcwd())")
    inner = Path(said.splitlines()[0])
    said = shared("import shutil; shutil.rmtree('../../q')")
    assert said == f"[the current folder was removed; it is now {inner.parent.parent}]"
    assert shared("open('kept.txt', 'w').write('x')").startswith("1")


def test_ways_to_end(shared: Runner) -> None:
    said = shared("import sys\nprint('a')\nsys.exit()\nprint('b')")
    assert said == "a\n[sys.exit() ended the cell; the session goes on]"
    assert shared("sys.exit('no such column')") == "SystemExit: no such column"
    assert shared("print('a'); sys.exit(3)") == "a\nSystemExit: 3"
    assert shared("!exit 4") == "[exit code 4]"
    assert shared("!true") == "Done; nothing was printed."
    # a child that goes on to the cell's end, or exits as scripts do, is no second session
    assert shared("import os\nif os.fork() == 0: sys.exit(0)\nprint(os.wait()[1])") == "0"
    assert shared("child = os.fork()\nif child: print(os.waitpid(child, 0)[1])") == "0"
    assert shared("print('after')") == "after"


BACKENDS = ["Agg", "TkAgg", "svg"]


@pytest.mark.parametrize("name", BACKENDS)
def test_figures_show_whichever_backend_is_asked_for(shared: Runner, name: str) -> None:
    pytest.importorskip("matplotlib")
    code = f"import matplotlib\nmatplotlib.use({name!r})\nimport matplotlib.pyplot as plt\n"
    items = shared.items(f"{code}plt.switch_backend({name!r}); plt.plot([1]); plt.show()")
    assert [os.path.basename(i.value) for i in items if i.kind == "image"]


def test_pillow_shows_and_missing_fonts_are_not_told_one_by_one(shared: Runner) -> None:
    pytest.importorskip("matplotlib")
    items = shared.items("from PIL import Image\nImage.new('RGB', (9, 9)).show()")
    assert [i.kind for i in items if i.kind != "text"] == ["image"]
    items = shared.items("plt.xkcd(); plt.plot([1]); plt.show(); plt.rcdefaults()")
    assert not "".join(i.value for i in items if i.kind == "text")


HINTS = {
    "__file__": ("print(__file__)", "no __file__"),
    "windows": (r"open('C:\\data\\x.csv')", "working folder"),
    "sandbox": ("open('sandbox:/mnt/data/x.csv')", "working folder"),
    "encoding": ("open('g', 'wb').write('甲'.encode('gbk')); open('g').read()", "gb18030"),
    "network": ("raise OSError('[Errno -3] Temporary failure in name resolution')", "no such host"),
}


@pytest.mark.parametrize(("code", "hint"), HINTS.values(), ids=HINTS)
def test_hints(shared: Runner, code: str, hint: str) -> None:
    told = [line for line in shared(code).splitlines() if line.startswith("Hint: ")]
    assert len(told) == 1
    assert hint in told[0]


def test_a_package_that_was_only_tried_is_no_hint(shared: Runner) -> None:
    said = shared("try: import nosuchpackage\nexcept ImportError: raise KeyError('another')")
    assert "Hint" not in said
