"""The routes and steps of a server that keeps its replies (`--store`)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qwenbelt.agents.sessions.approvals import ApprovalTable
from qwenbelt.agents.sessions.database import SessionDatabase
from qwenbelt.agents.sessions.durable import RUN
from qwenbelt.agents.sessions.session import OWN_SESSIONS, Session
from qwenbelt.apps.serve.approvals import answer_all
from qwenbelt.apps.serve.inputs import input_items
from qwenbelt.apps.serve.response_form import ResponseForm
from qwenbelt.apps.serve.response_store import BackgroundResponses, ResponseStore, StoredResponse
from qwenbelt.core.errors import EndpointError, InputError, QwenbeltError

Json = dict[str, Any]
_STORE_SECONDS = 2.0
_LONGEST_NAME = 200
# in a request that is kept: the name of its conversation's folder, and of its durable run
_FOLDER, _RUN = "qwenbelt_folder", "qwenbelt_run"
_HOW = ("stream", "background", "store")  # each request says how it is answered


class Chain(NamedTuple):
    """What a request goes on with: the names of a folder and of a run, where there are such."""

    folder: str | None = None
    run: str | None = None

    def added_to(self, body: Json) -> Json:
        """Returns a request with these names; a client's own entries are not believed."""
        rest = {key: value for key, value in body.items() if key not in (_FOLDER, _RUN)}
        names = {_FOLDER: self.folder, _RUN: self.run}
        return {**rest, **{key: name for key, name in names.items() if name}}

    @classmethod
    def of(cls, body: Json) -> Chain:
        """Returns the names that a kept request has."""
        return cls(body.get(_FOLDER), body.get(_RUN))


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

    async def continued(self, request: Request, body: Json) -> tuple[Json, Chain]:
        """Returns a request with the earlier messages, which it names by the last reply.

        With it the name of the conversation's folder: what tools keep there, a kernel's variables
        or the index of a file, need not be made again.

        Raises:
            EndpointError: that reply is not known (404).
            InputError: that reply is still being written, or failed.
        """
        before = body.get("previous_response_id")
        if not before:
            return body, Chain()
        stored = await self._get(request, str(before))
        if stored.status not in ("completed", "incomplete"):
            raise InputError(f"The reply {before} is {stored.status}; it cannot be gone on with.")
        said = [item for item in stored.reply["output"] if item.get("role")]
        items = [*input_items(stored.body), *said, *input_items(body)]
        rest = {key: value for key, value in body.items() if key != "previous_response_id"}
        return {**rest, "input": items}, Chain(Chain.of(stored.body).folder)

    async def answered(
        self, request: Request, body: Json, answers: dict[str, bool]
    ) -> tuple[Json, Chain]:
        """Returns the question that waited for these approvals, and what it goes on with.

        Raises:
            EndpointError: the reply that asked is not known (404).
            InputError: it asked nothing of that kind.
        """
        before = str(body["previous_response_id"])
        stored = await self._get(request, before)
        folder, run = Chain.of(stored.body)
        chain = Chain(folder or background_folder(stored.id), run or stored.id)
        await asyncio.to_thread(answer_all, self.place, chain.run or "", stored.reply, answers)
        dropped = (_FOLDER, _RUN, *_HOW)
        asked = {key: value for key, value in stored.body.items() if key not in dropped}
        return {**asked, **{key: body[key] for key in _HOW if key in body}}, chain

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

    async def keep(self, request: Request, body: Json, chain: Chain, reply: Json) -> None:
        """Keeps a reply that is whole, unless its client wants it not kept."""
        if body.get("store") is not False:
            body = chain.added_to(body)
            stored = StoredResponse(reply["id"], reply["status"], body, reply)
            await asyncio.to_thread(self._store.put, _owner_of_reply(request), stored)

    async def begin(
        self, request: Request, body: Json, form: ResponseForm, chain: Chain
    ) -> Response:
        """Begins to write a reply in the background; answers at once.

        Raises:
            InputError: it is to be streamed or not to be kept as well.
        """
        if body.get("stream") or body.get("store") is False:
            raise InputError("A reply in the background is kept, and is not streamed.")
        plain = {key: value for key, value in body.items() if key != "background"}
        kept = chain.added_to(plain)
        stored = StoredResponse(form.id, "in_progress", kept, form.open("in_progress"))
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
        stored = await self._get(request, request.path_params["id"])
        identity = stored.id
        self._background.stop(identity)
        await asyncio.to_thread(self._store.delete, identity, _owner_of_reply(request))
        await asyncio.to_thread(self._forget, identity, Chain.of(stored.body).run or identity)
        return JSONResponse({"id": identity, "object": "response", "deleted": True})

    def _forget(self, identity: str, run: str) -> None:
        """Forgets the steps of a reply that was deleted."""
        sessions = SessionDatabase(self.place)
        for name in (f"{RUN}{run}", background_folder(identity)):
            sessions.drop(name)
        ApprovalTable(self.place).forget(run)

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/responses/{id}/cancel`; the replica that writes it learns it in seconds."""
        identity = (await self._get(request, request.path_params["id"])).id
        await asyncio.to_thread(self._store.cancel, identity, _owner_of_reply(request))
        self._background.stop(identity)
        return await self.show(request)


def background_folder(identity: str) -> str:
    """Returns the name of the folder of a reply that is written in the background."""
    return f"response-{identity}"


def _owner_of_reply(request: Request) -> str:
    """The owner of a reply: with another token it can be neither read nor continued."""
    return hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()[:32]
