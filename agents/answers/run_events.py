"""What `agent.events` returns: the events of a run, and its handles for callers without a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.answers.result import Result, result_of
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Event

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import Run


class RunEvents(Iterator[Event]):
    """The events of a run as they come; the run can be spoken to between them.

        events = agent.events("Pay the invoice.")
        for event in events:
            if event.kind == "approval_asked":
                events.approve(event.call_id, ask_the_person(event))
        print(events.result.text)

    Args:
        make: starts the run, in the loop on which it runs.
    """

    def __init__(self, make: Callable[[], Run]) -> None:
        self._run: Run | None = None
        self._seen: list[Event] = []
        self._over = False

        def made() -> Run:
            self._run = make()
            return self._run

        self._events = background_loop().iterate(made)

    def __next__(self) -> Event:
        try:
            event = next(self._events)
        except StopIteration:
            self._over = True
            raise
        self._seen.append(event)
        return event

    def close(self) -> None:
        """Ends the run and what it has started."""
        self._events.close()

    def _begun(self) -> Run:
        if self._run is None:
            raise InputError("The run has not begun.", fix="Take its first event before.")
        return self._run

    def send(self, text: str) -> None:
        """Says more in the middle of the run, see `Run.send`."""
        self._begun().send(text)

    def approve(self, call_id: str, allowed: bool = True) -> None:
        """Answers an `ApprovalAsked` event."""
        self._begun().approve(call_id, allowed)

    def answer(self, request_id: str, values: Mapping[str, Any] | None) -> None:
        """Answers an `ElicitationAsked` event; None declines."""
        self._begun().answer(request_id, values)

    def cancel(self) -> None:
        """Ends the run; it still reports `Done` with the reason "cancelled"."""
        self._begun().cancel()

    @property
    def result(self) -> Result:
        """The result, once all events are taken, as `ask` returns it.

        Raises:
            InputError: there are more events.
        """
        run = self._begun()
        if not self._over:
            raise InputError("The run has not ended.", fix="Take all its events before.")
        return result_of(self._seen, run.value, run.plan.files, run.shown_before())
