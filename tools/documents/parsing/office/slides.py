"""PowerPoint files become blocks: each slide a page, with its shapes, notes and comments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.core.errors import one_line
from qwenbelt.tools.documents.parsing.grids import Places
from qwenbelt.tools.documents.parsing.office.charts import chart_blocks
from qwenbelt.tools.documents.parsing.office.drawing_text import MC, A, text_of_body
from qwenbelt.tools.documents.parsing.office.package import OfficePackage, R, comment_label
from qwenbelt.tools.documents.parsing.office.word import diagram_blocks
from qwenbelt.tools.documents.parsing.pagination import (
    Block,
    Break,
    Note,
    Paragraph,
    TableRows,
    Title,
)

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = ("title", "ctrTitle")
MAX_DEPTH = 30
MAX_SLIDES = 20_000


class _Shape(NamedTuple):
    """A shape of a slide and where it is, in EMU; unknown places come in order."""

    node: Any
    top: float
    left: float
    bottom: float
    right: float


def slide_blocks(file: Path) -> Iterator[Block]:
    """Yields the slides of a .pptx, each on a page: title, texts, tables, charts, notes."""
    with OfficePackage(file) as package:
        main = package.main()
        root = package.xml(main)
        relations = package.relations(main)
        size = root.find(f"{P}sldSz") if root is not None else None
        wide = (_integer(size, "cx"), _integer(size, "cy")) if size is not None else (0, 0)
        numbers = [n.get(f"{R}id", "") for n in root.iter(f"{P}sldId")] if root is not None else []
        for at, number in enumerate(numbers[:MAX_SLIDES]):
            if at:
                yield Break()
            part = relations[number].target if number in relations else ""
            slide = package.xml(part) if part else None
            if slide is None:
                yield Note("The slide could not be read and was left out.")
                continue
            yield from _Slide(package, part, slide, wide).blocks()


class _Slide:
    def __init__(self, package: OfficePackage, part: str, root: Any, size: tuple[int, int]) -> None:
        self._package = package
        self._part = part
        self._root = root
        self._size = size
        self._pictures = self._hidden = self._outside = 0
        self._places = self._of_layout()

    def blocks(self) -> Iterator[Block]:
        hidden = self._root.get("show") in ("0", "false")
        tree = self._root.find(f"{P}cSld/{P}spTree")
        shapes = self._sorted(tree) if tree is not None else []
        title = next((s for s in shapes if _placeholder(s.node)[0] in _TITLES), None)
        text = _text(title.node) if title is not None else ""
        if text.strip() or hidden:
            yield Title(f"{text} [hidden slide]".strip() if hidden else text)
        if hidden:
            yield Note("This slide is hidden in the presentation.")
        for shape in shapes:
            if shape is not title:
                yield from self._safely(shape, 0)
        yield from self._beside()

    def _safely(self, shape: _Shape, depth: int) -> Iterator[Block]:
        """Yields a shape's blocks; an odd one costs itself alone."""
        try:
            yield from list(self._shape(shape, depth))
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            yield Note(f"A shape could not be read and was left out: {one_line(error, 80)}.")

    def _shape(self, shape: _Shape, depth: int) -> Iterator[Block]:
        node = shape.node
        if any(n.get("hidden") in ("1", "true") for n in _own_names(node)):
            self._hidden += len(_every_text(node).split())
            return
        if self._is_outside(shape) and depth == 0:
            self._outside += len(_every_text(node).split())
            return
        if node.tag == f"{P}grpSp" and depth < MAX_DEPTH:
            for inner in self._sorted(node):
                yield from self._safely(inner, depth + 1)
        elif node.tag == f"{P}graphicFrame":
            yield from self._frame(node)
        elif node.tag == f"{P}pic":
            yield from self._picture(node)
        elif (text := _text(node)).strip():
            yield Paragraph(text)

    def _frame(self, node: Any) -> Iterator[Block]:
        table = node.find(f".//{A}tbl")
        relations = self._package.relations(self._part)
        if table is not None:
            places = _table(table)
            if any(any(row) for row in places.shown):
                yield TableRows(places.rows, "", places.shown)
            return
        for reference in node.iter("{*}chart", "{*}relIds"):
            number = reference.get(f"{R}id") or reference.get(f"{R}dm") or ""
            root = self._package.xml(relations[number].target) if number in relations else None
            diagram = reference.tag.endswith("}relIds")
            yield from diagram_blocks(root) if diagram else chart_blocks(root)
            return
        names = [n.get("descr") or "" for n in _own_names(node)]
        if any(names):
            yield Paragraph(f"[image: {' '.join(names).strip()}]")
        yield Note("An object that is embedded in the slide was not read.")

    def _picture(self, node: Any) -> Iterator[Block]:
        names = " ".join(" ".join(n.get("descr") or "" for n in _own_names(node)).split())
        is_name = names.lower().endswith((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf"))
        if names and not is_name:
            yield Paragraph(f"[image: {names}]")
        else:
            self._pictures += 1
        for kind in ("videoFile", "audioFile"):
            if node.find(f".//{A}{kind}") is not None:
                yield Note("A film or sound was not read.")

    def _beside(self) -> Iterator[Block]:
        """Yields notes of the speaker, comments, and remarks for the reader."""
        for part in self._package.related(self._part, "notesSlide"):
            root = self._package.xml(part)
            if root is None:
                yield Note("Notes of the speaker could not be read and were left out.")
                continue
            for shape in root.iter(f"{P}sp"):
                kind, _ = _placeholder(shape)
                if kind in ("body", "obj") and (text := _text(shape)).strip():
                    yield Paragraph(text)
        yield from self._comments()
        if self._pictures:
            yield Note(f"Pictures without a text were not read: {self._pictures}.")
        if self._hidden:
            yield Note(f"Hidden text was left out: {self._hidden} words.")
        if self._outside:
            yield Note(f"Text outside of the slide was left out: {self._outside} words.")

    def _comments(self) -> Iterator[Block]:
        authors = dict(self._authors())
        for part in self._package.related(self._part, "comments"):
            root = self._package.xml(part)
            for comment in root.iter("{*}cm") if root is not None else ():
                texts = [n.text or "" for n in comment.iter(f"{P}text")]
                for paragraph in comment.iter(f"{A}p"):
                    texts.append("".join(t.text or "" for t in paragraph.iter(f"{A}t")))
                if any(texts):
                    who = authors.get(comment.get("authorId", ""), "")
                    label = comment_label(who, comment.get("dt") or comment.get("created"))
                    yield Paragraph(f"{label} {' '.join(' '.join(texts).split())}")

    def _authors(self) -> Iterator[tuple[str, str]]:
        main = self._package.main()
        for kind in ("commentAuthors", "authors"):
            for part in self._package.related(main, kind):
                root = self._package.xml(part)
                for author in root if root is not None else ():
                    yield str(author.get("id", "")), str(author.get("name", ""))

    def _sorted(self, tree: Any) -> list[_Shape]:
        shapes = [self._placed(node) for node in _children(tree)]
        above = 0.0
        for n, shape in enumerate(shapes):
            if shape.top != shape.top:  # not a number: it has no place, and comes after the last
                shapes[n] = shape._replace(top=above, left=0.0)
            above = shapes[n].top
        return sorted(shapes, key=lambda s: (s.top, s.left))

    def _placed(self, node: Any) -> _Shape:
        place = _place(node)
        if place is None:
            kind, index = _placeholder(node)
            place = self._places.get(f"#{index}") or self._places.get(kind)
        if place is None:
            nowhere = float("nan")
            return _Shape(node, nowhere, 0.0, nowhere, nowhere)
        x, y, width, height = place
        return _Shape(node, y, x, y + height, x + width)

    def _of_layout(self) -> dict[str, tuple[int, int, int, int]]:
        """Returns the places that the layout gives its placeholders, by kind and by "#index"."""
        places: dict[str, tuple[int, int, int, int]] = {}
        for part in self._package.related(self._part, "slideLayout"):
            chain = [*self._package.related(part, "slideMaster"), part]
            for name in chain:
                root = self._package.xml(name)
                for shape in root.iter(f"{P}sp") if root is not None else ():
                    kind, index = _placeholder(shape)
                    place = _place(shape)
                    if kind and place is not None:
                        places[kind] = place
                        if name == part:
                            places[f"#{index}"] = place
        return places

    def _is_outside(self, shape: _Shape) -> bool:
        width, height = self._size
        if not width or shape.right != shape.right:
            return False
        return shape.right <= 0 or shape.bottom <= 0 or shape.left >= width or shape.top >= height


def _children(tree: Any) -> Iterator[Any]:
    """Yields the shapes of a tree; of alternatives the first."""
    for node in tree:
        if node.tag == f"{MC}AlternateContent":
            choice = node.find(f"{MC}Choice")
            fallback = node.find(f"{MC}Fallback")
            taken = choice if choice is not None and len(choice) else fallback
            yield from _children(taken) if taken is not None else ()
        elif isinstance(node.tag, str) and node.tag.rpartition("}")[2] in (
            "sp",
            "grpSp",
            "graphicFrame",
            "pic",
            "cxnSp",
        ):
            yield node


def _place(node: Any) -> tuple[int, int, int, int] | None:
    for path in (f"{P}spPr/{A}xfrm", f"{P}xfrm", f"{P}grpSpPr/{A}xfrm"):
        frame = node.find(path)
        if frame is not None:
            offset, extent = frame.find(f"{A}off"), frame.find(f"{A}ext")
            if offset is not None and extent is not None:
                place = _integer(offset, "x"), _integer(offset, "y")
                return (*place, _integer(extent, "cx"), _integer(extent, "cy"))
    return None


def _integer(node: Any, name: str) -> int:
    text = str(node.get(name, "0"))
    return int(text) if text.lstrip("-").isdigit() and len(text) < 16 else 0


def _own_names(node: Any) -> Iterator[Any]:
    for child in node:
        if isinstance(child.tag, str) and child.tag.startswith(f"{P}nv"):
            yield from child.iter(f"{P}cNvPr")


def _placeholder(node: Any) -> tuple[str, str]:
    """Returns the kind and the index of a placeholder; "" and "" for other shapes."""
    found = node.find(f"{P}nvSpPr/{P}nvPr/{P}ph")
    if found is None:
        return "", ""
    return str(found.get("type", "obj")), str(found.get("idx", "0"))


def _text(node: Any) -> str:
    body = node.find(f"{P}txBody")
    return text_of_body(body) if body is not None else ""


def _every_text(node: Any) -> str:
    return " ".join(t.text or "" for t in node.iter(f"{A}t"))


def _table(table: Any) -> Places:
    places = Places()
    for row in table.iterfind(f"{A}tr"):
        places.next_row()
        for column, cell in enumerate(row.iterfind(f"{A}tc")):
            if cell.get("hMerge") in ("1", "true") or cell.get("vMerge") in ("1", "true"):
                continue
            body = cell.find(f"{A}txBody")
            text = text_of_body(body).strip() if body is not None else ""
            across, down = _integer(cell, "gridSpan") or 1, _integer(cell, "rowSpan") or 1
            places.put(text, across, down, column=column)
    places.cut()
    return places
