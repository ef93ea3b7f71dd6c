"""Who is logged in, for all replicas: the load balancer may choose another one at each request."""

from __future__ import annotations

import hashlib
import secrets
import time

from qwenbelt.apps.gui.access.logins import LOGIN_SECONDS, Logins
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore

_FRESH = 10.0  # seconds in which a login is not looked up again; as long a logout may take


class SharedLogins(Logins):
    """Logins in the database, which has only digests of the tokens.

    Args:
        store: what the replicas share.
    """

    def __init__(self, store: PostgresChatStore) -> None:
        super().__init__()
        self._store = store

    def begin(self, user: str) -> str:
        """Returns the token of a new login."""
        token = secrets.token_urlsafe(32)
        self._store.add_login(_digest(token), user, LOGIN_SECONDS)
        return token

    def user(self, token: str) -> str | None:
        """Returns who logged in under a token."""
        now = time.monotonic()
        known, until = self._known.get(token, ("", 0.0))
        if until > now:
            return known
        found = self._store.login(_digest(token)) if token else None
        self._known = {t: v for t, v in self._known.items() if v[1] > now}
        if found is not None:
            self._known[token] = found, now + _FRESH
        return found

    def end(self, token: str) -> None:
        """Logs out."""
        super().end(token)
        self._store.end_login(_digest(token))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
