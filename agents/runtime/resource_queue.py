"""Decides when a call may start: its resources are free, and there is a slot.

Readers of a resource share it, a writer is alone, first come first served. A call takes all its
resources at once or none, so no deadlock is possible and unrelated calls are never held up.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """How much may run at the same time in one run of an agent.

    Attributes:
        in_flight: calls running side by side, by weight.
        per_tool: the same for single tools, by name.
        per_resource: readers that may share a resource, by its name.
        call_seconds: the limit for tools that declare none of their own.
        reply_calls: calls of one reply that are run; the rest is refused.
        nested_calls: calls of tools that one cell of code may make.
        result_bytes: what one result may put into the conversation; more is kept as an artifact.
    """

    in_flight: int = 16
    per_tool: Mapping[str, int] = field(default_factory=dict)
    per_resource: Mapping[str, int] = field(default_factory=dict)
    call_seconds: float | None = 300.0
    reply_calls: int = 1000
    result_bytes: int = 64 * 1024
    nested_calls: int = 1000


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queues.

    `nested` is the place of a call that a running call waits for: it goes before those that have
    not begun, which may wait for that one.
    """

    number: int
    tool: str
    weight: int
    reads: frozenset[str]
    writes: frozenset[str]
    max_of_tool: int | None
    admitted: asyncio.Future[None] | None = None
    running: bool = False
    nested: bool = False


class _Resource:
    __slots__ = ("entries", "readers", "writers")

    def __init__(self) -> None:
        self.entries: dict[int, Ticket] = {}
        self.writers: dict[int, Ticket] = {}
        self.readers = 0

    def is_free_for(self, ticket: Ticket, name: str, limit: int | None) -> bool:
        if ticket.nested:
            return self._is_free_now(ticket, name, limit)
        if name in ticket.writes:
            return next(iter(self.entries)) == ticket.number
        first_writer = next(iter(self.writers), None)
        if first_writer is not None and first_writer < ticket.number:
            return False
        return limit is None or self.readers < limit

    def _is_free_now(self, ticket: Ticket, name: str, limit: int | None) -> bool:
        if name not in ticket.writes:
            writes = any(entry.running for entry in self.writers.values())
            return not writes and (limit is None or self.readers < limit)
        return not any(entry.running for entry in self.entries.values())


class Admission:
    """The queues of one run."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._numbers = itertools.count()
        self._resources: dict[str, _Resource] = {}
        self._waiting: dict[int, Ticket] = {}
        self._used = 0
        self._per_tool: dict[str, int] = {}

    def enter(
        self,
        tool: str,
        reads: set[str],
        writes: set[str],
        *,
        weight: int = 1,
        max_of_tool: int | None = None,
        nested: bool = False,
    ) -> Ticket:
        """Takes a place in the queue of every resource that the call touches.

        A weight of 0 takes no slot: that of a call which only waits for others.
        """
        limit = self._limits.per_tool.get(tool, max_of_tool)
        weight = max(0, min(weight, self._limits.in_flight))
        ticket = Ticket(
            next(self._numbers), tool, weight, frozenset(reads - writes), frozenset(writes), limit
        )
        ticket.nested = nested
        for name in ticket.reads | ticket.writes:
            resource = self._resources.setdefault(name, _Resource())
            resource.entries[ticket.number] = ticket
            if name in ticket.writes:
                resource.writers[ticket.number] = ticket
        return ticket

    async def wait(self, ticket: Ticket) -> None:
        """Returns when the call may run; `leave` must follow, also after a cancellation."""
        if not self._waiting and self._may_start(ticket):
            self._start(ticket)
            return
        ticket.admitted = asyncio.get_running_loop().create_future()
        self._waiting[ticket.number] = ticket
        self._admit()
        await ticket.admitted

    def would_wait(self, ticket: Ticket) -> bool:
        """Returns whether the call cannot start at once."""
        return bool(self._waiting) or not self._may_start(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Gives everything back and starts what waited for it."""
        self._waiting.pop(ticket.number, None)
        for name in ticket.reads | ticket.writes:
            resource = self._resources[name]
            resource.entries.pop(ticket.number, None)
            resource.writers.pop(ticket.number, None)
            if ticket.running and name in ticket.reads:
                resource.readers -= 1
            if not resource.entries:
                del self._resources[name]
        if ticket.running:
            self._used -= ticket.weight
            self._per_tool[ticket.tool] -= 1
            ticket.running = False
        self._admit()

    def _has_slot(self, ticket: Ticket) -> bool:
        return self._used + ticket.weight <= self._limits.in_flight

    def _may_start(self, ticket: Ticket) -> bool:
        limit = ticket.max_of_tool
        if limit is not None and self._per_tool.get(ticket.tool, 0) >= limit:
            return False
        if not self._has_slot(ticket):
            return False
        return self._resources_free(ticket)

    def _resources_free(self, ticket: Ticket) -> bool:
        limits = self._limits.per_resource
        return all(
            self._resources[name].is_free_for(ticket, name, limits.get(name))
            for name in ticket.reads | ticket.writes
        )

    def _start(self, ticket: Ticket) -> None:
        ticket.running = True
        self._used += ticket.weight
        self._per_tool[ticket.tool] = self._per_tool.get(ticket.tool, 0) + 1
        for name in ticket.reads:
            self._resources[name].readers += 1

    def _admit(self) -> None:
        for ticket in list(self._waiting.values()):
            if self._may_start(ticket):
                del self._waiting[ticket.number]
                self._start(ticket)
                if ticket.admitted is not None and not ticket.admitted.done():
                    ticket.admitted.set_result(None)
            elif not self._has_slot(ticket) and self._resources_free(ticket):
                return  # a heavy call that only lacks slots is not overtaken for ever
