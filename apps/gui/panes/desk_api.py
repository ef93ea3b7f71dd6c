"""What the side pane shows of a conversation: its files, code, data, document texts and times."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.panes.data_grid import TABLES, table_page
from qwenbelt.apps.gui.panes.data_sources import data_sources, page_tables, source_page
from qwenbelt.apps.gui.panes.notebook import ToolFinder, code_cells, turn_records
from qwenbelt.apps.gui.panes.turn_times import turn_times
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.errors import one_line
from qwenbelt.tools.code_interpreter.inside.usual_imports import forgotten_in_cells

_MOST_FILES = 500
_MOST_ZIPPED = 512 * 1024 * 1024
_MOST_TURNS = 200  # whose times are shown
_MOST_PAGES = 400  # that one search in a document reads
_LONGEST_TITLE = 100  # characters of the question that names a page
_DOCUMENTS = (".pdf", ".docx", ".pptx", ".xlsx", ".html", ".htm", ".md", ".txt")


class DeskApi:
    """The routes of the side pane.

    Args:
        session_of: returns the conversation of a request, or refuses it.
        code_tool: returns the tool that runs code in a conversation, or refuses.
    """

    def __init__(self, session_of: Callable[[Request], ChatSession], code_tool: ToolFinder) -> None:
        self._of = session_of
        self._code_tool = code_tool

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/desk/{session}/files", self._files),
            Route("/qb/desk/{session}/files.zip", self._zip),
            Route("/qb/desk/{session}/code.{form}", self._code),
            Route("/qb/desk/{session}/table/{name}", self._table),
            Route("/qb/desk/{session}/sources", self._sources),
            Route("/qb/desk/{session}/source", self._source),
            Route("/qb/desk/{session}/tables/{name}/{page:int}", self._page_tables),
            Route("/qb/desk/{session}/text/{name}/{page:int}", self._text),
            Route("/qb/desk/{session}/find/{name}", self._find),
            Route("/qb/desk/{session}/trace", self._trace),
            Route("/qb/desk/{session}/trace.html", self._trace_page),
        ]

    async def _files(self, request: Request) -> Response:
        session = self._of(request)
        makers = _tools_by_file(session)
        rows = [
            {
                "name": path.name,
                "size": path.stat().st_size,
                "made": makers.get(path.name, ""),
                "document": path.suffix.lower() in _DOCUMENTS,
                "table": path.suffix.lower() in TABLES,
            }
            for path in _own_files(session)
        ]
        return JSONResponse({"files": rows})

    async def _zip(self, request: Request) -> Response:
        session = self._of(request)
        packed = await asyncio.to_thread(_zip_of_files, _own_files(session))
        name = 'attachment; filename="files.zip"'
        return Response(packed, media_type="application/zip", headers={"content-disposition": name})

    async def _code(self, request: Request) -> Response:
        cells, form = code_cells(self._of(request)), request.path_params["form"]
        if form not in ("py", "ipynb") or not cells:
            raise PageError("no_code")
        if imports := forgotten_in_cells(cell["code"] for cell in cells):
            cells = [{"code": "\n".join(imports), "output": ""}, *cells]
        if form == "py":
            text = "\n\n".join(f"# %%\n{cell['code'].rstrip()}" for cell in cells) + "\n"
            kind = "text/x-python; charset=utf-8"
        else:
            text = json.dumps(_notebook_of_cells(cells), ensure_ascii=False, indent=1)
            kind = "application/json"
        name = f'attachment; filename="conversation.{form}"'
        return Response(text, media_type=kind, headers={"content-disposition": name})

    async def _table(self, request: Request) -> Response:
        path, sheet = self._path(request), request.query_params.get("sheet", "")
        shown = await asyncio.to_thread(table_page, path, sheet=sheet, **_how_shown(request))
        return JSONResponse(shown)

    async def _sources(self, request: Request) -> Response:
        return JSONResponse({"sources": await data_sources(self._of(request))})

    async def _source(self, request: Request) -> Response:
        session, source = self._of(request), request.query_params.get("source", "")
        how, language = _how_shown(request), language_of(request)
        return JSONResponse(await source_page(session, source, self._code_tool, language, how))

    async def _page_tables(self, request: Request) -> Response:
        path, first = self._path(request), request.path_params["page"]
        return JSONResponse(await asyncio.to_thread(page_tables, path, first))

    async def _text(self, request: Request) -> Response:
        path, page = self._path(request), request.path_params["page"]
        text, pages = await asyncio.to_thread(_page_text, path, page)
        return JSONResponse({"text": text, "pages": pages})

    async def _find(self, request: Request) -> Response:
        words = request.query_params.get("q", "").strip()[:200]
        found = await asyncio.to_thread(_found_pages, self._path(request), words) if words else []
        return JSONResponse({"found": found})

    async def _trace(self, request: Request) -> Response:
        session, language = self._of(request), language_of(request)
        path = {turn.id for turn in session.path()}
        parts = [
            {
                "turn": turn.id,
                "question": turn.question[:200],
                "shown": turn.id in path,
                **turn_times(records, language),
            }
            for turn in sorted(session.turns.values(), key=lambda turn: turn.created)
            if (records := turn_records(session, turn.id))
        ]
        return JSONResponse({"turns": parts[-_MOST_TURNS:]})

    async def _trace_page(self, request: Request) -> Response:
        """The page that `qwenbelt trace show --html` writes, of the answers that are shown."""
        from qwenbelt.apps.trace_page import trace_page

        session, language = self._of(request), language_of(request)
        records = [record for turn in session.path() for record in turn_records(session, turn.id)]
        if not records:
            raise PageError("no_trace")
        title = one_line(session.path()[0].question, _LONGEST_TITLE)
        page = await asyncio.to_thread(trace_page, records, title, language, session.folder)
        return HTMLResponse(page)

    def _path(self, request: Request) -> Path:
        name = request.path_params["name"]
        path = self._of(request).file(name)
        if path is None:
            raise PageError("file_gone", name=name)
        return path


def _how_shown(request: Request) -> dict[str, Any]:
    """Returns what a request says about how a table is to be shown."""
    asked = request.query_params
    return {
        "page": _whole_number(asked.get("page", "1")),
        "sort": asked.get("sort", ""),
        "down": asked.get("down") == "1",
        "words": asked.get("q", ""),
    }


def _whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def _own_files(session: ChatSession) -> list[Path]:
    if not session.folder.is_dir():
        return []
    found = (session.file(entry.name) for entry in session.folder.iterdir())
    files = [path for path in found if path is not None and not path.name.startswith(".")]
    return sorted(files, key=lambda path: (-path.stat().st_mtime, path.name))[:_MOST_FILES]


def _tools_by_file(session: ChatSession) -> dict[str, str]:
    """Returns what made each file: a tool's name."""
    made: dict[str, str] = {}
    for turn in session.path():
        for call in Timeline(turn_records(session, turn.id)).calls:
            values = [str(i.get("value", "")) for i in call.items if i.get("kind") != "text"]
            for path in (*call.artifacts, *values):
                made.setdefault(Path(path).name, call.name)
    return made


def _zip_of_files(files: list[Path]) -> bytes:
    if sum(file.stat().st_size for file in files) > _MOST_ZIPPED:
        raise PageError("files_large")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            packed.write(file, file.name)
    return archive.getvalue()


def _notebook_of_cells(cells: list[dict[str, Any]]) -> dict[str, Any]:
    def cell(number: int, given: dict[str, Any]) -> dict[str, Any]:
        text = {"output_type": "stream", "name": "stdout", "text": given["output"]}
        return {
            "cell_type": "code",
            "id": f"cell-{number}",
            "execution_count": number,
            "metadata": {},
            "source": given["code"],
            "outputs": [text] if given["output"] else [],
        }

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": [cell(number, given) for number, given in enumerate(cells, 1)],
    }


def _page_text(path: Path, page: int) -> tuple[str, int]:
    from qwenbelt.tools.documents.parsing.formats import open_document

    with open_document(path) as opened:
        if not 1 <= page <= opened.pages:
            raise PageError("no_page", file=path.name, page=page)
        read = next(iter(opened.read([page])), None)
        return ("" if read is None else read.text), opened.pages


def _found_pages(path: Path, words: str) -> list[dict[str, Any]]:
    wanted, out = " ".join(words.lower().split()), []
    for number, raw in _page_texts(path):
        text = " ".join(raw.split())
        at = text.lower().find(wanted)
        if at >= 0:
            around = text[max(0, at - 60) : at + len(wanted) + 60]
            out.append({"page": number, "around": around})
    return out[:50]


def _page_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yields pages by number; of a PDF the text layer, since a person waits."""
    from qwenbelt.tools.documents.parsing.formats import open_document
    from qwenbelt.tools.documents.parsing.pdf.pdfium import opened, page_of

    if path.suffix.lower() == ".pdf":
        with opened(path) as document:
            for at in range(min(len(document), _MOST_PAGES)):
                with page_of(document, at, path.name) as page:
                    yield at + 1, page.get_textpage().get_text_range()
        return
    with open_document(path) as read:
        for page in read.read(list(range(1, min(read.pages, _MOST_PAGES) + 1))):
            yield page.number, page.text
