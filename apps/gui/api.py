"""What the page asks of the server besides Gradio's own: conversations, their files and pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from qwenbelt.apps.gui.access.admin_api import AdminApi
from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.first_steps import FirstSteps
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.portable import export_conversation, import_conversation
from qwenbelt.apps.gui.kept.ratings import preference_lines, rate
from qwenbelt.apps.gui.offers import OffersApi
from qwenbelt.apps.gui.panes.app_frames import app_document
from qwenbelt.apps.gui.panes.charts import ChartsApi
from qwenbelt.apps.gui.panes.cited_pages import cited_page, page_png
from qwenbelt.apps.gui.panes.desk_api import DeskApi
from qwenbelt.apps.gui.panes.notebook import NotebookApi, turn_records
from qwenbelt.apps.gui.panes.questions import answer_question
from qwenbelt.apps.gui.panes.turn_times import turn_times
from qwenbelt.apps.gui.strings import PageError, explain_on_page, say
from qwenbelt.apps.gui.voice import VoiceApi
from qwenbelt.apps.gui.watching import Watcher, render_context_of, replayed_html
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.jsons import loads_bounded

# what a browser may show in place; everything else is handed out as a download
_INLINE = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_FILE_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"
}
PLACE = "place"  # what a conversation keeps pin, archive and folder under
ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>"
    "<rect width='32' height='32' rx='8' fill='#4f46e5'/>"
    "<path d='M6 11h12M10 16h16M6 21h9' stroke='white' stroke-width='3' stroke-linecap='round'/>"
    "</svg>"
)
Asked = Callable[[ChatSession, dict[str, Any]], Any]


class Api:
    """The routes.

    Args:
        hub: the conversations.
        asker: starts turns.
    """

    def __init__(self, hub: SessionRegistry, asker: TurnStarter) -> None:
        self._hub = hub
        self._asker = asker
        self._ask = asker.ask
        self._actions: dict[str, Asked] = {
            "stop": lambda session, body: session.stop(),
            "approve": _approve,
            "elicit": answer_question,
            "show": lambda session, body: session.show(_turn_of_request(session, body).id),
            "undo": _undo,
            "answer": lambda session, body: {"text": _turn_of_request(session, body).answer},
            "question": lambda session, body: {"text": _turn_of_request(session, body).question},
            "queue_now": lambda session, body: asker.send_now(session, str(body.get("id", ""))),
            "queue_take": _queue_take,
            "send": self._send,
            "retry": self._retry,
            "edit": self._edit,
            "branch": self._branch,
            "rename": self._rename,
            "suggest": self._suggest,
            "place": self._place,
            "rate": self._rate,
            "choose": self._choose,
            "go_on_with": lambda session, body: session.go_on_with(str(body.get("turn", ""))),
        }
        if hub.replica is not None:
            hub.replica.actions = self._actions

    def routes(self) -> list[Route]:
        """Returns the routes, all below /qb."""
        hub_folder = self._hub.workspace.parent
        return [
            Route("/qb/stream", self._guarded(self._stream)),
            Route("/qb/sessions", self._guarded(self._sessions)),
            Route("/qb/new", self._guarded(self._new), methods=["POST"]),
            Route("/qb/import", self._guarded(self._import), methods=["POST"]),
            Route("/qb/do/{session}/delete", self._guarded(self._delete), methods=["POST"]),
            Route("/qb/do/{session}/{action}", self._guarded(self._do), methods=["POST"]),
            Route("/qb/file/{session}/{name}", self._guarded(self._file)),
            Route("/qb/app/{session}/{name}", self._guarded(self._app)),
            Route("/qb/avatar/{who}", self._avatar),
            Route("/qb/cite/{session}/{name}/{page:int}", self._guarded(self._cite)),
            Route("/qb/picture/{session}/{name}/{page:int}", self._guarded(self._picture)),
            Route("/qb/export/{session}/{form}", self._guarded(self._export)),
            Route("/qb/ratings.jsonl", self._guarded(self._ratings)),
            Route("/qb/versions/{session}/{turn}", self._guarded(self._versions)),
            Route("/qb/manifest.json", self._manifest),
            Route("/manifest.json", self._manifest),  # Gradio's page asks for it as well
            Route("/qb/icon.svg", self._icon),
            *(
                Route(route.path, self._guarded(route.endpoint), methods=list(route.methods or ()))
                for part in (
                    DeskApi(self._session, self._asker.code_tool),
                    NotebookApi(self._session, self._asker.code_tool),
                    OffersApi(self._session, self._asker),
                    ChartsApi(self._session, hub_folder),
                    FirstSteps(self._asker),
                    VoiceApi(self._session, self._asker),
                    AdminApi(self._asker),
                )
                for route in part.routes()
            ),
        ]

    @staticmethod
    def _guarded(
        handler: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except QwenbeltError as error:
                told: dict[str, Any] = {"error": explain_on_page(error, language_of(request))}
                if isinstance(error, PageError) and error.key == "no_conversation":
                    told["gone"] = True
                return JSONResponse(told, 400)

        return answer

    def _session(self, request: Request, name: str | None = None) -> ChatSession:
        return self._hub.open(request.state.user, name or request.path_params["session"])

    # -- reading ------------------------------------------------------------------------------

    async def _stream(self, request: Request) -> Response:
        session = self._session(request, request.query_params.get("session", ""))
        watcher = Watcher(session, request.query_params.get("lang", "en"))

        async def lines() -> AsyncIterator[str]:
            async for message in watcher.messages():
                yield f"data: {json.dumps(message, ensure_ascii=False)}\n\n"

        return StreamingResponse(
            lines(), media_type="text/event-stream; charset=utf-8", headers=_STREAM_HEADERS
        )

    async def _sessions(self, request: Request) -> Response:
        words, user = request.query_params.get("q", ""), request.state.user
        rows, store = self._hub.listed(user, words), self._hub.store
        places, first = store.kept_by_session(user, PLACE), (words.split() or [""])[0]
        listed = [
            {
                "id": r.id,
                "title": r.title,
                "updated": r.updated,
                "found": store.found_around(r.id, first) if first else "",
                **(places.get(r.id) or {}),
            }
            for r in rows
        ]
        return JSONResponse({"sessions": listed})

    async def _file(self, request: Request) -> Response:
        path = self._session(request).file(request.path_params["name"])
        if path is None:
            return JSONResponse({"error": "There is no such file."}, 404)
        kind = _INLINE.get(path.suffix.lower())
        if kind is None:
            return FileResponse(
                path,
                media_type="application/octet-stream",
                filename=path.name,
                headers=_FILE_HEADERS,
            )
        return FileResponse(path, media_type=kind, headers=_FILE_HEADERS)

    async def _app(self, request: Request) -> Response:
        path = self._session(request).file(request.path_params["name"])
        return await asyncio.to_thread(app_document, path)

    async def _avatar(self, request: Request) -> Response:
        given = self._asker.given
        path = None
        if given is not None:
            looks = given.looks
            path = {"user": looks.user_avatar, "agent": looks.agent_avatar}.get(
                request.path_params["who"]
            )
        kind = _INLINE.get(path.suffix.lower()) if path is not None else None
        if path is None or kind is None:
            return JSONResponse({"error": "There is no such picture."}, 404)
        return FileResponse(path, media_type=kind, headers=_FILE_HEADERS)

    async def _cite(self, request: Request) -> Response:
        asked, page = request.query_params, request.path_params["page"]
        name, words, sought = request.path_params["name"], asked.get("q", ""), asked.get("find", "")
        found = await cited_page(self._session(request), name, page, words, sought)
        return JSONResponse(found)

    async def _picture(self, request: Request) -> Response:
        try:
            boxes = loads_bounded(request.query_params.get("boxes", "[]"))
        except ValueError as error:
            raise InputError("The boxes are not JSON.") from error
        name, page = request.path_params["name"], request.path_params["page"]
        small = request.query_params.get("small") == "1"
        png = await page_png(self._session(request), name, page, boxes, small=small)
        return Response(png, media_type="image/png", headers={"cache-control": "max-age=600"})

    async def _export(self, request: Request) -> Response:
        session, form = self._session(request), request.path_params["form"]
        body, kind, name = await asyncio.to_thread(
            export_conversation, session, form, language_of(request)
        )
        disposition = f'attachment; filename="{name}"'
        return Response(body, media_type=kind, headers={"content-disposition": disposition})

    async def _ratings(self, request: Request) -> Response:
        text = "".join(preference_lines(self._hub.store, request.state.user))
        if not text:
            raise PageError("no_ratings")
        name = 'attachment; filename="ratings.jsonl"'
        return Response(text, media_type="application/jsonl", headers={"content-disposition": name})

    async def _versions(self, request: Request) -> Response:
        """Returns the versions of an answer, to be read side by side."""
        session, language = self._session(request), language_of(request)
        turn = _turn_of_request(session, request.path_params)
        around = render_context_of(session, language)
        shown = []
        for name in session.siblings(turn):
            one = session.turns[name]
            view = TurnView(f"version-{name}", around, live=False, files=one.files)
            html = await asyncio.to_thread(replayed_html, view, one)
            facts = turn_times(turn_records(session, name), language)["facts"]
            shown.append({"turn": name, "html": html, "facts": facts})
        return JSONResponse({"question": turn.question, "versions": shown})

    async def _manifest(self, request: Request) -> Response:
        icon = {"src": "/qb/icon.svg", "sizes": "any", "type": "image/svg+xml"}
        told = {
            "name": say("title", language_of(request)),
            "short_name": "qwenbelt",
            "start_url": "/",
            "display": "standalone",
            "background_color": "#ffffff",
            "theme_color": "#4f46e5",
            "icons": [{**icon, "purpose": "any"}, {**icon, "purpose": "maskable"}],
        }
        return JSONResponse(told, media_type="application/manifest+json")

    async def _icon(self, request: Request) -> Response:
        return Response(ICON, media_type="image/svg+xml")

    # -- doing --------------------------------------------------------------------------------

    async def _new(self, request: Request) -> Response:
        user = request.state.user
        row = self._hub.store.new_session(user)
        self._asker.begin(self._hub.open(user, row.id))
        return JSONResponse({"id": row.id})

    async def _import(self, request: Request) -> Response:
        row = import_conversation(self._hub.store, request.state.user, await json_body(request))
        return JSONResponse({"id": row.id})

    async def _delete(self, request: Request) -> Response:
        await self._hub.delete(request.state.user, request.path_params["session"])
        return JSONResponse({})

    async def _do(self, request: Request) -> Response:
        action = self._actions.get(request.path_params["action"])
        if action is None:
            return JSONResponse({"error": "There is no such action."}, 404)
        session, body = self._session(request), await json_body(request)
        if self._hub.replica is not None:
            told = self._hub.replica.forwarded(session, request.path_params["action"], body)
            if told is not None:
                return JSONResponse(told)
        return JSONResponse(action(session, body) or {})

    def _send(self, session: ChatSession, body: dict[str, Any]) -> dict[str, Any]:
        """Asks below what is shown, with files that are there; or waits for what runs."""
        files = body.get("files") or []
        turn = self._asker.send(session, str(body.get("text", "")), [str(name) for name in files])
        return {"turn": turn.id} if turn is not None else {}

    def _retry(self, session: ChatSession, body: dict[str, Any]) -> None:
        turn = _turn_of_request(session, body)
        self._ask(session, turn.question, turn.files, turn.parent)

    def _edit(self, session: ChatSession, body: dict[str, Any]) -> None:
        turn = _turn_of_request(session, body)
        self._ask(session, str(body.get("text", "")), turn.files, turn.parent)

    def _branch(self, session: ChatSession, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": self._hub.branch(session, _turn_of_request(session, body)).id}

    def _suggest(self, session: ChatSession, body: dict[str, Any]) -> None:
        """Asks a suggested question with its files."""
        language = "zh" if body.get("lang") == "zh" else "en"
        number, known = body.get("number"), self._asker.suggestions(language)
        if not isinstance(number, int) or not 0 <= number < len(known):
            raise PageError("no_suggestion")
        names = self._asker.attach(session, known[number].files)
        self._ask(session, known[number].text, names, session.row.leaf)

    def _place(self, session: ChatSession, body: dict[str, Any]) -> None:
        """Pins, archives or files a conversation."""
        kept = self._hub.store.kept(session.row.id, PLACE) or {}
        kept |= {name: body[name] is True for name in ("pinned", "archived") if name in body}
        if "folder" in body:
            kept["folder"] = " ".join(str(body["folder"]).split())[:60]
        self._hub.store.keep(session.row.id, PLACE, kept)
        session.notify()

    def _rate(self, session: ChatSession, body: dict[str, Any]) -> None:
        turn = _turn_of_request(session, body)
        rate(self._hub.store, session, turn, body.get("value"), body.get("note"))

    def _choose(self, session: ChatSession, body: dict[str, Any]) -> None:
        """Chooses what answers in this conversation: a model, a set of tools."""
        self._asker.choose_here(session, body)

    def _rename(self, session: ChatSession, body: dict[str, Any]) -> None:
        session.rename(str(body.get("title", "")).strip())


def _approve(session: ChatSession, body: dict[str, Any]) -> None:
    answer, call, tool = body.get("answer"), str(body.get("call", "")), str(body.get("tool", ""))
    turn = str(body.get("turn") or "")
    if answer in ("step", "always"):
        session.approve_all(call, tool if answer == "always" else "", turn)
    else:
        session.approve(call, answer == "allow", turn)


def _undo(session: ChatSession, body: dict[str, Any]) -> dict[str, Any]:
    turn = session.undo()
    return {} if turn is None else {"text": turn.question, "files": turn.files}


def _queue_take(session: ChatSession, body: dict[str, Any]) -> dict[str, Any]:
    taken = session.dequeue(str(body.get("id", "")) or "-")
    return {"text": taken.text, "files": taken.files}


def _turn_of_request(session: ChatSession, body: dict[str, Any]) -> Any:
    turn = session.turns.get(str(body.get("turn", "")))
    if turn is None:
        raise PageError("no_conversation")
    return turn
