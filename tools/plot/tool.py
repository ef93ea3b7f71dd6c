"""The tool `plot`: charts from data given in the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import output_folder
from qwenbelt.core.language import Language
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.plot import strings
from qwenbelt.tools.plot.chart import Chart, ChartArguments
from qwenbelt.tools.plot.draw import Drawn, draw_chart
from qwenbelt.tools.plot.file_rows import rows_of_file


class Plot(Tool):
    """Draws line, bar, range, dot, scatter, histogram, box, heatmap and pie charts.

    The result is a short note, the png for people and models to see, and the svg file; beside them
    lies the chart in Vega-Lite (`.vl.json`), which the chat shows to be moved and filtered. Files
    go to the session's folder, else to `plots` in the workspace.
    """

    name = "plot"
    description = strings.DESCRIPTION
    Arguments = ChartArguments
    idempotent = True
    contained = True
    timeout = 60.0

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Draws the chart.

        Raises:
            ToolError: the data cannot be drawn; one line names what to change.
        """
        arguments: ChartArguments = self.parse(params)
        context: ToolContext = kwargs.get("context") or ToolContext()
        joined = ""
        if arguments.file:
            rows, joined = rows_of_file(
                arguments.file,
                context.files,
                context.folder,
                arguments.kind,
                arguments.x,
                arguments.y or (),
                arguments.aggregate,
            )
            arguments = arguments.with_rows(rows)
        chart = arguments.chart()
        language: Language = "zh" if context.language == "zh" else "en"
        try:
            folder = output_folder(context.folder or load_settings().workspace / "plots")
            drawn = draw_chart(chart, folder)
        except InputError as error:
            raise ToolError(str(error)) from error
        return [
            ContentItem(text=_note(chart, drawn, language, joined)),
            ContentItem(image=str(drawn.png)),
            ContentItem(file=str(drawn.svg)),
        ]


def _note(chart: Chart, drawn: Drawn, language: Language, joined: str) -> str:
    kind = strings.KINDS[language][chart.kind]
    text = strings.say(
        "note",
        language,
        kind=kind,
        title=" ".join(chart.title.split())[:120] or kind,
        series=len(chart.series),
        points=chart.points,
        name=Path(drawn.png).name,
    )
    if joined:
        text += strings.say("joined", language, how=joined)
    return text + (strings.say("no_cjk_font", language) if drawn.characters_missing else "")
