"""The code of a conversation as a notebook: its cells, the live session's variables and tables."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.strings import PageError, explain_on_page
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.errors import QwenbeltError, ToolCancelled
from qwenbelt.core.jsons import loads_bounded

if TYPE_CHECKING:
    from qwenbelt.tools.base import ToolContext
    from qwenbelt.tools.code_interpreter.tool import CodeInterpreter

ToolFinder = Callable[[ChatSession], "CodeInterpreter"]
_MOST_CODE = 100_000
_TASKS: set[asyncio.Task[None]] = set()  # asyncio itself keeps no hold of them


class NotebookApi:
    """The routes of the side pane's notebook.

    Args:
        session_of: returns the conversation of a request, or refuses it.
        code_tool: returns the tool that runs code in a conversation, or refuses.
    """

    def __init__(self, session_of: Callable[[Request], ChatSession], code_tool: ToolFinder) -> None:
        self._of = session_of
        self._tool = code_tool

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/desk/{session}/cells", self._cells, methods=["GET"]),
            Route("/qb/desk/{session}/cells/run", self._run, methods=["POST"]),
            Route("/qb/desk/{session}/cells/stop", self._stop, methods=["POST"]),
            Route("/qb/desk/{session}/cells/remove", self._remove, methods=["POST"]),
            Route("/qb/desk/{session}/variables", self._variables, methods=["GET"]),
        ]

    async def _cells(self, request: Request) -> Response:
        session = self._of(request)
        busy = session.live is not None or session.own_cells.running is not None
        return JSONResponse({"cells": code_cells(session), "busy": busy})

    async def _run(self, request: Request) -> Response:
        session, body = self._of(request), await json_body(request)
        code = body.get("code")
        if not isinstance(code, str) or not code.strip() or len(code) > _MOST_CODE:
            raise PageError("cell_empty")
        start_cell(session, self._tool(session), code, language_of(request))
        return JSONResponse({})

    async def _stop(self, request: Request) -> Response:
        self._of(request).own_cells.cancelled.set()
        return JSONResponse({})

    async def _remove(self, request: Request) -> Response:
        session, body = self._of(request), await json_body(request)
        session.own_cells.remove(str(body.get("id", "")))
        return JSONResponse({})

    async def _variables(self, request: Request) -> Response:
        told = await session_variables(self._of(request))
        return JSONResponse({"running": told is not None, "variables": told or []})


def session_name(session: ChatSession) -> str:
    """Returns the name of a conversation's code session."""
    return f"gui-{session.row.id}"


async def session_variables(session: ChatSession) -> list[dict[str, str]] | None:
    """Returns the live session's variables; None where it does not run, or a cell does."""
    from qwenbelt.tools.code_interpreter.host import running_host

    host = running_host()
    if host is None:
        return None
    return await asyncio.wrap_future(host.submit(host.variables(session_name(session))))


def start_cell(session: ChatSession, tool: CodeInterpreter, code: str, language: str) -> None:
    """Runs a person's cell after what is shown; it goes on whether or not anybody watches.

    Raises:
        PageError: an answer is coming, or another cell runs.
    """
    cell, states = session.begin_cell(code)
    session.folder.mkdir(parents=True, exist_ok=True)
    own = session.own_cells
    context = _context(session, language)
    context.on_output = own.printed
    context.cancelled = own.cancelled

    async def run() -> None:
        from qwenbelt.tools.code_interpreter.tool import CodeArguments, shown

        try:
            if session.replica is not None:
                await asyncio.to_thread(session.replica.files.bring, session.row.id)
            given = CodeArguments(code=code)
            result, call, folder = await tool.run_cell(given, context, states=states)
            ended = shown(result, call, folder, context.language)
            texts = [str(item.text) for item in ended if item.text]
            pictures = [path.name for path in result.pictures]
            status = {"ok": "done"}.get(ended.status, ended.status)
            own.end(status, "\n".join(texts), pictures)
        except ToolCancelled as error:
            own.end("cancelled", f"{cell.output}\n{explain_on_page(error, language)}".strip())
        except QwenbeltError as error:  # there is no sandbox, or no session can be started
            own.end("failed", explain_on_page(error, language))
        except BaseException:  # a cancel too: the cell does not look as if it still ran
            own.end("cancelled", cell.output)
            raise
        finally:
            session.notify()
            if session.replica is not None:
                await asyncio.to_thread(session.replica.files.keep, session.row.id)

    task = asyncio.ensure_future(run())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


async def write_frame(
    session: ChatSession, tool: CodeInterpreter, name: str, language: str
) -> Path:
    """Writes a table of the session into the conversation's folder and returns the file.

    Raises:
        PageError: there is no table of that name, or the session is busy.
    """
    from qwenbelt.tools.code_interpreter.session import STATES
    from qwenbelt.tools.code_interpreter.tool import CodeArguments

    known = {told["name"] for told in await session_variables(session) or ()}
    if name not in known:
        raise PageError("no_frame", name=name)
    file = f"table-{uuid.uuid4().hex}.csv"  # code's hidden files stay in its sandbox
    code = f"{STATES}write_table({name!r}, {file!r})"
    result, _, _ = await tool.run_cell(CodeArguments(code=code), _context(session, language))
    path = session.file(file)
    if result.outcome.error or path is None:
        raise PageError("no_frame", name=name)
    return path.replace(path.with_name(f".table-{name}.csv"))


def _context(session: ChatSession, language: str) -> ToolContext:
    from qwenbelt.tools.base import ToolContext

    return ToolContext(
        session=session_name(session),
        folder=session.folder,
        language="zh" if language == "zh" else "en",
    )


def turn_records(session: ChatSession, turn: str) -> list[dict[str, Any]]:
    """Returns the events of a turn, the running one's so far."""
    live = session.running(turn)
    if live is not None:
        return list(live.records)
    return session.turns[turn].events


def code_cells(session: ChatSession) -> list[dict[str, Any]]:
    """Returns the code that answers and people have run in a conversation, with what it gave."""
    cells = _own_cells(session, "")
    for turn in session.path():
        for call in Timeline(turn_records(session, turn.id)).calls:
            code = _code_of(call.arguments)
            if code.strip():
                pictures = [
                    Path(str(i["value"])).name for i in call.items if i.get("kind") == "image"
                ]
                output = call.result if call.finished is not None else call.output
                state = {"turn": turn.id, "state": call.state, "pictures": pictures, "own": ""}
                cells.append({"code": code, "output": output[:20_000], **state})
        cells += _own_cells(session, turn.id)
    return cells


def _own_cells(session: ChatSession, turn: str) -> list[dict[str, Any]]:
    return [
        {
            "turn": turn,
            "own": cell.id,
            "code": cell.code,
            "output": cell.output,
            "state": cell.status,
            "pictures": cell.pictures,
        }
        for cell in session.own_cells.after(turn)
    ]


def _code_of(arguments: str) -> str:
    try:
        given = loads_bounded(arguments)
    except ValueError:
        return ""
    code = given.get("code") if isinstance(given, Mapping) else None
    return code if isinstance(code, str) else ""
