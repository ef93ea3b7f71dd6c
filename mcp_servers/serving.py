"""The methods of a service inside the SDK's server, which serves them over HTTP."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.language import user_language
from qwenbelt.mcp_servers.handlers import (
    INTERNAL_ERROR,
    TASKS,
    McpHandlers,
    ProtocolFault,
    package_version,
)
from qwenbelt.mcp_servers.progress import progress_reporter
from qwenbelt.mcp_servers.service import McpService
from qwenbelt.tools.operation import OperationCall

_THREADS = 64
Context = ServerRequestContext[Any, Any]


class _TaskRequestParams(types.RequestParams):
    """What a request about a task tells; the handlers read the rest of it themselves."""


# the SDK wants the class of the parameters of each method
_PARAMETERS: dict[str, Any] = {
    "tools/list": types.PaginatedRequestParams,
    "tools/call": types.CallToolRequestParams,
    "resources/list": types.PaginatedRequestParams,
    "resources/templates/list": types.PaginatedRequestParams,
    "resources/read": types.ReadResourceRequestParams,
    "prompts/list": types.PaginatedRequestParams,
    "prompts/get": types.GetPromptRequestParams,
    "completion/complete": types.CompleteRequestParams,
    "tasks/get": _TaskRequestParams,
    "tasks/cancel": _TaskRequestParams,
    "tasks/update": _TaskRequestParams,
}


Handlers = Callable[[str], contextlib.AbstractContextManager[McpHandlers]]


def build_server(
    service: McpService, of_user: Handlers | None = None, write_scope: str | None = None
) -> Server[Any]:
    """Returns the server of a service, ready for any transport of the SDK.

    Args:
        service: what is offered.
        of_user: gives the methods for the subject of a token, where each user has their own.
        write_scope: the scope that tools need to change something; None if nobody has scopes.
    """
    handlers = McpHandlers(service)
    threads = anyio.CapacityLimiter(_THREADS)
    server: Server[Any] = Server(
        service.name,
        version=package_version(),
        title=service.title,
        instructions=service.instructions or None,
    )
    chosen = of_user or (lambda subject: contextlib.nullcontext(handlers))
    if service.tasks:
        server.extensions[TASKS] = {}
    for method in handlers.methods:
        handler = _in_thread(chosen, method, threads, write_scope)
        server.add_request_handler(method, _PARAMETERS[method], handler)
    return server


def _in_thread(
    chosen: Handlers, method: str, threads: anyio.CapacityLimiter, write_scope: str | None
) -> Callable[[Context, Any], Awaitable[dict[str, Any]]]:
    async def handle(ctx: Context, params: Any) -> dict[str, Any]:
        call = OperationCall(language=user_language(), client=_client_session(ctx))
        call.report = _reporter(ctx)
        user = _user(ctx)
        subject = user.access_token.subject or "" if user else ""
        if write_scope is not None:
            call.may_write = user is not None and write_scope in user.scopes

        def answer() -> dict[str, Any]:
            with chosen(subject) as handlers:
                return handlers.handle(method, ctx.params or {}, call)

        try:
            result = await anyio.to_thread.run_sync(answer, abandon_on_cancel=True, limiter=threads)
            return {"resultType": "complete", **result}  # the SDK leaves it out for older clients
        except anyio.get_cancelled_exc_class():
            call.cancelled.set()
            raise
        except ProtocolFault as fault:
            raise MCPError(fault.code, fault.message, fault.data) from fault
        except QwenbeltError as error:  # what is theirs cannot be opened
            raise MCPError(INTERNAL_ERROR, str(error)) from error

    return handle


def _user(ctx: Context) -> AuthenticatedUser | None:
    found = getattr(ctx.request, "scope", {}).get("user")
    return found if isinstance(found, AuthenticatedUser) else None


def _client_session(ctx: Context) -> str:
    """Returns a name for the client's session; "" over stdio, where there is one client.

    From protocol 2026-07-28 on there are no sessions over HTTP. Then it is one for each program
    (as it names itself) on each machine.
    """
    headers = getattr(ctx.request, "headers", None)
    if headers is None:
        return ""
    session = headers.get("mcp-session-id")
    if session:
        return str(session)
    address = getattr(ctx.request, "client", None)
    known = ctx.session.client_params
    program = known.client_info.model_dump_json() if known and known.client_info else ""
    host = address.host if address is not None else ""
    user = _user(ctx)
    if user is not None:  # their tokens are renewed
        return hashlib.sha256(f"{user.access_token.subject} {program}".encode()).hexdigest()[:32]
    who = f"{host} {program} {headers.get('authorization', '')}"
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def _reporter(ctx: Context) -> Callable[..., None]:
    """Returns what reports progress to the client, from any thread."""
    loop_token = anyio.lowlevel.current_token()

    def tell(done: float, total: float | None, text: str | None) -> None:
        async def send() -> None:
            await ctx.session.report_progress(done, total, text)

        anyio.from_thread.run(send, token=loop_token)

    return progress_reporter(tell)
