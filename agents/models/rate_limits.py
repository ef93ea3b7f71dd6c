"""How much an endpoint may be asked at a time and in a minute, shared by all agents of a process.

Limits are in `qwenbelt.toml` under `[rates.NAME]`, NAME being a dialect or a base URL, or as
`rate` in an llm dict. Requests wait in the order in which they came, whatever thread or event loop
they come from.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from qwenbelt.agents.models.deltas import Tokens
from qwenbelt.agents.models.dialects import Dialect
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.core.settings import load_settings

WINDOW = 60.0  # seconds
_BYTES_PER_TOKEN = 4  # of a request that has not been counted yet
_FIELDS = ("in_flight", "tokens_per_minute")


@dataclass(frozen=True)
class Rate:
    """The limits of an endpoint; None is no limit.

    Attributes:
        in_flight: requests at the same time.
        tokens_per_minute: input and output tokens together, in any 60 seconds.
    """

    in_flight: int | None = None
    tokens_per_minute: int | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Rate:
        """Reads the limits.

        Raises:
            ConfigError: a name is unknown, or a value is not a whole number above 0.
        """
        for name, value in values.items():
            if name not in _FIELDS or type(value) is not int or value < 1:
                known = ", ".join(_FIELDS)
                raise ConfigError(
                    f"rate: {name}={value!r} is not understood.", fix=f"Numbers above 0: {known}."
                )
        return cls(**values)


def rate_of(cfg: Mapping[str, Any], dialect: Dialect, url: str) -> Rate:
    """Returns the limits for an llm dict: its own, else those of its URL or dialect.

    Raises:
        ConfigError: they are not understood.
    """
    rates = load_settings().rates
    return Rate.of(cfg.get("rate") or rates.get(url) or rates.get(dialect.name) or {})


@dataclass(eq=False)
class QueuedRequest:
    """A request that waits or was let in.

    Attributes:
        tokens: what it is thought to use.
    """

    tokens: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = 0.0

    def count(self, tokens: Tokens) -> None:
        """Replaces the estimate by what the endpoint counted."""
        self.tokens = tokens.input + tokens.output


class Gate:
    """The queue before one endpoint; its `rate` may be changed at any time."""

    def __init__(self, rate: Rate, window: float = WINDOW) -> None:
        self.rate = rate
        self._window = window
        self._lock = threading.Lock()
        self._waiting: deque[QueuedRequest] = deque()
        self._running = 0
        self._recent: deque[QueuedRequest] = deque()

    @asynccontextmanager
    async def admitted(self, size: int) -> AsyncIterator[QueuedRequest]:
        """Waits until a request of this many bytes may be sent; holds its place until it has ended.

        Yields:
            The request's turn; the caller reports to it the tokens that were really used.
        """
        turn = QueuedRequest(size // _BYTES_PER_TOKEN)
        with self._lock:
            self._waiting.append(turn)
        try:
            while (seconds := self._enter(turn)) != 0:
                with anyio.move_on_after(seconds):
                    await turn.woken.wait()
            yield turn
        finally:
            self._leave(turn)

    def _enter(self, turn: QueuedRequest) -> float | None:
        """Lets a turn in and returns 0, or returns the seconds to wait; None until it is woken."""
        with self._lock:
            seconds = self._delay(turn)
            if seconds == 0:
                turn.since = time.monotonic()
                self._recent.append(turn)
                self._waiting.popleft()
                self._running += 1
                self._wake()
            turn.woken.clear()
            return seconds

    def _delay(self, turn: QueuedRequest) -> float | None:
        most, limit = self.rate.in_flight, self.rate.tokens_per_minute
        if self._waiting[0] is not turn or (most is not None and self._running >= most):
            return None
        now = time.monotonic()
        while self._recent and (limit is None or self._recent[0].since <= now - self._window):
            self._recent.popleft()
        used = sum(entry.tokens for entry in self._recent)
        if limit is None or not self._recent or used + turn.tokens <= limit:
            return 0  # one that is larger than the limit itself goes alone
        return max(0.001, self._recent[0].since + self._window - now)

    def _leave(self, turn: QueuedRequest) -> None:
        with self._lock:
            if turn.since:
                self._running -= 1
            else:
                self._waiting.remove(turn)
            self._wake()

    def _wake(self) -> None:
        """Lets the first that waits look again; the lock is held."""
        if self._waiting:
            first = self._waiting[0]
            with suppress(RuntimeError):  # its loop was closed meanwhile
                first.loop.call_soon_threadsafe(first.woken.set)


class _Gates:
    def __init__(self) -> None:
        self.by_url: dict[str, Gate] = {}
        self.lock = threading.Lock()


_gates = per_process(_Gates)


def gate_for(url: str, rate: Rate) -> Gate:
    """Returns this process's gate before an endpoint; limits that are given now count from now."""
    gates = _gates()
    with gates.lock:
        gate = gates.by_url.setdefault(url, Gate(rate))
        if rate != Rate():
            gate.rate = rate
        return gate
