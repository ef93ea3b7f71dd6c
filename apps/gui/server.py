"""The web server of the chat: the page in two languages, the API, and what guards them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wrapt

from qwenbelt.agents.sessions.database import is_postgres
from qwenbelt.apps.agent_choice import AgentChoice
from qwenbelt.apps.gui.access.oidc_login import OidcLogin
from qwenbelt.apps.gui.access.proxy_login import ProxyLogin
from qwenbelt.apps.gui.given import Given
from qwenbelt.apps.gui.voice import VoiceChoice
from qwenbelt.core.errors import ConfigError, InputError, QwenbeltError
from qwenbelt.core.language import user_language
from qwenbelt.core.settings import load_settings
from qwenbelt.core.urls import is_loopback

if TYPE_CHECKING:
    from qwenbelt.apps.gui.asking import TurnStarter
    from qwenbelt.apps.gui.hub import SessionRegistry
    from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
    from qwenbelt.apps.gui.replicas.shared_logins import SharedLogins

_IDLE_CHECK = 60.0
_INTERRUPTED_SECONDS = 2


@dataclass(frozen=True)
class GuiOptions:
    """How the chat is served.

    Attributes:
        accounts: users and passwords; empty for no login.
        proxy: a reverse proxy that logs people in, in place of accounts.
        provider: an OpenID provider that logs people in, in place of accounts.
        admins: users who see usage and set endpoints, tools and quotas (`/qb/admin`).
        endpoints: endpoint specs to choose from, besides the choice's own.
        workspace: where conversations and their files are kept; the settings' when None.
        at_once: how many turns may run side by side; any number when None.
        files: where replicas share files that are too large for the database.
        store: a store of sessions, SQLite file or `postgresql://…`, to share conversations with
            the terminal and other servers; none when None.
        voice: which models hear and speak; those of the settings when None.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    accounts: Mapping[str, str] = field(default_factory=dict)
    proxy: ProxyLogin | None = None
    provider: OidcLogin | None = None
    admins: Sequence[str] = ()
    endpoints: Sequence[str] = ()
    workspace: Path | None = None
    at_once: int | None = None
    store: str | None = None
    files: str | None = None
    voice: VoiceChoice | None = None


def make_app(
    choice: AgentChoice,
    options: GuiOptions,
    make_agent: Any = None,
    given: Given | None = None,
) -> Any:
    """Returns the ASGI application.

    Args:
        choice: what agents are made of unless people choose otherwise.
        options: how it is served.
        make_agent: makes the agents in place of `apps.agent_choice.make_agent`.
        given: agents that answer instead of agents of a choice.

    Raises:
        ConfigError: Gradio is not installed, or a public address is to be served without login.
    """
    from qwenbelt.apps.gui.access.guards import Guard, language_of

    local, guarded = is_loopback(options.host), _guarded(options)
    _gradio()
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import RedirectResponse

    from qwenbelt.apps.agent_choice import make_agent as from_choice
    from qwenbelt.apps.gui.api import Api
    from qwenbelt.apps.gui.asking import TurnStarter
    from qwenbelt.apps.gui.hub import SessionRegistry
    from qwenbelt.apps.gui.kept.store import ChatStore

    folder = (options.workspace or load_settings().workspace) / "gui"
    shared = _shared_database(options)
    hub = SessionRegistry(shared or ChatStore(folder / "conversations.sqlite"), folder / "sessions")
    if options.store is not None:
        from qwenbelt.apps.gui.kept.shared_store import SharedConversations

        hub.shared = SharedConversations(options.store, hub.store, by_user=guarded)
    asker = TurnStarter(
        hub,
        choice,
        make_agent or from_choice,
        free_endpoints=local and not guarded,
        endpoints=options.endpoints,
        given=given,
        voice=options.voice or _usual_voice(),
    )
    if options.at_once is not None:
        hub.at_once = asyncio.Semaphore(options.at_once)
    logins = _one_of_several(hub, asker, shared, options.files) if shared is not None else None
    pages: list[LanguagePage] = []
    ours = _lifespan(hub, pages)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=ours)

    async def root(request: Request) -> RedirectResponse:
        return RedirectResponse(f"/{language_of(request)}/", 303)

    app.add_route("/", root)
    app.router.routes.extend(Api(hub, asker).routes())
    leavable = bool(options.accounts) or options.provider is not None
    for language in ("en", "zh"):
        shown = LanguagePage(partial(_made_page, asker, language, leavable))
        if language == user_language():
            shown.make()
        app.mount(f"/{language}", shown)
        pages.append(shown)
    guard = Guard(
        app,
        options.accounts,
        local,
        proxy=options.proxy,
        provider=options.provider,
        admins=options.admins,
        logins=logins,
    )
    guard.leave = hub.leave
    guard.ready = hub.replica.is_ready if hub.replica is not None else None
    return guard


def _usual_voice() -> VoiceChoice:
    known = load_settings()
    return VoiceChoice(known.speech_to_text or "", known.text_to_speech or "", known.voice or "")


def _guarded(options: GuiOptions) -> bool:
    """Returns whether people log in.

    Raises:
        ConfigError: in several ways, or in none on an address that others reach.
    """
    ways = [bool(options.accounts), options.proxy is not None, options.provider is not None]
    if sum(ways) > 1:
        raise ConfigError("People log in by accounts, by a proxy or at a provider: one of them.")
    if not any(ways) and not is_loopback(options.host):
        raise ConfigError(
            f"Serving the chat on {options.host} lets everybody on the network run its tools.",
            fix="Give accounts with --auth USER:PASSWORD, or serve on 127.0.0.1.",
        )
    return any(ways)


def _shared_database(options: GuiOptions) -> PostgresChatStore | None:
    """Returns the database of all replicas, where the store is one.

    Raises:
        ConfigError: psycopg is not installed, or files are to be shared without such a store.
        InputError: the database cannot be used.
    """
    if not is_postgres(options.store or ""):
        if options.files is not None:
            raise ConfigError(
                "--files is for servers that share a database.",
                fix="Give --store postgresql://... as well.",
            )
        return None
    from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore

    return PostgresChatStore(options.store or "")


def _made_page(asker: Any, language: str, logged_in: bool) -> Any:
    """Returns an application that holds the page in one language."""
    from fastapi import FastAPI

    from qwenbelt.apps.gui import page
    from qwenbelt.apps.gui.asking import MAX_FILE_MB

    return _gradio().mount_gradio_app(
        FastAPI(),
        page.build(asker, language, logged_in=logged_in),
        f"/{language}",
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=MAX_FILE_MB * 1024 * 1024,
        ssr_mode=False,
        theme=page.theme(),
        head=page.head(language, asker),
    )


class LanguagePage:
    """The page in one language, as an application that is made when it is first asked for.

    Gradio takes half a second of a processor to make one; most people see one language.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._living: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._up = asyncio.Event()

    def make(self) -> Any:
        """Makes the page now, if it is not there yet, and returns its application."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        app = self.make()
        if self._living is None:
            self._living = asyncio.ensure_future(self._live(app))
        await self._up.wait()
        await app.router.routes[-1].app(scope, receive, send)

    async def _live(self, app: Any) -> None:
        async with app.router.lifespan_context(app):
            self._up.set()
            await self._over.wait()

    async def end(self) -> None:
        """Ends what runs behind the page."""
        self._over.set()
        if self._living is not None:
            await self._living


def _one_of_several(
    hub: SessionRegistry, asker: TurnStarter, shared: PostgresChatStore, files: str | None
) -> SharedLogins:
    """Makes this server one of those that share a database; returns where its logins are kept."""
    from qwenbelt.apps.gui.replicas.moving import move_conversations
    from qwenbelt.apps.gui.replicas.replica import Replica
    from qwenbelt.apps.gui.replicas.shared_files import SharedFiles
    from qwenbelt.apps.gui.replicas.shared_logins import SharedLogins

    kept = SharedFiles(shared, hub.workspace, files)
    hub.replica = Replica(hub, asker, shared, kept)
    move_conversations(hub.workspace.parent / "conversations.sqlite", shared, kept)
    return SharedLogins(shared)


def _lifespan(hub: Any, pages: Sequence[LanguagePage]) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        _load_agents()
        resting = asyncio.ensure_future(_rest(hub))
        others = hub.replica.running() if hub.replica is not None else contextlib.nullcontext()
        try:
            async with others:
                yield
        finally:
            resting.cancel()
            for page in pages:
                await page.end()
            await hub.close()
            hub.store.close()

    return lifespan


def _load_agents() -> None:
    """Imports what questions need, before any request: threads that import it at once fail."""
    from qwenbelt.agents import FnCallAgent  # noqa: F401
    from qwenbelt.tools import base  # noqa: F401


async def _rest(hub: Any) -> None:
    while True:
        await asyncio.sleep(_IDLE_CHECK)
        with contextlib.suppress(QwenbeltError):  # a shared database may be away for a while
            hub.rest_idle()


def _gradio() -> Any:
    # read when Gradio is imported: nothing is reported to its makers, nothing is looked up
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # after each question it would sum up the times of all before, 8 % of what a question costs
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    wrapt.register_post_import_hook(_without_stubs, "gradio.component_meta")
    try:
        import gradio
    except ImportError as error:
        raise ConfigError(
            "The chat in the browser needs Gradio.", fix='pip install "qwenbelt[gui]"'
        ) from error
    return gradio


def _without_stubs(component_meta: Any) -> None:
    """Lets Gradio write no type stubs of its components: half of what its import takes."""
    component_meta.create_or_modify_pyi = lambda *_: None


def serve_chat(
    choice: AgentChoice, options: GuiOptions, ready: Any = None, given: Given | None = None
) -> None:
    """Serves the chat until it is interrupted.

    Args:
        choice: what agents are made of.
        options: how it is served.
        ready: called with the URL when the server answers.
        given: agents that answer instead of agents of a choice.

    Raises:
        ConfigError: see `make_app`.
        InputError: the port is taken.
    """
    app = make_app(choice, options, given=given)
    run_app(app, options.host, options.port, ready)


def _server(config: Any, leave: Callable[[], None] | None) -> Any:
    """Returns a server that ends the streams of its application before it waits for them."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            if sig == signal.SIGINT:  # somebody waits at the keyboard
                self.config.timeout_graceful_shutdown = _INTERRUPTED_SECONDS
            super().handle_exit(sig, frame)

        async def shutdown(self, sockets: list[Any] | None = None) -> None:
            if leave is not None:
                leave()
            await super().shutdown(sockets)

    return Server(config)


def listening_on(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; who knows the address can connect at once, and waits.

    Raises:
        InputError: the address cannot be served, for example because the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise InputError(
            f"{host}:{port} cannot be served ({reason}).", fix="Choose another --port."
        ) from error
    return listening


def run_app(
    app: Any,
    host: str,
    port: int,
    ready: Any = None,
    listening: socket.socket | None = None,
    grace: int = _INTERRUPTED_SECONDS,
) -> None:
    """Runs an ASGI application with uvicorn until it is interrupted.

    Args:
        app: the application.
        host: the address.
        port: the port; 0 takes a free one.
        ready: called with the URL when it listens.
        listening: a socket that listens already, in place of a new one.
        grace: seconds for which open answers may go on after SIGTERM; an interrupt leaves them two.

    Raises:
        InputError: the address cannot be served, for example because the port is taken.
    """
    import uvicorn

    listening = listening or listening_on(host, port)
    number = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=grace,
        # where a proxy names the user, whose address it is must not be said by a header
        proxy_headers=getattr(app, "proxy", None) is None,
    )
    server = _server(config, getattr(app, "leave", None))
    if ready is not None:
        ready(f"http://{shown}:{number}/")
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
