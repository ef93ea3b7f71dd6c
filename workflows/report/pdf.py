"""Sets a report as PDF with typst: a fixed template takes the report as JSON data.

Nothing that a model or a document wrote is ever read as markup or code, and pictures are found
inside the report's own folder only (typst's root).
"""

from __future__ import annotations

import datetime
import functools
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.tools.plot.fonts import cjk_font
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument, ReportStep
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.summary import banner, facts, method

PAGE_WIDTH, PAGE_HEIGHT = 16.4, 25.2  # centimetres that text takes on A4
LONGEST_WORD = 1200  # characters; finding line breaks in a word takes quadratic time
LARGEST_PICTURE = 0.55  # of the page's height
_LONG_WORD = re.compile(r"[^\s\u200b\u2e80-\u9fff]{28,}")


def pdf_bytes(report: ReportDocument, folder: Path) -> bytes:
    """Returns the report as PDF.

    Args:
        report: the report.
        folder: the report's folder; figures are found in it.

    Raises:
        QwenbeltError: typst cannot set it; says so in one line.
    """
    import typst

    fonts = [font for font in (cjk_font("sans"), cjk_font("serif")) if font is not None]
    data = json.dumps(pdf_data(report, folder), ensure_ascii=False)
    try:
        setter = typst.Compiler(
            root=folder.resolve(),
            font_paths=sorted({font.folder for font in fonts}),
            ignore_system_fonts=True,
            sys_inputs={"data": data},
        )
        date = datetime.datetime.combine(report.date, datetime.time(), datetime.timezone.utc)
        made = setter.compile(template(), format="pdf", timestamp=date)
    except typst.TypstError as error:
        raise QwenbeltError(f"The PDF could not be set: {one_line(error, 300)}") from error
    if not isinstance(made, bytes):
        raise QwenbeltError("The PDF could not be set: typst gave none.")
    return made


@functools.cache
def template() -> bytes:
    """Returns the layout."""
    return resources.files("qwenbelt.workflows.report").joinpath("template.typ").read_bytes()


def pdf_data(report: ReportDocument, folder: Path) -> dict[str, Any]:
    """Returns what the template takes."""
    language = report.language
    sans, serif = cjk_font("sans"), cjk_font("serif")
    unverified = {c.n for c in report.citations if not c.verified}
    names = ("report", "references", "method", "notes", "call", "with", "timeline", "time")
    words = {name: say(name, language) for name in (*names, "failed")}
    words["page_of"] = say.template("page_of", language)
    return {
        "language": language,
        "words": words,
        "fonts": {
            "sans": [sans.family] if sans else ["DejaVu Sans Mono"],
            "serif": [serif.family] if serif else ["Libertinus Serif"],
        },
        "title": breakable(report.title or report.question),
        "running": breakable(one_line(report.title or report.question, 100)),
        "question": report.question,
        "author": report.made.model or "qwenbelt",
        "footer": f"qwenbelt · {report.date.isoformat()}",
        "facts": [[name, breakable(value)] for name, value in facts(report)],
        "banner": banner(report),
        "blocks": [_laid_out(block, folder, unverified) for block in report.blocks],
        "citations": [_reference(c, report) for c in report.citations],
        "notes": [breakable(note) for note in report.notes],
        "method": method(report),
        "steps": _lanes(report.steps),
    }


def _reference(citation: ReportCitation, report: ReportDocument) -> dict[str, Any]:
    page = citation.place(report.language)
    return {
        "n": citation.n,
        "verified": citation.verified,
        "place": breakable(f"{citation.file}, {page}"),
        "quote": breakable(say("quoted", report.language, quote=one_line(citation.quote, 700))),
        "warning": "" if citation.verified else say("unverified", report.language),
    }


def _lanes(steps: list[ReportStep]) -> list[dict[str, Any]]:
    end = max((step.finished for step in steps), default=0.0)
    begin = min((step.started for step in steps), default=0.0)
    whole = max(end - begin, 1e-6)
    return [
        {
            "n": number,
            "name": step.name,
            "arguments": breakable(one_line(step.arguments, 220)),
            "ok": step.ok,
            "seconds": f"{step.finished - step.started:.2f} s",
            "left": round(max(0.0, (step.started - begin) / whole), 4),
            "width": round(max(0.0, (step.finished - step.started) / whole), 4),
        }
        for number, step in enumerate(steps, 1)
    ]


def breakable(text: str) -> str:
    """Returns text in which over-long words may be broken anywhere; endless ones are cut."""
    return _LONG_WORD.sub(lambda found: "\u200b".join(one_line(found[0], LONGEST_WORD)), text)


def _laid_out(node: Any, folder: Path, unverified: set[int]) -> Any:
    """Returns a node as the template takes it: breakable texts, sized pictures, boxed cells."""
    if isinstance(node, list):
        return [_laid_out(entry, folder, unverified) for entry in node]
    if not isinstance(node, dict):
        return node
    kind = node["kind"]
    if kind == "cite":
        return {"kind": "cite", "n": node["n"], "verified": node["n"] not in unverified}
    if kind == "text" or (kind == "code" and "inline" not in node):
        return {**node, "text": breakable(node["text"])}
    made: Node = {
        key: _laid_out(value, folder, unverified) if isinstance(value, list) else value
        for key, value in node.items()
    }
    if kind == "figure":
        made |= _picture(node, folder)
    if kind == "table":
        made |= _grid(made)
    return made


def _grid(table: Node) -> Node:
    """Every row gets as many cells as there are columns."""
    count = len(table["align"])
    rows = [[*row, *([[]] * count)][:count] for row in table["rows"]]
    return {
        "head": [*table["head"], *([[]] * count)][:count],
        "rows": [{"cell": cell} for row in rows for cell in row],
    }


def _picture(node: Node, folder: Path) -> Node:
    from PIL import Image

    with Image.open(folder / node["path"]) as picture:
        width, height = picture.size
    highest = PAGE_HEIGHT * LARGEST_PICTURE
    share = min(1.0, highest / (PAGE_WIDTH * height / width))
    return {
        "path": "/" + node["path"],
        "width": round(share if node.get("framed") else min(share, 0.94), 3),
        "framed": bool(node.get("framed")),
        "alt": node.get("alt", node["label"]),
    }
