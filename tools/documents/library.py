"""Which documents a tool call may see, and the index that holds them."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import EndpointError, InputError, ToolError
from qwenbelt.core.limits import input_file
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.documents.index import DocumentIndex, Progress
from qwenbelt.tools.documents.parsing.formats import SUFFIXES
from qwenbelt.tools.documents.store import Document
from qwenbelt.tools.documents.stores.backends import named_place

INDEX_NAME = "documents.db"
MOST_CLOSING = 8  # threads that close some
MOST_OPEN = 16  # indexes that stay open unused; a server has one for each conversation

_Key = tuple[str, ...]


@dataclass
class _OpenIndexes:
    recent: OrderedDict[_Key, DocumentIndex] = field(default_factory=OrderedDict)
    # also those that a call still uses; the last one to let go of an index closes it
    every: weakref.WeakValueDictionary[_Key, DocumentIndex] = field(
        default_factory=weakref.WeakValueDictionary
    )
    lock: threading.Lock = field(default_factory=threading.Lock)


_closing = per_process(lambda: threading.BoundedSemaphore(MOST_CLOSING))
_open_indexes = per_process(_OpenIndexes)  # a connection must not be used by two processes


def default_index() -> Path:
    """Returns the index that is used when none is named."""
    return load_settings().workspace / INDEX_NAME


def shared_index(
    place: str | Path,
    vectors: str | None = None,
    reranker: str | None = None,
    reader: str | None = None,
) -> DocumentIndex:
    """Returns the process's open index of a place; the last used stay open for the next call."""
    key = (str(place), vectors or "", reranker or "", reader or "")
    indexes, unused = _open_indexes(), []
    with indexes.lock:
        index = indexes.every.get(key)
        if index is None:
            index = DocumentIndex(place, vectors=vectors, reranker=reranker, reader=reader)
            indexes.every[key] = index
        indexes.recent[key] = index
        indexes.recent.move_to_end(key)
        while len(indexes.recent) > MOST_OPEN:
            unused.append(indexes.recent.popitem(last=False))
    if unused:
        _let_go(unused)
    return index


def _let_go(unused: list[tuple[_Key, DocumentIndex]]) -> None:
    """Closes indexes in a thread: it waits for the disk, which the next call need not.

    On a disk that falls behind callers wait too, so that no more and more files are open.
    """
    turns = _closing()
    if not turns.acquire(blocking=False):
        unused.clear()
        return

    def close() -> None:
        try:
            unused.clear()
        finally:
            turns.release()

    threading.Thread(target=close, name="qwenbelt-index-closer").start()


class Library:
    """The documents of one tool call: an index and the ids that the call may see.

    Attributes:
        index: the index.
        names: the document's id by the name that the model uses.
        paths: the path by that name; other files of the index may have the same content.
        failed: why a file could not be added, one line each.
    """

    def __init__(self, index: DocumentIndex) -> None:
        self.index = index
        self.names: dict[str, int] = {}
        self.paths: dict[str, str] = {}
        self.failed: list[str] = []

    def choose(self, wanted: Iterable[str] | None) -> list[int]:
        """Returns document ids for names; all without names.

        Raises:
            ToolError: a name is not one of the conversation's documents.
        """
        if not wanted:
            return list(self.names.values())
        chosen = []
        for name in wanted:
            if name not in self.names and Path(name).name not in self.names:
                known = ", ".join(self.names) or "none"
                raise ToolError(f"There is no document {name!r}. Documents: {known}.")
            chosen.append(self.names.get(name) or self.names[Path(name).name])
        return chosen

    def document(self, name: str) -> Document:
        """Returns the document that the model calls so.

        Raises:
            ToolError: it is not one of the conversation's documents.
        """
        (number,) = self.choose([name])
        path = self.paths.get(name) or self.paths.get(Path(name).name)
        return self.index.document(number, path)


def gather(
    cfg: Mapping[str, Any], context: Any, given: Iterable[str], asked: Iterable[str]
) -> Library:
    """Takes in the documents that a call may see.

    Args:
        cfg: the tool's configuration: `files` (paths), `index` (a path or a server), `password`,
            `vectors`, `reranker` and `reader` (specs).
        context: the `ToolContext` of the run.
        given: paths that the agent hands over with the call.
        asked: names in the call's own arguments; paths only count where no run limits the files.

    Raises:
        InputError: the index cannot be opened.
    """
    paths = _by_name(cfg, context, given)
    if not paths and "index" not in cfg:
        paths = {name: Path(name) for name in asked}
    place = named_place(cfg["index"] if "index" in cfg else _session_index(context))
    library = Library(
        shared_index(place, cfg.get("vectors"), cfg.get("reranker"), cfg.get("reader"))
    )
    library.index.documents()  # a damaged file is found out, and healed, before ids are given away
    library.failed += library.index.told
    library.index.told.clear()
    for name, path in paths.items():
        _take_in(library, name, path, cfg.get("password"), context)
    if "index" in cfg and not paths:
        for document in library.index.documents():
            library.names[document.file] = document.id
            library.paths[document.file] = document.path
    return library


def _by_name(cfg: Mapping[str, Any], context: Any, given: Iterable[str]) -> dict[str, Path]:
    paths = {name: Path(path) for name, path in context.files.items()}
    configured = cfg.get("files") or []
    for entry in [*([configured] if isinstance(configured, str) else configured), *given]:
        path = Path(str(entry))
        if path not in paths.values():
            paths.setdefault(path.name, path)
    return {n: p for n, p in paths.items() if p.suffix.lower() in SUFFIXES or not p.suffix}


def _session_index(context: Any) -> Path:
    return Path(context.folder) / INDEX_NAME if context.folder is not None else default_index()


def _take_in(library: Library, name: str, path: Path, password: str | None, context: Any) -> None:
    def tell(page: int, pages: int) -> None:
        if context.cancelled.is_set():
            raise ToolError("The call was stopped while documents were read.")
        context.report(f"{name} {page}/{pages}", page / max(pages, 1))

    try:
        file = input_file(path).resolve()
        added = library.index.add_file(file, tell, password=password)
    except (InputError, EndpointError) as error:
        library.failed.append(str(error))
        return
    library.names[name] = added.document
    library.paths[name] = str(file)
    library.index.embed()


@contextlib.contextmanager
def command_index(
    path: str | None,
    vectors: str | None = None,
    reranker: str | None = None,
    reader: str | None = None,
) -> Iterator[DocumentIndex]:
    """Opens the index that a command names, or the default one."""
    place = named_place(path) if path else default_index()
    with DocumentIndex(place, vectors=vectors, reranker=reranker, reader=reader) as index:
        yield index


__all__ = ["Library", "Progress", "command_index", "default_index", "gather", "shared_index"]
