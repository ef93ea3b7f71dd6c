"""What a run shares with the runs inside its calls: events, answers of people, its budget."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qwenbelt.agents.runtime.approvals.approval import ApprovalPolicy
from qwenbelt.agents.runtime.budget import Budget, Spending
from qwenbelt.core.events import ApprovalAsked, Event, Notice, Usage

# events of an inner run that the outer one also reports, as nested ones
_NESTED = frozenset(
    {
        "tool_ready",
        "tool_waiting",
        "approval_asked",
        "tool_started",
        "tool_progress",
        "tool_finished",
    }
)


@dataclass
class ParentRun:
    """The outer run, as seen from one of its calls.

    Attributes:
        emit: reports an event of the outer run; on its loop.
        asked: gives a future for a person's answer about a call.
        spending: what the outer run has used up.
        policy: how the outer run approves calls.
        depth: how many runs it is inside of.
        numbers: counts the inner runs of the outer one.
    """

    emit: Callable[[Event], None]
    asked: Callable[[str], asyncio.Future[bool]]
    spending: Spending
    policy: ApprovalPolicy
    depth: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def budget_for(self, own: Budget) -> Budget:
        """Returns the budget of an inner run: its own, within what the outer one has left."""
        return self.spending.left(own)

    def policy_for(self, own: ApprovalPolicy) -> ApprovalPolicy:
        """Returns how an inner run approves calls: as the outer one unless configured."""
        return self.policy if own == "auto" else own

    def tell(self, event: Event, prefix: str, answer: Callable[[str, bool], None]) -> None:
        """Reports an event of an inner run as a nested one of the outer run.

        Args:
            event: the event.
            prefix: the id of the outer call; ids of inner calls begin with it.
            answer: takes a person's answer about an inner call.
        """
        if isinstance(event, Usage):
            self.spending.add_usage(event)
            self.emit(event)
        elif isinstance(event, Notice):
            self.emit(event)
        elif event.kind in _NESTED:
            inner, above = str(getattr(event, "call_id", "")), str(getattr(event, "parent", ""))
            call_id, parent = f"{prefix}.{inner}", f"{prefix}.{above}" if above else prefix
            # `replace` knows the fields of the class that the event has
            changed: Event = dataclasses.replace(event, call_id=call_id, parent=parent)  # type: ignore[call-arg]
            if isinstance(event, ApprovalAsked):
                self.asked(call_id).add_done_callback(
                    lambda future: _hand_on(future, inner, answer)
                )
            self.emit(changed)


def _hand_on(
    future: asyncio.Future[bool], call_id: str, answer: Callable[[str, bool], None]
) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        answer(call_id, future.result())
