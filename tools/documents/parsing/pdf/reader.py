"""PDF files become pages: text in reading order, tables, outline and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.model import Box, Page, PageLine
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.parsing.pdf import pdfium
from qwenbelt.tools.documents.parsing.pdf.aligned_tables import aligned_tables
from qwenbelt.tools.documents.parsing.pdf.doubled_text import without_doubles
from qwenbelt.tools.documents.parsing.pdf.fragments import (
    Fragment,
    Frame,
    clean,
    fragments_of,
    split_by_direction,
    taken_into,
    without_marks,
)
from qwenbelt.tools.documents.parsing.pdf.headings import find_headings
from qwenbelt.tools.documents.parsing.pdf.hidden_text import hidden_characters, hidden_note
from qwenbelt.tools.documents.parsing.pdf.page_layers import document_layers, page_layers
from qwenbelt.tools.documents.parsing.pdf.page_text import PageText, compose, table_cells
from qwenbelt.tools.documents.parsing.pdf.ruled_tables import Grid, find_grids
from qwenbelt.tools.documents.parsing.pdf.scanned import (
    beside,
    note,
    picture_too_large,
    pictures_for_model,
    read_by_ocr,
    turned_back,
    what_is_wrong,
)
from qwenbelt.tools.documents.parsing.pdf.script_glyphs import with_script_glyphs

MAX_OUTLINE = 5000
MAX_PAGES = 20_000
MAX_LABEL = 40  # characters of a page's label
LOSS = 0.8  # of pdfium's characters; fewer on a page are noted


@dataclass(slots=True)
class OutlineEntry:
    """A bookmark: its level from 1, its title and the page that it leads to, from 1."""

    level: int
    title: str
    page: int


@dataclass(slots=True)
class PdfFacts:
    """What is known of a PDF before its pages are read."""

    pages: int
    title: str = ""
    outline: list[OutlineEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pdf_facts(path: str | Path, password: str | None = None) -> PdfFacts:
    """Returns the number of pages, the title and the outline.

    Raises:
        InputError: the file cannot be opened.
    """
    with pdfium.opened(path, password) as document:
        if len(document) > MAX_PAGES:
            raise InputError(
                f"{path}: has {len(document)} pages; at most {MAX_PAGES} are read.",
                fix="Split it into several files.",
            )
        title = document.get_metadata_dict(skip_empty=True).get("Title", "")
        notes = document_layers(document)
        return PdfFacts(len(document), " ".join(title.split()), list(_outline(document)), notes)


def _outline(document: Any) -> Iterator[OutlineEntry]:
    import pypdfium2

    for count, bookmark in enumerate(document.get_toc(max_depth=6)):
        if count >= MAX_OUTLINE:
            return
        try:
            target = bookmark.get_dest()
            index = target.get_index() if target else None
        except pypdfium2.PdfiumError:
            continue
        title = " ".join(bookmark.get_title().split())
        if title and index is not None and 0 <= index < len(document):
            yield OutlineEntry(bookmark.level + 1, title, index + 1)


def read_pages(
    path: str | Path,
    pages: Iterable[int] | None = None,
    *,
    password: str | None = None,
    tables: bool = True,
    layout: bool = True,
    pictures: bool = False,
) -> Iterator[Page]:
    """Yields pages by number (all by default); a damaged page comes empty, with a note.

    Args:
        path: the file.
        pages: numbers from 1.
        password: opens an encrypted file.
        tables: whether to look for tables.
        layout: without it, text comes line by line in the order of the content: about twice as
            fast, but without columns, paragraphs, titles and tables.
        pictures: scans and figures are not read by OCR but come as pictures, for a model.

    Raises:
        InputError: the file cannot be opened.
    """
    make = partial(_lay_out, tables=tables, pictures=pictures) if layout else _plain
    with pdfium.opened(path, password) as document:
        document_layers(document)
        numbers = range(1, len(document) + 1) if pages is None else pages
        for number in numbers:
            yield _read_page(document, number, str(path), make)


def _read_page(document: Any, number: int, name: str, make: Callable[[Any, int], Page]) -> Page:
    try:
        with pdfium.page_of(document, number - 1, name) as source:
            page = make(source, number)
    except InputError:
        page = Page(number, notes=[noted("Damaged; it was not read.")])
    page.label = _label(document, number)
    return page


def _label(document: Any, number: int) -> str:
    """Returns the label that viewers show for a page, where it is not its number."""
    label = " ".join(clean(document.get_page_label(number - 1)).split())[:MAX_LABEL]
    return "" if label == str(number) else label


def _plain(source: Any, number: int) -> Page:
    placement = pdfium.Placement(source)
    target = PageText()
    for words, box in pdfium.plain_lines(source, placement):
        target.add(" ".join(without_marks(words).split()), Box(*box))
        target.add("\n")
    page = Page(number, placement.width, placement.height)
    page.text, page.lines = target.text, target.lines
    return page


def _lay_out(source: Any, number: int, *, tables: bool, pictures: bool = False) -> Page:
    placement = pdfium.Placement(source)
    page = Page(number, placement.width, placement.height)
    turned: list[tuple[Frame, list[Fragment]]] = []
    with pdfium.page_characters(source, placement) as characters:
        if not source.get_rotation():
            characters.all.boxes = with_script_glyphs(characters)
        visible = _visible(page, source, placement, characters)
        too_large = picture_too_large(source)
        fault = "picture" if too_large else what_is_wrong(source, placement, visible)
        if pictures and not too_large:
            page.pictures = pictures_for_model(source, placement, visible, fault)
        seen = read_by_ocr(source) if fault and not page.pictures and not too_large else None
        if fault and not page.pictures:
            page.notes.append(note(fault, seen, too_large))
        grids = find_grids(source, placement) if tables else []
        if any(part.box is None for part in page.pictures):
            written = []  # all of it is the model's to read
        elif seen and seen.fragments and fault != "beside":
            written = compose(page, seen.fragments, [] if seen.frame.turn else grids)
        else:
            fragments, turned = _typed(page, visible, grids)
            written = compose(
                page,
                beside(fragments, seen.fragments if seen and not seen.frame.turn else []),
                grids,
            )
        page.headings = find_headings(written, characters.weight)
    if tables:
        page.tables = sorted(page.tables + aligned_tables(page, written), key=lambda t: t.start)
        page.headings = [h for h in page.headings if not _in_table(page, h.start)]
    for frame, part in turned:
        _append(page, frame, part)
    if seen and seen.fragments and fault != "beside":
        turned_back(page, seen.frame)
    elif written or not page.pictures:
        _check_loss(page, visible)
    _add_layers(page, source, placement)
    return page


def _typed(
    page: Page, visible: pdfium.Characters, grids: list[Grid]
) -> tuple[list[Fragment], list[tuple[Frame, list[Fragment]]]]:
    """Returns the upright fragments of a page, cut at the rules of its tables, and the others."""
    (_, upright), *others = split_by_direction(visible, page.width, page.height)
    turned = [(frame, fragments_of(part)) for frame, part in others]
    fragments = fragments_of(upright)
    cells = table_cells(grids, fragments) if grids else []
    if cells:
        fragments = fragments_of(upright, cells)
        fragments += [f for frame, part in turned for f in taken_into(cells, frame, part)]
    return fragments, turned


def _visible(
    page: Page, source: Any, placement: pdfium.Placement, characters: pdfium.PageCharacters
) -> pdfium.Characters:
    """Returns the characters that a person sees; the others become a note."""
    given = characters.all
    hidden = hidden_characters(source, characters.source, placement, given)
    if not hidden.any():
        return without_doubles(given)
    spaces = ~pdfium.has_ink(given.codes)
    page.notes.append(hidden_note(given.codes[hidden | (spaces & np.r_[False, hidden[:-1]])]))
    return without_doubles(given.chosen(~hidden))


def _add_layers(page: Page, source: Any, placement: pdfium.Placement) -> None:
    """Appends the contents of form fields and comments to the text, marked as such."""
    found = list(page_layers(source, placement))
    if not found:
        return
    target = PageText()
    for layer in found:
        target.add(layer.text, layer.box)
        target.add("\n")
    if page.text and not page.text.endswith("\n"):
        page.text += "\n"
    offset = len(page.text)
    page.text += target.text
    page.lines = [
        *page.lines,
        *(PageLine(line.start + offset, line.end + offset, line.box) for line in target.lines),
    ]


def _check_loss(page: Page, characters: pdfium.Characters) -> None:
    """Compares the composed text with pdfium's; a loss of a fifth is noted."""
    codes = characters.codes
    halves = (codes >= 0xDC00) & (codes <= 0xDFFF)  # of characters that take two
    given = int((pdfium.has_ink(codes) & ~halves).sum())
    kept = len(page.text) - page.text.count(" ") - page.text.count("\n")
    if given >= 20 and kept < LOSS * given:
        page.notes.append(noted(f"Only {kept} of {given} characters were placed."))


def _in_table(page: Page, place: int) -> bool:
    return any(t.start <= place < t.end for t in page.tables)


def _append(page: Page, frame: Any, fragments: list[Any]) -> None:
    """Adds text that runs in another direction after the rest of the page."""
    if not fragments:
        return
    aside = Page(page.number)
    compose(aside, fragments, [])
    if page.text and not page.text.endswith("\n"):
        page.text += "\n"
    offset = len(page.text)
    page.text += aside.text
    moved = [
        PageLine(line.start + offset, line.end + offset, frame.on_page(line.box))
        for line in aside.lines
    ]
    page.lines = [*page.lines, *moved]
