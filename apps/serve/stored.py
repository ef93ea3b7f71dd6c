"""The routes and steps of a server that keeps its replies (`--store`)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qwenbelt.agents.sessions.session import OWN_SESSIONS, Session
from qwenbelt.apps.serve.inputs import input_items
from qwenbelt.apps.serve.response_form import ResponseForm
from qwenbelt.apps.serve.response_store import BackgroundResponses, ResponseStore, StoredResponse
from qwenbelt.core.errors import EndpointError, InputError, QwenbeltError

Json = dict[str, Any]
_STORE_SECONDS = 2.0
_LONGEST_NAME = 200
_FOLDER = "qwenbelt_folder"  # in a request that is kept: the name of its conversation's folder


class StoredReplies:
    """Keeps replies, gives them out, and writes some in the background.

    Args:
        place: the path of a SQLite file, or the URL of a PostgreSQL database.
        write: runs a request under an id; returns the whole reply.
    """

    def __init__(self, place: str, write: Callable[[str, Json], Awaitable[Json]]) -> None:
        self.place = place
        self._store = ResponseStore(place)
        self._background = BackgroundResponses(self._store, write)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Writes in the background as long as the server runs."""
        async with self._background.running():
            yield

    async def answers(self) -> bool:
        """Returns whether the store answers within two seconds."""
        with anyio.move_on_after(_STORE_SECONDS):
            try:
                await asyncio.to_thread(self._store.get, "resp_none", "")
            except QwenbeltError:
                return False
            return True
        return False

    async def continued(self, request: Request, body: Json) -> tuple[Json, str | None]:
        """Returns a request with the earlier messages, which it names by the last reply.

        With it the name of the conversation's folder: what tools keep there, a kernel's variables
        or the index of a file, need not be made again.

        Raises:
            EndpointError: that reply is not known (404).
            InputError: that reply is still being written, or failed.
        """
        before = body.get("previous_response_id")
        if not before:
            return body, None
        stored = await self._get(request, str(before))
        if stored.status not in ("completed", "incomplete"):
            raise InputError(f"The reply {before} is {stored.status}; it cannot be gone on with.")
        said = [item for item in stored.reply["output"] if item.get("role")]
        items = [*input_items(stored.body), *said, *input_items(body)]
        rest = {key: value for key, value in body.items() if key != "previous_response_id"}
        return {**rest, "input": items}, stored.body.get(_FOLDER)

    async def conversation(self, body: Json) -> tuple[Json, Session | None]:
        """Returns a request without its conversation, and the session that it is.

        Sessions of the terminal and the chat are known by their names; what runs keep for
        themselves, and what users with accounts have, is not.

        Raises:
            EndpointError: there can be no such conversation (404).
            InputError: it is no name, or does not go with another field.
        """
        given = body.get("conversation")
        if not given:
            return body, None
        name = given.get("id") if isinstance(given, Mapping) else given
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise InputError("`conversation` must be a name, or an object with an `id`.")
        for key in ("previous_response_id", "instructions", "background"):
            if body.get(key):
                raise InputError(f"`conversation` does not go together with `{key}`.")
        if name.startswith(OWN_SESSIONS) or "/" in name:
            raise EndpointError(
                f"There is no conversation {name!r}.", status=404, code="conversation_not_found"
            )
        return {**body, "conversation": None}, await asyncio.to_thread(Session, self.place, name)

    async def keep(self, request: Request, body: Json, folder: str, reply: Json) -> None:
        """Keeps a reply that is whole, unless its client wants it not kept."""
        if body.get("store") is not False:
            body = {**body, _FOLDER: folder}  # a client's own entry of this name is not believed
            stored = StoredResponse(reply["id"], reply["status"], body, reply)
            await asyncio.to_thread(self._store.put, _owner_of_reply(request), stored)

    async def begin(self, request: Request, body: Json, form: ResponseForm) -> Response:
        """Begins to write a reply in the background; answers at once.

        Raises:
            InputError: it is to be streamed or not to be kept as well.
        """
        if body.get("stream") or body.get("store") is False:
            raise InputError("A reply in the background is kept, and is not streamed.")
        plain = {key: value for key, value in body.items() if key not in ("background", _FOLDER)}
        stored = StoredResponse(form.id, "in_progress", plain, form.open("in_progress"))
        await self._background.begin(_owner_of_reply(request), stored)
        return JSONResponse(form.open("queued"))

    async def _get(self, request: Request, identity: str) -> StoredResponse:
        stored = await asyncio.to_thread(self._store.get, identity, _owner_of_reply(request))
        if stored is None:
            raise EndpointError(
                f"There is no reply {identity!r}.", status=404, code="response_not_found"
            )
        return stored

    async def show(self, request: Request) -> Response:
        """`GET /v1/responses/{id}`."""
        return JSONResponse((await self._get(request, request.path_params["id"])).reply)

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/responses/{id}`."""
        identity = (await self._get(request, request.path_params["id"])).id
        self._background.stop(identity)
        await asyncio.to_thread(self._store.delete, identity, _owner_of_reply(request))
        return JSONResponse({"id": identity, "object": "response", "deleted": True})

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/responses/{id}/cancel`; the replica that writes it learns it in seconds."""
        identity = (await self._get(request, request.path_params["id"])).id
        await asyncio.to_thread(self._store.cancel, identity, _owner_of_reply(request))
        self._background.stop(identity)
        return await self.show(request)


def _owner_of_reply(request: Request) -> str:
    """The owner of a reply: with another token it can be neither read nor continued."""
    return hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()[:32]
