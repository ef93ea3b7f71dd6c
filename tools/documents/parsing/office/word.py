"""Word files become blocks: body, tables, text boxes, notes, comments, headers, charts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.tools.documents.parsing.grids import Places
from qwenbelt.tools.documents.parsing.office.charts import chart_blocks
from qwenbelt.tools.documents.parsing.office.drawing_text import text_of_body
from qwenbelt.tools.documents.parsing.office.package import OfficePackage, R, comment_label
from qwenbelt.tools.documents.parsing.office.word_numbers import WordNumbers
from qwenbelt.tools.documents.parsing.office.word_text import MAX_DEPTH, W, WordText, style_heights
from qwenbelt.tools.documents.parsing.pagination import (
    Block,
    Break,
    Note,
    Paragraph,
    TableRows,
    Title,
)

_HEADING = re.compile(r"^(?:heading|标题|überschrift|titre|título)\s*(\d)$", re.I)
_CORE = "http://purl.org/dc/elements/1.1/"


def word_document(file: Path) -> tuple[str, list[Block]]:
    """Returns the title that a .docx gives itself, and its blocks."""
    with OfficePackage(file) as package:
        reader = _WordReader(package)
        return reader.title(), list(reader.blocks())


class _WordReader:
    def __init__(self, package: OfficePackage) -> None:
        self._package = package
        self._main = package.main()
        styles = self._part("styles")
        self._levels = _style_levels(styles)
        self._numbers = WordNumbers(self._part("numbering"), styles)
        self._text = WordText(heights=style_heights(styles))
        self._comments = dict(self._read_comments())
        self._pictures = 0

    def title(self) -> str:
        for name in self._package.related("", "core-properties"):
            root = self._package.xml(name)
            if root is not None:
                return " ".join((root.findtext(f"{{{_CORE}}}title") or "").split())
        return ""

    def blocks(self) -> Iterator[Block]:
        root = self._package.xml(self._main)
        body = root.find(f"{W}body") if root is not None else None
        if body is None:
            raise ValueError("no body")
        yield from self._blocks(body, 0)
        yield from self._notes()
        yield from self._left_comments()
        yield from self._headers()
        yield from self._told()

    def _part(self, kind: str) -> Any:
        names = self._package.related(self._main, kind)
        return self._package.xml(names[0]) if names else None

    def _blocks(self, parent: Any, depth: int) -> Iterator[Block]:
        for child in parent:
            tag = child.tag if isinstance(child.tag, str) else ""
            if tag == f"{W}p":
                yield from self._paragraph(child)
            elif tag == f"{W}tbl":
                yield from self._table(child)
            elif tag == f"{W}altChunk":
                yield Note("A file that is embedded in the document was not read.")
            elif tag.startswith(W) and depth < MAX_DEPTH and tag not in (f"{W}sectPr", f"{W}del"):
                yield from self._blocks(child, depth + 1)  # content controls, insertions

    def _paragraph(self, paragraph: Any) -> Iterator[Block]:
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        level = self._levels.get(style.get(f"{W}val", ""), 0) if style is not None else 0
        first_box, first_drawing = len(self._text.boxes), len(self._text.drawings)
        first_comment = len(self._text.comments)
        text = self._text.of(paragraph)
        if text.strip("\f \t\n"):
            number = self._numbers.of(paragraph)
            shown = text.lstrip("\f")
            text = "\f" * (len(text) - len(shown)) + (f"{number} {shown}" if number else shown)
        for at, part in enumerate(text.split("\f")):
            if at:
                yield Break()
            if part.strip():
                yield Title(part, level) if level else Paragraph(part.strip("\n"))
        for box in self._text.boxes[first_box:]:
            yield from self._blocks(box, 1)
        for drawing in self._text.drawings[first_drawing:]:
            yield from self._drawing(drawing)
        for number in self._text.comments[first_comment:]:
            if number in self._comments:
                yield Paragraph(self._comments.pop(number))

    def _drawing(self, node: Any) -> Iterator[Block]:
        names = [str(n.get("descr") or n.get("title") or "") for n in node.iter("{*}docPr")]
        relations = self._package.relations(self._main)
        read = False
        for chart in [*node.iter("{*}chart"), *node.iter("{*}relIds")]:
            number = chart.get(f"{R}id") or chart.get(f"{R}dm") or ""
            root = self._package.xml(relations[number].target) if number in relations else None
            read = True
            if chart.tag.endswith("}relIds"):
                yield from diagram_blocks(root)
            else:
                yield from chart_blocks(root)
        for body in node.iter("{*}txBody"):
            if text := text_of_body(body):
                yield Paragraph(text)
        if any(names):
            yield Paragraph(f"[image: {' '.join(' '.join(names).split())}]")
        if node.tag == f"{W}object":
            yield Note("An object that is embedded in the document was not read.")
        elif not read and not any(names):
            self._pictures += 1

    def _table(self, table: Any) -> Iterator[Block]:
        places = self._places(table, 0)
        boxes = self._text.boxes
        self._text.boxes = []
        if any(any(row) for row in places.shown):
            yield TableRows(places.rows, "", places.shown)
        self._text.boxes = boxes

    def _places(self, table: Any, depth: int) -> Places:
        places = Places()
        above: dict[int, str] = {}
        for row in _inside(table, f"{W}tr"):
            places.next_row()
            column = _integer(row, f"{W}trPr/{W}gridBefore")
            for cell in _inside(row, f"{W}tc"):
                span = max(1, min(_integer(cell, f"{W}tcPr/{W}gridSpan", 1), 63))
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                goes_on = merge is not None and merge.get(f"{W}val", "continue") == "continue"
                text = "" if goes_on else self._cell(cell, depth)
                places.put(above.get(column, "") if goes_on else text, span, column=column)
                if goes_on:
                    places.shown[-1][column] = ""
                if merge is None:
                    above.pop(column, None)
                elif not goes_on:
                    above[column] = text
                column += span
        places.cut()
        return places

    def _cell(self, cell: Any, depth: int) -> str:
        """Returns a cell's text; a table inside is its rows, each a line."""
        lines: list[str] = []
        first_box = len(self._text.boxes)
        for node in _inside(cell, f"{W}p", f"{W}tbl"):
            if node.tag == f"{W}p":
                text = self._text.of(node).replace("\f", "")
                number = self._numbers.of(node) if text.strip() else ""
                lines.append(f"{number} {text}" if number else text)
            elif depth < 4:
                rows = self._places(node, depth + 1).shown
                lines += ["  ".join(c.replace("\n", " ") for c in row if c) for row in rows]
        for box in self._text.boxes[first_box:]:
            lines += [self._text.of(p).replace("\f", "") for p in box.iter(f"{W}p")]
        del self._text.boxes[first_box:]
        return "\n".join(line for line in lines if line.strip()).strip()

    def _notes(self) -> Iterator[Block]:
        for kind in ("footnote", "endnote"):
            names = self._package.related(self._main, f"{kind}s")
            root = self._package.xml(names[0]) if names else None
            if names and root is None:
                yield Note(f"A part of the file could not be read and was left out: {kind}.")
            for note in root.iter(f"{W}{kind}") if root is not None else ():
                text = " ".join(self._text.of(p).replace("\f", "") for p in note.iter(f"{W}p"))
                number = self._text.numbers.get((kind, note.get(f"{W}id", "")))
                if text.strip():
                    mark = f"[{number}] " if number else ""
                    yield Paragraph(mark + text.strip())

    def _read_comments(self) -> Iterator[tuple[str, str]]:
        root = self._part("comments")
        for comment in root.iter(f"{W}comment") if root is not None else ():
            text = " ".join(self._text.of(p) for p in comment.iter(f"{W}p"))
            author = comment.get(f"{W}author", "")
            label = comment_label(author, comment.get(f"{W}date"))
            yield comment.get(f"{W}id", ""), f"{label} {' '.join(text.split())}"

    def _left_comments(self) -> Iterator[Block]:
        """Yields the comments that no paragraph refers to."""
        for text in self._comments.values():
            yield Paragraph(text)

    def _headers(self) -> Iterator[Block]:
        seen = set()
        for kind in ("header", "footer"):
            for name in self._package.related(self._main, kind):
                root = self._package.xml(name)
                if root is None:
                    yield Note(f"A part of the file could not be read and was left out: {kind}.")
                    continue
                lines = [self._text.of(p).replace("\f", "") for p in root.iter(f"{W}p")]
                text = " ".join(" ".join(lines).split())
                if any(c.isalpha() for c in text) and text not in seen:
                    seen.add(text)
                    yield Paragraph(f"[{kind}] {text}")

    def _told(self) -> Iterator[Block]:
        if self._text.hidden:
            yield Note(f"Hidden text was left out: {self._text.hidden} words.")
        if self._text.deleted:
            yield Note(f"Deletions that are tracked were left out: {self._text.deleted} words.")
        if self._pictures:
            yield Note(f"Pictures without a text were not read: {self._pictures}.")


def diagram_blocks(root: Any) -> Iterator[Block]:
    """Yields the texts of a diagram (SmartArt), or a note where it has none."""
    texts = []
    for point in root.iter("{*}pt") if root is not None else ():
        for body in point.iterfind("{*}t"):
            texts.append(text_of_body(body).strip())
    if any(texts):
        yield Paragraph("\n".join(filter(None, texts)))
    else:
        yield Note("A diagram was not read: its file keeps no texts of it.")


def _inside(parent: Any, *tags: str) -> Iterator[Any]:
    """Yields the nearest descendants of some kinds, through content controls and insertions."""
    for child in parent:
        if child.tag in tags:
            yield child
        elif isinstance(child.tag, str) and child.tag.rpartition("}")[2] in (
            "sdt",
            "sdtContent",
            "customXml",
            "ins",
            "moveTo",
            "smartTag",
        ):
            yield from _inside(child, *tags)


def _integer(node: Any, path: str, default: int = 0) -> int:
    found = node.find(path)
    text = found.get(f"{W}val", "") if found is not None else ""
    return int(text) if text.isdigit() and len(text) < 6 else default


def _style_levels(styles: Any) -> dict[str, int]:
    """Returns the level of each style that is a heading's, by its id."""
    own: dict[str, int] = {}
    based: dict[str, str] = {}
    for style in styles.iterfind(f"{W}style") if styles is not None else ():
        number = style.get(f"{W}styleId", "")
        name = style.find(f"{W}name")
        text = name.get(f"{W}val", "") if name is not None else ""
        found = _HEADING.match(text)
        level = int(found[1]) if found else 1 if text.lower() == "title" else 0
        parent = style.find(f"{W}basedOn")
        based[number] = parent.get(f"{W}val", "") if parent is not None else ""
        if level:
            own[number] = level
    return {n: own.get(n) or own.get(based.get(n, ""), 0) for n in based}
