"""Invisible text on a page: found, kept apart, and reported as a note with its first words.

White text on white paper, text of under two points, beside the page, invisible by its render mode
(unless it covers a scan, as the text of an OCR layer does), and tag characters.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as raw

from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.pdf.fragments import clean
from qwenbelt.tools.documents.parsing.pdf.pdfium import (
    Characters,
    Floats,
    Placement,
    has_ink,
    objects_of,
    text_objects,
    unchecked,
)

TINY = 2.0  # points
MOST_SHOWN = 160  # characters of hidden text in its note
_WHITE = 240  # of 255 in each colour
_INVISIBLE = 3  # render mode
_PICTURES = frozenset((raw.FPDF_PAGEOBJ_IMAGE,))

_Mask = npt.NDArray[np.bool_]

_PLACE = (ctypes.c_void_p, ctypes.c_int)
_fill = unchecked(raw.FPDFText_GetFillColor, ctypes.c_int, *_PLACE, *[ctypes.c_void_p] * 4)
_fill_of = unchecked(raw.FPDFPageObj_GetFillColor, ctypes.c_int, *[ctypes.c_void_p] * 5)
_object_of = unchecked(raw.FPDFText_GetTextObject, ctypes.c_size_t, *_PLACE)
_mode_of = unchecked(raw.FPDFTextObj_GetTextRenderMode, ctypes.c_int, ctypes.c_void_p)


def hidden_characters(
    page: Any, text_page: Any, placement: Placement, characters: Characters
) -> _Mask:
    """Returns which characters of a page are invisible."""
    codes, boxes = characters.codes, characters.boxes
    inked = has_ink(codes)
    hidden: _Mask = (codes >= 0xE0000) & (codes <= 0xE007F)
    size = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0])
    known = inked & (size > 0)
    hidden |= known & (size < TINY)
    hidden |= known & (
        (boxes[:, 2] < 0)
        | (boxes[:, 3] < 0)
        | (boxes[:, 0] > placement.width)
        | (boxes[:, 1] > placement.height)
    )
    suspicious = _unpainted(page, text_page, inked, characters.places)
    if suspicious.any():
        hidden |= suspicious & inked & ~_seen(page, boxes)
    return hidden


def _unpainted(page: Any, text_page: Any, inked: _Mask, places: npt.NDArray[np.intp]) -> _Mask:
    """Returns which characters are white or have no ink; looked at once an object of text."""
    begins = np.flatnonzero(inked & ~np.r_[False, inked[:-1]])
    found = np.zeros(len(inked), bool)
    if not len(begins):
        return found
    texts = text_objects(page)  # where a line is one object, it takes fewer looks than each word
    if texts is not None and len(texts) < len(begins) and not _odd(_fill_of, texts, texts).any():
        return found
    handle = ctypes.cast(text_page.raw, ctypes.c_void_p).value
    words = places[begins].tolist()
    owners = np.fromiter(map(_object_of, repeat(handle), words), np.uint64, len(words))
    objects, firsts, which = np.unique(owners, return_index=True, return_inverse=True)
    fill = partial(_fill, handle)
    odd = _odd(fill, places[begins[firsts]].tolist(), objects.tolist())[which]
    for number in np.flatnonzero(odd).tolist():
        end = int(begins[number + 1]) if number + 1 < len(begins) else len(inked)
        found[begins[number] : end] = True
    return found


def _odd(fill: Callable[..., int], keys: list[int], objects: list[int]) -> _Mask:
    """Returns which objects are white or have no ink.

    Args:
        fill: writes the colour of one of the keys to four addresses.
        keys: one for each object.
        objects: addresses of objects of text.
    """
    colours = np.zeros((len(objects), 4), np.uint32)
    start, end = colours.ctypes.data, colours.ctypes.data + colours.nbytes
    shades = (range(start + 4 * n, end + 4 * n, 16) for n in range(4))
    deque(map(fill, keys, *shades), maxlen=0)
    modes = np.fromiter((_mode_of(o) if o else 0 for o in objects), np.int32, len(objects))
    white = (colours[:, :3] >= _WHITE).all(1) & (modes == 0)
    odd: _Mask = white | (colours[:, 3] < 16) | (modes == _INVISIBLE)
    return odd


def _seen(page: Any, boxes: Floats) -> _Mask:
    """Returns where something is drawn: white letters on a dark ground, or a scan below a text."""
    width, height = page.get_size()
    scale = min(2.0, (2_000_000 / max(width * height, 1)) ** 0.5)
    grey = np.asarray(page.render(scale=scale, grayscale=True).to_numpy())
    grey = grey[..., 0] if grey.ndim == 3 else grey
    seen = np.zeros(len(boxes), bool)
    corners = np.clip(boxes * scale, 0, max(grey.shape)).astype(int)
    for number, (x0, top, x1, bottom) in enumerate(corners.tolist()):
        part = grey[top : bottom + 1, x0 : x1 + 1]
        seen[number] = bool(part.size) and int(part.max()) - int(part.min()) > 12
    return seen


def picture_boxes(page: Any, placement: Placement) -> Floats:
    """Returns the boxes of a page's pictures."""
    bounds = [ctypes.c_float() for _ in range(4)]
    found = []
    for picture in objects_of(page, _PICTURES):
        if raw.FPDFPageObj_GetBounds(picture, *bounds):
            left, bottom, right, top = (b.value for b in bounds)
            found.append([left, top, right, bottom])
    return placement.boxes(np.array(found, np.float64).reshape(-1, 4))


def hidden_note(codes: npt.NDArray[np.uint32]) -> str:
    """Returns the note on hidden text, with its first words."""
    tags = (codes >= 0xE0000) & (codes <= 0xE007F)
    plain = np.where(tags, np.maximum(codes, 0xE0000) - 0xE0000, codes)
    known = np.where(plain > 0x10FFFF, 0xFFFD, plain).astype("<u4")
    text = " ".join(clean(known.tobytes().decode("utf-32-le", "replace")).split())
    shown = text[:MOST_SHOWN] + ("…" if len(text) > MOST_SHOWN else "")
    return noted(f"Hidden text, which a person does not see on the page, is left out: “{shown}”")
