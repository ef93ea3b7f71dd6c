"""Rebuilds a damaged index file from its sources: the index is only a cache of them."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from qwenbelt.core.errors import InputError, ToolRefused
from qwenbelt.tools.documents.fetching import is_url
from qwenbelt.tools.documents.notes import noted
from qwenbelt.tools.documents.store import DocumentStore
from qwenbelt.tools.documents.stores.backends import is_server, open_store
from qwenbelt.tools.documents.stores.sqlite_schema import DamagedIndex
from qwenbelt.tools.documents.stores.sqlite_sources import (
    is_damage,
    is_sound,
    rebuilt,
    set_aside,
    waiting,
)

if TYPE_CHECKING:
    from qwenbelt.tools.documents.index import DocumentIndex

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate["DocumentIndex", P], R]
MOST_NAMED = 20  # sources that could not be read again


def heals(method: Method[P, R]) -> Method[P, R]:
    """Decorates a method of an index: a damaged file is rebuilt, and the method runs again."""

    @functools.wraps(method)
    def run(index: DocumentIndex, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(index, *args, **kwargs)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
        index.heal()
        return method(index, *args, **kwargs)

    return run


def open_or_heal(place: str | Path, collection: str) -> DocumentStore:
    """Opens the store of an index; a damaged file is set aside and a new one begun."""
    try:
        return open_store(place, collection)
    except DamagedIndex:
        file = Path(place).expanduser()
        if not is_sound(file):
            set_aside(file)
        return open_store(place, collection)


def take_in_anew(index: DocumentIndex) -> list[str]:
    """Takes in what a damaged file held; returns what a person is to know of it."""
    if is_server(index.place):
        return []
    file = Path(index.place).expanduser()
    sources = waiting(file, index.collection)
    if not sources:
        return []
    lost = []
    for source in sources:
        entry = source.path if is_url(source.path) else Path(source.path)
        try:
            index.take_in(entry, meta=source.meta)
        except (InputError, ToolRefused) as error:
            lost.append(noted(f"{file.name}: was damaged, and this was not read again: {error}"))
    rebuilt(file, index.collection)
    done = len(sources) - len(lost)
    told = noted(f"{file.name}: was damaged and has been rebuilt from {done} of its files.")
    return [told, *lost[:MOST_NAMED]]
