"""Text of shapes: paragraphs of DrawingML, in slides, charts' neighbours and sheets' drawings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qwenbelt.tools.documents.parsing.equations import latex_of_omml
from qwenbelt.tools.documents.parsing.numbering import WORD
from qwenbelt.tools.documents.parsing.raised import lowered, raised

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
# PowerPoint's kinds of automatic numbers
_KINDS = {"arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter"} | {
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "ea1": "chineseCounting",
    "circleNum": "decimalEnclosedCircle",
}


def text_of_body(body: Any) -> str:
    """Returns the text of a shape's or cell's body, a paragraph a line."""
    counts: dict[int, int] = {}
    lines = [_paragraph(p, counts) for p in body.iterfind(f"{A}p")]
    return "\n".join(lines).strip("\n")


def _paragraph(paragraph: Any, counts: dict[int, int]) -> str:
    text = _inline(paragraph)
    properties = paragraph.find(f"{A}pPr")
    number = properties.find(f"{A}buAutoNum") if properties is not None else None
    level = properties.get("lvl", "0") if properties is not None else "0"
    depth = int(level) if level.isdigit() else 0
    for deeper in [d for d in counts if d > depth or (d == depth and number is None and text)]:
        del counts[deeper]
    if number is None or not text.strip():
        return text
    start = number.get("startAt", "1")
    counts[depth] = counts.get(depth, (int(start) if start.isdigit() else 1) - 1) + 1
    return _numbered(counts[depth], number.get("type", "arabicPeriod")) + text


def _numbered(number: int, kind: str) -> str:
    name = next((n for n in _KINDS if kind.startswith(n)), "arabic")
    shown = WORD[_KINDS[name]](number)
    if kind.endswith("ParenBoth"):
        return f"({shown}) "
    return f"{shown}) " if kind.endswith("ParenR") else f"{shown}. "


def _inline(paragraph: Any) -> str:
    text = ""
    for node in _pieces(paragraph):
        if node.tag == f"{A}br":
            text += "\n"
        elif node.tag == f"{M}oMath":
            text += f"${latex_of_omml(node)}$"
        else:
            text += _run(node, text)
    return text


def _pieces(parent: Any) -> Iterator[Any]:
    """Yields runs, breaks, fields and equations in order; of alternatives the first."""
    for node in parent:
        if node.tag in (f"{A}r", f"{A}fld", f"{A}br", f"{M}oMath"):
            yield node
        elif node.tag == f"{MC}AlternateContent":
            choice = node.find(f"{MC}Choice")
            yield from _pieces(choice if choice is not None else node)
        elif isinstance(node.tag, str) and node.tag.rpartition("}")[2] in (
            "m",
            "oMathPara",
            "Fallback",
        ):
            yield from _pieces(node)


def _run(run: Any, before: str) -> str:
    text = "".join(t.text or "" for t in run.iterfind(f"{A}t")).replace("\v", "\n")
    properties = run.find(f"{A}rPr")
    if properties is None or not text.strip():
        return text
    baseline = properties.get("baseline", "0").rstrip("%")
    shift = int(baseline) if baseline.lstrip("-").isdigit() else 0
    if shift > 0:
        return raised(before, text)
    if shift < 0:
        return lowered(text)
    struck = properties.get("strike", "noStrike") not in ("noStrike", "")
    return f"~~{text}~~" if struck else text
