"""Pictures of cited passages: the part of the page around the quoted words, these marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.errors import InputError
from qwenbelt.workflows.report.document import PageBox, ReportCitation, SourceFile
from qwenbelt.workflows.report.folder import CROPS

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 2.2  # pixels for a point: sharp at the size at which a reference shows it
AROUND = 9.0  # points of the page shown on each side of the words
LEAST_WIDTH, LEAST_HEIGHT = 240.0, 54.0  # points; a word alone would not show its place
MOST_CROPS = 400
MOST_GROWTH = 24.0  # points that a picture may grow up and down to show whole lines
_HAIR, _ROOM = 1.0, 4.0  # points between a line and the picture's edge
_OVERLAP = 2.0  # points by which the boxes of close lines lie over each other
_ROUNDS = 4  # a line that was taken in may reach other lines


def with_crops(
    citations: Sequence[ReportCitation],
    files: Iterable[SourceFile],
    stage: Path,
    password: str | None = None,
) -> list[ReportCitation]:
    """Returns the citations with pictures of their passages, which are written into `stage`.

    A citation without a box, or of a file that has no pages to look at, stays without one.

    Args:
        citations: what is cited.
        files: the documents, by name.
        stage: the report's folder.
        password: opens encrypted files.
    """
    paths = {file.name: file.path for file in files}
    marked: dict[tuple[str, int], list[ReportCitation]] = {}
    for citation in citations[:MOST_CROPS]:
        path = paths.get(citation.file)
        if (
            citation.verified
            and citation.box
            and path is not None
            and path.suffix.lower() == ".pdf"
        ):
            marked.setdefault((str(path), citation.page), []).append(citation)
    made: dict[int, ReportCitation] = {}
    for (name, page), cited in marked.items():
        for citation in _of_page(Path(name), page, cited, stage, password):
            made[citation.n] = citation
    return [made.get(citation.n, citation) for citation in citations]


def _of_page(
    path: Path, page: int, cited: list[ReportCitation], stage: Path, password: str | None
) -> Iterable[ReportCitation]:
    """Draws the page once and cuts each passage out of it."""
    from qwenbelt.tools.documents.parsing.pdf.page_pictures import page_picture

    try:
        picture = page_picture(path, page, scale=SCALE, password=password)
        width, height, lines = _size_and_lines(path, page, password)
    except InputError:
        return  # the words are quoted nevertheless
    factor = picture.width / max(width, 1.0)
    for citation in cited:
        passage = citation.box or (0, 0, 0, 0)
        box = whole_lines(around(passage, width, height), passage, lines, width, height)
        name = f"{CROPS}/citation-{citation.n}.png"
        (stage / CROPS).mkdir(exist_ok=True)
        _cut(picture, box, citation.lines, factor).save(stage / name, "PNG", optimize=True)
        yield replace(citation, crop=name, crop_box=box)


def _size_and_lines(
    path: Path, page: int, password: str | None
) -> tuple[float, float, list[PageBox]]:
    """Returns a page's width and height and the boxes of its lines of text."""
    from qwenbelt.tools.documents.parsing.pdf import pdfium

    with pdfium.opened(path, password) as document:
        with pdfium.page_of(document, page - 1, str(path)) as source:
            width, height = source.get_size()
            placement = pdfium.Placement(source)
            lines = [box for _, box in pdfium.plain_lines(source, placement)]
    return float(width), float(height), [(x0, y0, x1, y1) for x0, y0, x1, y1 in lines]


def whole_lines(
    box: PageBox, passage: PageBox, lines: Sequence[PageBox], width: float, height: float
) -> PageBox:
    """Returns the part of a page around a passage so that it cuts no line of text.

    It grows to take a line in; where that would make it too high, the line is left out.
    """
    left, top, right, bottom = box
    least_top, most_bottom = max(0.0, top - MOST_GROWTH), min(height, bottom + MOST_GROWTH)
    for _ in range(_ROUNDS):
        before = (left, top, right, bottom)
        for x0, y0, x1, y1 in lines:
            if y1 <= top or y0 >= bottom or x1 <= left or x0 >= right:
                continue
            if y0 - _HAIR >= least_top:
                top = min(top, y0 - _HAIR)
            if y1 + _HAIR <= most_bottom:
                bottom = max(bottom, y1 + _HAIR)
            left, right = min(left, x0 - _ROOM), max(right, x1 + _ROOM)
        left, right = max(0.0, left), min(width, right)
        if before == (left, top, right, bottom):
            break
    beside = [line for line in lines if line[0] < right and line[2] > left]
    top, bottom = _without_parts(top, bottom, passage, beside)
    # all of the passage is in it
    edges = (min(left, passage[0]), min(top, passage[1]), max(right, passage[2]))
    return tuple(round(edge, 2) for edge in (*edges, max(bottom, passage[3])))  # type: ignore[return-value]


def _without_parts(
    top: float, bottom: float, passage: PageBox, lines: Sequence[PageBox]
) -> tuple[float, float]:
    """Returns the upper and lower edge, moved towards the passage where they cut a line."""
    for _, y0, _, y1 in sorted(lines, key=lambda line: line[3]):
        if y0 + _OVERLAP < top < y1 - _OVERLAP and y1 - _OVERLAP <= passage[1]:
            top = y1 - _OVERLAP
    for _, y0, _, y1 in sorted(lines, key=lambda line: -line[1]):
        if y0 + _OVERLAP < bottom < y1 - _OVERLAP and passage[3] <= y0 + _OVERLAP:
            bottom = y0 + _OVERLAP
    return top, bottom


def around(box: PageBox, width: float, height: float) -> PageBox:
    """Returns the part of a page to show of a passage: it, some room, and no less than a strip.

    All of the passage is in it, also where it reaches over the edge of the page.
    """
    left, right = _span(box[0], box[2], LEAST_WIDTH, width)
    top, bottom = _span(box[1], box[3], LEAST_HEIGHT, height)
    return (left, top, right, bottom)


def _span(first: float, last: float, least: float, whole: float) -> tuple[float, float]:
    low, high = first - AROUND, last + AROUND
    lacking = max(0.0, least - (high - low))
    low, high = low - lacking / 2, high + lacking / 2
    shift = max(0.0, -low) - max(0.0, high - whole)
    low, high = max(0.0, low + shift), min(whole, high + shift)
    return round(min(low, first), 2), round(max(high, last), 2)


def _cut(picture: Image, box: PageBox, lines: Sequence[PageBox], factor: float) -> Image:
    from qwenbelt.tools.documents.parsing.pdf.page_pictures import highlighted

    left, top = box[:2]
    part = picture.crop(tuple(round(edge * factor) for edge in box))  # type: ignore[arg-type]
    inside = [(x0 - left, y0 - top, x1 - left, y1 - top) for x0, y0, x1, y1 in lines]
    # 64 colours show a page as well as all, at a third of the size
    return highlighted(part, inside, factor).quantize(64)
