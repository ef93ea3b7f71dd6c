"""The report without a model: the best passages as they are, page pictures, tables as CSV."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core.errors import InputError, ToolError, one_line
from qwenbelt.core.files import write_text
from qwenbelt.core.language import Language
from qwenbelt.core.translation import in_language
from qwenbelt.tools.documents.citations import find_quote
from qwenbelt.tools.documents.evidence import disagreements_on
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.search.hits import Hit
from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.workflows.report.citing import CitedPage, Citer
from qwenbelt.workflows.report.differing import cited_disagreements
from qwenbelt.workflows.report.document import ReportCitation, ReportDocument, ReportProvenance
from qwenbelt.workflows.report.figures import Gallery
from qwenbelt.workflows.report.folder import TABLES
from qwenbelt.workflows.report.inputs import Documents
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say
from qwenbelt.workflows.report.tables import HeadedTable, grids_on

PASSAGES, PAGES, MOST_TABLES = 8, 5, 4
SHOWN_ROWS, SHOWN_COLUMNS, LONGEST_CELL = 14, 8, 80
PICTURE_SCALE = 2.0  # pixels for a point
LEAST_BAND = 0.4  # of a page's height that a page picture shows
Tell = Callable[[str, float | None], None]


@dataclass
class _Cited:
    """What is quoted of one page."""

    hit: Hit
    page: CitedPage
    citations: list[ReportCitation] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


def extractive_report(
    documents: Documents,
    question: str,
    stage: Path,
    work: Path,
    language: Language,
    tell: Tell,
) -> ReportDocument:
    """Returns a report of passages, page pictures and tables; its files are in `stage`.

    `work` is a temporary folder.

    Raises:
        InputError: a document can no longer be read.
    """
    begun = time.monotonic()
    writer = _Writer(documents, question, stage, work, language)
    tell(question, None)
    with DocumentIndex(documents.index) as index:
        paths = [file.path for file in documents.files]
        hits = index.search(question, PASSAGES, files=paths)
        blocks = writer.passages(hits, tell)
        blocks += writer.tables(index, tell)
        numbers = {file.name: index.document(str(file.path)).id for file in documents.files}
        found = disagreements_on(index, question, numbers)
    differing = cited_disagreements(found, writer.citer, documents.by_name, language)
    reasons = [in_language(reason, language) for reason in documents.left_out]
    notes = [say("unreadable", language, reason=reason) for reason in reasons]
    notes += documents.notes(language)
    return ReportDocument(
        question=question,
        language=language,
        blocks=blocks,
        citations=writer.citer.citations,
        files=documents.files,
        made=ReportProvenance(seconds=time.monotonic() - begun),
        notes=notes,
        disagreements=found,
        differing=differing,
    )


class _Writer:
    """Makes the blocks of an extractive report."""

    def __init__(
        self, documents: Documents, question: str, stage: Path, work: Path, language: Language
    ) -> None:
        self._documents = documents
        self._question = question
        self._stage = stage
        self._work = work
        self._language: Language = language
        self._names = {str(file.path): file.name for file in documents.files}
        self._book = SourceBook()
        self._gallery = Gallery({}, stage, language)
        self._cited: dict[tuple[str, int], _Cited] = {}
        self.citer = Citer(self._book, documents.page, question)

    def passages(self, hits: list[Hit], tell: Tell) -> list[Node]:
        """Quotes the hits, page by page, each page with its picture."""
        for hit in hits:
            self._cite(hit)
        if not self._cited:
            return [_paragraph(say("nothing_found", self._language))]
        blocks = [_heading(2, say("passages", self._language))]
        for number, cited in enumerate(self._cited.values(), 1):
            tell(f"{cited.hit.file} p.{cited.page.page.number}", number / (len(self._cited) + 1))
            blocks += self._page(cited)
        return blocks

    def _cite(self, hit: Hit) -> None:
        key = (hit.path, hit.page)
        if key not in self._cited and len(self._cited) >= PAGES:
            return
        name = self._names.get(hit.path, hit.file)
        number = self._book.number(
            file=name, path=hit.path, page=hit.page, text=hit.text, quote=hit.quote
        )
        source = self._book.get(number)
        page = self._documents.page(source) if source is not None else None
        if source is None or page is None:
            return
        if self._is_known(hit.quote):
            return
        quote = hit.quote if page.holds(hit.quote) else ""
        citation = self.citer.cite(source, self._question, quote)
        cited = self._cited.setdefault(key, _Cited(hit, page))
        if citation not in cited.citations:
            cited.citations.append(citation)
            cited.boxes += find_quote(page.page, citation.quote)

    def _is_known(self, quote: str) -> bool:
        """Returns whether the same words are quoted already, from another page perhaps."""
        words = quote.casefold().split()
        known = [citation.quote.casefold().split() for citation in self.citer.citations]
        return any(words == k[: len(words)] or k == words[: len(k)] for k in known)

    def _page(self, cited: _Cited) -> list[Node]:
        first = cited.citations[0]
        words = {"file": first.file, "page": first.page}
        blocks = [_heading(3, say("passage", self._language, **words))]
        if cited.hit.section:
            blocks.append(_paragraph(cited.hit.section, "emph"))
        for citation in cited.citations:
            quoted = {"kind": "text", "text": f"{citation.quote} "}
            inline = [quoted, {"kind": "cite", "n": citation.n}]
            paragraph = {"kind": "paragraph", "inline": inline}
            blocks.append({"kind": "quote", "blocks": [paragraph]})
        picture = self._picture(cited)
        if picture is not None:
            caption = say("page_picture", self._language, **words)
            text = [{"kind": "text", "text": caption}]
            blocks.append(self._gallery.add(picture, text, framed=True))
        return blocks

    def _picture(self, cited: _Cited) -> Path | None:
        from qwenbelt.tools.documents.parsing.pdf.page_pictures import page_picture

        path = Path(cited.hit.path)
        if path.suffix.lower() != ".pdf":
            return None
        try:
            picture = page_picture(
                path,
                cited.page.page.number,
                boxes=cited.boxes,
                scale=PICTURE_SCALE,
                password=self._documents.password,
            )
        except InputError:
            return None  # the words are quoted nevertheless
        top, bottom = _band(cited.boxes, cited.page.page.height)
        factor = picture.height / max(cited.page.page.height, 1.0)
        shown = picture.crop((0, round(top * factor), picture.width, round(bottom * factor)))
        target = self._work / f"page-{cited.page.page.number}-{len(self._gallery.published)}.png"
        shown.save(target, "PNG", optimize=True)
        return target

    # -- tables ---------------------------------------------------------------------------------

    def tables(self, index: DocumentIndex, tell: Tell) -> list[Node]:
        """Writes the tables of the cited pages as CSV, shows them and draws the numeric ones."""
        blocks: list[Node] = []
        found = 0
        for cited in self._cited.values():
            for grid in grids_on(cited.page.page):
                if found >= MOST_TABLES:
                    break
                found += 1
                tell(say("tables", self._language), found / MOST_TABLES)
                blocks += self._table(grid, cited, found)
        return [_heading(2, say("tables", self._language)), *blocks] if blocks else []

    def _table(self, grid: HeadedTable, cited: _Cited, number: int) -> list[Node]:
        words = {"file": cited.citations[0].file, "page": cited.page.page.number}
        place = say("table", self._language, **words)
        section = cited.hit.section.rpartition(" > ")[2]
        title = grid.caption or (section if section.startswith(("Table", "表")) else place)
        path = f"{TABLES}/table-{number}.csv"
        write_text(self._stage / path, grid.csv())
        whole = say("table_file", self._language, rows=len(grid.rows), path=path)
        note = whole if title == place else f"{place}. {whole}"
        blocks = [_heading(3, title), _table_block(grid), _paragraph(note)]
        return blocks + self._chart(grid, title, place)

    def _chart(self, grid: HeadedTable, title: str, place: str) -> list[Node]:
        from qwenbelt.tools.plot.chart import ChartArguments
        from qwenbelt.tools.plot.draw import draw_chart

        given = grid.chart()
        if given is None:
            return []
        try:
            chart = ChartArguments.model_validate({**given, "title": title}).chart()
        except (ToolError, ValueError):
            return []  # numbers that make no chart: the table is shown anyway
        drawn = draw_chart(chart, self._work, language=self._language)
        return [self._gallery.add(drawn.png, [{"kind": "text", "text": place}])]


def _band(boxes: list[Box], height: float) -> tuple[float, float]:
    """Returns the part of a page to show: what is quoted and some room around it."""
    if not boxes or height <= 0:
        return 0.0, height
    top = min(box.top for box in boxes) - 0.05 * height
    bottom = max(box.bottom for box in boxes) + 0.05 * height
    lacking = max(0.0, LEAST_BAND * height - (bottom - top))
    top, bottom = top - lacking / 2, bottom + lacking / 2
    shift = max(0.0, -top) - max(0.0, bottom - height)
    return max(0.0, top + shift), min(height, bottom + shift)


def _table_block(grid: HeadedTable) -> Node:
    def cell(text: str) -> list[Node]:
        return [{"kind": "text", "text": one_line(text, LONGEST_CELL)}] if text else []

    count = min(SHOWN_COLUMNS, len(grid.header))
    rows = [[cell(text) for text in row[:count]] for row in grid.rows[:SHOWN_ROWS]]
    align = ["right" if column in grid.numeric else "left" for column in range(count)]
    head = [cell(text) for text in grid.header[:count]]
    return {"kind": "table", "align": align, "head": head, "rows": rows}


def _heading(level: int, text: str) -> Node:
    return {"kind": "heading", "level": level, "inline": [{"kind": "text", "text": text}]}


def _paragraph(text: str, kind: str = "text") -> Node:
    words: Node = {"kind": "text", "text": text}
    inline = [words] if kind == "text" else [{"kind": kind, "inline": [words]}]
    return {"kind": "paragraph", "inline": inline}
