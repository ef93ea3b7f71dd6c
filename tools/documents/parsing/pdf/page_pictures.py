"""Pages as pictures, with passages highlighted."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.pdf import pdfium

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 25_000_000
_HIGHLIGHT = (255, 221, 51)
_MARGIN = 1.5  # points around a box


def page_picture(
    file: str | Path,
    page: int,
    *,
    boxes: Iterable[Sequence[float]] = (),
    scale: float = 2.0,
    password: str | None = None,
) -> Image:
    """Returns a page of a PDF as a picture.

    Args:
        file: the PDF.
        page: from 1.
        boxes: what to highlight, in points from the top left of the page.
        scale: pixels for each point; reduced for very large pages.
        password: opens an encrypted file.

    Raises:
        InputError: the file cannot be read or has no such page.
    """
    with pdfium.opened(file, password) as document:
        if not 1 <= page <= len(document):
            raise InputError(f"{file}: has no page {page}; it has {len(document)} pages.")
        with pdfium.page_of(document, page - 1, str(file)) as source:
            width, height = source.get_size()
            scale = min(scale, (MAX_PIXELS / max(width * height, 1)) ** 0.5)
            picture: Image = source.render(scale=scale).to_pil().convert("RGB")
    return highlighted(picture, boxes, scale)


def highlighted(picture: Image, boxes: Iterable[Sequence[float]], scale: float) -> Image:
    """Returns a picture with boxes marked as with a felt pen; they are in points."""
    from PIL import Image, ImageChops, ImageDraw

    places = [
        [
            (x0 - _MARGIN) * scale,
            (top - _MARGIN) * scale,
            (x1 + _MARGIN) * scale,
            (bottom + _MARGIN) * scale,
        ]
        for x0, top, x1, bottom in boxes
    ]
    if not places:
        return picture
    layer = Image.new("RGB", picture.size, "white")
    draw = ImageDraw.Draw(layer)
    for place in places:
        draw.rectangle(place, fill=_HIGHLIGHT)
    return ImageChops.multiply(picture, layer)


def render_page(
    file: str | Path,
    page: int,
    *,
    boxes: Iterable[Sequence[float]] = (),
    scale: float = 2.0,
    password: str | None = None,
) -> bytes:
    """Returns a page as PNG bytes; the arguments are those of `page_picture`.

    Raises:
        InputError: the file cannot be read or has no such page.
    """
    target = io.BytesIO()
    page_picture(file, page, boxes=boxes, scale=scale, password=password).save(target, "PNG")
    return target.getvalue()
