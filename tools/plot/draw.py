"""Draws a `Chart` with matplotlib's object interface: no pyplot, no global state, any thread.

matplotlib is imported when the first chart is drawn.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import textwrap
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import one_line
from qwenbelt.core.files import replacing_file
from qwenbelt.core.language import Language, detect_language
from qwenbelt.tools.plot.chart import Chart
from qwenbelt.tools.plot.fonts import cjk_font
from qwenbelt.tools.plot.painters import PAINTERS
from qwenbelt.tools.plot.shortening import distinct_names
from qwenbelt.tools.plot.strings import say
from qwenbelt.tools.plot.vega import SPEC_ENDING, vega_spec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
LATIN_FAMILY = "DejaVu Sans"  # comes with matplotlib
INK, FAINT, GRID = "#22272e", "#6b7280", "#e3e6ea"
_LONGEST_TEXT, _LONGEST_LABEL, _LONGEST_NAME = 240, 80, 10_000
# matplotlib's parser of formulas and its font cache are not thread-safe
_drawing = threading.Lock()


@dataclass(frozen=True)
class Drawn:
    """The files of a chart, and whether Chinese text had to be left out of the picture.

    Attributes:
        spec: the same chart in Vega-Lite, to be moved and filtered in a browser.
    """

    png: Path
    svg: Path
    spec: Path
    characters_missing: bool


def draw_chart(chart: Chart, folder: Path, *, language: Language | None = None) -> Drawn:
    """Draws the chart into `folder` as png and svg; the same chart gets the same names.

    Raises:
        InputError: the folder cannot be written.
    """
    stem = file_stem(chart)
    with _drawing:
        writer = _Lettering(chart)
        figure = _make_figure(writer.chart, language or detect_language(_all_text(chart)))
        writer.dress(figure)
        png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
        with replacing_file(png) as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Title": chart.title})
        with replacing_file(svg) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})
    spec = folder / f"{stem}{SPEC_ENDING}"
    text = json.dumps(vega_spec(chart), ensure_ascii=False, allow_nan=False)
    with replacing_file(spec) as file:
        file.write(text.encode("utf-8", "replace"))
    return Drawn(png, svg, spec, writer.missing)


def file_stem(chart: Chart) -> str:
    """Returns a file name that describes the chart and is unique to it."""
    words = re.sub(r"[^\w]+", "-", chart.title.casefold(), flags=re.UNICODE).strip("-_")
    digest = hashlib.sha256(repr(chart).encode("utf-8", "replace")).hexdigest()[:6]
    return f"{words[:40].strip('-') or chart.kind}-{digest}"


def _all_text(chart: Chart) -> str:
    names = (series.name for series in chart.series)
    return " ".join((chart.title, chart.x_label, chart.y_label, chart.unit, *chart.labels, *names))


def _make_figure(chart: Chart, language: Language) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_figure_size(chart), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.12, h_pad=0.11)  # type: ignore[call-arg]
    axes = figure.add_subplot()
    _plain(axes)
    PAINTERS[chart.kind](axes, chart, language)
    columns = int(figure.get_figwidth() * 10)
    if chart.title:
        title = _wrapped_text(chart.title, columns)
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, color=INK, linespacing=1.3)
    if chart.source:
        source = _wrapped_text(say("source", language, source=chart.source), columns + 60)
        figure.supxlabel(source, x=0.012, ha="left", fontsize=7.5, color=FAINT)
    return figure


def _figure_size(chart: Chart) -> tuple[float, float]:
    if chart.kind == "dot" or (chart.kind == "range" and chart.horizontal):
        return 8.0, min(14.0, max(3.0, 1.6 + 0.3 * len(chart.labels)))
    if chart.kind == "bar" and chart.horizontal:
        return 8.0, min(14.0, max(3.6, 1.6 + 0.32 * len(chart.labels) * _group(chart)))
    if chart.kind == "heatmap":
        wide = min(14.0, max(6.0, 2.5 + 0.55 * len(chart.labels)))
        return wide, min(14.0, max(3.6, 1.8 + 0.38 * len(chart.series)))
    return 8.0, 4.5


def _group(chart: Chart) -> float:
    return 1.0 if chart.stacked else max(1.0, len(chart.series) * 0.7)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9aa1ab")
    axes.tick_params(colors="#4b5563", labelsize=9, length=3)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def _wrapped_text(text: str, columns: int) -> str:
    """Breaks a text; a Chinese character takes two columns and may be followed by a break."""
    if len(text) == len(text.encode("utf-8")):
        return "\n".join(textwrap.wrap(text, columns)[:3])
    lines, width = [""], 0
    for character in text:
        step = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + step > columns:
            lines.append("")
            width = 0
        lines[-1] += character
        width += step
    return "\n".join(lines[:3])


class _Lettering:
    """The fonts of one figure, and its texts made fit for them.

    Characters that no font has become "?", never boxes; dollar signs stay dollar signs and do not
    start formulas.
    """

    def __init__(self, chart: Chart) -> None:
        from matplotlib.font_manager import fontManager

        self.families = [LATIN_FAMILY]
        self._covered = _characters(_latin_file())
        self.missing = False
        font = cjk_font()  # its Latin is the Source Sans of the reports
        if font is not None:
            if font.family not in _added:
                fontManager.addfont(str(font.path))
                _added.add(font.family)
            self._covered = self._covered | _characters(str(font.path))
            self.families.insert(0, font.family)
        self.chart = self._cleaned(chart)

    def _cleaned(self, chart: Chart) -> Chart:
        names = self._fit_all([s.name for s in chart.series], 40)
        series = tuple(
            dataclasses.replace(s, name=name, points=tuple(self._fit_all(s.points)))
            for s, name in zip(chart.series, names, strict=True)
        )
        return dataclasses.replace(
            chart,
            labels=tuple(self._fit_all(chart.labels)),
            series=series,
            title=self.fit(chart.title, _LONGEST_TEXT),
            x_label=self.fit(chart.x_label),
            y_label=self.fit(chart.y_label),
            unit=self.fit(chart.unit, 30),
            source=self.fit(chart.source, _LONGEST_TEXT),
        )

    def _fit_all(self, names: Sequence[str], longest: int = _LONGEST_LABEL) -> list[str]:
        """Fits names that must stay different."""
        lines = [one_line(name, _LONGEST_NAME) for name in names]
        return [self.fit(name, longest) for name in distinct_names(lines, longest)]

    def fit(self, text: str, longest: int = _LONGEST_LABEL) -> str:
        """Returns `text` on one line with drawable characters only, shortened to `longest`."""
        line = one_line(text, longest)
        out = "".join(c if ord(c) in self._covered else "?" for c in line)
        self.missing = self.missing or (out != line and detect_language(line) == "zh")
        return out.replace("$", r"\$")

    def dress(self, figure: Figure) -> None:
        """Gives every text of the figure the fonts."""
        from matplotlib.text import Text

        for axes in figure.axes:
            axes.tick_params(labelfontfamily=self.families)
        texts: list[Any] = figure.findobj(Text)
        for text in texts:
            text.set_fontfamily(self.families)


_added: set[str] = set()


@functools.cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@functools.cache
def _latin_file() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
