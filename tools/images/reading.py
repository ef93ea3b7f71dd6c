"""Text in pictures, by RapidOCR (`ocr` extra), whose wheel brings models for both languages.

Pages that are turned sideways or upside down are detected by reading a few lines both ways.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.images import ocr_cache

if TYPE_CHECKING:
    from PIL.Image import Image

_PAGE_SCALE = 200 / 72  # pixels a point: 200 dots an inch, enough for small print
_DOUBTFUL = 0.7  # confidence in a line that is read once more
_TALL = 1.5  # a line's height to its width: it runs upwards or downwards
_LONG_ENOUGH = 4  # characters of a line that shows how a page is turned
_TRIED = 3  # lines
_BENEFIT = 0.3  # of confidence, for a page that is as it should be
_SURE = 0.75  # confidence in turned lines
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


Found = list[tuple[Any, str, float]]  # corners, text and confidence of each line


class _Engine:
    """RapidOCR 3, whose wheel brings the PP-OCRv6 models and runs on every Python."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        # one thread: two take 40 % more processor time for a page, most of it spent waiting for
        # each other, and twice the time beside other work; pages are read by several processes
        quiet = {"Global.log_level": "error"}  # else it logs its models
        one = {"EngineConfig.onnxruntime.intra_op_num_threads": 1}
        self._engine = RapidOCR(params={**quiet, **one})

    def lines(self, pixels: Any) -> Found:
        found = self._engine(pixels, use_det=True, use_cls=True, use_rec=True)
        if found.txts is None:
            return []
        return list(zip(found.boxes, found.txts, map(float, found.scores), strict=True))

    def one(self, pixels: Any) -> tuple[str, float]:
        found = self._engine(pixels, use_det=False, use_cls=False, use_rec=True)
        return (found.txts[0], float(found.scores[0])) if found.txts else ("", 0.0)


@functools.cache
def _ocr_engine() -> _Engine:
    try:
        return _Engine()
    except ImportError as error:
        raise ConfigError(
            "Reading text in pictures needs an extra.", fix='pip install "qwenbelt[ocr]"'
        ) from error


def _as_pixels(picture: Image) -> Any:
    import numpy

    return numpy.asarray(picture.convert("RGB"))[:, :, ::-1]


def read_text(picture: Image) -> list[TextLine]:
    """Returns the lines of text in a picture, from top to bottom.

    Raises:
        ConfigError: the `ocr` extra is not installed.
    """
    with _lock:  # the engine keeps state between its stages
        found = _ocr_engine().lines(_as_pixels(picture))
    lines = []
    for corners, text, confidence in found:
        xs = [float(point[0]) for point in corners]
        ys = [float(point[1]) for point in corners]
        line = TextLine(text, min(xs), min(ys), max(xs), max(ys), confidence)
        lines.append(line if confidence >= _DOUBTFUL else _read_again(picture, line))
    return sorted(lines, key=lambda line: (line.y1, line.x1))


def _part_of_line(picture: Image, line: TextLine) -> Image:
    return picture.crop((int(line.x1), int(line.y1), int(line.x2) + 1, int(line.y2) + 1))


def _read_again(picture: Image, line: TextLine) -> TextLine:
    """Reads a line without turning it: the engine takes some long ones for upside-down."""
    with _lock:
        text, confidence = _ocr_engine().one(_as_pixels(_part_of_line(picture, line)))
    if confidence <= line.confidence:
        return line
    return replace(line, text=text, confidence=confidence)


def read_upright(picture: Image) -> tuple[list[TextLine], int]:
    """Returns the lines of a picture that may be turned sideways or upside down.

    Their places are those in the picture turned upright; the second value is by how many quarter
    turns against the clock it was turned for that.

    Raises:
        ConfigError: the `ocr` extra is not installed.
    """
    key = ocr_cache.key_of(picture)
    kept = _kept(ocr_cache.load(key))
    if kept is not None:
        return kept
    lines = read_text(picture)
    turn = _quarter_turns(picture, lines)
    if turn:
        lines = read_text(picture.rotate(90 * turn, expand=True))
    ocr_cache.save(key, {"lines": [astuple(line) for line in lines], "turn": turn})
    return lines, turn


def _kept(entry: Any) -> tuple[list[TextLine], int] | None:
    """Reads an entry of the cache; a damaged one counts as missing."""
    try:
        lines = [TextLine(str(text), *map(float, rest)) for text, *rest in entry["lines"]]
        return lines, int(entry["turn"]) % 4
    except (TypeError, ValueError, KeyError):
        return None


def _quarter_turns(picture: Image, lines: list[TextLine]) -> int:
    """Says how a picture is to be turned: tried on its longest lines."""
    written = [line for line in lines if len(line.text.strip()) >= _LONG_ENOUGH]
    if not written:
        return 0
    tall = [line for line in written if line.y2 - line.y1 > _TALL * (line.x2 - line.x1)]
    sideways = len(tall) > 0.5 * len(written)
    chosen = tall if sideways else [line for line in written if line not in tall]
    chosen.sort(key=lambda line: -max(line.x2 - line.x1, line.y2 - line.y1))
    sums = {1: 0.0, 3: 0.0} if sideways else {0: _BENEFIT, 2: 0.0}
    tried = chosen[:_TRIED]
    for line in tried:
        part = _part_of_line(picture, line)
        for turn in sums:
            with _lock:
                turned = part.rotate(90 * turn, expand=True) if turn else part
                sums[turn] += _ocr_engine().one(_as_pixels(turned))[1]
    best = max(sums, key=lambda turn: sums[turn])
    # upright letters in upright columns, as old Chinese books have, are no turned page
    return best if sums[best] >= _SURE * len(tried) else 0


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
