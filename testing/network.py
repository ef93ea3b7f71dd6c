"""A guard for tests: connections only to this machine.

It uses Python's audit events (PEP 578), so it sees every socket of this process, patches nothing,
and costs nothing while it is off. Child processes are not seen.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from qwenbelt.core.urls import is_this_machine
from qwenbelt.testing.errors import CheckFailed


class NetworkBlocked(CheckFailed, OSError):
    """A test tried to reach beyond this machine."""


class _Guard:
    """The audit hook; it can be installed only once and is then switched on and off."""

    def __init__(self) -> None:
        self.depth = 0
        self.installed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.depth and event in _TARGETS:
            target = _TARGETS[event](arguments)
            if target is not None and not is_local(target):
                raise NetworkBlocked(
                    f"The test tried to reach {target}. Mark it with @pytest.mark.network, or run "
                    "with --qwenbelt-network any, if that is meant."
                )


def _address_of_call(arguments: tuple[Any, ...]) -> str | None:
    address = arguments[1]
    return str(address[0]) if isinstance(address, tuple) and address else None


_TARGETS: dict[str, Callable[[Any], str | None]] = {
    "socket.connect": _address_of_call,
    "socket.sendto": _address_of_call,
    "socket.getaddrinfo": lambda arguments: _host_text(arguments[0]),
    "socket.gethostbyname": lambda arguments: _host_text(arguments[0]),
}
_guard = _Guard()


def _host_text(host: Any) -> str | None:
    if isinstance(host, bytes):
        return host.decode("idna", "replace")
    return None if host is None else str(host)


def is_local(host: str) -> bool:
    """Returns whether a host name or address means this machine; "" binds to all addresses."""
    return host == "" or is_this_machine(host)


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Refuses connections and name look-ups beyond this machine, in all threads of this process.

    Raises:
        NetworkBlocked: inside, at the place that tries; it is an `OSError` too.
    """
    if not _guard.installed:
        sys.addaudithook(_guard)
        _guard.installed = True
    _guard.depth += 1
    try:
        yield
    finally:
        _guard.depth -= 1
