import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbelt.core.errors import InputError
from qwenbelt.tools.plot import draw as drawing
from qwenbelt.tools.plot.chart import ChartArguments
from qwenbelt.tools.plot.draw import Drawn, draw_chart

CHARTS: list[dict[str, Any]] = [
    {"kind": "line", "labels": [2020, 2021, 2022], "series": {"a": [1, None, 3], "b": [2, 3, 4]}},
    {"kind": "line", "labels": ["Q1", "Q2"], "series": [[1, 2]]},
    {"kind": "bar", "labels": ["a", "b"], "series": {"s": [1, -2], "t": [3, None]}},
    {"kind": "bar", "labels": ["a", "b"], "series": {"s": [1, -2], "t": [3, 4]}, "stacked": True},
    {"kind": "bar", "labels": ["a", "b"], "series": [[1, 20]], "horizontal": True},
    {"kind": "bar", "labels": ["a", "b"], "series": [[1, 200]], "log_y": True},
    {"kind": "scatter", "csv": "n,x,y\np,1,2\nq,3,4\n"},
    {"kind": "scatter", "labels": [1, 10], "series": [[2, 300]], "log_x": True, "log_y": True},
    {"kind": "histogram", "series": {"a": [1, 2, 2, 3], "b": [2, 3]}},
    {"kind": "histogram", "values": [5, 5, 5], "bins": 3},
    {"kind": "box", "series": {"a": [1, 2, 9], "b": [4]}},
    {"kind": "heatmap", "csv": "x,a,b\nr,1,-2\ns,,4\n"},
    {"kind": "heatmap", "csv": "x,a,b\nr,7,7\n"},
    {"kind": "pie", "labels": ["a", "b"], "series": [[1, 3]]},
]


def drawn(folder: Path, **given: Any) -> Drawn:
    return draw_chart(ChartArguments.model_validate(given).chart(), folder)


@pytest.mark.parametrize("given", CHARTS, ids=lambda c: c["kind"])
def test_every_kind_gives_a_png_and_an_svg(given: dict[str, Any], tmp_path: Path) -> None:
    files = drawn(tmp_path, title="Title", unit="MPa", source="p. 3", **given)
    with Image.open(files.png) as picture:
        assert picture.width >= 900
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20
    assert files.svg.read_text(encoding="utf-8").startswith("<?xml")
    names = [files.png.name, files.svg.name, files.spec.name]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_chinese_is_drawn_and_differs_from_other_chinese(tmp_path: Path) -> None:
    base = {"kind": "bar", "labels": ["甲", "乙"], "series": [[1, 2]]}
    one = drawn(tmp_path, title="抗拉强度 −5 °C", **base)
    two = drawn(tmp_path, title="屈服极限 −5 °C", **base)
    assert not one.characters_missing
    assert one.png.read_bytes() != two.png.read_bytes()
    assert "抗拉强度" in one.png.name


def test_without_a_chinese_font_characters_are_left_out_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "cjk_font", lambda: None)
    assert drawn(tmp_path, kind="pie", title="能源", series=[[1, 2]]).characters_missing


HOSTILE = [
    r"$\frac{1}{",
    "100$ or 200$",
    "</svg><script>alert(1)</script>",
    "a\nb\x00\x07c",
    "../../etc/passwd",
    "\U0001f600\U0010ffff",
    "x" * 5000,
    "\\",
    "%s {title} {0}",
    "_hidden",
    "\u202eevil",
    "אבג हिन्दी",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_drawn_as_text(text: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = drawn(
            tmp_path,
            kind="bar",
            title=text,
            labels=[text, "b"],
            series=[{"name": text, "values": [1, 2]}, {"name": "t", "values": [2, 3]}],
            x_label=text,
            y_label=text,
            unit=text,
            source=text,
        )
    assert files.png.parent == tmp_path
    assert "<script" not in files.svg.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [0, 1e-99, -1e99, 5, 1e100])
@pytest.mark.parametrize("kind", ["line", "bar", "histogram", "box", "heatmap"])
def test_extreme_values_are_drawn_without_a_warning(
    kind: str, value: float, tmp_path: Path
) -> None:
    drawn(tmp_path, kind=kind, series=[[value, value / 3, 1]], labels=["a", "b", "c"])


def test_the_same_chart_has_the_same_name_and_others_have_not(tmp_path: Path) -> None:
    one = drawn(tmp_path, kind="line", title="T", series=[[1, 2]])
    assert drawn(tmp_path, kind="line", title="T", series=[[1, 2]]).png == one.png
    assert drawn(tmp_path, kind="line", title="T", series=[[1, 3]]).png != one.png


def test_charts_are_drawn_from_many_threads(tmp_path: Path) -> None:
    def one(number: int) -> Drawn:
        return drawn(tmp_path, kind="line", title=f"图 {number}", series=[[1, number]])

    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(one, range(12)))
    assert len({f.png for f in files}) == 12
    for f in files:
        with Image.open(f.png) as picture:
            picture.verify()


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pathlib\n"
        "from qwenbelt.tools.plot.chart import ChartArguments\n"
        "from qwenbelt.tools.plot.draw import draw_chart\n"
        "assert 'matplotlib' not in sys.modules\n"
        "chart = ChartArguments(kind='pie', series=[[1, 2]]).chart()\n"
        "draw_chart(chart, pathlib.Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'qwen_agent' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        drawn(tmp_path / "file", kind="pie", series=[[1, 2]])
