"""Layers over a page's text: filled form fields and comments become marked lines."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pypdfium2.raw as raw

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.pdf.fragments import clean
from qwenbelt.tools.documents.parsing.pdf.pdfium import Placement, unchecked

MAX_ANNOTATIONS = 1000  # of a page
MAX_CHARACTERS = 4000  # of one of them
MAX_ATTACHED_TO_PAGES = 200  # pages that are looked at for files
_HIDDEN = 1 << 1  # annotation flag, PDF 32000-1 table 165
_COMMENTS = {
    raw.FPDF_ANNOT_TEXT,
    raw.FPDF_ANNOT_FREETEXT,
    raw.FPDF_ANNOT_HIGHLIGHT,
    raw.FPDF_ANNOT_UNDERLINE,
    raw.FPDF_ANNOT_SQUIGGLY,
    raw.FPDF_ANNOT_STRIKEOUT,
    raw.FPDF_ANNOT_STAMP,
    raw.FPDF_ANNOT_CARET,
    raw.FPDF_ANNOT_SQUARE,
    raw.FPDF_ANNOT_CIRCLE,
    raw.FPDF_ANNOT_INK,
    raw.FPDF_ANNOT_LINE,
}
_READ = {*_COMMENTS, raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FILEATTACHMENT}
_XFA = {raw.FORMTYPE_XFA_FULL, raw.FORMTYPE_XFA_FOREGROUND}
_SWITCHES = {raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON}


_annotation_at = unchecked(raw.FPDFPage_GetAnnot, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_subtype_of = unchecked(raw.FPDFAnnot_GetSubtype, ctypes.c_int, ctypes.c_void_p)
_close = unchecked(raw.FPDFPage_CloseAnnot, None, ctypes.c_void_p)


class Layer(NamedTuple):
    """A line with the content of a form field or a comment, and its place."""

    text: str
    box: Box


def document_layers(document: Any) -> list[str]:
    """Prepares forms for reading; returns notes on forms that are not read."""
    notes = []
    kind = document.get_formtype()
    if kind != raw.FORMTYPE_NONE:
        with contextlib.suppress(Exception):  # damaged forms: their pages are read nevertheless
            document.init_forms()
    if kind in _XFA:
        notes.append(noted("An XFA form: what its program would show is not read."))
    return notes


def attached_files(document: Any) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields name and content of the files in a document's own list."""
    for number in range(document.count_attachments()):
        with contextlib.suppress(Exception):  # a damaged one costs itself
            found = document.get_attachment(number)
            yield _file_name(found), partial(_content, found)


def pinned_files(document: Any) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields name and content of the files that are pinned to pages; each page is loaded."""
    for index in range(min(len(document), MAX_ATTACHED_TO_PAGES)):
        with contextlib.suppress(Exception):
            yield from _pinned(document, index)


def _pinned(document: Any, index: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    page = document[index]
    try:
        for number in range(min(raw.FPDFPage_GetAnnotCount(page.raw), MAX_ANNOTATIONS)):
            annotation = raw.FPDFPage_GetAnnot(page.raw, number)
            if found := _file_of(annotation, document):
                yield _file_name(found), partial(_content, found)
            raw.FPDFPage_CloseAnnot(annotation)
    finally:
        page.close()


def _file_of(annotation: Any, document: Any) -> Any:
    """Returns the file that an annotation pins to its page, or None."""
    import pypdfium2

    if raw.FPDFAnnot_GetSubtype(annotation) != raw.FPDF_ANNOT_FILEATTACHMENT:
        return None
    handle = raw.FPDFAnnot_GetFileAttachment(annotation)
    return pypdfium2.PdfAttachment(handle, document) if handle else None


def _content(found: Any) -> bytes:
    return bytes(found.get_data())


def _file_name(found: Any) -> str:
    name = " ".join(clean(found.get_name()).split()).replace("\\", "/").rpartition("/")[2]
    return name[-120:] or "attachment"


def page_layers(page: Any, placement: Placement) -> Iterator[Layer]:
    """Yields the filled fields and the comments of a page in the order of the file."""
    count = min(raw.FPDFPage_GetAnnotCount(page.raw), MAX_ANNOTATIONS)
    handle = ctypes.cast(page.raw, ctypes.c_void_p).value if count else None
    for index in range(count):
        address = _annotation_at(handle, index)
        if not address:
            continue
        try:
            if _subtype_of(address) not in _READ:  # links, of which a page may have hundreds
                continue
            annotation = ctypes.cast(address, raw.FPDF_ANNOTATION)
            if raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            text = _text_of(page, annotation)
            if text:
                yield Layer(text, _box_of(annotation, placement))
        finally:
            _close(address)


def _text_of(page: Any, annotation: Any) -> str:
    kind = raw.FPDFAnnot_GetSubtype(annotation)
    if kind == raw.FPDF_ANNOT_WIDGET and page.formenv is not None:
        form = page.formenv.raw
        name = _string(raw.FPDFAnnot_GetFormFieldName, form, annotation)
        value = _string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
        if raw.FPDFAnnot_GetFormFieldType(form, annotation) in _SWITCHES:
            checked = raw.FPDFAnnot_IsChecked(form, annotation)
            value = f"{value if value not in ('', 'Off') else 'x'} [x]" if checked else ""
        return f"Form field {name}: {value}" if value else ""
    if found := _file_of(annotation, page.pdf):
        return f"Attached file: {_file_name(found)}"
    if kind in _COMMENTS:
        author = _string(raw.FPDFAnnot_GetStringValue, annotation, b"T")
        said = _string(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
        return f"Comment{f' ({author})' if author else ''}: {said}" if said else ""
    return ""


def _string(function: Any, *arguments: Any) -> str:
    length = function(*arguments, None, 0)
    if not 2 < length <= 1 << 20:
        return ""
    buffer = ctypes.create_string_buffer(length)
    pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort))
    function(*arguments, pointer, length)
    text = buffer.raw[: length - 2].decode("utf-16-le", "replace")
    return " ".join(clean(text).split())[:MAX_CHARACTERS]


def _box_of(annotation: Any, placement: Placement) -> Box:
    bounds = raw.FS_RECTF()
    raw.FPDFAnnot_GetRect(annotation, bounds)
    corners = np.array([[bounds.left, bounds.top, bounds.right, bounds.bottom]], np.float64)
    return Box(*placement.boxes(corners)[0].tolist())
