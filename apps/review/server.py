"""The review page, served on this machine to the person who started it.

The address holds a secret, as another user of the machine could reach the port; requests to other
host names are refused, so that no page elsewhere reaches it by a name that leads here.
"""

from __future__ import annotations

import asyncio
import html
import secrets
import socket
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError, QwenbeltError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.workflows.inspection.marking import SEVERITY_COLORS
from qwenbelt.workflows.reviewing.inspections import InspectionReview
from qwenbelt.workflows.reviewing.opening import Review
from qwenbelt.workflows.reviewing.strings import counts_text, figures_text, say

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_LARGEST_BODY = 1024 * 1024
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_FILES = {"page.js": "text/javascript", "page.css": "text/css"}


def review_app(review: Review, language: Language, secret: str) -> Starlette:
    """Returns the ASGI application; everything is below `/SECRET/`.

    Args:
        review: what is reviewed.
        language: of the page.
        secret: the first part of each path.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount, Route

    pages = _ReviewPages(review, language)
    routes = [
        Route("/", pages.page),
        Route("/state", pages.state),
        Route("/picture/{number:int}", pages.picture),
        Route("/decide/{number:int}", pages.decide, methods=["POST"]),
        Route("/{name}", pages.file),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=[Mount(f"/{secret}", routes=routes)], middleware=[hosts])


class _ReviewPages:
    """What is answered."""

    def __init__(self, review: Review, language: Language) -> None:
        self._review = review
        self._language = language
        self._writing = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        title = html.escape(say("title", self._language))
        lang = "zh-CN" if self._language == "zh" else "en"
        body = (
            f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{title}</title><link rel="stylesheet" href="page.css">'
            '<link rel="icon" href="data:,"><script src="page.js" defer></script></head>'
            "<body></body></html>\n"
        )
        return HTMLResponse(body, headers=_HEADERS)

    async def file(self, request: Request) -> Response:
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in _FILES:
            return Response(status_code=404)
        text = resources.files("qwenbelt.apps.review").joinpath(name).read_text("utf-8")
        return Response(text, media_type=_FILES[name], headers=_HEADERS)

    async def state(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        review = self._review
        state = {
            "kind": review.kind,
            "multiple": getattr(review, "multiple", False),
            "words": {name: say.template(name, self._language) for name in say},
            "colors": SEVERITY_COLORS,
            "choices": [self._choice(name, grades) for name, grades in review.choices.items()],
            "items": [review.item(number) for number in range(len(review))],
            **self._figures(),
        }
        return JSONResponse(state, headers=_HEADERS)

    def _choice(self, name: str, grades: list[str]) -> dict[str, Any]:
        """Returns a class or label: its name for people, and its grades with severities."""
        if not isinstance(self._review, InspectionReview):
            return {"label": name, "name": name, "grades": []}
        rules = self._review.rules
        rule = rules.classes[name]
        shown = [
            {
                "grade": grade,
                "name": rules.grade(name, grade, self._language),
                "severity": rule.severity(grade),
            }
            for grade in grades or [""]
        ]
        return {"label": name, "name": rules.name(name, self._language), "grades": shown}

    def _figures(self) -> dict[str, Any]:
        found = self._review.agreement()
        boxes = isinstance(self._review, InspectionReview)
        texts = (
            counts_text(found, self._language),
            figures_text(found, self._language, boxes=boxes),
        )
        return {"agreement": found.to_dict(), "figures": " · ".join(texts)}

    async def picture(self, request: Request) -> Response:
        from starlette.responses import FileResponse, Response

        number = request.path_params["number"]
        if not number < len(self._review):
            return Response(status_code=404)
        return FileResponse(self._review.picture(number), headers=_HEADERS)

    async def decide(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, Response

        from qwenbelt.apps.bodies import BodyRefused, read_body

        number = request.path_params["number"]
        if not number < len(self._review):
            return Response(status_code=404)
        try:
            table = loads_bounded(await read_body(request, _LARGEST_BODY))
            if not isinstance(table, dict):
                return JSONResponse({"error": "not an object"}, 400, headers=_HEADERS)
            async with self._writing:
                await asyncio.to_thread(self._review.decide, number, table)
        except BodyRefused as error:
            return JSONResponse({"error": str(error)}, 413, headers=_HEADERS)
        except (QwenbeltError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400, headers=_HEADERS)
        answer = {"item": self._review.item(number), **self._figures()}
        return JSONResponse(answer, headers=_HEADERS)


def serve_review(
    review: Review, language: Language, port: int, ready: Callable[[str], None]
) -> None:
    """Serves the page on this machine until it is interrupted.

    Args:
        review: what is reviewed.
        language: of the page.
        port: 0 takes a free one.
        ready: told the address.

    Raises:
        ConfigError: the port is taken.
    """
    import uvicorn

    secret = secrets.token_urlsafe(18)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"Port {port} cannot be used ({error.strerror}).") from error
        listening.listen()
        ready(f"http://127.0.0.1:{listening.getsockname()[1]}/{secret}/")
        config = uvicorn.Config(
            review_app(review, language, secret), log_level="warning", access_log=False
        )
        uvicorn.Server(config).run(sockets=[listening])
