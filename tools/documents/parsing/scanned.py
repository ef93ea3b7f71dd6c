"""Pages whose text is a picture, or cannot be decoded: found out, and read by OCR where installed.

Nothing is lost without a word: a page that stays unread carries a note that says so.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as raw

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.fragments import Fragment, has_ink
from qwenbelt.tools.documents.parsing.pdfium import Characters, Placement, objects_of

FEW_CHARACTERS = 10  # fewer on a page with pictures: a scan
PICTURE_SHARE = 0.1  # of the page's area
MANY_PATHS = 200  # letters drawn as shapes
UNDECODED_SHARE = 0.3
SCALE = 2.0  # pixels a point, 144 dpi
MAX_PIXELS = 5_000_000  # twice an A4 page at that scale
_PICTURES = frozenset((raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM))
_PATHS = frozenset((raw.FPDF_PAGEOBJ_PATH,))


def what_is_wrong(page: Any, placement: Placement, characters: Characters) -> str:
    """Returns "picture", "undecoded", or "" for a page with ordinary text or none at all."""
    inked = characters.codes[has_ink(characters.codes)]
    if len(inked) < FEW_CHARACTERS:
        return "picture" if _is_picture(page, placement) else ""
    unknown = _undecoded(inked)
    return "undecoded" if unknown.sum() >= max(20, UNDECODED_SHARE * len(inked)) else ""


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


def read_by_ocr(page: Any) -> list[Fragment] | None:
    """Returns the text in the page's picture, or None without the `ocr` extra."""
    from qwenbelt.tools.images.reading import read_text

    width, height = page.get_size()
    scale = min(SCALE, (MAX_PIXELS / max(width * height, 1)) ** 0.5)
    picture = page.render(scale=scale).to_pil()
    try:
        lines = read_text(picture)
    except ConfigError:
        return None
    return [
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
    ]


def note(fault: str, fragments: list[Fragment] | None) -> str:
    """Returns what to tell the person about a page that is no ordinary text."""
    what = "A picture" if fault == "picture" else "Text that cannot be decoded"
    if fragments is None:
        return noted(f'{what}; it was not read: pip install "qwenbelt[ocr]" reads it.')
    if not fragments:
        return noted(f"{what}; no text was found in it.")
    return noted(f"{what}; read by OCR.")
