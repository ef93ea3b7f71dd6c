"""What is served to each user: a folder or a file of their own, chosen by their token's subject."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from qwenbelt.mcp_servers.handlers import McpHandlers
from qwenbelt.mcp_servers.service import McpService

_MOST_OPEN = 32
_MOST_LETTERS = 100
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def user_folder(subject: str) -> str:
    """Returns the name of a user's folder: one for each subject, on any file system.

    A plain subject is its own name. Letters that file systems fold or that mean something in a path
    are escaped, so that no two subjects meet and none leads elsewhere; long ones become a digest.
    """
    escaped = "".join(_escaped(letter, place) for place, letter in enumerate(subject))
    if escaped and len(escaped) <= _MOST_LETTERS:
        return escaped
    return "~" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()


def _escaped(letter: str, place: int) -> str:
    if letter in _PLAIN or (place and letter in "@."):
        return letter
    if letter.isascii():
        return f"%{ord(letter):02x}"
    return quote(letter, safe="", errors="surrogatepass").lower()


@dataclass
class _Open:
    handlers: McpHandlers
    service: McpService
    calls: int = 0

    def is_idle(self) -> bool:
        return not self.calls and not self.handlers.busy()


class UserServices:
    """The services of the users that are here; those that nobody uses are closed.

    Args:
        make: makes the service of a user, by the name of their folder.
    """

    def __init__(self, make: Callable[[str], McpService]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Open] = OrderedDict()

    @contextlib.contextmanager
    def of(self, subject: str) -> Iterator[McpHandlers]:
        """Gives the methods of a user's service for the time of one request."""
        name = user_folder(subject)
        with self._lock:  # making it is opening a file: nobody waits for long
            found = self._open.get(name)
            if found is None:
                service = self._make(name)
                found = self._open[name] = _Open(McpHandlers(service), service)
            self._open.move_to_end(name)
            found.calls += 1
            many = len(self._open) - _MOST_OPEN
            idle = [key for key, entry in self._open.items() if many > 0 and entry.is_idle()]
            gone = [self._open.pop(key) for key in idle[: max(0, many)]]
        try:
            for entry in gone:
                entry.service.close()
            yield found.handlers
        finally:
            with self._lock:
                found.calls -= 1

    def close(self) -> None:
        """Closes all of them."""
        with self._lock:
            gone, self._open = list(self._open.values()), OrderedDict()
        for entry in gone:
            entry.service.close()
