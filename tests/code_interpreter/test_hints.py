"""What a model should be told about what it met; and text that no encoding takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.code_interpreter.hints import hints
from qwenbelt.tools.code_interpreter.outcome import CellOutcome, plain
from qwenbelt.tools.code_interpreter.text import sendable

Runner = Any


def test_half_an_emoji_loses_nothing(shared: Runner) -> None:
    printed = shared("x = 'caf\\u00e9 \\ud83d'\nprint(x)\nprint('total 42')\nx")
    assert "café" in printed
    assert "total 42" in printed
    assert "Traceback" not in printed
    raised = shared("raise ValueError('caf\\ud83d')")
    assert "ValueError" in raised
    assert "nothing was printed" not in raised
    shown = shared("from IPython.display import HTML\nHTML('<b>\\ud83d</b>')\nprint('below')")
    assert "below" in shown
    assert "é 1" in shared("print('é', 1)"), "the session goes on"


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_sent(text: str) -> None:
    sendable(text).encode()
    plain(text).encode()
    if text.isascii():
        assert sendable(text) == text


def test_pairs_are_joined_and_halves_replaced() -> None:
    assert sendable("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert sendable("a\ud83d") == "a\N{REPLACEMENT CHARACTER}"


def test_chinese_under_styles_and_families(shared: Runner) -> None:
    pytest.importorskip("PIL")
    from qwenbelt.tools.plot.fonts import cjk_font

    if cjk_font() is None:
        pytest.skip("there is no font with Chinese characters here")
    said = shared("""
import matplotlib.pyplot as plt, numpy as np
def ink(text, **how):
    figure = plt.figure(figsize=(1, .5)); figure.text(.1, .4, text, fontsize=14, **how)
    figure.canvas.draw(); pixels = np.asarray(figure.canvas.buffer_rgba()).copy(); plt.close(figure)
    return pixels
boxes = []
for style in plt.style.available:
    with plt.style.context(style):
        if np.array_equal(ink("测试"), ink("图表")): boxes.append(style)
for family in ("KaiTi", "FangSong", "monospace", "serif", "sans-serif", "Arial", "no such font"):
    if np.array_equal(ink("测试", family=family), ink("图表", family=family)): boxes.append(family)
plt.rcParams["font.sans-serif"] = ["Arial"]
if np.array_equal(ink("测试"), ink("图表")): boxes.append("rcParams")
print("BOXES", boxes)
""")
    assert "BOXES []" in said


def test_chinese_in_seaborn(make) -> None:
    pytest.importorskip("seaborn", reason="the extra `data`")
    from qwenbelt.tools.plot.fonts import cjk_font

    if cjk_font() is None:
        pytest.skip("there is no font with Chinese characters here")
    said = make()("""
import warnings, seaborn as sns, matplotlib.pyplot as plt
warnings.simplefilter("error")
for style in ("whitegrid", "ticks"):
    sns.set_theme(style=style)
    axes = sns.barplot(x=["苹果", "梨"], y=[1, 2]); axes.set_title("销量")
    axes.figure.canvas.draw()
    plt.close("all")
print("DRAWN")
""")
    assert "DRAWN" in said
    assert "Glyph" not in said


def test_scripts_call_asyncio_run(shared: Runner) -> None:
    first = shared("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 6 * 7\n"
                   "print('value', asyncio.run(f()))")  # fmt: skip
    assert "value 42" in first
    stopped = shared("asyncio.run(asyncio.sleep(60))", timeout=1)
    assert "time limit of 1 s" in stopped
    assert "kept" in stopped
    raised = shared("async def g(): raise KeyError('k')\nasyncio.run(g())")
    assert "KeyError: 'k'" in raised
    assert "never awaited" not in shared("import gc; gc.collect()")


def test_the_shell_has_the_sessions_python(shared: Runner) -> None:
    said = shared("import sys, subprocess\n!python -c 'import sys; print(sys.prefix)'\n"
                  "print(subprocess.run(['python', '-c', 'import pandas; print(\"P\")'], "
                  "capture_output=True, text=True).stdout)\nprint(sys.prefix)")  # fmt: skip
    prefix, _, own = [line for line in said.splitlines() if line.strip()]
    assert prefix == own
    assert "P" in said
    assert own.strip() in shared("!pip --version")


def test_a_plotly_figure_is_a_picture_where_it_can_be(monkeypatch) -> None:
    import sys
    import types

    plotly = pytest.importorskip("plotly.io", reason="the extra `data`")
    from qwenbelt.tools.code_interpreter.inside.plotly_figures import FIGURE, drawn

    monkeypatch.setitem(sys.modules, "kaleido", types.ModuleType("kaleido"))
    monkeypatch.setattr(plotly, "to_image", lambda figure, kind, validate: b"PNG")
    shown = drawn({FIGURE: {"data": [{"type": "bar", "y": [1]}], "layout": {}}})
    assert shown["image/png"] == "UE5H"
    assert "Plotly.newPlot" in shown["text/html"]


def test_packages_that_a_hint_names_are_in_the_extra() -> None:
    import re
    from importlib.metadata import requires

    from qwenbelt.tools.code_interpreter.hints import DATA_PACKAGES

    lines = [line for line in requires("qwenbelt") or [] if "extra == " in line]
    extra = {
        re.split(r"[<>=;\\[ ]", line)[0] for line in lines if re.search("extra == .data.", line)
    }
    assert set(DATA_PACKAGES.values()) <= extra


def missing(name: str) -> CellOutcome:
    return CellOutcome(error=f"No module named '{name}'", error_name="ModuleNotFoundError")


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        (CellOutcome(error="No such file or directory: '/mnt/data/x.csv'"), "", "use 'x.csv'"),
        (CellOutcome(error="No such file or directory: '/content/y.csv'"), "", "There now: x.csv"),
        (CellOutcome(error="RuntimeError: This event loop is already running"), "", "await"),
        (CellOutcome(stdout="  a ... z\n\n[5 rows x 40 columns]\n"), "", "40 columns"),
        (
            CellOutcome(stderr="Glyph 3588 (\\N{THAI CHARACTER KO KAI}) missing from font(s) D."),
            "",
            "Thai",
        ),
        (
            CellOutcome(stderr="Glyph 128512 (\\N{GRINNING FACE}) missing from font(s) D."),
            "",
            "emoji",
        ),
        (missing("sklearn.svm"), "", 'qwenbelt[data]"'),
        (missing("left_pad"), "", "packages=[...]"),
        (
            CellOutcome(stdout="ERROR: No matching distribution found"),
            "!pip install x",
            "packages=",
        ),
    ],
)
def test_hints(outcome: CellOutcome, code: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    (line,) = hints(outcome, code, tmp_path, "en")
    assert told in line
    (chinese,) = hints(outcome, code, tmp_path, "zh")
    assert chinese.startswith("提示")


def test_no_hints_where_all_is_well(tmp_path: Path) -> None:
    assert not hints(CellOutcome(stdout="[5 rows]\nopen('/mnt/data')"), "print(1)", tmp_path, "en")


@pytest.mark.parametrize("shown", ["figure", "figure.show()"])
def test_a_plotly_figure_is_a_page_that_needs_no_network(make, shown):
    pytest.importorskip("plotly", reason="the extra `data`")
    pytest.importorskip("nbformat", reason="the extra `data`")
    run = make()
    text = run(
        "import plotly.graph_objects as go\n"
        f"figure = go.Figure(go.Bar(x=['a', 'b'], y=[3, 4711]))\n{shown}"
    )
    pages = list(run.context.folder.rglob("*.html"))
    assert len(pages) == 1, text
    page = pages[0].read_text("utf-8")
    assert "4711" in page
    assert '<script src="http' not in page
    assert "Plotly.newPlot" in page
