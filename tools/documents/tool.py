"""The tools `document_search` and `read_document`."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.core.files import write_bytes
from qwenbelt.core.limits import shorten_text
from qwenbelt.core.spans import RETRIEVAL, tool_span
from qwenbelt.core.translation import in_language
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.documents.attached import holder, opened
from qwenbelt.tools.documents.library import Library, gather
from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.documents.notes import page_name
from qwenbelt.tools.documents.parsing.pdf.page_pictures import render_page
from qwenbelt.tools.documents.search.hits import Hit
from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.tools.documents.store import Document
from qwenbelt.tools.documents.strings import READ_DESCRIPTION, SEARCH_DESCRIPTION, say

MAX_REPLY_BYTES = 24 * 1024
MAX_PAGES = 20


class DocumentSearchArguments(BaseModel):
    """Arguments of `document_search`."""

    query: str | list[str] = Field(description="A question or key words; or several of them.")
    files: list[str] | None = Field(None, description="Only these documents, by name.")
    pages: list[int] | None = Field(None, description="Only these pages, from 1.")
    section: str | None = Field(None, description="Only sections whose title contains this.")
    top_k: int = Field(6, ge=1, le=50, description="How many passages.")


class ReadDocumentArguments(BaseModel):
    """Arguments of `read_document`."""

    file: str | None = Field(
        None,
        description="The document's name, or DOCUMENT/NAME of a file attached to it; without it, "
        "the list.",
    )
    pages: str | list[int] | int | None = Field(
        None,
        description='Page numbers from 1, for example "3-5,9", or printed ones such as "iii"; '
        "without them, the sections.",
    )
    table: int | None = Field(None, ge=1, description="The n-th table of these pages, as CSV.")
    picture: bool = Field(False, description="The pages as pictures, for models that see.")


class _DocumentTool(Tool):
    """What both tools share: finding the conversation's documents."""

    read_only = True
    idempotent = True
    timeout = 600.0
    file_access = True

    def _library(self, asked: Iterable[str], kwargs: dict[str, Any]) -> Library:
        context = kwargs.get("context") or ToolContext()
        library = gather(self.cfg, context, kwargs.get("files") or (), asked)
        if not library.names and library.failed:
            raise ToolError(" ".join(library.failed))
        return library

    @property
    def _sources(self) -> SourceBook | None:
        """Numbers passages for a whole run, where one was given; else each call counts from 1."""
        book: SourceBook | None = self.cfg.get("sources")
        return book


class DocumentSearch(_DocumentTool):
    """Searches documents; every passage comes with its file, page and words.

    Configuration: `files` (paths that may be searched), `index` (an index file to search as a
    whole), `password`, `sources` (a `SourceBook` that numbers passages for a whole run).
    """

    name = "document_search"
    description = SEARCH_DESCRIPTION
    Arguments = DocumentSearchArguments

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Returns the best passages as text."""
        arguments: DocumentSearchArguments = self.parse(params)
        language = (kwargs.get("context") or ToolContext()).language
        library = self._library(arguments.files or (), kwargs)
        if not library.names:
            return say("no_files", language)
        chosen = library.choose(arguments.files)
        queries = [arguments.query] if isinstance(arguments.query, str) else arguments.query
        with tool_span("retrieval", {**RETRIEVAL, "gen_ai.retrieval.top_k": arguments.top_k}):
            hits = _merge(
                library.index.search(
                    query,
                    arguments.top_k,
                    files=chosen,
                    pages=arguments.pages,
                    section=arguments.section,
                )
                for query in queries
            )[: arguments.top_k]
        if not hits:
            nothing = say("nothing", language, query=" / ".join(queries))
            return "\n".join([nothing, *(in_language(why, language) for why in library.failed)])
        return _limited(_hits_text(hits, library, language, self._sources), language)


def _merge(results: Iterable[list[Hit]]) -> list[Hit]:
    """Merges the hits of several queries: by rank, each passage once."""
    ranked: dict[int, tuple[int, Hit]] = {}
    for hits in results:
        for rank, hit in enumerate(hits):
            if hit.chunk not in ranked or rank < ranked[hit.chunk][0]:
                ranked[hit.chunk] = (rank, hit)
    return [hit for _, hit in sorted(ranked.values(), key=lambda entry: entry[0])]


def _hits_text(hits: list[Hit], library: Library, language: str, book: SourceBook | None) -> str:
    names = {document: name for name, document in library.names.items()}
    parts = [say("data", language)]
    for place, hit in enumerate(hits, 1):
        name, number = names[hit.document], place
        if book is not None:
            path = library.paths.get(name, hit.path)
            number = book.number(
                file=name, path=path, page=hit.page, text=hit.text, quote=hit.quote
            )
        section = f" ({hit.section})" if hit.section else ""
        head = f"[{number}] {name} {page_name(hit.page, hit.label)}{section}"
        notes = [in_language(note, language) for note in hit.notes]
        parts.append("\n".join(filter(None, (head, hit.context, hit.text, *notes))))
    parts += [in_language(reason, language) for reason in library.failed]
    parts.append(say("more" if book is None else "more_numbered", language))
    return "\n\n".join(parts)


class ReadDocument(_DocumentTool):
    """Reads pages of a document, a table as CSV, or page pictures; configured as the search is."""

    name = "read_document"
    description = READ_DESCRIPTION
    Arguments = ReadDocumentArguments

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Returns text, or pictures of pages."""
        arguments: ReadDocumentArguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        language = context.language
        asked = [holder(arguments.file)] if arguments.file else ()
        library = self._library(asked, kwargs)
        if not library.names:
            return say("no_files", language)
        if arguments.file is None and len(library.names) > 1:
            return _list_text(library, language)
        file = arguments.file or next(iter(library.names))
        file = opened(library, file, context, self.cfg.get("password"))
        document = library.document(file)
        if arguments.pages is None and arguments.table is None:
            return _limited(_overview(library, file, document, language), language)
        numbers = page_numbers(arguments.pages, document.pages, library.index.labels(document.id))
        if arguments.picture:
            return _pictures(Path(document.path), file, numbers, context, self.cfg)
        pages = library.index.pages(document.id, numbers)
        if arguments.table is not None:
            return self._table(pages, arguments.table, file, document.path)
        parts = [say("data", language)]
        parts += [self._page(file, document.path, page, language) for page in pages]
        if 1 in numbers:  # notes on the whole document are shown with its beginning
            whole = (n for n in document.notes if not n.startswith(("Page ", "Pages ")))
            parts += [in_language(note, language) for note in whole]
        return _limited("\n\n".join(parts), language)

    def _page(self, file: str, path: str, page: Page, language: str) -> str:
        number = self._numbered(file, path, page.number, page.text)
        head = f"--- {number}{file} {page_name(page.number, page.label)} ---"
        if page.tables:
            head += f" {say('tables', language)}: {len(page.tables)}"
        notes = [in_language(note, language) for note in page.notes]
        return "\n".join([head, page.text.strip(), *notes])

    def _table(self, pages: list[Page], place: int, file: str, path: str) -> str:
        tables: list[Table] = [table for page in pages for table in page.tables]
        if place > len(tables):
            raise ToolError(f"{file}: these pages have {len(tables)} tables.")
        table = tables[place - 1]
        text = table_csv(table)
        number = self._numbered(file, path, table.page, text)
        caption = f" {table.caption}" if table.caption else ""
        return f"{number}{file} p.{table.page}{caption}\n{text}"

    def _numbered(self, file: str, path: str, page: int, text: str) -> str:
        if self._sources is None:
            return ""
        return f"[{self._sources.number(file=file, path=path, page=page, text=text)}] "


def page_numbers(
    given: str | list[int] | int | None, count: int, labels: Mapping[int, str] | None = None
) -> list[int]:
    """Returns page numbers from "3-5,9", a list or a number; all pages for None.

    Args:
        given: numbers count the sheets; other labels such as "iii" are those printed on them, and
            "p. 12" is the page on which 12 is printed.
        count: how many pages the document has.
        labels: printed labels by page number, of those that have one.

    Raises:
        ToolError: not a range, outside of the document, or more than `MAX_PAGES` pages.
    """
    if given is None:
        return list(range(1, count + 1))
    if isinstance(given, int):
        given = [given]
    found = list(given) if isinstance(given, list) else _parse_ranges(given, labels or {})
    outside = [n for n in found if not 1 <= n <= count]
    if outside:
        raise ToolError(f"There is no page {outside[0]}; the document has pages 1-{count}.")
    if len(found) > MAX_PAGES:
        raise ToolError(f"{len(found)} pages are too many at once; ask for {MAX_PAGES} at most.")
    return list(dict.fromkeys(found))


def _parse_ranges(text: str, labels: Mapping[int, str]) -> list[int]:
    found: list[int] = []
    for part in text.replace("，", ",").replace("–", "-").split(","):
        try:
            low, high = _range(part.strip(), labels)
        except ValueError:
            raise ToolError(f'{text!r} is not a range of pages such as "3-5,9".') from None
        if high < low or high - low > 10_000:
            raise ToolError(f"{part.strip()!r} is not a range of pages.")
        found += range(low, high + 1)
    return found


def _range(part: str, labels: Mapping[int, str]) -> tuple[int, int]:
    """Returns the first and last page of "3", "3-5", "iii", "iii-vi", "A-3" or "p. 12"."""
    if part in labels.values():
        return _page_of(part, labels), _page_of(part, labels)
    first, _, last = part.partition("-")
    low = _page_of(first, labels)
    return low, _page_of(last, labels) if last.strip() else low


def _page_of(text: str, labels: Mapping[int, str]) -> int:
    text = text.strip()
    printed = re.sub(r"^(?:pp?\.?|页|第)\s*|\s*页$", "", text)
    if printed == text and text.isdecimal():
        return int(text)
    for number, label in labels.items():
        if label.casefold() == printed.casefold():
            return number
    return int(printed)


def _list_text(library: Library, language: str) -> str:
    pages = {d.id: d.pages for d in library.index.documents()}
    lines = [say("documents", language)]
    for name, document in library.names.items():
        lines.append(f"- {name}: {say('pages', language, count=pages.get(document, 0))}")
    return "\n".join([*lines, *library.failed])


def _overview(library: Library, file: str, document: Document, language: str) -> str:
    lines = [f"{file}: {say('pages', language, count=document.pages)}"]
    if document.title:
        lines.append(document.title)
    lines += [f"{'  ' * (e[0] - 1)}{e[1]} — p.{e[2]}" for e in library.index.outline(document.id)]
    tables = [t.page for t in library.index.tables(document.id)]
    if tables:
        numbers = ", ".join(str(n) for n in dict.fromkeys(tables))
        lines.append(f"{say('tables', language)}: p.{numbers}")
    return "\n".join([*lines, *(in_language(note, language) for note in document.notes)])


def table_csv(table: Table) -> str:
    """Returns a table as CSV, each row on one line."""
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(
        [[cell.replace("\n", " ") for cell in row] for row in table.rows]
    )
    return target.getvalue()


def _pictures(
    path: Path, file: str, numbers: list[int], context: ToolContext, cfg: dict[str, Any]
) -> list[ContentItem]:
    folder = Path(context.folder or tempfile.mkdtemp(prefix="qwenbelt-pages-"))
    items = []
    for number in numbers:
        target = folder / f"{Path(file).stem}-p{number}.png"
        try:
            write_bytes(target, render_page(path, number, password=cfg.get("password")))
        except InputError as error:
            raise ToolError(str(error)) from None
        items += [ContentItem(text=f"{file} p.{number}"), ContentItem(image=str(target))]
    return items


def _limited(text: str, language: str) -> str:
    short, left_out = shorten_text(text, MAX_REPLY_BYTES)
    return f"{short}\n{say('cut', language, left=left_out)}" if left_out else short
