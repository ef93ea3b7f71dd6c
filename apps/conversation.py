"""A conversation with an agent: the messages so far, and the run that answers the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.answers.question import user_message
from qwenbelt.agents.runtime.elicitation import ask_values_in_terminal
from qwenbelt.agents.sessions.approvals import until_it_waits
from qwenbelt.core.events import ApprovalAsked, Done, ElicitationAsked, Event

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import Run
    from qwenbelt.agents.sessions.session import Session

Approver = Callable[[ApprovalAsked], Awaitable[bool]]


class ChatConversation:
    """The messages so far, kept between the runs of an agent.

    Attributes:
        agent: the agent that answers; may be exchanged between two runs.
        messages: qwen-agent message dicts.
        session: where they are kept for the next process, or None.
    """

    def __init__(
        self,
        agent: Any,
        messages: Iterable[dict[str, Any]] = (),
        session: Session | None = None,
        **options: Any,
    ) -> None:
        self.agent = agent
        self.session = session
        self._options = options
        self.messages: list[dict[str, Any]] = list(messages) or (session.history if session else [])
        self._asked: dict[str, Any] | None = None

    def ask(self, text: str, files: Sequence[str | Path] = ()) -> Run:
        """Starts a run on a new message; read its events, then call `keep`.

        Raises:
            InputError: a file cannot be read.
        """
        return self.ask_message(user_message(text, files))

    def ask_message(self, message: dict[str, Any]) -> Run:
        """Starts a run on a new message, or goes on with the turn of it that was cut off."""
        self._asked = message
        if self.session is not None:
            run: Run = self.agent.stream([self._asked], session=self.session, **self._options)
        else:
            run = self.agent.stream([*self.messages, self._asked], **self._options)
        return run

    def cut_off(self) -> dict[str, Any] | None:
        """Returns the question of a last turn that a killed process left open, or None.

        What that turn had added is taken out of the messages: asked again, it goes on.
        """
        turns = self.session.open_turns() if self.session is not None else []
        if not turns or not turns[-1][1] or not turns[-1][2]:
            return None
        self.messages[:] = [message for *_, messages in turns[:-1] for message in messages]
        return turns[-1][2][0]

    def keep(self, run: Run) -> None:
        """Adds the question and what the run added; a run that brought nothing leaves no trace."""
        if self._asked is not None and run.messages:
            self.messages += [self._asked, *run.messages]
        if self.session is not None and self._asked is not None:
            self.session.settle([self._asked, *run.messages] if run.messages else [])
        self._asked = None

    def exchange(self, turns: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Puts other turns in place of what was said."""
        self.messages[:] = [message for turn in turns for message in turn]
        if self.session is not None:
            self.session.put(turns)

    def clear(self) -> None:
        """Forgets all messages."""
        self.messages.clear()
        if self.session is not None:
            self.session.clear()


class Follower:
    """Reads a run to its end, hands each event to the sinks, and answers what it asks.

    Args:
        run: the run; this is its only reader.
        sinks: take each event in turn.
        approver: is awaited for every `ApprovalAsked`; meanwhile no event is passed on. None lets
            a durable run end where it waits for one.
    """

    def __init__(
        self, run: Run, sinks: Sequence[Callable[[Event], None]], approver: Approver | None
    ) -> None:
        self._run = run
        self._sinks = sinks
        self._approver = approver
        self._asking: asyncio.Future[bool] | None = None
        self._stopped = False

    async def follow(self) -> Done:
        """Returns how the run ended.

        Raises:
            EndpointError: the endpoint failed for good.
        """
        done = Done("error", "")
        async for event in self._run if self._approver is not None else until_it_waits(self._run):
            for sink in self._sinks:
                sink(event)
            if isinstance(event, ApprovalAsked):
                await self._answer(event)
            elif isinstance(event, ElicitationAsked):
                values = await asyncio.to_thread(ask_values_in_terminal, event)
                self._run.answer(event.request_id, values)
            elif isinstance(event, Done):
                done = event
        return done

    async def _answer(self, event: ApprovalAsked) -> None:
        if self._approver is None:
            return
        self._asking = asyncio.ensure_future(self._approver(event))
        try:
            self._run.approve(event.call_id, await self._asking)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self._asking = None

    def stop(self) -> None:
        """Ends the run in good order: what it did so far is kept, and it still reports `Done`."""
        self._stopped = True
        if self._asking is not None:
            self._asking.cancel()
        self._run.cancel()
