"""Sets a report as PDF with typst: a fixed template takes the report as JSON data.

Nothing that a model or a document wrote is ever read as markup or code, and pictures are found
inside the report's own folder only (typst's root).
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError, QwenbeltError, one_line
from qwenbelt.core.limits import input_file
from qwenbelt.tools.diagrams import svg_size
from qwenbelt.tools.plot.fonts import page_fonts
from qwenbelt.workflows.report.digest import KeyFigure, digest, sources
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument, ReportStep
from qwenbelt.workflows.report.prose import Node, plain_text
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.summary import banner, facts, method

PAGE_WIDTH, PAGE_HEIGHT = 16.4, 25.2  # centimetres that text takes on A4
CROP_SIZE = 0.87  # of the page that a crop shows
BESIDE, BELOW = 213.0, 441.0  # points that a crop may take beside the quoted words, and below them
LONGEST_WORD = 1200  # characters; finding line breaks in a word takes quadratic time
LARGEST_PICTURE = 0.55  # of the page's height
_WORDS = (
    *("report", "summary", "disagree", "missing", "references", "notes", "method"),
    *("call", "with", "timeline", "time", "failed"),
)
_MOST_TEMPLATE = 1024 * 1024
_CELL_NUMBER = re.compile(r"[-−+]?[$€£¥]?\d[\d,]*(\.\d+)?")
_LONG_WORD = re.compile(r"[^\s\u200b\u2e80-\u9fff]{28,}")


def pdf_bytes(report: ReportDocument, folder: Path, layout: bytes | None = None) -> bytes:
    """Returns the report as PDF.

    Args:
        report: the report.
        folder: the report's folder; figures are found in it.
        layout: a template of one's own instead of the one that comes along.

    Raises:
        QwenbeltError: typst failed; the message is one line.
    """
    import typst

    data = json.dumps(pdf_data(report, folder), ensure_ascii=False)
    try:
        setter = typst.Compiler(
            root=folder.resolve(),
            font_paths=list(page_fonts().folders),
            ignore_system_fonts=True,
            sys_inputs={"data": data},
        )
        date = datetime.datetime.combine(report.date, datetime.time(), datetime.timezone.utc)
        made = setter.compile(layout or template(), format="pdf", timestamp=date)
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
    fonts, parts = page_fonts(), digest(report)
    unverified = {c.n for c in report.citations if not c.verified}
    words = {name: say(name, language) for name in _WORDS}
    words["page_of"] = say.template("page_of", language)
    return {
        "language": language,
        "words": words,
        "fonts": {
            "latin": list(fonts.latin),
            "chinese": list(fonts.chinese),
            "bold_chinese": fonts.bold_chinese,
        },
        "title": breakable(report.title or report.question),
        "running": breakable(one_line(report.title or report.question, 100)),
        "question": report.question,
        "author": report.made.model or "qwenbelt",
        "footer": f"qwenbelt · {report.date.isoformat()}",
        "facts": [[name, breakable(value)] for name, value in facts(report)],
        "banner": banner(report),
        "lead": [_laid_out(block, folder, unverified) for block in parts.lead],
        "tiles": [_tile(figure, unverified) for figure in parts.tiles],
        "blocks": [_laid_out(block, folder, unverified) for block in parts.rest],
        "disagree": _said(parts.disagree, report, folder),
        "missing": _said(parts.missing, report, folder),
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
        **_crop(citation),
        "alt": say("crop_alt", report.language, file=citation.file, page=citation.page),
    }


def _crop(citation: ReportCitation) -> dict[str, Any]:
    """Returns how a crop is laid out: all at one size, wide ones below the words."""
    left, _, right, _ = citation.crop_box or (0.0, 0.0, 0.0, 0.0)
    width = (right - left) * CROP_SIZE
    below = width > BESIDE
    share = width / (BELOW if below else BESIDE)
    return {
        "crop": f"/{citation.crop}" if citation.crop else "",
        "crop_below": below,
        "crop_width": round(min(1.0, max(0.3, share)), 3),
    }


def _said(sentences: list[list[Node]], report: ReportDocument, folder: Path) -> list[Any]:
    unverified = {c.n for c in report.citations if not c.verified}
    return [
        {
            "inline": _laid_out(sentence, folder, unverified),
            "sources": [_reference(c, report) for c in sources(sentence, report)],
        }
        for sentence in sentences
    ]


def _tile(figure: KeyFigure, unverified: set[int]) -> dict[str, Any]:
    cites = [{"kind": "cite", "n": n, "verified": n not in unverified} for n in figure.cites]
    return {"value": figure.value, "label": breakable(figure.label), "cites": cites}


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
    for column, align in enumerate(table["align"]):
        if align == "right":
            _align_decimals(rows, column)
    return {
        "head": [*table["head"], *([[]] * count)][:count],
        "rows": [{"cell": cell} for row in rows for cell in row],
    }


def _align_decimals(rows: list[list[Any]], column: int) -> None:
    """Fills the decimals of the numbers of a column up, with what is not seen."""
    tails = [_decimals(row[column]) for row in rows]
    longest = max((tail for tail in tails if tail), key=len, default="")
    for row, tail in zip(rows, tails, strict=True):
        if tail is not None and len(tail) < len(longest):
            filling: Node = {"kind": "hidden", "text": longest[len(tail) :]}
            place = next((n for n, node in enumerate(row[column]) if node["kind"] == "cite"), None)
            rest = row[column][place:] if place is not None else []
            row[column] = [*row[column][:place], filling, *rest]


def _decimals(cell: list[Node]) -> str | None:
    """Returns the point and the digits behind it, of a cell that is one number."""
    found = _CELL_NUMBER.fullmatch(plain_text([n for n in cell if n["kind"] != "cite"]).strip())
    return (found[1] or "") if found else None


def read_template(path: str | os.PathLike[str]) -> bytes:
    """Returns a template of one's own.

    It is given the same data as ours, as JSON in `sys.inputs.data`, and reads nothing outside the
    report's folder.

    Raises:
        InputError: it cannot be read or is no text.
    """
    data = input_file(path, max_bytes=_MOST_TEMPLATE).read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a Typst file (it is no UTF-8 text).") from None
    return data


def _picture_size(path: Path) -> tuple[float, float]:
    if path.suffix == ".svg":  # a diagram
        return svg_size(path.read_text(encoding="utf-8"))
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size


def _picture(node: Node, folder: Path) -> Node:
    width, height = _picture_size(folder / node["path"])
    highest = PAGE_HEIGHT * LARGEST_PICTURE
    share = min(1.0, highest / (PAGE_WIDTH * height / width))
    return {
        "path": "/" + node["path"],
        "width": round(share if node.get("framed") else min(share, 0.94), 3),
        "framed": bool(node.get("framed")),
        "alt": node.get("alt", node["label"]),
    }
