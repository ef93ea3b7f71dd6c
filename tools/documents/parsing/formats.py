"""Opening a document of any known format."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.limits import input_file
from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.parsing.pagination import MAX_COLUMNS

SUFFIXES = (
    ".pdf",
    ".docx",
    ".pptx",
    ".xlsx",
    ".csv",
    ".tsv",
    ".html",
    ".htm",
    ".xhtml",
    ".md",
    ".markdown",
    ".txt",
    ".text",
    ".log",
    ".rst",
    ".eml",
)
WEB_PAGES = (".html", ".htm", ".xhtml")
MAX_UNPACKED = 512 * 1024 * 1024
MAX_RATIO = 400  # unpacked to packed, of what is larger than 10 MB
MAX_LINE = 8 * 1024 * 1024
MAX_NESTED = 20_000  # elements of a web page inside of each other
_NESTING = re.compile(
    rb"<(/?)(?:div|span|section|article|blockquote|ul|ol|table|b|i|u|em|strong|font|center|svg|g)\b",
    re.IGNORECASE,
)
MAX_TEXT = 256 * 1024 * 1024
_OFFICE = {".docx", ".pptx", ".xlsx"}
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(slots=True)
class Opened:
    """An open document: what is known of it, and how to read its pages.

    Attributes:
        kind: the format, for example "pdf".
        pages: number of pages.
        read: yields the pages of given numbers.
        title: the title that the document gives itself, or "".
        outline: level from 1, title and page of its bookmarks.
        notes: what was left out of the whole document or guessed, one line each.
    """

    kind: str
    pages: int
    read: Callable[[Iterable[int]], Iterator[Page]]
    title: str = ""
    outline: list[tuple[int, str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_document(
    file: Path, password: str | None = None, *, layout: bool = True, pictures: bool = False
) -> Iterator[Opened]:
    """Opens a document; the suffix decides on the format, for PDF the content.

    Args:
        file: a readable file.
        password: opens an encrypted PDF.
        layout: see `pdf.read_pages`; only PDF knows the difference.
        pictures: see `pdf.read_pages`.

    Raises:
        InputError: it cannot be opened or its format is not known.
    """
    with input_file(file).open("rb") as stream:
        start = stream.read(1024)
    suffix = file.suffix.lower()
    if suffix == ".pdf" or b"%PDF-" in start:
        yield _open_pdf(file, password, layout=layout, pictures=pictures)
    elif suffix in SUFFIXES:
        if suffix in _OFFICE:
            _check_archive(file, start)
        yield _open_other(file, suffix)
    else:
        known = " ".join(SUFFIXES)
        raise InputError(f"{file}: this format is not read.", fix=f"Known are: {known}.")


def _open_pdf(file: Path, password: str | None, *, layout: bool, pictures: bool) -> Opened:
    from qwenbelt.tools.documents.parsing.pdf.reader import pdf_facts, read_pages

    facts = pdf_facts(file, password)
    facts.notes += _attached(file, "pdf", password)
    outline = [(e.level, e.title, e.page) for e in facts.outline]
    return Opened(
        "pdf",
        facts.pages,
        lambda numbers: read_pages(
            file, numbers, password=password, tables=layout, layout=layout, pictures=pictures
        ),
        facts.title,
        outline,
        facts.notes,
    )


def _open_other(file: Path, suffix: str) -> Opened:
    try:
        title, pages = _read_other(file, suffix)
    except InputError as error:
        raise InputError(f"{file}: {error.message}") from error
    except MemoryError:
        raise InputError(f"{file}: needs too much memory to be read.") from None
    except Exception as error:
        # the libraries raise whatever a hostile or damaged file makes them stumble over
        reason = one_line(error, 120) or type(error).__name__
        raise InputError(f"{file}: is damaged or not a {suffix[1:]} file ({reason}).") from error

    def read(numbers: Iterable[int]) -> Iterator[Page]:
        return (pages[number - 1] for number in numbers)

    return Opened(suffix[1:], len(pages), read, title, notes=_attached(file, suffix[1:]))


def _attached(file: Path, kind: str, password: str | None = None) -> list[str]:
    """Returns the note on what is attached to a document, if anything is."""
    from qwenbelt.tools.documents.parsing import attachments
    from qwenbelt.tools.documents.parsing.pdf import pdfium

    with pdfium.opened(file, password) if kind == "pdf" else contextlib.nullcontext() as document:
        found = attachments.attachments_of(file, kind, document)
    return [attachments.attached_note(file, found)] if found else []


def _read_other(file: Path, suffix: str) -> tuple[str, list[Page]]:
    from qwenbelt.tools.documents.parsing.mail import mail_blocks
    from qwenbelt.tools.documents.parsing.office import sheets, slides, word
    from qwenbelt.tools.documents.parsing.pagination import pages_of

    if suffix == ".docx":
        title, blocks = word.word_document(file)
        return title, pages_of(blocks)
    if suffix == ".pptx":
        return "", pages_of(slides.slide_blocks(file), fixed=True)
    if suffix == ".xlsx":
        return "", pages_of(sheets.workbook_blocks(file))
    if file.stat().st_size > MAX_TEXT:
        raise InputError(f"is larger than {MAX_TEXT >> 20} MB.")
    data = file.read_bytes()
    _check_lines(data)
    if suffix == ".eml":
        subject, blocks = mail_blocks(data)
        return subject, pages_of(blocks)
    _check_columns(data, suffix)
    _check_nesting(data, suffix)
    return _read_text(data, suffix)


def _check_lines(data: bytes) -> None:
    """Refuses a line that is longer than any text has; every reader of it would be slow."""
    at = 0
    while len(data) - at > MAX_LINE:
        end = max(data.rfind(b"\n", at, at + MAX_LINE), data.rfind(b"\r", at, at + MAX_LINE))
        if end < at:
            size = (len(data) - at) >> 20
            raise InputError(f"holds a line of {size} MB; at most {MAX_LINE >> 20} MB are read.")
        at = end + 1


def _check_columns(data: bytes, suffix: str) -> None:
    """Refuses tables of so many columns that libraries would take minutes to parse them."""
    if suffix in WEB_PAGES:
        rows = re.split(rb"<tr\b", data, flags=re.IGNORECASE)
        widest = max(len(re.findall(rb"<t[dh]\b", row, re.IGNORECASE)) for row in rows)
    elif suffix in (".md", ".markdown"):
        widest = max(line.count(b"|") for line in data.split(b"\n")) - 1
    else:
        return
    if widest > MAX_COLUMNS:
        raise InputError(f"has a table of {widest} columns; at most {MAX_COLUMNS} are read.")


def _check_nesting(data: bytes, suffix: str) -> None:
    """Refuses what no browser shows either: hundreds of thousands of elements in each other."""
    if suffix not in WEB_PAGES or data.count(b"<") <= MAX_NESTED:
        return
    steps = (-1 if found[1] else 1 for found in _NESTING.finditer(data))
    depth = max(accumulate(steps), default=0)
    if depth > MAX_NESTED:
        raise InputError(f"has {depth} elements inside each other; at most {MAX_NESTED} are read.")


def _read_text(data: bytes, suffix: str) -> tuple[str, list[Page]]:
    from qwenbelt.tools.documents.parsing import separated
    from qwenbelt.tools.documents.parsing import text_formats as prose
    from qwenbelt.tools.documents.parsing.encodings import decode
    from qwenbelt.tools.documents.parsing.html.blocks import html_blocks
    from qwenbelt.tools.documents.parsing.html.page import html_page
    from qwenbelt.tools.documents.parsing.pagination import Block, Note, pages_of

    if suffix in WEB_PAGES:
        page = html_page(data)
        return page.title, pages_of(html_blocks(page))
    found = decode(data)
    if "\x00" in found.text:
        raise InputError("is not a text file.")
    notes: list[Block] = [Note(note) for note in found.notes]
    if suffix in (".csv", ".tsv"):
        return "", pages_of([*notes, *separated.separated_blocks(found.text, suffix)])
    if suffix in (".md", ".markdown"):
        return "", pages_of([*notes, *prose.markdown_blocks(found.text)])
    return "", pages_of([*notes, *prose.text_blocks(found.text)])


def _check_archive(file: Path, start: bytes) -> None:
    """Refuses what is no package of Office Open XML, or unpacks to much more than it should."""
    if start.startswith(_OLD_OFFICE):
        raise InputError(
            f"{file}: is encrypted or in an old Office format.",
            fix=f"Save it as {file.suffix.lower()} without a password.",
        )
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(file, archive, entry)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{file}: is damaged or not a {file.suffix[1:]} file.") from error
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise InputError(f"{file}: unpacks to more than {MAX_UNPACKED >> 20} MB; it is not opened.")


def _check_entry(file: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > 10_000_000 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise InputError(f"{file}: {entry.filename} unpacks to a bomb's size; it is not opened.")
    if entry.filename.endswith((".xml", ".rels")):
        with archive.open(entry) as part:
            if b"<!DOCTYPE" in part.read(4096):
                raise InputError(f"{file}: {entry.filename} defines entities; it is not opened.")
