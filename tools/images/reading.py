"""Text in pictures, by RapidOCR (`ocr` extra), whose wheel brings models for both languages."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

_PAGE_SCALE = 200 / 72  # pixels a point: 200 dots an inch, enough for small print
_lock = threading.Lock()


@dataclass(frozen=True)
class TextLine:
    """A line of text, its box in pixels, and the engine's confidence from 0 to 1."""

    text: str
    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float


@functools.cache
def _engine() -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        raise ConfigError(
            "Reading text in pictures needs an extra.", fix='pip install "qwenbelt[ocr]"'
        ) from error
    return RapidOCR()


def read_text(picture: Image) -> list[TextLine]:
    """Returns the lines of text in a picture, from top to bottom.

    Raises:
        ConfigError: the `ocr` extra is not installed.
    """
    import numpy

    with _lock:  # the engine keeps state between its stages
        found, _ = _engine()(numpy.asarray(picture.convert("RGB"))[:, :, ::-1])
    lines = []
    for corners, text, confidence in found or ():
        xs, ys = [point[0] for point in corners], [point[1] for point in corners]
        lines.append(TextLine(text, min(xs), min(ys), max(xs), max(ys), float(confidence)))
    return sorted(lines, key=lambda line: (line.y1, line.x1))


def page_picture(path: Path, number: int) -> tuple[Image, float]:
    """Returns a page of a PDF file as a picture, and its pixels a point.

    Raises:
        InputError: the file cannot be read, or has no such page.
    """
    from qwenbelt.tools.documents.parsing.pdf import page_pictures as pictures
    from qwenbelt.tools.documents.parsing.pdf import pdfium

    picture = pictures.page_picture(path, number, scale=_PAGE_SCALE)
    with pdfium.opened(path) as document:
        with pdfium.page_of(document, number - 1, str(path)) as page:
            return picture, picture.width / page.get_size()[0]
