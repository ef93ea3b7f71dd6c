"""Progress of a call as the protocol wants it."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 0.1  # between two reports
_SMALLEST_STEP = 1e-6


def progress_reporter(
    tell: Callable[[float, float | None, str | None], None],
) -> Callable[..., None]:
    """Returns what reports progress by `tell(done, total, text)`, and not too often."""
    last = done = 0.0

    def report(text: str, fraction: float | None = None) -> None:
        nonlocal last, done
        now = time.monotonic()
        if now - last < _SECONDS:
            return
        last = now
        # the protocol wants each number to be higher than the one before
        done = max(done + _SMALLEST_STEP, fraction or 0.0)
        tell(done, 1.0 if fraction is not None and done <= 1 else None, text or None)

    return report
