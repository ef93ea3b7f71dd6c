"""The administrator's page: usage by user, endpoints, allowed tools, quotas."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.access.team import TeamRules, save_rules
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.desk_strings import ADMIN_TEXTS
from qwenbelt.apps.gui.setting_fields import switchable_tools
from qwenbelt.apps.gui.strings import say

Handler = Callable[[Request], Awaitable[Response]]


class AdminApi:
    """The routes of the administrator's page; others are told that there is none.

    Args:
        asker: knows the store, the endpoints and the tools.
    """

    def __init__(self, asker: TurnStarter) -> None:
        self._asker = asker

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/admin", _only_admins(self._page), methods=["GET"]),
            Route("/qb/admin/state", _only_admins(self._state), methods=["GET"]),
            Route("/qb/admin/rules", _only_admins(self._save), methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        language = language_of(request)
        words = json.dumps({key: say(key, language) for key in ADMIN_TEXTS}, ensure_ascii=False)
        words = words.replace("<", "\\u003c")
        script = files("qwenbelt.apps.gui").joinpath("static/admin.js").read_text(encoding="utf-8")
        style = files("qwenbelt.apps.gui").joinpath("static/admin.css").read_text(encoding="utf-8")
        title = escape(say("admin_title", language))
        return HTMLResponse(
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{style}</style></head><body><main>"
            f'<p><a href="/">←</a></p><h1>{title}</h1><div id="admin"></div></main>'
            f"<script>window.adminWords = {words};</script>"
            f"<script>{script}</script></body></html>"
        )

    async def _state(self, request: Request) -> Response:
        store = self._asker.hub.store
        rules = TeamRules.kept(store)
        return JSONResponse(
            {
                "usage": store.all_usage(),
                "endpoints": list(rules.endpoints),
                "tools": None if rules.tools is None else list(rules.tools),
                "known_tools": switchable_tools(self._asker),
                "quotas": rules.quotas,
            }
        )

    async def _save(self, request: Request) -> Response:
        store, body = self._asker.hub.store, await json_body(request)
        save_rules(store, body, switchable_tools(self._asker))
        return JSONResponse({})


def _only_admins(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        if not request.state.admin:
            return JSONResponse({"error": "There is no such page."}, 404)
        return await handler(request)

    return answer
