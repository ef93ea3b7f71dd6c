"""Requests to endpoints for vectors, ranking and reading, tried again where that may help."""

from __future__ import annotations

import time
from typing import Any

from qwenbelt.core.errors import EndpointError, one_line
from qwenbelt.core.retries import PASSING_STATUSES, retry_after, retry_delay
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.urls import connection_options

TRIES = 4
SECONDS = 60.0


def post(
    url: str, body: dict[str, Any], key: str = "", *, seconds: float = SECONDS
) -> dict[str, Any]:
    """Sends JSON and returns the JSON of the answer.

    Busy and failing servers, and lost connections, are asked again up to `TRIES` times; a
    `Retry-After` is kept to.

    Raises:
        EndpointError: refused, unreachable, or no JSON; the key is not in its text.
    """
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    reason, status = "", None
    for number in range(TRIES):
        asked = status = None
        try:
            reply = httpx.post(
                url, json=body, headers=headers, timeout=seconds, **connection_options(url)
            )
        except httpx.HTTPError as error:
            reason = one_line(error) or type(error).__name__
        else:
            if reply.status_code < 400:
                return _json(url, reply)
            status = reply.status_code
            reason = f"{reply.status_code} {one_line(reply.text, 200)}"
            if reply.status_code not in PASSING_STATUSES:
                break
            asked = retry_after(reply.headers)
        if number + 1 < TRIES:
            time.sleep(retry_delay(number + 1, asked))
    raise EndpointError(mask_secrets(f"{url}: {reason}"), status=status)


def _json(url: str, reply: Any) -> dict[str, Any]:
    try:
        answer = reply.json()
    except ValueError as error:
        raise EndpointError(f"{url}: the answer is not JSON.") from error
    if not isinstance(answer, dict):
        raise EndpointError(f"{url}: the answer is not a JSON object.")
    return answer
