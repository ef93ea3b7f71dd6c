"""Word and PowerPoint files become blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qwenbelt.tools.documents.parsing.pagination import Block, Break, Paragraph, TableRows, Title

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING = re.compile(r"^(?:heading|标题)\s*(\d)$", re.I)
_TEXT = {"t", "delText"}
MAX_DEPTH = 30


def word_blocks(file: Path) -> Iterator[Block]:
    """Yields the text of a .docx: body, text boxes, content controls and notes; deletions aside."""
    import docx

    document = docx.Document(str(file))
    levels = {s.style_id: _style_level(s.name or "") for s in document.styles}
    yield from _word(document.element.body, levels, 0)
    for relation in document.part.rels.values():
        if relation.reltype.endswith(("/footnotes", "/endnotes")) and not relation.is_external:
            yield from _notes(relation.target_part.blob)


def word_title(file: Path) -> str:
    """Returns the title in the file's properties."""
    import docx

    return (docx.Document(str(file)).core_properties.title or "").strip()


def _style_level(name: str) -> int:
    found = _HEADING.match(name)
    if found:
        return int(found[1])
    return 1 if name.lower() == "title" else 0


def _word(parent: Any, levels: dict[str, int], depth: int) -> Iterator[Block]:
    for child in parent:
        tag = child.tag if isinstance(child.tag, str) else ""
        if tag == f"{_W}p":
            yield from _word_paragraph(child, levels)
        elif tag == f"{_W}tbl":
            yield TableRows([_word_row(row) for row in child.iter(f"{_W}tr")])
        elif tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml") and depth < MAX_DEPTH:
            yield from _word(child, levels, depth + 1)


def _word_paragraph(paragraph: Any, levels: dict[str, int]) -> Iterator[Block]:
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    level = levels.get(style.get(f"{_W}val"), 0) if style is not None else 0
    for number, text in enumerate(_word_text(paragraph).split("\f")):
        if number:
            yield Break()
        if text.strip():
            yield Title(text, level) if level else Paragraph(text.strip("\n"))
    for box in paragraph.iter(f"{_W}txbxContent"):
        text = "\n".join(_word_text(inner) for inner in box.iter(f"{_W}p"))
        if text.strip():
            yield Paragraph(text)


def _word_text(paragraph: Any) -> str:
    """Returns a paragraph's text; a form feed stands where a page ends."""
    parts: list[str] = []
    for node in paragraph.iter():
        tag = node.tag.removeprefix(_W) if isinstance(node.tag, str) else ""
        if tag in ("t", "tab", "br", "cr", "noBreakHyphen", "lastRenderedPageBreak"):
            if not _aside(node, paragraph):
                parts.append(_word_piece(tag, node))
    return "".join(parts)


def _word_piece(tag: str, node: Any) -> str:
    if tag == "t":
        return node.text or ""
    if tag == "lastRenderedPageBreak" or node.get(f"{_W}type") == "page":
        return "\f"
    return {"tab": "\t", "noBreakHyphen": "-"}.get(tag, "\n")


def _aside(node: Any, paragraph: Any) -> bool:
    """Says whether a piece of text is deleted, or belongs to a text box or a fallback."""
    for parent in node.iterancestors():
        if parent is paragraph:
            return False
        name = parent.tag.rpartition("}")[2] if isinstance(parent.tag, str) else ""
        if name in ("txbxContent", "del", "Fallback", "moveFrom", "pPr"):
            return True
    return False


def _word_row(row: Any) -> list[str]:
    cells = []
    for cell in row.iterchildren(f"{_W}tc"):
        lines = [_word_text(p).replace("\f", "") for p in cell.iter(f"{_W}p")]
        cells.append("\n".join(filter(None, lines)).strip())
        span = cell.find(f"{_W}tcPr/{_W}gridSpan")
        width = span.get(f"{_W}val", "1") if span is not None else "1"
        cells += [""] * (min(int(width), 63) - 1 if width.isdigit() else 0)
    return cells


def _notes(data: bytes) -> Iterator[Block]:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for note in etree.fromstring(data, parser):
        text = " ".join(_word_text(p).replace("\f", "") for p in note.iter(f"{_W}p")).strip()
        if text:
            yield Paragraph(text)


def slide_blocks(file: Path) -> Iterator[Block]:
    """Yields the slides of a .pptx, each on a page: title, texts, tables, charts, notes."""
    import pptx

    for number, slide in enumerate(pptx.Presentation(str(file)).slides):
        if number:
            yield Break()
        title = slide.shapes.title
        if title is not None and title.has_text_frame and title.text_frame.text.strip():
            yield Title(title.text_frame.text)
        others = [s for s in slide.shapes if title is None or s.shape_id != title.shape_id]
        yield from _shapes(others, 0)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            yield Paragraph(slide.notes_slide.notes_text_frame.text)


def _shapes(shapes: Iterable[Any], depth: int) -> Iterator[Block]:
    for shape in sorted(shapes, key=lambda s: (s.top or 0, s.left or 0)):
        if hasattr(shape, "shapes") and depth < MAX_DEPTH:
            yield from _shapes(shape.shapes, depth + 1)
        elif getattr(shape, "has_table", False):
            yield TableRows([[cell.text.strip() for cell in row.cells] for row in shape.table.rows])
        elif getattr(shape, "has_chart", False):
            yield from _chart(shape.chart)
        elif getattr(shape, "has_text_frame", False):
            yield Paragraph(shape.text_frame.text.replace("\v", "\n"))


def _chart(chart: Any) -> Iterator[Block]:
    caption = chart.chart_title.text_frame.text if chart.has_title else ""
    for plot in chart.plots:
        names = [str(category) for category in plot.categories]
        rows = [["", *names]]
        for series in plot.series:
            values = ["" if v is None else f"{v:g}" for v in series.values]
            rows.append([series.name or "", *values])
        yield TableRows(rows, caption)
