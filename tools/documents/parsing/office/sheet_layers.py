"""What a sheet has besides cells: merged places, hidden rows, comments, charts, drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qwenbelt.tools.documents.parsing.office.charts import chart_blocks
from qwenbelt.tools.documents.parsing.office.drawing_text import text_of_body
from qwenbelt.tools.documents.parsing.office.package import (
    OfficePackage,
    comment_label,
    transitional,
)
from qwenbelt.tools.documents.parsing.pagination import Block, Note, Paragraph
from qwenbelt.tools.documents.parsing.raised import pieces_in_line

_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})(?::\$?([A-Z]{1,3})\$?(\d{1,7}))?")
_PARTS = re.compile(r"&(?:[LCR]|\"[^\"]*\"|K[0-9A-F]{6}|\d+|[BIUSEXYOHG])")
_FIELDS = re.compile(r"&[PNDTAFZ]")
MAX_SPANS = 20_000
Span = tuple[int, int, int, int]


class SheetLayers:
    """Reads a sheet's part for what a reader of cells leaves out."""

    def __init__(self, package: OfficePackage, part: str) -> None:
        self._package = package
        self._part = part
        self._merged: list[Span] = []
        self._rows: set[int] = set()
        self._columns: set[int] = set()
        self._headers: list[str] = []
        self._rich: dict[tuple[int, int], str] = {}
        if part:
            self._look()

    def merged(self) -> list[Span]:
        """Returns the merged places: top, left, bottom, right."""
        return self._merged

    def hidden(self) -> tuple[set[int], set[int]]:
        """Returns the numbers of rows and of columns that are not shown."""
        return self._rows, self._columns

    def rich(self) -> dict[tuple[int, int], str]:
        """Returns texts in cells of their own that have raised or lowered characters, by place.

        The library's reader of cells knows these formats only of shared texts.
        """
        return self._rich

    def blocks(self) -> Iterator[Block]:
        """Yields charts, texts of drawings, comments, headers and footers."""
        for drawing in self._package.related(self._part, "drawing") if self._part else ():
            yield from self._drawing(drawing)
        yield from self._comments()
        for text in dict.fromkeys(self._headers):
            yield Paragraph(f"[header or footer] {text}")
        if self._rows or self._columns:
            rows, columns = len(self._rows), len(self._columns)
            yield Note(f"Hidden in the sheet: {rows} rows, {columns} columns; they are marked.")

    def _look(self) -> None:
        from lxml import etree

        data = self._package.data(self._part)
        if data is None:
            return
        parser = etree.XMLPullParser(
            events=("end",), resolve_entities=False, no_network=True, recover=True
        )
        data = transitional(data)
        is_rich = b"vertAlign" in data
        for start in range(0, len(data), 1 << 20):
            parser.feed(data[start : start + (1 << 20)])
            for _, node in parser.read_events():
                self._take(node, is_rich)

    def _take(self, node: Any, is_rich: bool) -> None:
        tag = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
        if tag == "row":
            self._take_row(node, is_rich)
        elif tag == "col" and node.get("hidden") in ("1", "true"):
            first, last = node.get("min", "0"), node.get("max", "0")
            if first.isdigit() and last.isdigit():
                self._columns.update(range(int(first), min(int(last), int(first) + 2000) + 1))
        elif tag == "mergeCell" and len(self._merged) < MAX_SPANS:
            if span := span_of(node.get("ref", "")):
                self._merged.append(span)
        elif tag in ("oddHeader", "oddFooter", "firstHeader", "firstFooter", "evenHeader"):
            text = _FIELDS.sub("", _PARTS.sub(" ", node.text or "")).strip()
            if any(c.isalnum() for c in text):
                self._headers.append(" ".join(text.split()))

    def _take_row(self, node: Any, is_rich: bool) -> None:
        if node.get("hidden") in ("1", "true") and (number := node.get("r", "")).isdigit():
            self._rows.add(int(number))
        if is_rich:
            self._take_rich(node)
        node.clear()
        while node.getprevious() is not None:
            del node.getparent()[0]

    def _take_rich(self, row: Any) -> None:
        for text in row.iterfind("{*}c/{*}is"):
            place = _RANGE.fullmatch(text.getparent().get("r", ""))
            if place and next(text.iter("{*}vertAlign"), None) is not None:
                self._rich[int(place[2]), column_number(place[1])] = _rich_text(text)

    def _drawing(self, part: str) -> Iterator[Block]:
        for kind in ("chart", "chartEx"):
            for chart in self._package.related(part, kind):
                yield from chart_blocks(self._package.xml(chart))
        root = self._package.xml(part)
        if root is None:
            yield Note(f"A part of the file could not be read and was left out: {part}.")
            return
        for body in root.iter("{*}txBody"):
            if text := text_of_body(body).strip():
                yield Paragraph(text)
        pictures = list(root.iter("{*}pic"))
        for picture in pictures:
            names = [str(n.get("descr") or "") for n in picture.iter("{*}cNvPr")]
            if any(names):
                yield Paragraph(f"[image: {' '.join(names).strip()}]")
        if pictures:
            yield Note(f"Pictures were not read: {len(pictures)}.")

    def _comments(self) -> Iterator[Block]:
        people = {p.get("id", ""): p.get("displayName", "") for p in self._persons()}
        threaded = self._package.related(self._part, "threadedComment") if self._part else []
        for part in threaded:
            root = self._package.xml(part)
            for node in root.iter("{*}threadedComment") if root is not None else ():
                text = " ".join(t.text or "" for t in node.iter("{*}text"))
                who = people.get(node.get("personId", ""), "")
                yield _comment(node, who, " ".join(text.split()))
        for part in self._package.related(self._part, "comments") if self._part else ():
            root = self._package.xml(part)
            authors = [a.text or "" for a in root.iter("{*}author")] if root is not None else []
            for node in root.iter("{*}comment") if root is not None else ():
                text = " ".join("".join(t.text or "" for t in node.iter("{*}t")).split())
                if text and not (threaded and text.startswith("[Threaded comment]")):
                    at = node.get("authorId", "")
                    known = at.isdigit() and int(at) < len(authors)
                    yield _comment(node, authors[int(at)] if known else "", text)

    def _persons(self) -> Iterator[Any]:
        for part in self._package.related(self._package.main(), "person"):
            root = self._package.xml(part)
            yield from root.iter("{*}person") if root is not None else ()


def _rich_text(node: Any) -> str:
    pieces = []
    for run in node.iterfind("{*}r"):
        place = next((str(n.get("val")) for n in run.iterfind("{*}rPr/{*}vertAlign")), "")
        pieces.append((place, "".join(t.text or "" for t in run.iterfind("{*}t"))))
    return pieces_in_line(pieces)


def _comment(node: Any, author: str, text: str) -> Paragraph:
    return Paragraph(f"{comment_label(author, node.get('dT'), node.get('ref', ''))} {text}")


def span_of(reference: str) -> Span | None:
    """Returns the places of a reference like A1:C3: top, left, bottom, right."""
    found = _RANGE.fullmatch(reference)
    if not found or not found[3]:
        return None
    top, bottom = sorted((int(found[2]), int(found[4])))
    left, right = sorted((column_number(found[1]), column_number(found[3])))
    return top, left, bottom, right


def column_number(letters: str) -> int:
    """Returns 1 for A, 27 for AA."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number
