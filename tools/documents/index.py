"""The document index: adds documents and finds cited passages."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbelt.core.closing import Closing
from qwenbelt.core.errors import EndpointError, InputError, ToolRefused
from qwenbelt.core.limits import input_file
from qwenbelt.tools.documents.fetching import fetched, is_url
from qwenbelt.tools.documents.files import content_key, files_in, passed_over
from qwenbelt.tools.documents.healing import heals, open_or_heal, take_in_anew
from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.documents.parsing.formats import Opened, open_document
from qwenbelt.tools.documents.parsing.worker_pool import RANGE, Workers, shared_workers
from qwenbelt.tools.documents.search.carried_headers import CarriedHeaders
from qwenbelt.tools.documents.search.chunks import Chunk, chunks_of
from qwenbelt.tools.documents.search.embedding import Embedder
from qwenbelt.tools.documents.search.focused import FocusedSearch
from qwenbelt.tools.documents.search.fusion import (
    DEPTH,
    Meaning,
    embed_missing,
    fused,
    meaning,
    reranked,
)
from qwenbelt.tools.documents.search.hits import Hit, best_quote
from qwenbelt.tools.documents.search.queries import find_terms, understand
from qwenbelt.tools.documents.search.reranking import Reranker
from qwenbelt.tools.documents.search.reranking import reranker as named_reranker
from qwenbelt.tools.documents.search.routing import (
    FRONT_CHARACTERS,
    MAX_DOCUMENTS,
    STRENGTH,
    Router,
)
from qwenbelt.tools.documents.search.sections import Margins, Sections
from qwenbelt.tools.documents.search.tokens import tokens
from qwenbelt.tools.documents.store import Document, DocumentFile, Match, Outline, Passage, Scope
from qwenbelt.tools.documents.vision import PageReader, page_reader, read_by, reader_key

BATCH_PAGES = 32
DEFAULT_COLLECTION = "default"
MAX_ROUTED = 3  # documents named by a question that are searched on their own

Files = Sequence[str | int | Path]
Documents = list[Document]
Find = Callable[[int, Scope], list[Match]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far taking in files has come; `page` of `pages` in `file`, `done` of `files` files."""

    file: str
    page: int
    pages: int
    done: int
    files: int


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one file.

    Attributes:
        file: its name in the index.
        state: "added", "unchanged" or "failed"; "passed over" for the files of a folder whose
            formats are not read.
        document: its id, or 0 when it failed.
        pages: number of pages.
        chunks: number of passages.
        error: why it failed, one line, or "".
        notes: what was left out of it, guessed or hidden, one line each.
    """

    file: str
    state: str
    document: int = 0
    pages: int = 0
    chunks: int = 0
    error: str = ""
    notes: tuple[str, ...] = ()


class DocumentIndex(Closing):
    """Documents in one place; many threads and processes may read while one writes.

    Args:
        path: the index file, made if missing; None for a temporary one. Or the place of a server:
            `postgresql://...` or `qdrant:...` (see `backends.open_store`).
        collection: documents of other collections are not seen.
        keep_versions: how many older contents of a file stay readable after it changed.
        workers: processes that read documents; None for a shared few, 0 for none, which is quicker
            for a small file, but a damaged one may then take this process with it.
        layout: without it, PDFs are read as plain text: faster, without columns and tables.
        vectors: finds by meaning too: "offline" (the `embed` extra), an endpoint's spec such as
            "dashscope:text-embedding-v4", or an embedder. Vectors that were made are kept in a
            file of the workspace.
        reranker: puts the best passages in order: an endpoint's spec, or a reranker.
        reader: a vision model that reads scans and figures of PDFs: "vision:KIND:MODEL[@URL]".

    Raises:
        ConfigError: an extra, a key or a URL is missing.
        InputError: the file is not an index or cannot be written.

    Attributes:
        told: notes for the person about the index itself: that its file was damaged and rebuilt.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        keep_versions: int = 1,
        workers: int | None = None,
        layout: bool = True,
        vectors: str | Embedder | None = None,
        reranker: str | Reranker | None = None,
        reader: str | PageReader | None = None,
    ) -> None:
        self._reader = page_reader(reader)
        self._embedder = meaning(vectors)
        self._reranker = named_reranker(reranker) if isinstance(reranker, str) else reranker
        self._folder = tempfile.TemporaryDirectory() if path is None else None
        self.place = Path(self._folder.name, "index.db") if self._folder else path or ""
        self.collection = collection
        self._keep = keep_versions
        self._layout = layout
        self._workers = (
            Workers(workers) if workers else shared_workers() if workers is None else None
        )
        self._owned = self._workers if workers else None
        self._routing = threading.Lock()
        self.told: list[str] = []
        self._open_store()

    def _open_store(self) -> None:
        self._store = open_or_heal(self.place, self.collection)
        self._close_store = weakref.finalize(self, self._store.close)  # when nobody has it any more
        self._close_store.atexit = False
        self.focused = FocusedSearch(self._store)
        self._router: tuple[object, Router] | None = None
        self.told += take_in_anew(self)

    def heal(self) -> None:
        """Rebuilds a damaged index file from its sources; `told` reports it."""
        self._close_store()
        self._open_store()

    def close(self) -> None:
        """Closes the file."""
        self._close_store()
        if self._owned is not None:
            self._owned.close()
        if self._folder is not None:
            self._folder.cleanup()

    # Taking in

    @heals
    def add(
        self,
        files: str | Path | Iterable[str | Path],
        *,
        progress: Callable[[Progress], None] | None = None,
        password: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> list[Added]:
        """Adds files, folders and URLs; failures are reported, and the others continue.

        A file whose content is already there costs only its hash. A file that changed becomes a
        new version; searches see only the newest.
        """
        given = [files] if isinstance(files, (str, Path)) else list(files)
        entries = list(files_in(given))
        results: list[Added] = []
        for done, entry in enumerate(entries):
            name = str(entry) if is_url(entry) else Path(entry).name

            def tell(page: int, pages: int, name: str = name, done: int = done) -> None:
                if progress is not None:
                    progress(Progress(name, page, pages, done, len(entries)))

            try:
                results.append(self.take_in(entry, tell, password=password, meta=meta))
            except (InputError, ToolRefused, EndpointError) as error:
                results.append(Added(name, "failed", error=str(error)))
        for folder, note in passed_over(given, Path(self.place).name):
            results.append(Added(folder, "passed over", notes=(note,)))
        self._store.settle()
        self.embed()
        return results

    @heals
    def embed(self) -> int:
        """Makes the vectors that are still missing; returns how many. `add` does so by itself.

        Raises:
            EndpointError: the endpoint that makes vectors fails; what was made is kept.
        """
        return embed_missing(self._store, self._embedder) if self._embedder is not None else 0

    def take_in(
        self,
        entry: str | Path,
        tell: Callable[[int, int], None] | None = None,
        *,
        password: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Added:
        """Takes in one file or URL, as `add_file` does."""
        if not is_url(entry):
            return self.add_file(entry, tell, password=password, meta=meta)
        with fetched(str(entry)) as file:
            return self.add_file(file, tell, password=password, meta=meta, origin=str(entry))

    @heals
    def add_file(
        self,
        path: str | Path,
        tell: Callable[[int, int], None] | None = None,
        *,
        password: str | None = None,
        meta: Mapping[str, Any] | None = None,
        origin: str | None = None,
    ) -> Added:
        """Takes in one file.

        Args:
            path: the file.
            tell: called with the number of pages read and the number of all pages.
            password: opens an encrypted file.
            meta: facts to filter by, such as {"year": 2022}; JSON values.
            origin: what the index calls its path, if not the file's own: the URL it is from.

        Raises:
            InputError: it cannot be read; one line that names it.
        """
        file = input_file(path).resolve()
        origin = origin or str(file)
        key = self._key(file)
        known = self._store.known(key, origin)
        if known is not None:
            return Added(
                known.file, "unchanged", known.id, known.pages, known.chunks, "", known.notes
            )
        with self._open(file, password) as opened:
            source = DocumentFile(
                key,
                file.name,
                origin,
                opened.kind,
                file.stat().st_size,
                opened.pages,
                opened.title,
                opened.outline,
                dict(meta or {}),
                tuple(opened.notes),
            )
            document, done = self._store.begin(source)
            if not done:
                self._take_pages(document, opened, tell)
        if self._key(file) != key:
            self._store.discard(document)
            raise InputError(f"{file}: changed while it was read.", fix="Add it again.")
        self._store.finish(document, source, self._chunks(document), self._keep)
        (found,) = self._store.find(source.path)
        return Added(found.file, "added", found.id, found.pages, found.chunks, "", found.notes)

    def _key(self, file: Path) -> str:
        seen = reader_key(self._reader) if self._reader is not None else ""
        return content_key(file) + ("" if self._layout else ".plain") + seen

    @contextlib.contextmanager
    def _open(self, file: Path, password: str | None) -> Iterator[Opened]:
        workers = self._workers
        if workers is None:
            seen = self._reader is not None
            with open_document(file, password, layout=self._layout, pictures=seen) as opened:
                yield opened
            return
        facts = workers.open(file, password, layout=self._layout)
        size = RANGE if facts["kind"] == "pdf" else 0

        def read(numbers: Iterable[int]) -> Iterator[Page]:
            seen = self._reader is not None
            return workers.read(
                file, numbers, password, layout=self._layout, size=size, pictures=seen
            )

        yield Opened(read=read, **facts)

    def _take_pages(
        self, document: int, opened: Opened, tell: Callable[[int, int], None] | None
    ) -> None:
        have = self._store.have_pages(document)
        missing = [n for n in range(1, opened.pages + 1) if n not in have]
        batch: list[Page] = []
        pages = opened.read(missing)
        if self._reader is not None:
            pages = read_by(self._reader, pages)
        most = 1 if self._reader is not None else BATCH_PAGES  # what a model read is kept at once
        for done, page in enumerate(pages, len(have) + 1):
            batch.append(page)
            if len(batch) >= most:
                self._store.put_pages(document, batch)
                batch = []
            if tell is not None:
                tell(done, opened.pages)
        self._store.put_pages(document, batch)

    def _chunks(self, document: int) -> Iterator[tuple[Chunk, str]]:
        sections, margins = Sections(self._store.outline(document)), Margins()
        headers = CarriedHeaders()
        for page in self._store.pages(document):
            margins.look(page)
        for page in self._store.pages(document):
            headers.carry(page)
            for chunk in chunks_of(page, sections, margins):
                yield chunk, page.text[chunk.start : chunk.end]

    # Looking

    @heals
    def documents(self, *, versions: bool = False) -> list[Document]:
        """Returns the documents of the collection, by name; with `versions` older ones too."""
        return self._store.documents(versions=versions)

    @heals
    def remove(self, files: Files) -> list[str]:
        """Removes documents by name, path or id; returns the names of those removed.

        Raises:
            InputError: one of them is not in the index.
        """
        chosen = self.resolve(files)
        self._store.remove([document.path for document in chosen])
        return [document.file for document in chosen]

    @heals
    def resolve(self, files: Files) -> list[Document]:
        """Returns documents by name, path or id.

        Raises:
            InputError: one of them is not in the index.
        """
        chosen: dict[str, Document] = {}
        for wanted in files:
            found = self._find(wanted)
            if not found:
                names = ", ".join(d.file for d in self.documents()[:20]) or "none"
                raise InputError(f"{wanted}: is not in the index.", fix=f"Known files: {names}.")
            chosen.update((d.path, d) for d in found)
        return list(chosen.values())

    def document(self, wanted: str | int | Path, path: str | None = None) -> Document:
        """Returns one document by name, path or id.

        Args:
            wanted: what names it.
            path: the one to return where files of several paths fit, if it is among them.

        Raises:
            InputError: it is not in the index.
        """
        found = self.resolve([wanted])
        return next((document for document in found if document.path == path), found[0])

    def _find(self, wanted: str | int | Path) -> list[Document]:
        if isinstance(wanted, int):
            return self._store.find(wanted)
        return self._store.find(str(wanted)) or self._store.find(str(Path(wanted).resolve()))

    @heals
    def outline(self, file: str | int | Path) -> Outline:
        """Returns level, title and page of the bookmarks of a document.

        Raises:
            InputError: the document is not in the index.
        """
        return self._store.outline(self.resolve([file])[0].id)

    @heals
    def labels(self, file: str | int | Path) -> dict[int, str]:
        """Returns the printed labels of a document's pages, by number, where they differ from it.

        Raises:
            InputError: the document is not in the index.
        """
        return self._store.labels(self.resolve([file])[0].id)

    @heals
    def pages(
        self,
        file: str | int | Path,
        numbers: Iterable[int] | None = None,
        *,
        version: int | None = None,
    ) -> list[Page]:
        """Returns pages of a document in order; all without `numbers`.

        Args:
            file: name, path or id.
            numbers: pages from 1; those that do not exist are left out.
            version: an older version of the file, if it was kept.

        Raises:
            InputError: the document is not in the index.
        """
        document = self.resolve([file])[0]
        if version is not None and version != document.version:
            document = self._version(document, version)
        return [*self._store.pages(document.id, numbers)]

    def _version(self, document: Document, version: int) -> Document:
        for older in self.documents(versions=True):
            if older.path == document.path and older.version == version:
                return older
        raise InputError(f"{document.file}: version {version} is not in the index.")

    @heals
    def tables(self, file: str | int | Path, numbers: Iterable[int] | None = None) -> list[Table]:
        """Returns the tables of a document in reading order.

        Raises:
            InputError: the document is not in the index.
        """
        return [table for page in self.pages(file, numbers) for table in page.tables]

    # Searching

    @heals
    def search(
        self,
        query: str,
        top_k: int = 10,
        *,
        files: Files | None = None,
        pages: Sequence[int] | None = None,
        section: str | None = None,
        where: Mapping[str, Any] | None = None,
        per_page: int | None = 1,
    ) -> list[Hit]:
        """Returns the passages that fit the query best, best first.

        Args:
            query: a question or words, in English or Chinese.
            top_k: at most this many.
            files: names, paths or ids of documents to search in; all without it.
            pages: page numbers to search in.
            section: only passages whose section titles contain this text.
            where: only documents that were added with these values in `meta`.
            per_page: at most this many passages of one page; None for no limit.

        Raises:
            InputError: a file is not in the index.
        """
        understood = understand(query)
        terms = [*understood.all, *understood.parts]
        chosen = self._within(files, where)
        if not terms or chosen == []:
            return []
        names = {d.id: d for d in reversed(chosen or ())}
        scope = Scope(None if chosen is None else list(names), pages, section)
        limit = max(top_k if per_page is None else 6 * top_k, DEPTH if self._reranker else 0)
        likely = self._likely(query) if chosen is None or len(names) > 1 else {}
        # a code ranks above its parts by the store's rule, which the focused ranking does not know
        few = [] if understood.parts else self.focused.few(chosen)
        match = self.focused.finder(query, few) if few else self._store.match
        finds = [find_terms(match, understood)]
        if self._embedder is not None:
            finds.append(Meaning(self._store, self._embedder, query).find)
        matches = fused([self._routed(likely, find, limit, scope) for find in finds])
        if self._reranker is not None:
            texts = [self._text(match.passage) for match in matches[:DEPTH]]
            matches = reranked(self._reranker, query, matches, texts)
        return self._hits(_spread(matches, per_page)[:top_k], terms, names)

    def _text(self, passage: Passage) -> str:
        page = next(self._store.pages(passage.document, [passage.page]), None)
        text = page.text[passage.start : passage.end] if page is not None else ""
        return "\n".join(filter(None, (passage.section, passage.context, text)))

    def _within(self, files: Files | None, where: Mapping[str, Any] | None) -> Documents | None:
        """Returns the documents to search in, or None for all."""
        if files is None:
            return self._store.where(where) if where else None
        wanted = (where or {}).items()
        return [d for d in self.resolve(files) if all(d.meta.get(k) == v for k, v in wanted)]

    def _routed(
        self, likely: dict[int, float], find: Find, limit: int, scope: Scope
    ) -> list[Match]:
        """Lets documents that the question names come first, and searches them on their own."""
        matches = find(limit, scope)
        if scope.documents is not None:
            likely = {d: s for d, s in likely.items() if d in scope.documents}
        if not likely:
            return matches
        named = sorted(likely, key=lambda d: -likely[d])[:MAX_ROUTED]
        inside = find(limit, Scope(named, scope.pages, scope.section))
        every = {m.passage.id: m for m in (*matches, *inside)}.values()
        weighed = [
            Match(m.passage, m.score * (1 + STRENGTH * likely.get(m.passage.document, 0.0)))
            for m in every
        ]
        return sorted(weighed, key=lambda m: -m.score)

    def _likely(self, query: str) -> dict[int, float]:
        with self._routing:
            state = self._store.state()
            if self._router is None or self._router[0] != state:
                self._router = (state, Router(self._store.fronts(FRONT_CHARACTERS, MAX_DOCUMENTS)))
            router = self._router[1]
        return router.likely(list(tokens(query)))

    def _hits(
        self, matches: list[Match], terms: list[str], names: dict[int, Document]
    ) -> list[Hit]:
        unnamed = {passage.document for passage, _ in matches} - names.keys()
        if unnamed:
            names.update((d.id, d) for d in reversed(self._store.named(sorted(unnamed))))
        pages = self._store.pages_at({(p.document, p.page) for p, _ in matches})
        found = []
        for passage, score in matches:
            document = names.get(passage.document)
            page = pages.get((passage.document, passage.page))
            if document is not None and page is not None:
                found.append(_hit(document, page, passage, score, terms))
        return found

    def passages(self, file: str | int | Path) -> Iterator[tuple[int, str]]:
        """Yields page and text of the passages of a document, in order.

        Raises:
            InputError: the document is not in the index.
        """
        document = self.resolve([file])[0]
        for page in self._store.pages(document.id):
            for passage in self._store.passages(document.id, page.number):
                text = page.text[passage.start : passage.end]
                yield page.number, "\n".join(filter(None, (passage.context, text)))

    @heals
    def neighbours(self, chunk: int, around: int = 1) -> list[Passage]:
        """Returns a passage with those before and after it in its document.

        Raises:
            InputError: there is no such passage.
        """
        middle = self._store.passage(chunk)
        if middle is None:
            raise InputError(f"There is no passage {chunk} in the index.")
        near = [self._store.passage(n) for n in range(chunk - around, chunk + around + 1)]
        return [p for p in near if p is not None and p.document == middle.document]


def _hit(document: Document, page: Page, passage: Passage, score: float, terms: list[str]) -> Hit:
    text = page.text[passage.start : passage.end]
    start, end = best_quote(text, terms)
    return Hit(
        file=document.file,
        page=passage.page,
        quote=text[start:end],
        score=float(f"{score:.6g}"),
        box=page.box(passage.start + start, passage.start + end),
        section=passage.section,
        text=text,
        context=passage.context,
        kind=passage.kind,
        document=passage.document,
        chunk=passage.id,
        path=document.path,
        label=page.label,
        notes=tuple(page.notes),
    )


def _spread(matches: list[Match], per_page: int | None) -> list[Match]:
    """Keeps the best passages of each page."""
    if per_page is None:
        return matches
    taken: dict[tuple[int, int], int] = {}
    kept = []
    for match in matches:
        page = (match.passage.document, match.passage.page)
        taken[page] = taken.get(page, 0) + 1
        if taken[page] <= per_page:
            kept.append(match)
    return kept
