"""Who is logged in: tokens of cookies, in memory."""

from __future__ import annotations

import secrets
import time

LOGIN_SECONDS = 7 * 24 * 3600.0


class Logins:
    """The logins of one server."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def begin(self, user: str) -> str:
        """Returns the token of a new login."""
        now, token = time.monotonic(), secrets.token_urlsafe(32)
        self._known = {t: v for t, v in self._known.items() if v[1] > now}
        self._known[token] = user, now + LOGIN_SECONDS
        return token

    def user(self, token: str) -> str | None:
        """Returns who logged in under a token."""
        user, until = self._known.get(token, ("", 0.0))
        return user if user and until > time.monotonic() else None

    def end(self, token: str) -> None:
        """Logs out."""
        self._known.pop(token, None)
