"""Requests of the Qdrant store to Qdrant."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.tools.documents.search.embedding import Vectors
from qwenbelt.tools.documents.store import Scope

PAGE = 256  # points that are fetched at a time
WIDER = 20  # times as many are fetched where sections are filtered here
_SPACE = uuid.UUID("6f1d0e5a-8f0e-4f37-9c39-51574278aaaa")
_REVISION = str(uuid.uuid5(_SPACE, "revision"))

Found = list[tuple[int, float, dict[str, Any]]]


def record_id(kind: str, name: object) -> str:
    """Returns the id of a record."""
    return str(uuid.uuid5(_SPACE, f"{kind}:{name}"))


def document_number(key: str) -> int:
    """Returns a document's number: 40 bits of its key, so that passages fit below it."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:5], "big")


def crc(word: str) -> int:
    """Returns a word's place in sparse vectors."""
    return zlib.crc32(word.encode("utf-8"))


class Records:
    """The Qdrant collections that hold one of ours.

    Raises:
        ConfigError: the `qdrant` extra is not installed.
        InputError: the server cannot be reached or the folder not be used.
    """

    def __init__(self, place: str, collection: str) -> None:
        try:
            import qdrant_client
        except ImportError as error:
            raise ConfigError(
                "An index in Qdrant needs an extra.", fix='pip install "qwenbelt[qdrant]"'
            ) from error
        self._models = qdrant_client.models
        base = "qwenbelt_" + re.sub(r"[^\w-]", "_", collection)
        self._names = (f"{base}_records", f"{base}_chunks", f"{base}_parts_")
        self._lock = threading.RLock()  # the local mode is for one thread at a time
        try:
            if place.startswith(("http://", "https://")):
                self._client = qdrant_client.QdrantClient(url=place, timeout=60)
            else:
                self._client = qdrant_client.QdrantClient(path=str(Path(place).expanduser()))
            self._prepare()
        except Exception as error:
            # the client lets through whatever its transports and its local files raise
            raise InputError(f"Qdrant at {place} cannot be used: {one_line(error)}") from error

    def _prepare(self) -> None:
        models, (records, chunks, _) = self._models, self._names
        if not self._client.collection_exists(records):
            self._client.create_collection(records, vectors_config={})
        if not self._client.collection_exists(chunks):
            words = models.SparseVectorParams(modifier=models.Modifier.IDF)
            self._client.create_collection(
                chunks, vectors_config={}, sparse_vectors_config={"words": words}
            )

    def close(self) -> None:
        """Lets go of the client."""
        with self._lock:
            self._client.close()

    def _filter(self, fields: Mapping[str, Any]) -> Any:
        models = self._models
        must = [
            models.FieldCondition(key=key, match=models.MatchAny(any=list(value)))
            if isinstance(value, (list, tuple))
            else models.FieldCondition(key=key, match=models.MatchValue(value=value))
            for key, value in fields.items()
        ]
        return models.Filter(must=must)

    def _scope(self, scope: Scope) -> Any:
        fields: dict[str, Any] = {}
        if scope.documents is not None:
            fields["document"] = list(scope.documents)
        if scope.pages is not None:
            fields["page"] = list(scope.pages)
        return self._filter(fields) if fields else None

    # Records

    def get(self, record: str) -> dict[str, Any] | None:
        """Returns a record's payload."""
        with self._lock:
            found = self._client.retrieve(self._names[0], [record], with_payload=True)
        return dict(found[0].payload) if found else None

    def put(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Writes records, some at a time."""
        for first in range(0, len(rows), PAGE):
            points = [
                self._models.PointStruct(id=number, vector={}, payload=facts)
                for number, facts in rows[first : first + PAGE]
            ]
            with self._lock:
                self._client.upsert(self._names[0], points, wait=True)

    def all(
        self, fields: Mapping[str, Any], only: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields the records with these values."""
        for point in self._scroll(self._names[0], self._filter(fields), list(only or ()) or True):
            yield dict(point.payload)

    def _scroll(self, name: str, chosen: Any, payload: Any) -> Iterator[Any]:
        place = None
        while True:
            with self._lock:
                points, place = self._client.scroll(
                    name, chosen, limit=PAGE, offset=place, with_payload=payload
                )
            yield from points
            if place is None:
                return

    def delete(self, records: Sequence[str]) -> None:
        """Forgets records."""
        if records:
            with self._lock:
                self._client.delete(self._names[0], list(records), wait=True)

    def drop_document(self, document: int) -> None:
        """Forgets a document with its pages and passages."""
        self.drop_chunks(document)
        with self._lock:
            self._client.delete(
                self._names[0],
                self._models.FilterSelector(filter=self._filter({"document": document})),
                wait=True,
            )

    def revision(self) -> int:
        """Returns a number that grows when documents change."""
        held = self.get(_REVISION)
        return int(held["revision"]) if held else 0

    def touch(self) -> None:
        """Makes the revision grow."""
        with self._lock:
            self.put([(_REVISION, {"type": "revision", "revision": self.revision() + 1})])

    # Passages

    def put_chunks(
        self, batch: Sequence[tuple[int, dict[str, Any], tuple[list[int], list[float]]]]
    ) -> None:
        """Writes passages with their words."""
        models = self._models
        points = [
            models.PointStruct(
                id=number,
                payload=facts,
                vector={"words": models.SparseVector(indices=indices, values=values)},
            )
            for number, facts, (indices, values) in batch
        ]
        if points:
            with self._lock:
                self._client.upsert(self._names[1], points, wait=True)

    def drop_chunks(self, document: int) -> None:
        """Forgets a document's passages and their vectors."""
        chosen = self._models.FilterSelector(filter=self._filter({"document": document}))
        with self._lock:
            for name in (self._names[1], *self._vector_names()):
                self._client.delete(name, chosen, wait=True)

    def chunk(self, number: int) -> dict[str, Any] | None:
        """Returns a passage's payload."""
        with self._lock:
            found = self._client.retrieve(self._names[1], [number], with_payload=True)
        return dict(found[0].payload) if found else None

    def chunks(self, fields: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
        """Returns the passages with these values."""
        found = self._scroll(self._names[1], self._filter(fields), True)
        return [(int(point.id), dict(point.payload)) for point in found]

    def by_words(self, words: Sequence[int], limit: int, scope: Scope) -> Found:
        """Returns passages that have some of the words, best first."""
        if not words:
            return []
        query = self._models.SparseVector(indices=list(words), values=[1.0] * len(words))
        return self._query(self._names[1], query, "words", limit, scope)

    def _query(self, name: str, query: Any, using: str | None, limit: int, scope: Scope) -> Found:
        wider = WIDER * limit if scope.section else limit
        with self._lock:
            found = self._client.query_points(
                name,
                query=query,
                using=using,
                query_filter=self._scope(scope),
                limit=wider,
                with_payload=True,
            ).points
        return [(int(p.id), float(p.score), dict(p.payload)) for p in found if p.score > 0]

    # Vectors

    def _vector_name(self, model: str) -> str:
        return self._names[2] + hashlib.sha256(model.encode()).hexdigest()[:16]

    def _vector_names(self) -> list[str]:
        found = [c.name for c in self._client.get_collections().collections]
        return [name for name in found if name.startswith(self._names[2])]

    def without_vectors(self, model: str, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """Returns passages that have no vector of a model."""
        name = self._vector_name(model)
        missing: list[tuple[int, dict[str, Any]]] = []
        batch: list[Any] = []
        for point in self._scroll(self._names[1], None, True):
            batch.append(point)
            if len(batch) >= PAGE:
                missing += self._lacking(name, batch)
                batch = []
            if len(missing) >= limit:
                return missing[:limit]
        return (missing + self._lacking(name, batch))[:limit]

    def _lacking(self, name: str, batch: list[Any]) -> list[tuple[int, dict[str, Any]]]:
        have: set[int] = set()
        with self._lock:
            if batch and self._client.collection_exists(name):
                points = self._client.retrieve(name, [p.id for p in batch], with_payload=False)
                have = {int(p.id) for p in points}
        return [(int(p.id), dict(p.payload)) for p in batch if int(p.id) not in have]

    def put_vectors(self, model: str, numbers: Sequence[int], rows: Sequence[Vectors]) -> None:
        """Writes the vectors of passages' parts; the collection is made for their size."""
        models, name = self._models, self._vector_name(model)
        with self._lock:
            if not self._client.collection_exists(name):
                several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
                form = models.VectorParams(
                    size=rows[0].shape[1],
                    distance=models.Distance.COSINE,
                    multivector_config=several,
                )
                self._client.create_collection(name, vectors_config=form)
            held = self._client.retrieve(self._names[1], list(numbers), with_payload=True)
            facts = {int(p.id): {k: v for k, v in p.payload.items() if k != "text"} for p in held}
            points = [
                models.PointStruct(id=n, vector=parts.tolist(), payload=facts[n])
                for n, parts in zip(numbers, rows, strict=True)
                if n in facts
            ]
            self._client.upsert(name, points, wait=True)

    def by_vector(self, model: str, vector: list[float], limit: int, scope: Scope) -> Found:
        """Returns passages of which a part points the same way, best first."""
        name = self._vector_name(model)
        with self._lock:
            if not self._client.collection_exists(name):
                return []
        return self._query(name, [vector], None, limit, scope)
