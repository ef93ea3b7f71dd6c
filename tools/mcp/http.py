"""HTTP to MCP servers, watched: whether a request has run, and whether its session is still known.

The SDK reports a failed request late or not at all (over SSE a refused POST leaves its caller
waiting), and not whether the server may have run it. So each call has an `Attempt` in its context,
which the HTTP client fills in.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from qwenbelt.core.jsons import loads_bounded

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.login.provider import SharedLogin
    from qwenbelt.tools.mcp.tasks import HeldTask

_NOT_REACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_MOST_WORDS = 256 * 1024
MAX_REPLY_BYTES = 64 * 2**20
# In the words of the SDKs: TypeScript "Session not found", "No valid session ID provided",
# "Server not initialized", "No transport found for sessionId"; Python "Could not find session",
# "Session has been terminated", "before initialization was complete"; Go "session not found";
# Java "Session not found: …"; C# "Session not found"; Rust "Unauthorized: Session not found".
_SESSION = re.compile(
    r"session[\s_-]?(id)?\b.{0,40}\b(not found|not exist|invalid|expired|terminated|unknown|closed"
    r"|missing|required|lost|no longer|ended)"
    r"|\b(invalid|unknown|expired|missing|no|not find|no valid|no such|no active|stale)\b.{0,30}"
    r"\bsession|not (been )?initiali[sz]ed|(before|without) initiali[sz]"
    r"|initiali[sz]e (first|request)|must initiali[sz]e",
    re.IGNORECASE | re.DOTALL,
)

current: contextvars.ContextVar[Attempt | None] = contextvars.ContextVar("attempt", default=None)


@dataclass(eq=False)
class Attempt:
    """One request, as its HTTP connection saw it.

    Attributes:
        ended: set once it is known that no reply will come by the SDK.
        sent: whether the server may have got it.
        lost: the server does not know the session, or was not reached; nothing has run.
        status: of the reply, or 0.
        words: the text of the reply or the error, in one piece.
        elicit: asks the person of the run that the request belongs to.
        held: the task that the call has become, or may.
        fault: why the login failed that the request needed, or None.
    """

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    sent: bool = False
    lost: bool = False
    status: int = 0
    words: str = ""
    elicit: Any = None
    held: HeldTask | None = None
    fault: Exception | None = None

    def failed(self, error: Exception, *, not_run: bool) -> None:
        """Takes in an error of the connection."""
        self.lost, self.sent = not_run, not not_run
        self.words = str(error) or type(error).__name__
        self.ended.set()

    def refused(self, status: int, words: str, *, in_session: bool) -> None:
        """Takes in an answer that is an HTTP error."""
        self.status, self.words = status, words
        gone = status in (401, 404, 410) and in_session
        self.lost = gone or (400 <= status < 500 and bool(_SESSION.search(words)))


def says_session_lost(words: str) -> bool:
    """Returns whether an error's words mean that the server does not know the session."""
    return bool(_SESSION.search(words))


class WatchedClient(httpx2.AsyncClient):
    """An HTTP client that reports results to the attempt of its context.

    Args:
        posts_are_acknowledged: whether a POST only hands a message over, its reply coming on
            another stream (SSE); then an HTTP error is all that will ever come.
        login: logs in where the server asks for it.

    Attributes:
        status: of the last reply, or 0.
        fault: why the last login failed, or None.
    """

    def __init__(
        self,
        *,
        posts_are_acknowledged: bool = False,
        login: SharedLogin | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._acknowledged = posts_are_acknowledged
        self._login = login
        self.status = 0
        self.fault: Exception | None = None

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Sends a request."""
        resumes = "last-event-id" in request.headers  # the rest of a reply that was cut off
        attempt = current.get() if request.method == "POST" or resumes else None
        try:
            response = await self._sent(request, options)
        except httpx2.HTTPError as error:
            if attempt is not None:
                attempt.failed(error, not_run=isinstance(error, _NOT_REACHED) and not resumes)
            raise
        except Exception as error:  # of the login: ours, the SDK's, pydantic's
            self.fault = error
            if attempt is not None:
                attempt.fault = error
                attempt.ended.set()
            raise
        self.status = response.status_code
        _bound(response, attempt)
        if attempt is not None:
            attempt.sent = True
            if response.status_code >= 400 and resumes:
                attempt.failed(ConnectionError(f"HTTP {response.status_code}"), not_run=False)
            elif response.status_code >= 400:
                await self._refused(attempt, request, response)
        return response

    async def _sent(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        plain = super().send
        if self._login is None:
            return await plain(request, **options)

        async def send(one: httpx2.Request) -> httpx2.Response:
            return await plain(one, **(options if one is request else {}))

        return await self._login.send(request, send)

    async def _refused(
        self, attempt: Attempt, request: httpx2.Request, response: httpx2.Response
    ) -> None:
        size = response.headers.get("content-length", "")
        text = ""
        if response.is_closed or (size.isdecimal() and int(size) <= _MOST_WORDS):
            text = (await response.aread()).decode("utf-8", "replace")
        in_session = self._acknowledged or "mcp-session-id" in request.headers
        attempt.refused(response.status_code, error_words(text), in_session=in_session)
        if attempt.lost or self._acknowledged:
            attempt.ended.set()


def _bound(response: httpx2.Response, attempt: Attempt | None) -> None:
    """Ends a plain reply that is larger than any may be, however small it was packed.

    A stream of events has its limit for each event.
    """
    if "text/event-stream" in response.headers.get("content-type", "").lower():
        return
    pieces = response.aiter_bytes

    async def bounded(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        size = 0
        async for piece in pieces(chunk_size):
            size += len(piece)
            if size > MAX_REPLY_BYTES:
                words = f"its reply is larger than {MAX_REPLY_BYTES // 2**20} MiB"
                fault = httpx2.DecodingError(words, request=response.request)
                if attempt is not None:
                    attempt.failed(fault, not_run=False)
                raise fault
            yield piece

    response.aiter_bytes = bounded  # type: ignore[method-assign]


def error_words(text: str) -> str:
    """Returns the message of a JSON error, or the text itself."""
    try:
        value = loads_bounded(text)
    except ValueError:
        return text[:2000]
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        found = [error.get(k) for k in ("message", "error_description", "detail", "error")]
        error = next((part for part in found if part), error)
    return str(error)[:2000]
