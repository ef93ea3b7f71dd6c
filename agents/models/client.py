"""The one place that talks HTTP to a model: a shared client, server-sent events, errors.

A client, with its open connections, is kept for each event loop and endpoint, and closed when the
loop shuts down. The body is ready-made JSON bytes. The openai SDK is not in the way: it costs
0.6 ms of CPU a request, as much as all of ours, which 16 subagents that start together pay one
after another.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import anyio

from qwenbelt.agents.models.decoding import reported_error, reported_words
from qwenbelt.agents.models.deltas import JsonDict
from qwenbelt.agents.models.refusals import may_succeed_later
from qwenbelt.agents.models.sse import (
    DONE,
    MAX_REPLY,
    EventDecoder,
    event_texts,
    json_object,
    too_large,
)
from qwenbelt.core.errors import EndpointError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.retries import retry_after
from qwenbelt.core.urls import connection_options

if TYPE_CHECKING:
    import httpx2

_PAGE_TITLE = re.compile(r"<title[^>]*>([^<]+)</title>", re.IGNORECASE)  # of a gateway's page
_STREAM_STARTS = (b"data:", b"event:", b"id:", b": ")
CONNECT_SECONDS = 10.0
_END_SECONDS = 0.25


@dataclass(frozen=True)
class ModelConnection:
    """Where and how to reach a model.

    Attributes:
        timeout: seconds without any byte from the endpoint.
        headers: further HTTP headers.
        query: further query parameters.
        path: where requests go, below the URL.
    """

    url: str
    key: str = field(repr=False)
    timeout: float = 300.0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = ()
    path: str = "/chat/completions"


_clients: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop,
    dict[ModelConnection, tuple[httpx2.AsyncClient, AsyncGenerator[None, None]]],
] = weakref.WeakKeyDictionary()


async def client_for(connection: ModelConnection) -> httpx2.AsyncClient:
    """Returns this event loop's client for a connection."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if connection not in clients:
        client = _new_client(connection)
        keeper = _keep_client(client)
        await keeper.__anext__()  # from now on the loop's shutdown_asyncgens() closes the client
        clients[connection] = (client, keeper)
    return clients[connection][0]


async def _keep_client(client: httpx2.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()


def _new_client(connection: ModelConnection) -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient(
        base_url=connection.url,
        headers=_headers(connection),
        params=dict(connection.query),
        timeout=httpx2.Timeout(
            connection.timeout, connect=min(CONNECT_SECONDS, connection.timeout)
        ),
        limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100),
        follow_redirects=True,
        event_hooks={"response": [_check_redirect]},
        **connection_options(connection.url),
    )


def _headers(connection: ModelConnection) -> dict[str, str]:
    """Returns the headers of all requests; the variables are those of OpenAI's own clients."""
    named = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    own = {name: os.environ[given] for name, given in named.items() if os.environ.get(given)}
    if connection.key:
        own["Authorization"] = f"Bearer {connection.key}"
    return {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"qwenbelt/{version('qwenbelt')}",
        **own,
        **dict(connection.headers),
    }


async def _check_redirect(response: httpx2.Response) -> None:
    """Refuses a redirect to another host, which would get the conversation and the key.

    Raises:
        EndpointError: the endpoint sends this client elsewhere.
    """
    if not response.has_redirect_location:
        return
    here = response.request.url
    there = here.join(response.headers["location"])
    if there.host != here.host or (here.scheme == "https" and there.scheme != "https"):
        raise EndpointError(
            f"The endpoint {here.host} redirects to {there.host or there}, which is not followed.",
            fix="Give the URL of the endpoint itself.",
            status=response.status_code,
        )


@asynccontextmanager
async def open_reply(
    connection: ModelConnection, body: bytes
) -> AsyncIterator[AsyncIterator[JsonDict]]:
    """Sends a body; gives the chunks of the reply as dicts while they arrive.

    A whole (not streamed) reply is given as one chunk.

    Raises:
        EndpointError: no connection, an error status, a broken stream, or a reply that is not JSON.
    """
    import httpx2

    try:
        reply = await _post_request(connection, body)
        try:
            if reply.is_error:
                said = await _all_of(reply.aiter_bytes())
                raise status_error(reply.status_code, said, reply.headers, connection)
            if "text/event-stream" in reply.headers.get("content-type", ""):
                yield _streamed_blocks(reply.aiter_bytes())
            else:
                yield _closing_chunks(read_whole(await _all_of(reply.aiter_bytes())))
        finally:
            await reply.aclose()
    except httpx2.HTTPError as error:
        cause = one_line(error) or type(error).__name__
        raise EndpointError(
            f"The connection to {connection.url} broke ({cause}).", retryable=True
        ) from error


async def _post_request(connection: ModelConnection, body: bytes) -> httpx2.Response:
    """Sends a body; once more at once when an idle connection proves to have been closed.

    Servers close connections after some seconds or requests (llama.cpp: 5 s, 100 requests), which
    a client only learns when it uses one. No byte of a reply has come then.

    Raises:
        EndpointError: the endpoint cannot be reached.
    """
    import httpx2

    client = await client_for(connection)
    headers = {}
    if b'"oss://' in body:  # DashScope resolves such URLs only with this header
        headers["X-DashScope-OssResourceResolve"] = "enable"
    for attempt in (1, 2):
        request = client.build_request(
            "POST", connection.path, content=body, headers=headers or None
        )
        try:
            return await client.send(request, stream=True)
        except httpx2.HTTPError as error:
            stale = isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError))
            if attempt == 1 and stale:
                continue
            cause = one_line(error) or type(error).__name__
            raise EndpointError(
                f"The endpoint {connection.url} cannot be reached ({cause}).",
                fix="Check that the server runs and the URL is right.",
                retryable=True,
            ) from error
    raise AssertionError("the loop returns or raises")


async def _all_of(blocks: AsyncIterator[bytes]) -> bytes:
    found = bytearray()
    async for block in blocks:
        found += block
        if len(found) > MAX_REPLY:
            raise too_large(MAX_REPLY)
    return bytes(found)


async def _streamed_blocks(blocks: AsyncIterator[bytes]) -> AsyncIterator[JsonDict]:
    decoder = EventDecoder()
    async for block in blocks:
        for chunk in decoder.feed(block):
            yield chunk
        if decoder.ended:
            await _read_to_end(blocks)
            return
    for chunk in decoder.close():
        yield chunk


async def _read_to_end(blocks: AsyncIterator[bytes]) -> None:
    """Reads what follows `[DONE]`: only a body that was read to its end frees its connection."""
    with anyio.move_on_after(_END_SECONDS):
        async for _ in blocks:
            pass


def read_whole(raw: bytes) -> list[JsonDict]:
    """Reads a body that is not labelled as a stream; some servers mislabel theirs.

    Raises:
        EndpointError: it is neither a JSON object nor a stream of them.
    """
    if raw.lstrip().startswith(_STREAM_STARTS):
        decoder = EventDecoder()
        return [*decoder.feed(raw), *decoder.close()]
    text = raw.decode("utf-8", "replace")
    lines = event_texts([line for line in text.split("\n") if line.strip()])
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        return [json_object(line) for line in lines]  # an object a line
    return [{**json_object(text), **DONE}]


async def _closing_chunks(chunks: list[JsonDict]) -> AsyncIterator[JsonDict]:
    for chunk in chunks:
        yield chunk


def status_error(
    status: int, raw: bytes, headers: Mapping[str, str], connection: ModelConnection
) -> EndpointError:
    """Returns an error status of the endpoint as one line with its fix."""
    message, code = _message_of(raw)
    fixes = {
        401: "Check the API key.",
        403: "Check the API key and what it may use.",
        404: "Check the model's name and the URL (it usually ends in /v1).",
    }
    return EndpointError(
        f"The endpoint {connection.url} answered {status}: {message or f'Error code: {status}'}",
        fix=fixes.get(status),
        status=status,
        retryable=may_succeed_later(status, code, message),
        retry_after=retry_after(headers),
        code=code,
    )


def _message_of(raw: bytes) -> tuple[str, str]:
    """Returns what the body of an error status says, and its code."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        body: Any = loads_bounded(text)
    except json.JSONDecodeError:
        title = _PAGE_TITLE.search(text) if text.startswith("<") else None
        return one_line(title[1] if title else text, 300), ""
    if isinstance(body, list) and body:  # Gemini's compatible endpoint: [{"error": …}]
        body = body[0]
    if isinstance(body, dict):
        return reported_words(reported_error(body) or body, 300)
    return one_line(body or "", 300), ""
