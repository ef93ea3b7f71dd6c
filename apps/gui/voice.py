"""Microphone and read-aloud: what a person says becomes a question, an answer is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.strings import PageError
from qwenbelt.core.errors import InputError

if TYPE_CHECKING:
    from qwenbelt.apps.gui.asking import TurnStarter
    from qwenbelt.apps.gui.chat_session import ChatSession

VOICE_FIELDS = ("hears", "speaks", "voice")
MAX_PIECES = 40  # of an answer that are spoken, about 25 minutes


@dataclass(frozen=True)
class VoiceChoice:
    """Which models hear and speak.

    Attributes:
        hears: the endpoint spec of a speech-to-text model; empty for none.
        speaks: the endpoint spec of a text-to-speech model; empty for none.
        voice: the name of its voice; empty for its usual one.
    """

    hears: str = ""
    speaks: str = ""
    voice: str = ""


class VoiceApi:
    """The routes.

    Args:
        session: finds the conversation of a request.
        asker: knows which models hear and speak.
    """

    def __init__(self, session: Callable[[Request], ChatSession], asker: TurnStarter) -> None:
        self._session = session
        self._asker = asker

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/hear", self.hear, methods=["POST"]),
            Route("/qb/speak/{session}/{turn}/{piece:int}", self.speak),
        ]

    async def hear(self, request: Request) -> JSONResponse:
        """Returns what is said in the recording that is the request's body."""
        from qwenbelt.agents.models.speech import MAX_SOUND_BYTES, transcribe

        spec = self._asker.voice(request.state.user).hears
        if not spec:
            raise PageError("no_hearing")
        sound = b""
        async for part in request.stream():
            sound += part
            if len(sound) > MAX_SOUND_BYTES:
                raise InputError(f"The recording is larger than {MAX_SOUND_BYTES >> 20} MB.")
        kind = request.headers.get("content-type", "")
        text = await asyncio.to_thread(transcribe, spec, sound, kind)
        if not text:
            raise PageError("heard_nothing")
        return JSONResponse({"text": text})

    async def speak(self, request: Request) -> Response:
        """Returns a piece of an answer, spoken; a header says how many pieces there are."""
        from qwenbelt.agents.models.speech import speak, spoken_pieces

        choice = self._asker.voice(request.state.user)
        if not choice.speaks:
            raise PageError("no_speaking")
        session, number = self._session(request), request.path_params["piece"]
        turn: Any = session.turns.get(request.path_params["turn"])
        pieces = spoken_pieces(turn.answer)[:MAX_PIECES] if turn is not None else []
        if not 0 <= number < len(pieces):
            raise PageError("nothing_to_speak")
        sound, kind = await asyncio.to_thread(speak, choice.speaks, pieces[number], choice.voice)
        headers = {"cache-control": "private, max-age=600", "x-qb-pieces": str(len(pieces))}
        return Response(sound, media_type=kind, headers=headers)
