"""Attempts to log in: those of one address, or for one user from there, wait longer each time."""

from __future__ import annotations

import time
from collections.abc import Callable

_FREE = 5  # wrong passwords in a row without a delay
_FREE_OF_ADDRESS = 20  # several people may be behind one address
_LONGEST = 900.0
_MOST = 10_000  # keys that are remembered; the oldest are forgotten first
_FORGOTTEN = 3600.0


class LoginAttempts:
    """Counts wrong passwords. Nobody can shut out another who comes from elsewhere.

    Args:
        now: the time, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failed: dict[tuple[str, ...], tuple[int, float]] = {}

    def wait(self, user: str, address: str) -> float:
        """Returns the seconds until the next attempt is looked at; 0 for at once."""
        keys = {(user, address): _FREE, (address,): _FREE_OF_ADDRESS}
        return max(self._left(key, free) for key, free in keys.items())

    def _left(self, key: tuple[str, ...], free: int) -> float:
        count, last = self._failed.get(key, (0, 0.0))
        if count < free:
            return 0.0
        delay = min(_LONGEST, 2.0 ** min(count - free, 20))
        return max(0.0, last + delay - self._now())

    def failed(self, user: str, address: str) -> None:
        """Counts a wrong password."""
        now = self._now()
        for key in ((user[:200], address), (address,)):
            count, last = self._failed.pop(key, (0, now))
            self._failed[key] = (count + 1 if last > now - _FORGOTTEN else 1, now)
        while len(self._failed) > _MOST:
            del self._failed[next(iter(self._failed))]

    def passed(self, user: str, address: str) -> None:
        """Forgets the wrong ones of a user who has logged in."""
        self._failed.pop((user[:200], address), None)
