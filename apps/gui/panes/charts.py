"""Charts that people move and filter in the browser, and the scripts that draw them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from qwenbelt.apps.gui.access.bodies import json_body
from qwenbelt.apps.gui.access.guards import language_of
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.strings import PageError, explain_on_page
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.files import replacing_file
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.diagrams import DiagramRenderer

SPEC_ENDING = ".vl.json"  # of `tools.plot.vega`, which is not loaded for it
_MOST_BYTES = 16 * 1024 * 1024


class ChartsApi:
    """The routes of charts.

    Args:
        session_of: returns the conversation of a request, or refuses it.
        folder: where the scripts are kept once they are put together.
    """

    def __init__(self, session_of: Callable[[Request], ChatSession], folder: Path) -> None:
        self._of = session_of
        self._folder = folder
        self._making = asyncio.Lock()
        self._diagrams = DiagramRenderer()

    def routes(self) -> list[Route]:
        """Returns the routes; the caller guards them."""
        return [
            Route("/qb/vega.js", self._script, methods=["GET"]),
            Route("/qb/chart/{session}/{name}", self._chart, methods=["GET"]),
            Route("/qb/diagram", self._diagram, methods=["POST"]),
        ]

    async def _script(self, request: Request) -> Response:
        async with self._making:
            path = await asyncio.to_thread(vega_script, self._folder)
        headers = {"cache-control": "max-age=86400"}
        return FileResponse(path, media_type="text/javascript", headers=headers)

    async def _chart(self, request: Request) -> Response:
        path = self._of(request).file(request.path_params["name"])
        spec = await asyncio.to_thread(_read_spec, path) if path is not None else None
        if spec is None:
            raise PageError("no_chart")
        return JSONResponse(spec)

    async def _diagram(self, request: Request) -> JSONResponse:
        """Draws Mermaid; where that fails the source stays, with the reason below it."""
        body = await json_body(request)
        try:
            drawn = await self._diagrams.svg(str(body.get("source", "")))
        except QwenbeltError as error:
            return JSONResponse({"note": explain_on_page(error, language_of(request))})
        return JSONResponse({"svg": drawn})


def _read_spec(path: Path) -> object:
    """Returns a chart as our tool writes them; what code has written under such a name is none."""
    from qwenbelt.tools.plot.vega import is_plain_spec

    if not path.name.endswith(SPEC_ENDING) or path.stat().st_size > _MOST_BYTES:
        return None
    with contextlib.suppress(ValueError):
        spec = loads_bounded(path.read_bytes())
        return spec if is_plain_spec(spec) else None
    return None


def vega_script(folder: Path) -> Path:
    """Returns the file with Vega, Vega-Lite and their embedding, put together once a version.

    Raises:
        PageError: the package that brings them is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise PageError("no_charts") from error
    version = importlib.metadata.version("vl-convert-python")
    path = folder / f"vega-{version}.js"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        names = "window.vegaEmbed = vegaEmbed; window.vega = vega; window.vegaLite = vegaLite;"
        script = vl_convert.javascript_bundle(names)  # takes three seconds
        with replacing_file(path) as file:
            file.write(script.encode())
    return path
