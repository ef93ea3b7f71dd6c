"""The report as a Word file, with python-docx (the extra `docx`).

Text, tables, figures and references with their crops; a citation leads to its reference.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.extras import missing_modules
from qwenbelt.workflows.report.digest import KeyFigure, digest, sources
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.summary import banner, facts, method

LATIN, CHINESE = "Calibri", "Microsoft YaHei"  # what Word has on every machine
_CROP_CENTIMETRES = 0.87 * 2.54 / 72  # for a point of the page that a crop shows
_FLAGS = {"strong": "bold", "emph": "italic", "strike": "strike"}


def word_bytes(report: ReportDocument, folder: Path) -> bytes | None:
    """Returns the report as .docx, or None where python-docx is not installed.

    Args:
        report: the report.
        folder: the report's folder; figures and crops are found in it.
    """
    if missing_modules("docx"):
        return None
    target = io.BytesIO()
    _WordWriter(report, folder).document().save(target)
    return target.getvalue()


class _WordWriter:
    """Writes one report."""

    def __init__(self, report: ReportDocument, folder: Path) -> None:
        import docx

        self._report = report
        self._folder = folder
        self._unverified = {c.n for c in report.citations if not c.verified}
        self._made: Any = docx.Document()
        self._fonts()
        self._page()

    def _fonts(self) -> None:
        from docx.oxml.ns import qn
        from docx.shared import Pt

        for name in ("Normal", "Title", "Heading 1", "Heading 2", "Heading 3", "Heading 4"):
            style = self._made.styles[name]
            style.font.name = LATIN
            style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), CHINESE)
        self._made.styles["Normal"].font.size = Pt(11)

    def _page(self) -> None:
        """A4 as the PDF, with a foot line."""
        from docx.shared import Cm

        section = self._made.sections[0]
        section.page_width, section.page_height = Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.3)
        section.top_margin = section.bottom_margin = Cm(2.2)
        line = f"qwenbelt · {self._report.date.isoformat()}"
        section.footer.paragraphs[0].add_run(line).font.size = self._small()

    def _small(self) -> Any:
        from docx.shared import Pt

        return Pt(8.5)

    def _tiles(self, tiles: Sequence[KeyFigure]) -> None:
        from docx.shared import Pt

        table = self._made.add_table(1, len(tiles), "Table Grid")
        for cell, tile in zip(table.rows[0].cells, tiles, strict=True):
            value = cell.paragraphs[0].add_run(clean(tile.value))
            value.bold, value.font.size = True, Pt(15)
            line = cell.add_paragraph()
            line.add_run(clean(tile.label) + " ").font.size = self._small()
            for number in tile.cites:
                self._cite(line, number)
        self._made.add_paragraph()

    def _say(self, key: str, **values: object) -> str:
        return say(key, self._report.language, **values)

    def document(self) -> Any:
        """Returns the whole document."""
        report, parts = self._report, digest(self._report)
        self._made.core_properties.title = clean(report.title or report.question)[:250]
        self._made.add_heading(clean(report.title or report.question), 0)
        for name, value in facts(report):
            line = self._made.add_paragraph()
            line.add_run(f"{clean(name)}: ").bold = True
            line.add_run(clean(value))
        if banner(report):
            self._made.add_paragraph(clean(banner(report)), "Intense Quote")
        if parts.lead:
            self._made.add_heading(self._say("summary"), 1)
            self._blocks(parts.lead)
        if parts.tiles:
            self._tiles(parts.tiles)
        self._blocks(parts.rest)
        self._said("disagree", parts.disagree)
        self._said("missing", parts.missing)
        self._references()
        if report.notes:
            self._made.add_heading(self._say("notes"), 1)
            for note in report.notes:
                self._made.add_paragraph(clean(note), "List Bullet")
        self._made.add_heading(self._say("method"), 1)
        self._made.add_paragraph(clean(method(report)))
        return self._made

    def _said(self, name: str, sentences: Sequence[list[Node]]) -> None:
        if sentences:
            self._made.add_heading(self._say(name), 1)
        for sentence in sentences:
            self._inline(self._made.add_paragraph(style="List Bullet"), sentence)
            for one in sources(sentence, self._report):
                line = self._made.add_paragraph(style="List Bullet 2")
                self._cite(line, one.n)
                line.add_run(
                    f" {clean(one.file)}, {one.place(self._report.language)}: "
                ).bold = True
                line.add_run(clean(self._say("quoted", quote=one.quote)))

    def _blocks(self, blocks: Sequence[Node], style: str | None = None) -> None:
        for block in blocks:
            kind = block["kind"]
            if kind == "heading":
                heading = self._made.add_heading("", min(block["level"], 4))
                self._inline(heading, block["inline"])
            elif kind == "paragraph":
                self._inline(self._made.add_paragraph(style=style), block["inline"])
            elif kind == "list":
                for item in block["items"]:
                    self._blocks(item, "List Number" if block["ordered"] else "List Bullet")
            elif kind == "quote":
                self._blocks(block["blocks"], "Quote")
            elif kind == "code":
                self._made.add_paragraph(clean(block["text"])).style.font.name = LATIN
            elif kind == "table":
                self._table(block)
            elif kind == "figure":
                self._figure(block)

    def _table(self, block: Node) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        rows, count = [block["head"], *block["rows"]], len(block["align"])
        table = self._made.add_table(len(rows), count, "Light List Accent 1")
        for row, cells in zip(table.rows, rows, strict=True):
            for place, cell in zip(row.cells, cells, strict=False):
                self._inline(place.paragraphs[0], cell)
            for place, side in zip(row.cells, block["align"], strict=True):
                if side == "right":
                    place.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
        self._made.add_paragraph()

    def _figure(self, block: Node) -> None:
        if block["path"].endswith(".svg"):  # a diagram, for which Word has no place
            self._made.add_paragraph(clean(block["source"])).style.font.name = LATIN
            return
        self._picture(block["path"], 15.5, below=True)
        line = self._made.add_paragraph(style="Caption")
        line.add_run(clean(block["label"]) + " ")
        self._inline(line, block["caption"])

    def _picture(self, path: str, width: float, *, below: bool = False) -> Any:
        from docx.shared import Cm

        self._made.add_picture(str(self._folder / path), width=Cm(width))
        paragraph = self._made.paragraphs[-1]
        paragraph.paragraph_format.keep_with_next = below
        return paragraph

    def _inline(self, line: Any, nodes: Sequence[Node], flags: tuple[str, ...] = ()) -> None:
        for node in nodes:
            kind = node["kind"]
            if kind == "cite":
                self._cite(line, node["n"])
            elif kind == "break":
                line.add_run().add_break()
            elif "text" in node:
                run = line.add_run(clean(node["text"]))
                for flag in flags:
                    setattr(run.font, flag, True)
            else:
                style = _FLAGS.get(kind)
                self._inline(line, node["inline"], (*flags, style) if style else flags)

    def _cite(self, line: Any, number: int) -> None:
        """A link inside the document, to the bookmark of the reference."""
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn
        from docx.shared import RGBColor

        run = line.add_run(f"[{number}]")
        alarm = number in self._unverified
        run.font.color.rgb = RGBColor(0xB3, 0x26, 0x1E) if alarm else RGBColor(0x1F, 0x5A, 0x96)
        link = OxmlElement("w:hyperlink")
        link.set(qn("w:anchor"), f"reference_{number}")
        link.append(run._r)
        line._p.append(link)

    def _references(self) -> None:
        if not self._report.citations:
            return
        self._made.add_heading(self._say("references"), 1)
        for citation in self._report.citations:
            self._reference(citation)

    def _reference(self, citation: ReportCitation) -> None:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        line = self._made.add_paragraph()
        for tag in ("w:bookmarkStart", "w:bookmarkEnd"):
            mark = OxmlElement(tag)
            mark.set(qn("w:id"), str(citation.n))
            if tag.endswith("Start"):
                mark.set(qn("w:name"), f"reference_{citation.n}")
            line._p.append(mark)
        place = citation.place(self._report.language)
        line.add_run(f"[{citation.n}] {clean(citation.file)}, {clean(place)}: ").bold = True
        line.add_run(clean(self._say("quoted", quote=citation.quote)))
        if not citation.verified:
            line.add_run(" " + self._say("unverified")).italic = True
        line.paragraph_format.keep_with_next = bool(citation.crop)
        if citation.crop:
            left, _, right, _ = citation.crop_box or (0.0, 0.0, 360.0, 0.0)
            self._picture(citation.crop, min(15.5, (right - left) * _CROP_CENTIMETRES))


def clean(text: str) -> str:
    """Returns text without the characters that XML cannot hold."""
    return "".join(c for c in text if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff"))
