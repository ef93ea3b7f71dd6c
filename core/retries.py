"""Decides when a failed request is sent again: one rule for models, vectors and rankings."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Mapping

MAX_DELAY = 30.0  # seconds
# statuses that may be another one's next time; 52x are Cloudflare's before a server that is away
PASSING_STATUSES = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529, *range(520, 528), 530))


def retry_delay(attempt: int, asked: float | None = None) -> float:
    """Returns the seconds to wait before the next attempt.

    Args:
        attempt: how many attempts have failed.
        asked: what the endpoint asked for, which counts more than our own doubling.
    """
    if asked is not None:
        return min(MAX_DELAY, asked)
    # the random part keeps clients that failed together from coming back together
    return min(MAX_DELAY, 0.5 * 2.0 ** (attempt - 1)) * (0.75 + random.random() / 2)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_RESETS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns how many seconds to wait, or None when the headers do not say.

    Read are `retry-after-ms`, `retry-after` as seconds or as an HTTP date (RFC 9110, 10.2.3), and
    OpenAI's `x-ratelimit-reset-*` ("6m0s") of the limit that is used up.
    """
    milliseconds = _number_of_seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number_of_seconds(value)
    if seconds is None and value:
        seconds = _seconds_until_date(value)
    if seconds is None:
        spans = [
            _duration_seconds(headers.get(reset))
            for left, reset in _RESETS
            if headers.get(left) == "0"
        ]
        known = [span for span in spans if span is not None]
        seconds = max(known) if known else None
    return seconds


def _number_of_seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _seconds_until_date(date: str) -> float | None:
    try:
        return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _duration_seconds(text: str | None) -> float | None:
    found = _DURATION.findall(text or "")
    return (
        sum(float(n) * _SECONDS[unit] for n, unit in found) if found else _number_of_seconds(text)
    )
