"""PDF pages as characters with boxes and as ruled edges, by pdfium.

pdfium is not thread-safe: everything here runs under one lock of the process. Boxes come out in
points from the top left of the page as it is displayed, whatever its /Rotate or crop box.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2
import pypdfium2.raw as raw

from qwenbelt.core.errors import InputError
from qwenbelt.core.limits import input_file

LOCK = threading.RLock()
MAX_FORM_DEPTH = 8
MAX_PATH_SEGMENTS = 60_000  # a drawing, not a table

Floats = npt.NDArray[np.float64]


def unchecked(function: Any, result: Any, *arguments: Any) -> Any:
    """Returns a function of pdfium without argument conversion, for loops over every character."""
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    return ctypes.CFUNCTYPE(result, *arguments)(address)


_SPACES = [0, *range(9, 14), 0x20, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x3000]
_INKED = np.ones(1 << 16, bool)  # by code point; all beyond has ink
_INKED[_SPACES] = False

_PLACE = (ctypes.c_void_p, ctypes.c_int)
_loose_box = unchecked(raw.FPDFText_GetLooseCharBox, ctypes.c_int, *_PLACE, ctypes.c_void_p)
_object_at = unchecked(raw.FPDFPage_GetObject, ctypes.c_void_p, *_PLACE)
_object_kind = unchecked(raw.FPDFPageObj_GetType, ctypes.c_int, ctypes.c_void_p)
_unicode = unchecked(raw.FPDFText_GetUnicode, ctypes.c_uint, *_PLACE)

_ITALIC, _FORCE_BOLD = 1 << 6, 1 << 18  # PDF 32000-1, table 123
_SLANTED = re.compile(rb"italic|oblique", re.I)
_BOLD = re.compile(rb"bold|black|heavy|semibd|demi(?!l)", re.I)

# objects of open pages that are no text: address and kind; several questions are asked of them
_OBJECTS: weakref.WeakKeyDictionary[Any, list[tuple[int, int]]] = weakref.WeakKeyDictionary()
_TEXTS: weakref.WeakKeyDictionary[Any, list[int] | None] = weakref.WeakKeyDictionary()
_LINE = re.compile(r"[^\s][^\r\n]*")

_REASONS = {
    raw.FPDF_ERR_FORMAT: "is damaged or not a PDF",
    raw.FPDF_ERR_SECURITY: "uses an encryption that is not supported",
    raw.FPDF_ERR_FILE: "cannot be read",
}
_LAM = 0x0644
_ALEFS = (0x0622, 0x0623, 0x0625, 0x0627, 0x0671)


@dataclass(slots=True)
class Characters:
    """The characters of a page in the order of its content.

    Attributes:
        codes: Unicode code points; pdfium adds spaces and line ends that it inferred.
        boxes: a row `x0, top, x1, bottom` each; ascent to descent of the font.
        places: each one's number in pdfium's own list of the page.
    """

    codes: npt.NDArray[np.uint32]
    boxes: Floats
    places: npt.NDArray[np.intp]

    def chosen(self, mask: npt.NDArray[np.bool_]) -> Characters:
        """Returns some of the characters."""
        return Characters(self.codes[mask], self.boxes[mask], self.places[mask])


def has_ink(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Says which characters are more than space."""
    inked: npt.NDArray[np.bool_] = _INKED[np.minimum(codes, 0xFFFF)]
    return inked


def open_pdf(path: str | Path, password: str | None = None) -> Any:
    """Opens a PDF; the caller holds `LOCK` and closes it.

    Raises:
        InputError: missing, empty, encrypted, damaged or not a PDF.
    """
    file = input_file(path)
    try:
        document = pypdfium2.PdfDocument(file, password=password)
    except pypdfium2.PdfiumError as error:
        raise _open_error(file, error, password) from None
    if len(document) < 1:
        document.close()
        raise InputError(f"{file}: the PDF has no pages.")
    return document


def _open_error(file: Path, error: Any, password: str | None) -> InputError:
    code = getattr(error, "err_code", None)
    if code == raw.FPDF_ERR_PASSWORD:
        if password:
            return InputError(f"{file}: the password is wrong.")
        return InputError(f"{file}: is encrypted.", fix="Give its password.")
    with file.open("rb") as stream:
        start = stream.read(1024)
    if b"%PDF" not in start:
        return InputError(f"{file}: is not a PDF.")
    return InputError(f"{file}: {_REASONS.get(code or 0, 'is damaged or not a PDF')}.")


@contextlib.contextmanager
def opened(path: str | Path, password: str | None = None) -> Iterator[Any]:
    """Holds the lock and gives the open document."""
    with LOCK:
        document = open_pdf(path, password)
        try:
            yield document
        finally:
            document.close()


@contextlib.contextmanager
def page_of(document: Any, index: int, name: str) -> Iterator[Any]:
    """Gives one page, closed afterwards.

    Raises:
        InputError: the page cannot be loaded; names file and page.
    """
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        raise InputError(f"{name}: page {index + 1} is damaged.") from None
    try:
        yield page
    finally:
        page.close()


class Placement:
    """How coordinates of a page's content become displayed points from the top left."""

    def __init__(self, page: Any) -> None:
        left, bottom, right, top = page.get_bbox()
        width, height = right - left, top - bottom
        turned = page.get_rotation() // 90
        # x' = a x + c y + e, top' = b x + d y + f
        self.matrix = {
            0: (1, 0, 0, -1, -left, top),
            1: (0, 1, 1, 0, -bottom, -left),
            2: (-1, 0, 0, 1, right, -bottom),
            3: (0, -1, -1, 0, top, right),
        }[turned % 4]
        self.width, self.height = (height, width) if turned % 2 else (width, height)

    def boxes(self, rectangles: Floats) -> Floats:
        """Returns boxes for rows `left, top, right, bottom` of PDF coordinates."""
        a, b, c, d, e, f = self.matrix
        left, bottom, right, top = rectangles.T
        if b or c:  # a page that lies on its side
            x0, x1, y0, y1 = c * bottom + e, c * top + e, b * left + f, b * right + f
        else:
            x0, x1, y0, y1 = a * left + e, a * right + e, d * bottom + f, d * top + f
        stacked: Floats = np.empty((len(rectangles), 4))
        np.minimum(x0, x1, out=stacked[:, 0])
        np.minimum(y0, y1, out=stacked[:, 1])
        np.maximum(x0, x1, out=stacked[:, 2])
        np.maximum(y0, y1, out=stacked[:, 3])
        return stacked


class PageCharacters:
    """The characters of an open page; closed by `page_characters`."""

    def __init__(self, text_page: Any, placement: Placement) -> None:
        self._raw = text_page.raw
        self.source = text_page
        self.placement = placement
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self.all = self._read(placement)

    def _read(self, placement: Placement) -> Characters:
        count = max(0, raw.FPDFText_CountChars(self._raw))
        handle = ctypes.cast(self._raw, ctypes.c_void_p).value
        codes = self._codes(count)
        inked = np.flatnonzero(has_ink(codes))  # nobody asks where a space is
        found = np.zeros((len(inked), 4), np.float32)
        start = found.ctypes.data
        places = range(start, start + found.nbytes, 16)
        deque(map(_loose_box, repeat(handle), inked.tolist(), places), maxlen=0)
        boxes = np.zeros((count, 4))
        boxes[inked] = placement.boxes(_finite(found))
        return Characters(_in_order(codes, boxes), boxes, np.arange(count))

    def _codes(self, count: int) -> npt.NDArray[np.uint32]:
        """Returns the code points; one by one only if pdfium's text is not one for each."""
        units = np.zeros(count + 1, np.uint16)
        pointer = units.ctypes.data_as(ctypes.POINTER(ctypes.c_ushort))
        written = raw.FPDFText_GetText(self._raw, 0, count, pointer)
        codes = units[:count].astype(np.uint32)
        if written == count + 1 and not ((codes >= 0xD800) & (codes < 0xE000)).any():
            return codes
        handle = ctypes.cast(self._raw, ctypes.c_void_p).value
        return np.fromiter(map(_unicode, repeat(handle), range(count)), np.uint32, count)

    def weight(self, place: int) -> int:
        """Returns 2 for a character in a bold font, 1 for an italic one, else 0."""
        length = raw.FPDFText_GetFontInfo(self._raw, place, self._name, 128, self._flags)
        return _weight_of(self._name.value, self._flags.value) if length else 0


@functools.lru_cache(maxsize=256)
def _weight_of(font: bytes, flags: int) -> int:
    if flags & _FORCE_BOLD or _BOLD.search(font):
        return 2
    return int(bool(flags & _ITALIC or _SLANTED.search(font)))


def _finite(rectangles: npt.NDArray[np.float32]) -> Floats:
    found = rectangles.astype(np.float64)
    return found if np.isfinite(found).all() else np.nan_to_num(found, posinf=0, neginf=0)


def _in_order(codes: npt.NDArray[np.uint32], boxes: Floats) -> npt.NDArray[np.uint32]:
    """Returns characters with lam before alef in the ligature of both.

    Its glyph stands for two letters; pdfium, which turns lines of Arabic around, turns them too.
    """
    if not (codes == _LAM).any():
        return codes
    turned = (codes[1:] == _LAM) & np.isin(codes[:-1], _ALEFS)
    turned &= (boxes[1:] == boxes[:-1]).all(1) & (boxes[1:, 2] > boxes[1:, 0])
    first = np.flatnonzero(turned)
    codes[first], codes[first + 1] = _LAM, codes[first]
    return codes


@contextlib.contextmanager
def page_characters(page: Any, placement: Placement) -> Iterator[PageCharacters]:
    """Gives all characters of a page, those inside form XObjects too."""
    text_page = page.get_textpage()
    try:
        yield PageCharacters(text_page, placement)
    finally:
        text_page.close()


def objects_of(page: Any, kinds: frozenset[int]) -> list[Any]:
    """Returns the objects of a page that are of some kinds, such as paths."""
    return [
        ctypes.cast(address, raw.FPDF_PAGEOBJECT)
        for address, kind in listed_objects(page)
        if kind in kinds
    ]


def text_objects(page: Any) -> list[int] | None:
    """Returns the addresses of a page's texts, or None where forms may hold further ones."""
    listed_objects(page)
    return _TEXTS[page]


def listed_objects(page: Any) -> list[tuple[int, int]]:
    """Returns address and kind of the objects of a page that are no text."""
    if page not in _OBJECTS:
        handle = ctypes.cast(page.raw, ctypes.c_void_p).value
        count = max(0, raw.FPDFPage_CountObjects(page.raw))
        found = list(map(_object_at, repeat(handle), range(count)))
        kinds = list(map(_object_kind, found))
        text, form = raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM
        _OBJECTS[page] = [(a, k) for a, k in zip(found, kinds, strict=True) if k != text]
        texts = [a for a, k in zip(found, kinds, strict=True) if k == text]
        _TEXTS[page] = None if form in kinds else texts
    return _OBJECTS[page]


def plain_lines(page: Any, placement: Placement) -> list[tuple[str, tuple[float, ...]]]:
    """Returns the lines of a page in the order of its content, each with its box.

    Only the first and last character of a line are placed, which makes this several times faster
    than reading all places.
    """
    text_page = page.get_textpage()
    try:
        count = max(0, raw.FPDFText_CountChars(text_page.raw))
        units = np.zeros(count + 1, np.uint16)
        pointer = units.ctypes.data_as(ctypes.POINTER(ctypes.c_ushort))
        written = raw.FPDFText_GetText(text_page.raw, 0, count, pointer)
        text = units[: max(0, written - 1)].tobytes().decode("utf-16-le", "replace")
        spans = [m.span() for m in _LINE.finditer(text)]
        last = max(0, count - 1)
        handle = ctypes.cast(text_page.raw, ctypes.c_void_p).value
        found = np.zeros((2 * len(spans), 4), np.float32)
        for number, span in enumerate(spans):
            for side, place in enumerate((span[0], span[1] - 1)):
                address = found.ctypes.data + 16 * (2 * number + side)
                _loose_box(handle, min(place, last), address)
    finally:
        text_page.close()
    boxes = placement.boxes(_finite(found))
    low, high = boxes.reshape(-1, 2, 4).min(1)[:, :2], boxes.reshape(-1, 2, 4).max(1)[:, 2:]
    places = np.concatenate([low, high], axis=1).tolist()
    return [(text[a:b], tuple(p)) for (a, b), p in zip(spans, places, strict=True)]
