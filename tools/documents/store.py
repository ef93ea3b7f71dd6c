"""The storage of a document index: its records, and the protocol of its backends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.vector_cache import Small

Outline = list[tuple[int, str, int]]  # level from 1, title, page from 1


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A file to index: the key of its content, and what is known before its pages are read."""

    key: str
    name: str
    path: str
    kind: str
    bytes: int
    pages: int
    title: str = ""
    outline: Outline = field(default_factory=list)
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the index.

    Attributes:
        id: its number in the index.
        file: the name of the file that it was read from.
        path: where that file is.
        title: the title that the document gives itself, or "".
        kind: its format, for example "pdf".
        pages: number of pages.
        chunks: number of passages.
        bytes: size of the file.
        added: when it was indexed, UTC, ISO 8601.
        version: counts the contents that this path had, from 1.
        current: whether it is the newest version of its path.
        meta: what was given with it.
        notes: what was left out of it, guessed or hidden, one line each.
    """

    id: int
    file: str
    path: str
    title: str
    kind: str
    pages: int
    chunks: int
    bytes: int
    added: str
    version: int = 1
    current: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Passage(NamedTuple):
    """A stored chunk."""

    id: int
    document: int
    page: int
    start: int
    end: int
    kind: str
    section: str
    context: str


class Unplaced(NamedTuple):
    """A chunk without a vector, and the texts to make it from."""

    id: int
    kind: str
    section: str
    context: str
    text: str


class Match(NamedTuple):
    """A chunk that fits, and how well; higher is better."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to search; None means everywhere."""

    documents: Sequence[int] | None = None
    pages: Sequence[int] | None = None
    section: str | None = None


class DocumentStore(Protocol):
    """A place for documents of one collection; many threads may use it."""

    def begin(self, source: DocumentFile) -> tuple[int, bool]:
        """Returns the id of the content's document, made if it is new, and whether it is done."""
        ...

    def known(self, key: str, path: str) -> Document | None:
        """Returns the finished document with this content, if it is the path's newest version."""
        ...

    def have_pages(self, document: int) -> set[int]:
        """Returns the numbers of the pages that are stored."""
        ...

    def put_pages(self, document: int, pages: Sequence[Page]) -> None:
        """Stores pages; those that are there already are left as they are."""
        ...

    def finish(
        self, document: int, source: DocumentFile, chunks: Iterable[tuple[Chunk, str]], keep: int
    ) -> None:
        """Makes a document visible under its path, in one step.

        Args:
            document: its id.
            source: the file.
            chunks: each chunk with the text that it is searched by; unused if it was done before.
            keep: how many older versions of the path stay readable.
        """
        ...

    def discard(self, document: int) -> None:
        """Forgets a document that was begun and not finished."""
        ...

    def remove(self, paths: Sequence[str]) -> None:
        """Forgets all versions of paths, and documents that no path leads to."""
        ...

    def documents(self, *, versions: bool = False) -> list[Document]:
        """Returns the documents by name; with `versions` older ones too."""
        ...

    def find(self, wanted: str | int) -> list[Document]:
        """Returns the documents with this id, or with this name or path."""
        ...

    def named(self, documents: Sequence[int]) -> list[Document]:
        """Returns documents by their ids, under each of their names."""
        ...

    def where(self, meta: Mapping[str, Any]) -> list[Document]:
        """Returns the documents that were added with these values."""
        ...

    def outline(self, document: int) -> Outline:
        """Returns the bookmarks of a document."""
        ...

    def labels(self, document: int) -> dict[int, str]:
        """Returns the labels of pages by number, of those that have one."""
        ...

    def pages(self, document: int, numbers: Iterable[int] | None = None) -> Iterator[Page]:
        """Yields pages in order, or those of the given numbers that exist."""
        ...

    def pages_at(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Page]:
        """Returns pages by document and number; those that do not exist are left out."""
        ...

    def state(self) -> object:
        """Returns a value that changes when documents do."""
        ...

    def fronts(self, characters: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Returns id, name, title and first words of the documents; none beyond `limit` of them.

        Documents of fewer than three pages give no first words: those are their content.
        """
        ...

    def match(self, terms: Sequence[str], limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that fit search terms best."""
        ...

    def missing_vectors(self, model: str, limit: int) -> list[Unplaced]:
        """Returns chunks that have no vector of a model."""
        ...

    def put_vectors(self, model: str, chunks: Sequence[int], rows: Sequence[Small]) -> None:
        """Stores the vectors of chunks' parts; those of chunks that are gone are passed over."""
        ...

    def nearest(self, model: str, vector: Vectors, limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that are most like a vector, best first (see `parts.sharpened`)."""
        ...

    def passages(self, document: int, page: int) -> list[Passage]:
        """Returns the chunks of a page in order."""
        ...

    def passage(self, chunk: int) -> Passage | None:
        """Returns a chunk by its id."""
        ...

    def settle(self) -> None:
        """Prepares what makes searching fast, if much was added or removed."""
        ...

    def close(self) -> None:
        """Lets go of connections."""
        ...
