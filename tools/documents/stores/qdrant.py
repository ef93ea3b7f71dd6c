"""The store on Qdrant: documents of one collection, for vectors by the million.

Three Qdrant collections hold one of ours: `_records` (documents, names and pages, as payload),
`_chunks` (BM25 as sparse vectors whose rarity Qdrant adds) and one of vectors for each model.
Qdrant has no transactions: a document's passages count only once they are all there, and one
process at a time may write to a collection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from qwenbelt.tools.documents.model import Page
from qwenbelt.tools.documents.notes import document_notes
from qwenbelt.tools.documents.parsing.page_rows import page_of, page_row, to_json
from qwenbelt.tools.documents.search.chunks import Chunk
from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.search.stems import Stemmer
from qwenbelt.tools.documents.search.vector_cache import Small, large
from qwenbelt.tools.documents.store import (
    Document,
    DocumentFile,
    Match,
    Outline,
    Passage,
    Scope,
    Unplaced,
)
from qwenbelt.tools.documents.stores.fulltext_snapshot import K1, B
from qwenbelt.tools.documents.stores.qdrant_records import Records, crc, document_number, record_id

USUAL_TOKENS = 90.0  # of a chunk; Qdrant knows no mean length
BATCH = 128
CHUNK_BITS = 20  # of a passage's number that count passages of one document


class QdrantStore:
    """Documents of one collection in Qdrant.

    Args:
        place: a server's URL, or a folder for the client's local mode (one process, for trials).
        collection: documents of other collections are not seen.

    Raises:
        ConfigError: the `qdrant` extra is not installed.
        InputError: the server cannot be reached or the folder not be used.
    """

    def __init__(self, place: str, collection: str) -> None:
        self._records = Records(place, collection)
        self._stemmer = Stemmer()

    def close(self) -> None:
        """Lets go of the client."""
        self._records.close()
        self._stemmer.close()

    def settle(self) -> None:
        """Qdrant prepares by itself."""

    # Taking in

    def begin(self, source: DocumentFile) -> tuple[int, bool]:
        """Returns the id of the content's document, made if it is new, and whether it is done."""
        number = document_number(source.key)
        held = self._records.get(record_id("document", number))
        if held is None:
            facts = {
                "type": "document",
                "document": number,
                "key": source.key,
                "title": source.title,
                "kind": source.kind,
                "bytes": source.bytes,
                "pages": source.pages,
                "outline": to_json(source.outline),
                "state": "reading",
                "chunks": 0,
                "notes": "[]",
            }
            self._records.put([(record_id("document", number), facts)])
            return number, False
        return number, held["state"] == "ready"

    def known(self, key: str, path: str) -> Document | None:
        """Returns the finished document with this content, if it is the path's newest version."""
        number = document_number(key)
        found = self._select({"path": path, "document": number, "current": True})
        return next(iter(found), None)

    def have_pages(self, document: int) -> set[int]:
        """Returns the numbers of the pages that are stored."""
        found = self._records.all({"type": "page", "document": document}, ["number"])
        return {row["number"] for row in found}

    def put_pages(self, document: int, pages: Sequence[Page]) -> None:
        """Stores pages."""
        rows = []
        for page in pages:
            row = list(page_row(page))
            row[4] = base64.b64encode(row[4]).decode("ascii")
            facts = {"type": "page", "document": document, "number": page.number, "row": row}
            rows.append((record_id("page", f"{document}/{page.number}"), facts))
        self._records.put(rows)

    def finish(
        self, document: int, source: DocumentFile, chunks: Iterable[tuple[Chunk, str]], keep: int
    ) -> None:
        """Makes a document visible under its path; its name comes last."""
        held = self._records.get(record_id("document", document)) or {}
        if held.get("state") != "ready":
            count = self._put_chunks(document, chunks)
            pages = ((page.number, page.notes) for page in self.pages(document))
            notes = document_notes(source.notes, pages, count)
            ready = {**held, "state": "ready", "chunks": count, "notes": to_json(notes)}
            self._records.put([(record_id("document", document), ready)])
        self._put_name(document, source)
        self._retire(source.path, keep)
        self._records.touch()

    def _put_chunks(self, document: int, chunks: Iterable[tuple[Chunk, str]]) -> int:
        self._records.drop_chunks(document)
        batch: list[tuple[int, dict[str, Any], tuple[list[int], list[float]]]] = []
        count = 0
        given = list(chunks)
        counted = self._stemmer.counts(given)
        for count, ((chunk, text), (counts, tokens)) in enumerate(
            zip(given, counted, strict=True), 1
        ):
            scale = K1 * (1 - B + B * tokens / USUAL_TOKENS)
            weights: dict[int, float] = {}
            for word, number in counts.items():
                weights[crc(word)] = number * (K1 + 1) / (number + scale)
            facts = {
                "document": document,
                "page": chunk.page,
                "start": chunk.start,
                "stop": chunk.end,
                "kind": chunk.kind,
                "section": chunk.section,
                "context": chunk.context,
                "text": text,
            }
            entry = ((document << CHUNK_BITS) + count, facts, (list(weights), [*weights.values()]))
            batch.append(entry)
            if len(batch) >= BATCH:
                self._records.put_chunks(batch)
                batch = []
        self._records.put_chunks(batch)
        return count

    def _put_name(self, document: int, source: DocumentFile) -> None:
        older = sorted(self._names({"path": source.path}), key=lambda row: row["version"])
        if older and older[-1]["document"] == document:
            return
        version = older[-1]["version"] + 1 if older else 1
        facts = {
            "type": "name",
            "path": source.path,
            "version": version,
            "name": source.name,
            "document": document,
            "current": True,
            "added": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "meta": to_json(dict(source.meta)),
        }
        rows = [(_name_id(row), {**row, "current": False}) for row in older if row["current"]]
        self._records.put([*rows, (_name_id(facts), facts)])

    def _retire(self, path: str, keep: int) -> None:
        """Forgets versions beyond those to keep, and passages that no path leads to."""
        rows = self._names({"path": path})
        newest = max((row["version"] for row in rows), default=0)
        gone = [row for row in rows if row["version"] <= newest - 1 - keep]
        self._forget(gone, [row for row in rows if not row["current"]])

    def _forget(self, gone: list[dict[str, Any]], unsearched: list[dict[str, Any]]) -> None:
        self._records.delete([_name_id(row) for row in gone])
        for document in {row["document"] for row in (*gone, *unsearched)}:
            left = self._names({"document": document})
            if not any(row["current"] for row in left):
                self._records.drop_chunks(document)
                held = self._records.get(record_id("document", document))
                if held is not None:
                    again = {**held, "state": "retired"}
                    self._records.put([(record_id("document", document), again)])
            if not left:
                self._records.drop_document(document)

    def discard(self, document: int) -> None:
        """Forgets a document that was begun and not finished."""
        held = self._records.get(record_id("document", document))
        if held is not None and held["state"] == "reading":
            self._records.drop_document(document)

    def remove(self, paths: Sequence[str]) -> None:
        """Forgets all versions of paths, and documents that no path leads to."""
        for path in paths:
            self._forget(self._names({"path": path}), [])
        self._records.touch()

    # Looking

    def documents(self, *, versions: bool = False) -> list[Document]:
        """Returns the documents by name; with `versions` older ones too."""
        return self._select({} if versions else {"current": True})

    def find(self, wanted: str | int) -> list[Document]:
        """Returns the documents with this id, or with this name or path."""
        if isinstance(wanted, int):
            return self._select({"current": True, "document": wanted})
        found = self._select({"current": True, "name": wanted})
        found += self._select({"current": True, "path": wanted})
        return list({(d.path, d.version): d for d in found}.values())

    def named(self, documents: Sequence[int]) -> list[Document]:
        """Returns documents by their ids, under each of their names."""
        return [found for document in documents for found in self.find(document)]

    def where(self, meta: Mapping[str, Any]) -> list[Document]:
        """Returns the documents that were added with these values."""
        found = self._select({"current": True})
        return [d for d in found if all(d.meta.get(k) == v for k, v in meta.items())]

    def _names(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self._records.all({"type": "name", **fields}))

    def _select(self, fields: Mapping[str, Any]) -> list[Document]:
        found = []
        for row in self._names(fields):
            held = self._records.get(record_id("document", row["document"]))
            if held is None or held["state"] == "reading":
                continue
            found.append(
                Document(
                    row["document"],
                    row["name"],
                    row["path"],
                    held["title"],
                    held["kind"],
                    held["pages"],
                    held["chunks"],
                    held["bytes"],
                    row["added"],
                    row["version"],
                    row["current"],
                    json.loads(row["meta"]),
                    tuple(json.loads(held["notes"])),
                )
            )
        return sorted(found, key=lambda d: (d.file, d.path, -d.version))

    def outline(self, document: int) -> Outline:
        """Returns the bookmarks of a document."""
        held = self._records.get(record_id("document", document)) or {"outline": "[]"}
        return [(level, title, page) for level, title, page in json.loads(held["outline"])]

    def labels(self, document: int) -> dict[int, str]:
        """Returns the labels of pages by number, of those that have one."""
        return {page.number: page.label for page in self.pages(document) if page.label}

    def pages(self, document: int, numbers: Iterable[int] | None = None) -> Iterator[Page]:
        """Yields pages in order, or those of the given numbers that exist."""
        wanted = sorted(self.have_pages(document)) if numbers is None else list(numbers)
        for number in wanted:
            held = self._records.get(record_id("page", f"{document}/{number}"))
            if held is not None:
                row = list(held["row"])
                row[4] = base64.b64decode(row[4])
                yield page_of(row)

    def pages_at(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Page]:
        """Returns pages by document and number; those that do not exist are left out."""
        return {
            (document, number): page
            for document, number in places
            for page in self.pages(document, [number])
        }

    def state(self) -> object:
        """Returns a value that changes when documents do."""
        return self._records.revision()

    def fronts(self, characters: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Returns id, name, title and first words of the documents; none beyond `limit`."""
        found = self.documents()
        if len(found) > limit:
            return []
        fronts = []
        for document in found:
            first = next(self.pages(document.id, [1]), None) if document.pages > 2 else None
            front = first.text[:characters] if first is not None else ""
            fronts.append((document.id, document.file, document.title, front))
        return fronts

    # Searching

    def match(self, terms: Sequence[str], limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks that fit search terms best."""
        stems = [stem for stem in dict.fromkeys(self._stemmer.stems(terms)) if stem]
        found = self._records.by_words([crc(stem) for stem in stems], limit, scope)
        return self._matches(found, limit, scope)

    def missing_vectors(self, model: str, limit: int) -> list[Unplaced]:
        """Returns chunks that have no vector of a model."""
        return [
            Unplaced(number, f["kind"], f["section"], f["context"], f["text"])
            for number, f in self._records.without_vectors(model, limit)
        ]

    def put_vectors(self, model: str, chunks: Sequence[int], rows: Sequence[Small]) -> None:
        """Stores the vectors of chunks' parts; those of chunks that are gone are passed over."""
        self._records.put_vectors(model, chunks, [large(parts) for parts in rows])

    def nearest(self, model: str, vector: Vectors, limit: int, scope: Scope) -> list[Match]:
        """Returns the chunks of which a part is most like a vector, as Qdrant compares them."""
        found = self._records.by_vector(model, vector.tolist(), limit, scope)
        return self._matches(found, limit, scope)

    def _matches(
        self, found: list[tuple[int, float, dict[str, Any]]], limit: int, scope: Scope
    ) -> list[Match]:
        section = (scope.section or "").lower()
        chosen = [
            Match(_passage(number, facts), score)
            for number, score, facts in found
            if section in facts["section"].lower()
        ]
        return chosen[:limit]

    def passage(self, chunk: int) -> Passage | None:
        """Returns a chunk by its id."""
        found = self._records.chunk(chunk)
        return _passage(chunk, found) if found is not None else None

    def passages(self, document: int, page: int) -> list[Passage]:
        """Returns the chunks of a page in order."""
        found = self._records.chunks({"document": document, "page": page})
        return sorted(_passage(number, facts) for number, facts in found)


def _passage(number: int, facts: Mapping[str, Any]) -> Passage:
    fields = ("document", "page", "start", "stop", "kind", "section", "context")
    return Passage(number, *(facts[name] for name in fields))


def _name_id(row: Mapping[str, Any]) -> str:
    return record_id("name", f"{row['version']}/{row['path']}")
