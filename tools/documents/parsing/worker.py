"""The process that reads documents, so that a damaged or hostile one cannot take others with it.

Requests come in as lines of JSON on standard input, answers go out as lines on standard output:

    {"do": "open", "path": ..., "password": ...}   -> {"kind", "pages", "title", "outline", "notes"}
    {"do": "read", "path": ..., "pages": [...]}    -> {"page": [...]} for each, then {"done": true}
    {"do": "attachment", "path": ..., "name": ...} -> {"data": ...}

An error for the person is {"error": text, "fix": text}.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.model import Box, Page, PagePicture
from qwenbelt.tools.documents.parsing.attachments import attachment
from qwenbelt.tools.documents.parsing.formats import Opened, open_document
from qwenbelt.tools.documents.parsing.page_rows import page_of, page_row

MAX_MEMORY = 6 * 1024**3  # bytes of address space
MAX_DATA = 768 * 1024**2  # bytes that are written to: what a bomb of 2 KB unpacks to
MAX_DATA_OF_OCR = 1200 * 1024**2  # its models take some 850 MB for a page; see `scanned`


def encode(page: Page) -> list[Any]:
    """Returns a page as values that JSON can hold."""
    row = list(page_row(page))
    row[4] = base64.b64encode(row[4]).decode("ascii")
    return row


def decode(row: list[Any], pictures: list[Any] | None = None) -> Page:
    """Returns the page that `encode` made the values of, and what a model is to read of it."""
    page = page_of([*row[:4], base64.b64decode(row[4]), *row[5:]])
    page.pictures = [
        PagePicture(Box(*box) if box else None, base64.b64decode(png))
        for box, png in pictures or ()
    ]
    return page


def _pictures(page: Page) -> dict[str, Any]:
    if not page.pictures:
        return {}
    return {"pictures": [[box, base64.b64encode(png).decode()] for box, png in page.pictures]}


class _DocumentReader:
    """Answers requests; the document that was opened last stays open."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._key: tuple[str, bool, bool] | None = None
        self._opened: Opened | None = None

    def answers(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if request["do"] == "attachment":
            data = attachment(Path(request["path"]), request["name"], request.get("password"))
            yield {"data": base64.b64encode(data).decode("ascii")}
            return
        opened = self._document(request)
        if request["do"] == "open":
            yield {
                "kind": opened.kind,
                "pages": opened.pages,
                "title": opened.title,
                "outline": opened.outline,
                "notes": opened.notes,
            }
            return
        for page in opened.read(request["pages"]):
            yield {"page": encode(page)} | _pictures(page)
        yield {"done": True}

    def _document(self, request: dict[str, Any]) -> Opened:
        layout, pictures = bool(request.get("layout", True)), bool(request.get("pictures"))
        key = (request["path"], layout, pictures)
        if self._opened is None or key != self._key or request["do"] == "open":
            self._open.close()
            self._opened = self._open.enter_context(
                open_document(
                    Path(key[0]), request.get("password"), layout=layout, pictures=pictures
                )
            )
            self._key = key
        return self._opened


def _own_output() -> TextIO:
    """Keeps standard output for answers, and sends what libraries print to nowhere."""
    kept = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return open(kept, "w", encoding="utf-8")


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        if sys.platform == "linux":  # elsewhere it leaves out what is mapped
            resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA, MAX_DATA_OF_OCR))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answers requests until standard input ends."""
    _limit_memory()
    out = _own_output()
    reader = _DocumentReader()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            for answer in reader.answers(request):
                out.write(json.dumps(answer, ensure_ascii=False) + "\n")
                out.flush()
        except InputError as error:
            out.write(json.dumps({"error": error.message, "fix": error.fix}) + "\n")
        except MemoryError:
            name = request.get("path")
            out.write(json.dumps({"error": f"{name}: needs too much memory to be read."}) + "\n")
        out.flush()
