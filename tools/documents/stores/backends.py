"""Where an index lives: a SQLite file, a PostgreSQL database, or Qdrant."""

from __future__ import annotations

from pathlib import Path

from qwenbelt.tools.documents.store import DocumentStore

_POSTGRES = ("postgresql://", "postgres://")
_QDRANT = "qdrant:"


def is_server(place: str | Path) -> bool:
    """Returns whether an index's place is something other than a SQLite file."""
    return isinstance(place, str) and place.startswith((*_POSTGRES, _QDRANT))


def named_place(place: str | Path) -> str | Path:
    """Returns the whole path of an index file; the names of other places as they are."""
    return place if is_server(place) else Path(place).expanduser().resolve()


def open_store(place: str | Path, collection: str) -> DocumentStore:
    """Opens the store of an index.

    Args:
        place: a file, `postgresql://USER@HOST/DATABASE`, `qdrant:http://HOST:6333`, or
            `qdrant:FOLDER` for Qdrant's local mode, which is for one process and trials.
        collection: documents of other collections are not seen.

    Raises:
        InputError: it cannot be opened.
        ConfigError: an extra is missing.
    """
    if isinstance(place, str) and place.startswith(_POSTGRES):
        from qwenbelt.tools.documents.stores.postgres import PostgresStore

        return PostgresStore(place, collection)
    if isinstance(place, str) and place.startswith(_QDRANT):
        from qwenbelt.tools.documents.stores.qdrant import QdrantStore

        return QdrantStore(place.removeprefix(_QDRANT), collection)
    from qwenbelt.tools.documents.stores.sqlite import SqliteStore

    return SqliteStore(Path(place).expanduser(), collection)
