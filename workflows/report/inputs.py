"""The documents that a report is about: checked and indexed before anything else happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.core.language import Language
from qwenbelt.core.limits import input_file
from qwenbelt.core.translation import in_language
from qwenbelt.tools.documents.index import DocumentIndex
from qwenbelt.tools.documents.library import default_index
from qwenbelt.tools.documents.parsing.formats import open_document
from qwenbelt.tools.documents.sources import NumberedSource
from qwenbelt.workflows.report.citing import CitedPage
from qwenbelt.workflows.report.document import SourceFile
from qwenbelt.workflows.report.strings import say

MAX_NOTES = 5  # of one document, in a report
Tell = Callable[[str, float | None], None]


def _silent(text: str, fraction: float | None = None) -> None:
    """Ignores progress."""


@dataclass
class Documents:
    """The documents of a report, in an index.

    Attributes:
        files: the documents by name; names that come twice get a number.
        index: the path of the index that holds them.
        left_out: why a file of several could not be read, one line each.
        password: opens encrypted ones.
    """

    files: list[SourceFile]
    index: Path
    left_out: list[str] = field(default_factory=list)
    password: str | None = None
    _pages: dict[tuple[str, int], CitedPage | None] = field(default_factory=dict)

    def notes(self, language: Language) -> list[str]:
        """What was left out of the documents or guessed, a few lines of each."""
        return [
            say("left_out", language, file=file.name, note=in_language(note, language))
            for file in self.files
            for note in file.notes[:MAX_NOTES]
        ]

    @property
    def by_name(self) -> dict[str, Path]:
        """The paths by name, as the tools take them."""
        return {file.name: file.path for file in self.files}

    def page(self, source: NumberedSource) -> CitedPage | None:
        """Reads the page of a source again from its file; None if there is no such page."""
        key = (source.path, source.page)
        if key not in self._pages:
            try:
                self._pages[key] = read_cited(source.path, source.page, self.password)
            except InputError:
                self._pages[key] = None
        return self._pages[key]


def read_cited(path: str | Path, number: int, password: str | None = None) -> CitedPage | None:
    """Reads one page, from 1, of a document; None if there is no such page.

    Raises:
        InputError: the file cannot be read.
    """
    with open_document(Path(path), password) as opened:
        if not 1 <= number <= opened.pages:
            return None
        page = next(iter(opened.read([number])), None)
        kind = opened.kind
    if page is None:
        return None
    return CitedPage(page, _raw_text(path, number, password) if kind == "pdf" else page.text)


def _raw_text(path: str | Path, number: int, password: str | None) -> str:
    """Returns the text of a PDF's page in the order of the file."""
    from qwenbelt.tools.documents.parsing.pdf import pdfium

    with pdfium.opened(path, password) as document:
        with pdfium.page_of(document, number - 1, str(path)) as page:
            text = page.get_textpage()
            raw = str(text.get_text_range())
            text.close()
    return raw


def take_in(
    files: Iterable[str | Path],
    *,
    folder: Path,
    password: str | None = None,
    tell: Tell = _silent,
) -> Documents:
    """Checks the files and puts them into an index.

    The index of the workspace is used, so that a file is read once; that of an encrypted file
    stays in `folder`.

    Args:
        files: paths of documents.
        folder: a temporary folder of the run.
        password: opens encrypted ones.
        tell: progress, as text and the fraction done.

    Raises:
        InputError: no file is given, or none of them can be read; one line that names it.
    """
    paths = _distinct(files)
    if not paths:
        raise InputError("No file was given.", fix="Name one or more files.")
    place = folder / "documents.db" if password else _usable_index(folder)
    found = Documents([], place, password=password)
    with DocumentIndex(place) as index:
        for path in paths:
            try:
                _add(index, found, path, tell)
            except InputError as error:
                if len(paths) == 1:
                    raise
                found.left_out.append(str(error))
    if not found.files:
        raise InputError(" ".join(found.left_out))
    return found


def _distinct(files: Iterable[str | Path]) -> list[Path]:
    paths = [Path(file).expanduser() for file in files]
    return list({path.resolve(): path for path in paths}.values())


def _add(index: DocumentIndex, found: Documents, path: Path, tell: Tell) -> None:
    file = input_file(path).resolve()

    def progress(page: int, pages: int) -> None:
        tell(f"{file.name} {page}/{pages}", page / max(pages, 1))

    added = index.add_file(file, progress, password=found.password)
    name = _free_name(file, [f.name for f in found.files])
    found.files.append(SourceFile(name, file, added.pages, added.notes))


def _free_name(path: Path, taken: Sequence[str]) -> str:
    name, number = path.name, 2
    while name in taken:
        name, number = f"{path.stem}-{number}{path.suffix}", number + 1
    return name


def _usable_index(folder: Path) -> Path:
    """The workspace's index, or one in the run's folder where that cannot be written."""
    try:
        with DocumentIndex(default_index()) as index:
            index.documents()
    except (InputError, OSError):
        return folder / "documents.db"
    return default_index()
