"""Pages whose text is a picture, or cannot be decoded: found out, and read by OCR where installed.

Nothing is lost silently: a page that stays unread carries a note.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as raw

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.documents.model import Box, Page, PageLine, PagePicture
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment, Frame
from qwenbelt.tools.documents.parsing.pdf.hidden_text import picture_boxes
from qwenbelt.tools.documents.parsing.pdf.pdfium import Characters, Placement, has_ink, objects_of

FEW_CHARACTERS = 10  # fewer on a page with pictures: a scan
PICTURE_SHARE = 0.03  # of the page's area, where there is no text
MANY_PATHS = 200  # letters drawn as shapes
UNDECODED_SHARE = 0.3
CELLS = 64  # a page is looked at in so many rows and columns
FIGURE_SHARE = 0.04  # of the page's area; smaller pictures are marks and logos
MIN_SIDE = 24.0  # points
MAX_FIGURES = 6  # of a page
MAX_LOOKED_AT = 300  # pictures
UNCOVERED_SHARE = 0.25  # of a page that is a picture without text over it
MOST_PICTURE_PIXELS = 500_000_000  # a sheet of A0 at 600 dpi; a page is unpacked to be drawn
SCALE = 2.0  # pixels a point, 144 dpi
MAX_PIXELS = 5_000_000  # twice an A4 page at that scale
_PICTURES = frozenset((raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM))
_PATHS = frozenset((raw.FPDF_PAGEOBJ_PATH,))


def what_is_wrong(page: Any, placement: Placement, characters: Characters) -> str:
    """Returns what keeps a page from being read as text.

    "picture", "undecoded", "beside" for a scan on a page that has typed text too, or "" for a page
    with ordinary text or none at all.
    """
    inked = characters.codes[has_ink(characters.codes)]
    if len(inked) < FEW_CHARACTERS:
        return "picture" if _is_picture(page, placement) else ""
    unknown = _undecoded(inked)
    if unknown.sum() >= max(20, UNDECODED_SHARE * len(inked)):
        return "undecoded"
    return "beside" if _is_scan_beside(page, placement, characters) else ""


def picture_too_large(page: Any) -> str:
    """Returns width and height of a picture that would take minutes to unpack, or ""."""
    width, height = ctypes.c_uint(), ctypes.c_uint()
    for picture in islice(_pictures_of(page), MAX_LOOKED_AT):
        if raw.FPDFImageObj_GetImagePixelSize(picture, width, height):
            if width.value * height.value > MOST_PICTURE_PIXELS:
                return f"{width.value} x {height.value}"
    return ""


def _pictures_of(page: Any) -> Iterator[Any]:
    for found in objects_of(page, _PICTURES):
        if raw.FPDFPageObj_GetType(found) == raw.FPDF_PAGEOBJ_IMAGE:
            yield found
            continue
        for number in range(max(0, raw.FPDFFormObj_CountObjects(found))):
            inside = raw.FPDFFormObj_GetObject(found, number)
            if inside and raw.FPDFPageObj_GetType(inside) == raw.FPDF_PAGEOBJ_IMAGE:
                yield inside


def _is_scan_beside(page: Any, placement: Placement, characters: Characters) -> bool:
    """Says whether much of a page is a picture without text over it that looks like writing."""
    pictures = picture_boxes(page, placement)
    if not len(pictures):
        return False
    free = np.zeros((CELLS, CELLS), bool)
    scale = np.array([CELLS / placement.width, CELLS / placement.height] * 2)
    for x0, top, x1, bottom in np.clip(pictures * scale, 0, CELLS).astype(int).tolist():
        free[top:bottom, x0:x1] = True
    if free.mean() < UNCOVERED_SHARE:
        return False
    inked = has_ink(characters.codes)
    for x0, top, x1, bottom in np.clip(characters.boxes[inked] * scale, 0, CELLS).tolist():
        free[int(top) : int(np.ceil(bottom)), int(x0) : int(np.ceil(x1))] = False
    return bool(free.mean() >= UNCOVERED_SHARE and _is_writing(page, free))


def _is_writing(page: Any, free: npt.NDArray[np.bool_]) -> bool:
    """Says whether a part of a page is mostly light with dark strokes, as photographs are not."""
    width, height = page.get_size()
    scale = (400_000 / max(width * height, 1)) ** 0.5
    grey = np.asarray(page.render(scale=scale, grayscale=True).to_numpy())
    grey = grey[..., 0] if grey.ndim == 3 else grey
    rows = np.arange(grey.shape[0]) * CELLS // grey.shape[0]
    columns = np.arange(grey.shape[1]) * CELLS // grey.shape[1]
    part = grey[free[np.ix_(rows, columns)]].astype(np.float64)
    if not part.size:
        return False
    ground = np.quantile(part, 0.7)
    near, dark = np.abs(part - ground) < 30, part < ground - 60
    return bool(near.mean() >= 0.6 and 0.002 <= dark.mean() <= 0.35)


def beside(typed: list[Fragment], seen: list[Fragment]) -> list[Fragment]:
    """Returns typed text and what OCR read around it."""
    if not seen:
        return typed
    kept = [s for s in seen if not any(_overlap(s, t) > 0.3 for t in typed)]
    return [*typed, *(replace(s, order=s.order + len(typed)) for s in kept)]


def _overlap(one: Fragment, other: Fragment) -> float:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    area = max((one.x1 - one.x0) * one.height, 1e-6)
    return max(across, 0.0) * max(down, 0.0) / area


def _undecoded(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Says which are replacement characters, of private use, or control characters."""
    private = (codes >= 0xE000) & (codes <= 0xF8FF)
    unknown: npt.NDArray[np.bool_] = private | (codes == 0xFFFD) | ((codes > 2) & (codes < 9))
    return unknown


def _is_picture(page: Any, placement: Placement) -> bool:
    area = placement.width * placement.height
    bounds = [ctypes.c_float() for _ in range(4)]
    for found in objects_of(page, _PICTURES):
        if raw.FPDFPageObj_GetBounds(found, *bounds):
            left, bottom, right, top = (b.value for b in bounds)
            if (right - left) * (top - bottom) > PICTURE_SHARE * area:
                return True
    return len(objects_of(page, _PATHS)) > MANY_PATHS


class Seen(NamedTuple):
    """What OCR read of a page: its lines, and the frame in which they are upright."""

    fragments: list[Fragment]
    frame: Frame


def read_by_ocr(page: Any) -> Seen | None:
    """Returns the text in the page's picture, or None without the `ocr` extra."""
    from qwenbelt.tools.images.reading import read_upright

    _make_room()
    width, height = page.get_size()
    scale = min(SCALE, (MAX_PIXELS / max(width * height, 1)) ** 0.5)
    picture = page.render(scale=scale).to_pil()
    try:
        lines, turn = read_upright(picture)
    except ConfigError:
        return None
    return Seen(
        [
            Fragment(
                line.text,
                line.x1 / scale,
                line.y1 / scale,
                line.x2 / scale,
                line.y2 / scale,
                line.text.endswith("-"),
                order,
            )
            for order, line in enumerate(lines)
            if line.text.strip()
        ],
        Frame(turn, width, height),
    )


def pictures_for_model(
    page: Any, placement: Placement, characters: Characters, fault: str
) -> list[PagePicture]:
    """Returns what a vision model is to read of a page: all of a scan, figures of a typed page."""
    boxes: list[Box | None] = [None] if fault in ("picture", "undecoded") else []
    if not boxes:
        boxes += _figures(page, placement, characters)
    if not boxes:
        return []
    width, height = page.get_size()
    scale = min(SCALE, (MAX_PIXELS / max(width * height, 1)) ** 0.5)
    shown = page.render(scale=scale).to_pil().convert("RGB")
    found = []
    for box in boxes:
        target = io.BytesIO()
        part = shown if box is None else shown.crop([round(v * scale) for v in box])
        part.save(target, "PNG")
        found.append(PagePicture(box, target.getvalue()))
    return found


def _figures(page: Any, placement: Placement, characters: Characters) -> list[Box]:
    """Returns where large pictures without text over them are, those that touch as one."""
    given = picture_boxes(page, placement)[:MAX_LOOKED_AT]
    sides = np.array([placement.width, placement.height] * 2)
    merged: list[Box] = []
    for box in (Box(*row) for row in np.clip(given, 0, sides).tolist()):
        for other in [m for m in merged if _touch(m, box)]:
            merged.remove(other)
            box = box.union(other)
        merged.append(box)
    inked = characters.boxes[has_ink(characters.codes)]
    x, y = (inked[:, 0] + inked[:, 2]) / 2, (inked[:, 1] + inked[:, 3]) / 2
    least = FIGURE_SHARE * placement.width * placement.height
    large = [b for b in merged if (b.x1 - b.x0) * (b.bottom - b.top) >= least]
    free = [
        b
        for b in large
        if ((x > b.x0) & (x < b.x1) & (y > b.top) & (y < b.bottom)).sum() < 2 * FEW_CHARACTERS
        and b.bottom - b.top >= MIN_SIDE
        and b.x1 - b.x0 >= MIN_SIDE
    ]
    return sorted(free, key=lambda b: (b.top, b.x0))[:MAX_FIGURES]


def _touch(one: Box, other: Box) -> bool:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    return across > -1 and down > -1


def _make_room() -> None:
    """Lets this process write to as much memory as its reader may take for OCR, from now on."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def turned_back(page: Page, frame: Frame) -> None:
    """Moves lines and tables of a page that was read in another frame to their real places."""
    if frame.turn:
        page.lines = [PageLine(li.start, li.end, frame.on_page(li.box)) for li in page.lines]
        for table in page.tables:
            if table.box is not None:
                table.box = frame.on_page(table.box).rounded()


def note(fault: str, seen: Seen | None, too_large: str = "") -> str:
    """Returns the note for the person about a page that is no ordinary text."""
    if too_large:
        return noted(f"A picture of {too_large} pixels is too large; it was not read.")
    what = {"picture": "A picture", "beside": "A picture beside text"}.get(
        fault, "Text that cannot be decoded"
    )
    if seen is None:
        return noted(f'{what}; it was not read: pip install "qwenbelt[ocr]" reads it.')
    if not seen.fragments:
        return noted(f"{what}; no text was found in it.")
    if seen.frame.turn:
        return noted(f"{what} that is turned; read by OCR.")
    return noted(f"{what}; read by OCR.")
