"""The server: `/v1/models`, `/v1/chat/completions`, `/v1/responses`, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from qwenbelt.apps.bodies import BodyRefused, Room, read_body
from qwenbelt.apps.serve.activity import Activity, Kind, SpokenTooSoon, Teller, Told
from qwenbelt.apps.serve.approvals import given_answers
from qwenbelt.apps.serve.chat_form import ChatForm
from qwenbelt.apps.serve.figures import Links, Shelf
from qwenbelt.apps.serve.inputs import Inbox, chat_messages, response_messages
from qwenbelt.apps.serve.metrics import Metrics, log_line
from qwenbelt.apps.serve.response_form import ResponseForm
from qwenbelt.apps.serve.settings import settings_of
from qwenbelt.apps.serve.stored import Chain, StoredReplies, background_folder
from qwenbelt.apps.serve.telling import Telling
from qwenbelt.core.errors import (
    ConfigError,
    EndpointError,
    InputError,
    QwenbeltError,
    ToolRefused,
    one_line,
)
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets, remember_secret
from qwenbelt.core.urls import host_of_header, is_loopback

MAX_BODY = 96 * 1024 * 1024
MAX_VALUES = 1_000_000
_AT_ONCE = 1024 * 1024  # is parsed on the loop itself
_SESSION_HEADERS = ("x-session-id", "x-openwebui-chat-id")
Keep = Callable[[dict[str, Any]], Awaitable[None]]
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Form(Protocol):
    """How a reply is written."""

    @property
    def id(self) -> str:
        """The reply's id, which names its run in logs."""
        ...

    def begin(self) -> str:
        """Returns the first lines of a stream."""
        ...

    def piece(self, kind: Kind, text: str) -> str:
        """Returns the lines of a piece, and keeps it for the whole reply."""
        ...

    def end(self, told: Told) -> str:
        """Returns the last lines of a stream."""
        ...

    def failure(self, error: dict[str, Any]) -> str:
        """Returns the last lines of a stream that failed."""
        ...

    def whole(self, told: Told) -> dict[str, Any]:
        """Returns the reply as one object."""
        ...


@dataclass(frozen=True)
class ServeOptions:
    """How an agent is served.

    Attributes:
        name: the model name that clients see.
        token: what clients must send as a bearer token; empty for none, on loopback only.
        activity: how calls of tools are reported.
        folder: where the files of conversations are kept.
        origins: pages of other origins that may ask, for chats that run in a browser.
        store: where replies of the responses form are kept: a SQLite file or `postgresql://…`;
            empty for nowhere. Replicas with the same store know each other's replies.
        grace: seconds for which answers go on that are being written when the server is ended.
        log: `json` prints each run as a line of JSON on stderr.
        approvals: whether clients of the responses form are asked where a call needs an approval;
            else it is refused. Needs a store.
    """

    name: str = "qwenbelt"
    host: str = "127.0.0.1"
    port: int = 8808
    token: str = ""
    activity: Activity = "reasoning"
    folder: Path = Path("serve")
    origins: Sequence[str] = ()
    store: str = ""
    grace: int = 30
    log: Literal["none", "json"] = "none"
    approvals: bool = False


class AgentServer:
    """Serves one agent.

    Args:
        agent: answers; anything with our agents' `stream`.
        options: how.
        trusted: names of tools that run without approval; others with effects are refused, since
            nobody can be asked here.

    Raises:
        ConfigError: a public address is to be served without a token, or approvals without a store.
    """

    def __init__(self, agent: Any, options: ServeOptions, trusted: set[str]) -> None:
        self._local = is_loopback(options.host)
        if not self._local and not options.token:
            raise ConfigError(
                f"Serving an agent on {options.host} lets everybody on the network run its tools.",
                fix="Give a token with --token or QWENBELT_SERVE_TOKEN, or serve on 127.0.0.1.",
            )
        if options.approvals and not options.store:
            raise ConfigError(
                "A call can only wait for an approval where runs are kept.",
                fix="Give a store: --store responses.db, or --store postgresql://….",
            )
        remember_secret(options.token)
        self._agent = agent
        self._options = options
        self._trusted = trusted
        self._shelf = Shelf()
        self._metrics = Metrics()
        self._room = Room()
        self._leaving = False
        self._wary = False  # whether this model's thoughts have come as text
        self._created = int(time.time())
        self._stored = StoredReplies(options.store, self._write) if options.store else None

    def app(self) -> Starlette:
        """Returns the ASGI application."""
        routes = [
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._guarded(self._metrics_text)),
            Route("/v1/models", self._guarded(self._models)),
            Route("/v1/models/{name:path}", self._guarded(self._model)),
            Route("/v1/chat/completions", self._guarded(self._chat), methods=["POST"]),
            Route("/v1/responses", self._guarded(self._responses), methods=["POST"]),
            Route("/files/{token}/{name}", self._file),
        ]
        lifespan = None
        if self._stored is not None:
            kept, lifespan = self._stored, self._stored.lifespan
            one = "/v1/responses/{id}"
            routes += [
                Route(one, self._guarded(kept.show)),
                Route(one, self._guarded(kept.delete), methods=["DELETE"]),
                Route(f"{one}/cancel", self._guarded(kept.cancel), methods=["POST"]),
            ]
        middleware = []
        if self._options.origins:
            middleware.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=list(self._options.origins),
                    allow_methods=["*"],
                    allow_headers=["*"],
                )
            )
        app = Starlette(
            routes=routes,
            middleware=middleware,
            exception_handlers={HTTPException: _no_route},
            lifespan=lifespan,
        )
        app.leave = self._leave  # type: ignore[attr-defined]
        return app

    def _leave(self) -> None:
        self._leaving = True

    # -- around every request -----------------------------------------------------------------

    def _guarded(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            refused = self._refusal(request)
            if refused is not None:
                response: Response = refused
            else:
                try:
                    response = await handler(request)
                except BodyRefused as error:
                    response = _refused_request(error.status, str(error), "invalid_request_error")
                except QwenbeltError as error:
                    status, body = error_body(error)
                    response = JSONResponse({"error": body}, status)
            route = request.scope["route"].path
            self._metrics.answered(route, response.status_code)
            return response

        return answer

    def _refusal(self, request: Request) -> Response | None:
        if self._local and not is_loopback(host_of_header(request.headers.get("host", ""))):
            return _refused_request(
                421, "This host name is not served here.", "invalid_request_error"
            )
        given = request.headers.get("authorization", "").partition(" ")[2]
        token = self._options.token
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            return _refused_request(401, "Incorrect API key provided.", "invalid_api_key")
        origin = request.headers.get("origin")
        if origin and not token and origin not in self._options.origins:
            return _refused_request(
                403, "Pages of other origins may not ask.", "invalid_request_error"
            )
        return None

    # -- small answers ------------------------------------------------------------------------

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "running": self._metrics.running})

    async def _ready(self, request: Request) -> Response:
        """Says whether this replica wants requests: it stays, and its store answers."""
        state = "leaving" if self._leaving else "ready"
        if self._stored is not None and not self._leaving and not await self._stored.answers():
            state = "the store does not answer"
        return JSONResponse({"status": state}, 200 if state == "ready" else 503)

    async def _metrics_text(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    def _entry(self) -> dict[str, Any]:
        known = {"object": "model", "created": self._created, "owned_by": "qwenbelt"}
        return {"id": self._options.name, **known}

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._entry()]})

    async def _model(self, request: Request) -> Response:
        self._check_model({"model": request.path_params["name"]})
        return JSONResponse(self._entry())

    async def _file(self, request: Request) -> Response:
        path = self._shelf.get(request.path_params["token"])
        if path is None:
            return JSONResponse({"error": {"message": "There is no such file."}}, 404)
        headers = {
            "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
            "x-content-type-options": "nosniff",
        }
        kind = "image/png" if path.suffix == ".png" else "application/octet-stream"
        return FileResponse(path, media_type=kind, headers=headers)

    def _check_model(self, body: Mapping[str, Any]) -> str:
        name = str(body.get("model") or self._options.name)
        if name != self._options.name:
            raise EndpointError(
                f"The model {name!r} does not exist; this server has {self._options.name!r}.",
                status=404,
                code="model_not_found",
            )
        return name

    # -- runs ---------------------------------------------------------------------------------

    async def _chat(self, request: Request) -> Response:
        body = await self._body(request)
        name = self._check_model(body)
        options = body.get("stream_options")
        usage = bool(isinstance(options, Mapping) and options.get("include_usage"))
        return await self._answer(request, body, chat_messages, ChatForm(name, usage))

    async def _responses(self, request: Request) -> Response:
        body = await self._body(request)
        name = self._check_model(body)
        stored, form = self._stored, ResponseForm(name, body)
        if stored is None:
            return await self._answer(request, body, response_messages, form)
        body, session = await stored.conversation(body)
        if session is not None:
            form = ResponseForm(name, {**body, "conversation": {"id": session.name}})
        if answers := given_answers(body, asked=self._options.approvals):
            body, chain = await stored.answered(request, body, answers)
        else:
            body, chain = await stored.continued(request, body)
        if body.get("background"):
            return await stored.begin(request, body, form, chain)
        folder = _named_session(request, body) or chain.folder or _new_session()
        asks = self._options.approvals and session is None and body.get("store") is not False
        chain = Chain(folder, (chain.run or form.id) if asks else None)

        async def keep(reply: dict[str, Any]) -> None:
            await stored.keep(request, body, chain, reply)

        of = session or folder
        return await self._answer(request, body, response_messages, form, keep, of, chain.run)

    async def _write(self, identity: str, body: dict[str, Any]) -> dict[str, Any]:
        """Runs a request in the background; a step that was recorded is not done again."""
        from qwenbelt.agents.sessions.session import Session

        settings, answer = settings_of(body)
        name = background_folder(identity)
        chain = Chain.of(body)
        folder = self._options.folder / ((chain.folder if chain.run else None) or name)
        messages = await asyncio.to_thread(response_messages, body, Inbox(folder))
        folder.mkdir(parents=True, exist_ok=True)
        further: dict[str, Any] = {"generate_cfg": settings} if settings else {}
        if answer is not None:
            further["answer"] = answer
        run_id = (chain.run or identity) if self._options.approvals else None
        if run_id is not None:
            further |= {"durable": self._options.store, "run_id": run_id, "session": name}
        else:
            further["session"] = await asyncio.to_thread(Session, self._options.store, name)
        run = self._agent.stream(messages, folder=folder, **further)
        teller = Teller(
            self._options.activity,
            Links(self._shelf, ""),
            live=False,
            wary=False,
            typed=answer is not None,
        )
        telling = Telling(run, teller, self._trusted, run_id)
        form = ResponseForm(self._options.name, body, identity)
        counted = self._counted(telling, form, "background")
        async with contextlib.aclosing(counted) as pieces:  # type: ignore[type-var]
            async for kind, text in pieces:
                form.piece(kind, text)
        return form.whole(telling.teller.told)

    async def _body(self, request: Request) -> dict[str, Any]:
        with self._room.taking() as take:
            raw = await read_body(request, MAX_BODY, take=take)
            if len(raw) <= _AT_ONCE:
                return _parsed_body(raw)
            return await asyncio.to_thread(_parsed_body, raw)

    async def _answer(
        self,
        request: Request,
        body: Mapping[str, Any],
        read: Callable[[Mapping[str, Any], Inbox], list[dict[str, Any]]],
        form: Form,
        keep: Keep | None = None,
        kept: Any = None,
        asking: str | None = None,
    ) -> Response:
        settings, answer = settings_of(body)
        if kept is None:
            kept = _named_session(request, body) or _new_session()
        name = kept if isinstance(kept, str) else _folder_name(kept.name)
        folder = self._options.folder / name
        messages = await asyncio.to_thread(read, body, Inbox(folder))
        folder.mkdir(parents=True, exist_ok=True)
        further: dict[str, Any] = {"generate_cfg": settings} if settings else {}
        if answer is not None:
            further["answer"] = answer
        if asking is not None:
            further |= {"durable": self._options.store, "run_id": asking}
        run = self._agent.stream(messages, session=kept, folder=folder, **further)
        base = str(request.base_url).rstrip("/")
        teller = Teller(
            self._options.activity,
            Links(self._shelf, base),
            live=bool(body.get("stream")),
            wary=self._wary,
            typed=answer is not None,
        )
        telling = Telling(run, teller, self._trusted, asking)
        pieces = self._counted(telling, form, request.scope["route"].path)
        if body.get("stream"):
            await telling.first_sign()
            return StreamingResponse(
                _streamed_reply(pieces, telling, form, keep),
                media_type="text/event-stream; charset=utf-8",
                headers=_STREAM_HEADERS,
            )
        return await _whole_reply(request, pieces, telling, form, keep)

    async def _counted(
        self, telling: Telling, form: Form, route: str
    ) -> AsyncIterator[tuple[Kind, str]]:
        began = time.monotonic()
        status, first = "cancelled", True
        self._metrics.began()
        try:
            async for piece in telling.pieces():
                if first:
                    self._metrics.first_piece(time.monotonic() - began)
                    first = False
                yield piece
            status = "ok"
        except SpokenTooSoon:
            status = "failed"
            raise EndpointError(
                "The model began again, or thought aloud, after a part of its answer was sent.",
                fix="Ask again, or without `stream`.",
            ) from None
        except QwenbeltError:
            status = "failed"
            raise
        finally:
            self._wary = self._wary or telling.teller.relabelled
            told = telling.teller.told
            seconds = time.monotonic() - began
            figures = (told.input_tokens, told.output_tokens, told.calls)
            self._metrics.ended(seconds, *figures, failed=status == "failed")
            if self._options.log == "json":
                names = ("input_tokens", "output_tokens", "calls")
                counted = dict(zip(names, figures, strict=True))
                run = {"run": form.id, "route": route, "status": status}
                log_line({**run, "seconds": round(seconds, 3), **counted})


def serve_agent(
    agent: Any,
    options: ServeOptions,
    trusted: set[str] | None = None,
    ready: Callable[[str], None] | None = None,
    listening: socket.socket | None = None,
) -> None:
    """Serves an agent until it is interrupted.

    Args:
        agent: answers.
        options: how.
        trusted: see `AgentServer`; an agent that asks nobody (`approve="auto"`) needs none.
        ready: called with the base URL for clients; prints it when None.
        listening: a socket that listens already, in place of the options' address.

    Raises:
        ConfigError: a public address is to be served without a token.
        InputError: the port is taken.
    """
    from qwenbelt.apps.gui.server import run_app
    from qwenbelt.apps.strings import say

    tell = ready or (lambda url: print(say("serving", url=url), flush=True))
    app = AgentServer(agent, options, trusted or set()).app()
    told = lambda url: tell(f"{url}v1")  # noqa: E731
    run_app(app, options.host, options.port, told, listening, grace=options.grace)


async def _streamed_reply(
    pieces: AsyncIterator[tuple[Kind, str]],
    telling: Telling,
    form: Form,
    keep: Keep | None,
) -> AsyncIterator[str]:
    yield form.begin()
    async with contextlib.aclosing(pieces) as open_pieces:  # type: ignore[type-var]
        try:
            async for kind, text in open_pieces:
                yield form.piece(kind, text)
        except QwenbeltError as error:
            yield form.failure(error_body(error)[1])
            return
    last = form.end(telling.teller.told)
    if keep is not None:  # before its client can name it
        await keep(form.whole(telling.teller.told))
    yield last


async def _whole_reply(
    request: Request,
    pieces: AsyncIterator[tuple[Kind, str]],
    telling: Telling,
    form: Form,
    keep: Keep | None,
) -> Response:
    async def read() -> None:
        async with contextlib.aclosing(pieces) as open_pieces:  # type: ignore[type-var]
            async for kind, text in open_pieces:
                form.piece(kind, text)

    reading = asyncio.ensure_future(read())
    leaving = asyncio.ensure_future(_client_left(request))
    try:
        await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():  # the answer is no longer waited for
            reading.cancel()
            await asyncio.wait({reading})
            return Response(status_code=499)
        reading.result()
    finally:
        leaving.cancel()
    reply = form.whole(telling.teller.told)
    if keep is not None:
        await keep(reply)
    return JSONResponse(reply)


async def _client_left(request: Request) -> None:
    """Returns when the client has gone; the server only reports it when polled."""
    while not await request.is_disconnected():  # noqa: ASYNC110
        await asyncio.sleep(0.2)


def _named_session(request: Request, body: Mapping[str, Any]) -> str | None:
    """Returns the name of the conversation, where the client gives one.

    With it, what tools keep (a kernel's variables, files) lasts from one request to the next. It
    is bound to the client's token, so that nobody can enter another's by its name.
    """
    metadata = body.get("metadata")
    named = metadata.get("session") if isinstance(metadata, Mapping) else None
    name = next((request.headers[h] for h in _SESSION_HEADERS if h in request.headers), named)
    if not isinstance(name, str) or not name:
        return None
    return _folder_name(f"{request.headers.get('authorization', '')}\0{name}")


def _new_session() -> str:
    return f"serve-{uuid.uuid4().hex}"


def _folder_name(bound: str) -> str:
    return f"serve-{hashlib.sha256(bound.encode()).hexdigest()[:32]}"


def _parsed_body(raw: bytearray) -> dict[str, Any]:
    """Returns a body's object.

    Raises:
        InputError: it is none, or too much for one.
    """
    # values that take a few bytes each cost a hundred in memory; pictures hold none of these
    if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise InputError(f"The request has more than {MAX_VALUES} values.")
    try:
        body = loads_bounded(raw, max_bytes=MAX_BODY)
    except ValueError as error:
        raise InputError("The request's body is not JSON.") from error
    if not isinstance(body, dict):
        raise InputError("The request's body is not a JSON object.")
    return body


def error_body(error: QwenbeltError) -> tuple[int, dict[str, Any]]:
    """Returns an error's HTTP status and its body as OpenAI's API writes it."""
    message = mask_secrets(one_line(error, 2000))
    if isinstance(error, EndpointError):
        # a failure between here and the model is not the client's; what it may act on stays
        kept = error.status in (404, 429) or error.code == "context_length_exceeded"
        status = error.status if kept and error.status else 502
        kind = "rate_limit_error" if status == 429 else "api_error"
        if error.code == "model_not_found":
            kind = "invalid_request_error"
        return status, {"message": message, "type": kind, "param": None, "code": error.code}
    if isinstance(error, ToolRefused):
        return 403, {"message": message, "type": "permission_error", "param": None, "code": None}
    if isinstance(error, InputError):
        kind = "invalid_request_error"
        return 400, {"message": message, "type": kind, "param": None, "code": None}
    return 500, {"message": message, "type": "server_error", "param": None, "code": None}


async def _no_route(request: Request, error: Exception) -> Response:
    """Answers what is not served here as clients of OpenAI's API read it."""
    status, detail = 500, type(error).__name__
    if isinstance(error, HTTPException):  # what it is registered for, though typed as any error
        status, detail = error.status_code, error.detail
    text = f"{request.method} {request.url.path} is not served here: {detail}."
    return _refused_request(status, text, "invalid_request_error")


def _refused_request(status: int, message: str, code: str) -> JSONResponse:
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": body}, status)
