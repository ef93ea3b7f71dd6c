"""Requests to endpoints for vectors and for ranking, tried again where that may help."""

from __future__ import annotations

import time
from typing import Any

from qwenbelt.core.errors import EndpointError, one_line
from qwenbelt.core.secrets import scrub
from qwenbelt.core.urls import connection_options

TRIES = 4
SECONDS = 60.0
_FIRST_WAIT = 0.5  # doubled after each try
_MAX_WAIT = 20.0
_AGAIN = frozenset((408, 409, 429, 500, 502, 503, 504))


def post(url: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
    """Sends JSON and returns the JSON of the answer.

    Busy and failing servers, and lost connections, are asked again up to `TRIES` times; a
    `Retry-After` is kept to.

    Raises:
        EndpointError: refused, unreachable, or no JSON; the key is not in its text.
    """
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    reason = ""
    for number in range(TRIES):
        wait = _FIRST_WAIT * 2**number
        try:
            reply = httpx.post(
                url, json=body, headers=headers, timeout=SECONDS, **connection_options(url)
            )
        except httpx.HTTPError as error:
            reason = one_line(error) or type(error).__name__
        else:
            if reply.status_code < 400:
                return _json(url, reply)
            reason = f"{reply.status_code} {one_line(reply.text, 200)}"
            if reply.status_code not in _AGAIN:
                break
            wait = _wait(reply.headers.get("retry-after", ""), wait)
        if number + 1 < TRIES:
            time.sleep(wait)
    raise EndpointError(scrub(f"{url}: {reason}"))


def _json(url: str, reply: Any) -> dict[str, Any]:
    try:
        answer = reply.json()
    except ValueError as error:
        raise EndpointError(f"{url}: the answer is not JSON.") from error
    if not isinstance(answer, dict):
        raise EndpointError(f"{url}: the answer is not a JSON object.")
    return answer


def _wait(told: str, usual: float) -> float:
    try:
        return min(max(float(told), 0.0), _MAX_WAIT)
    except ValueError:
        return usual
