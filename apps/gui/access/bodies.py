"""Bodies of the page's requests."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded

_MAX_BODY = 64 * 1024 * 1024


async def json_body(request: Request) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: it is not one, or too large.
    """
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MAX_BODY:
            raise InputError("The request is too large.")
    try:
        value = loads_bounded(raw or b"{}")
    except ValueError as error:
        raise InputError("The request's body is not JSON.") from error
    if not isinstance(value, dict):
        raise InputError("The request's body is not a JSON object.")
    return value
