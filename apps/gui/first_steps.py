"""The first five minutes: a key, a server that was found, a model file, or the demo."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qwenbelt.apps.agent_choice import tool_names
from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.pairs import short_model
from qwenbelt.apps.gui.setting_fields import PRESETS, endpoints_of, preset_tools
from qwenbelt.apps.gui.strings import PageError, explain_on_page, say
from qwenbelt.core.errors import QwenbeltError

_MOST_MODELS = 8


class FirstSteps:
    """What the page offers to a person who has no model yet.

    Args:
        asker: starts turns; people may name endpoints only where it lets them.
    """

    def __init__(self, asker: TurnStarter) -> None:
        self._asker = asker

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/start", self.state),
            Route("/qb/start/key", self.key, methods=["POST"]),
            Route("/qb/start/use", self.use, methods=["POST"]),
            Route("/qb/demo", self.demo, methods=["POST"]),
        ]

    async def state(self, request: Request) -> JSONResponse:
        """Tells whether a question can be asked, and what could be chosen."""
        user, name = request.state.user, request.query_params.get("session", "")
        voice = self._asker.voice(user)
        heard = {"hears": bool(voice.hears), "speaks": bool(voice.speaks)}
        if self._asker.given is not None:
            return JSONResponse({"ready": True, "open": False, **heard})
        here = self._asker.hub.open(user, name).choice_here if name else {}
        usual, choice = self._asker.choice(user), self._asker.choice(user, here)
        told = await asyncio.to_thread(_endpoint_state, choice.endpoint, language_of(request))
        shown = {
            **told,
            **heard,
            "open": self._asker.free_endpoints,
            "think": choice.think,
            "tools": len(tool_names(choice.tools)),
            "usual": usual.endpoint or "",
            "endpoints": endpoints_of(self._asker),
            "presets": [
                {"label": say(f"preset_{preset}", language_of(request)), "tools": names}
                for preset in PRESETS
                if (names := preset_tools(self._asker, preset))
            ],
            "usual_tools": len(tool_names(usual.tools)),
            # None where no second model can answer
            "beside": None if self._asker.hub.replica else short_model(here.get("beside")),
        }
        if not self._asker.free_endpoints:
            shown |= {"servers": [], "files": []}
        return JSONResponse(shown)

    async def key(self, request: Request) -> JSONResponse:
        """Keeps a key in the user's settings file and uses its endpoint."""
        from qwenbelt.agents.models.endpoints import DEFAULT_DASHSCOPE_MODEL
        from qwenbelt.core.settings_file import save_key

        self._only_ours()
        body = await json_body(request)
        file = await asyncio.to_thread(save_key, "dashscope", str(body.get("key", "")))
        self._choose(request, f"dashscope:{DEFAULT_DASHSCOPE_MODEL}")
        return JSONResponse({"file": file.name})

    async def use(self, request: Request) -> JSONResponse:
        """Chooses one of the endpoints that `state` listed."""
        self._only_ours()
        body = await json_body(request)
        self._choose(request, str(body.get("spec", ""))[:500])
        return JSONResponse({})

    async def demo(self, request: Request) -> JSONResponse:
        """Begins a conversation that plays the demo: the tools are real, the replies written."""
        if self._asker.given is not None:
            raise PageError("no_demo")
        session = self._asker.play_demo(request.state.user, language_of(request))
        return JSONResponse({"id": session})

    def _only_ours(self) -> None:
        if self._asker.given is not None or not self._asker.free_endpoints:
            raise PageError("endpoints_fixed")

    def _choose(self, request: Request, spec: str) -> None:
        store = self._asker.hub.store
        store.change_setting(request.state.user, "endpoint", lambda *_: spec or None)


def _endpoint_state(spec: str | None, language: str) -> dict[str, Any]:
    """Returns whether an endpoint is known, why not, and what answers on this machine."""
    from qwenbelt.agents.models.dialects import DIALECTS
    from qwenbelt.agents.models.endpoints import endpoint, key_of, local_servers

    why = ""
    try:
        cfg = endpoint(spec)
        if str(cfg["dialect"]) in DIALECTS:
            key_of(cfg, DIALECTS[str(cfg["dialect"])])
        return {"ready": True, "model": Path(str(cfg["model"])).name, "servers": [], "files": []}
    except QwenbeltError as error:
        why = explain_on_page(error, language)
    servers = [
        {"name": dialect.name, "specs": [f"{dialect.name}:{m}" for m in models[:_MOST_MODELS]]}
        for dialect, models in local_servers()
    ]
    return {"ready": False, "why": why, "servers": servers, "files": _model_files()}


def _model_files() -> list[str]:
    from qwenbelt.agents.models.local_files import installed_models

    try:
        return [f"local:{file.name}" for file in installed_models()[:_MOST_MODELS]]
    except (OSError, QwenbeltError):
        return []
