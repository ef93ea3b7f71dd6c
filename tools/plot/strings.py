"""Texts of the plot tool, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.language import Language
from qwenbelt.core.texts import Texts

DESCRIPTION = (
    "Draws a chart and returns it as a picture (png) and a file (svg). Kinds: line, bar (grouped, "
    "stacked or horizontal), range (lower to upper bounds, one bar for each label), dot (one row "
    "for each label, a dot for each series), scatter, histogram, box, heatmap, pie. "
    "Give the data as labels and "
    "series, or as csv, or as rows, or a file of the conversation with its columns x and y. Give "
    "a title, axis labels and the unit. To show the chart in an answer, write its name as a "
    "Markdown picture: "
    "![caption](name.png)."
)

KINDS: dict[Language, dict[str, str]] = {
    "en": {
        "line": "Line chart",
        "bar": "Bar chart",
        "range": "Range chart",
        "dot": "Dot chart",
        "scatter": "Scatter chart",
        "histogram": "Histogram",
        "box": "Box plot",
        "heatmap": "Heatmap",
        "pie": "Pie chart",
    },
    "zh": {
        "line": "折线图",
        "bar": "柱状图",
        "range": "区间图",
        "dot": "点图",
        "scatter": "散点图",
        "histogram": "直方图",
        "box": "箱线图",
        "heatmap": "热力图",
        "pie": "饼图",
    },
}

_TEXTS = {
    "note": (
        "{kind} “{title}” drawn: {series} series, {points} values. Show it in the answer as "
        "![{title}]({name}).",
        "已绘制{kind}“{title}”：{series} 个系列，{points} 个数值。在回答中用 "
        "![{title}]({name}) 展示。",
    ),
    "joined": (
        " Rows of the file with the same x were joined ({how}).",
        "文件中 x 相同的行已合并（{how}）。",
    ),
    "no_cjk_font": (
        " No font with Chinese characters was found, so they were left out; "
        "`pip install pylopdf-fonts-zh-cn` mends it.",
        " 未找到中文字体，中文字符已省略；请运行 `pip install pylopdf-fonts-zh-cn`。",
    ),
    "frequency": ("Count", "频数"),
    "source": ("Source: {source}", "来源：{source}"),
}
say = Texts(_TEXTS)
