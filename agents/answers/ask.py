"""`ask`, `aask` and `events`: one question, one result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.answers.question import user_message
from qwenbelt.agents.answers.result import Result, result_of
from qwenbelt.agents.answers.run_events import RunEvents
from qwenbelt.agents.answers.typed import AnswerForm
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.agents.runtime.history import as_dict
from qwenbelt.agents.sessions.approvals import until_it_waits
from qwenbelt.agents.sessions.session import Session
from qwenbelt.core.errors import AnswerInvalid, InputError
from qwenbelt.core.events import Done, ElicitationAsked, Event

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import Run


class Asking:
    """The simple way to use an agent; mixed into our agents."""

    def ask(
        self,
        question: str | Sequence[Any],
        files: Sequence[str | Path] = (),
        *,
        answer: Any = None,
        session: Any = None,
        **kwargs: Any,
    ) -> Result:
        """Asks one question and waits for the result; also where an event loop is running.

        Args:
            question: the question, or a whole conversation as messages.
            files: paths of documents, pictures or data that belong to the question.
            answer: the form of a typed answer: a pydantic model, a dataclass, a TypedDict, a list
                or union of them, or a JSON schema. `Result.value` is then that.
            session: a `Session` with the earlier turns; this one is added to it.
            **kwargs: as `stream` takes them: `lang`, `folder`, `trace`, ...

        Raises:
            QwenbeltError: the run failed; its kind says who must act.
            AnswerInvalid: the model's answer did not fit the form, after repairs.
        """
        asked = self._asked(question, files, answer, session, kwargs)
        return background_loop().run(asked)

    async def aask(
        self,
        question: str | Sequence[Any],
        files: Sequence[str | Path] = (),
        *,
        answer: Any = None,
        session: Any = None,
        **kwargs: Any,
    ) -> Result:
        """Like `ask`, awaited."""
        return await self._asked(question, files, answer, session, kwargs)

    def events(
        self,
        question: str | Sequence[Any],
        files: Sequence[str | Path] = (),
        *,
        answer: Any = None,
        session: Any = None,
        **kwargs: Any,
    ) -> RunEvents:
        """Returns the events of a run as they come; closing them ends the run."""
        form = None if answer is None else AnswerForm(answer)
        messages = conversation(question, files)

        return RunEvents(lambda: self._open(messages, form, session, kwargs))

    async def _asked(
        self,
        question: str | Sequence[Any],
        files: Sequence[str | Path],
        answer: Any,
        session: Any,
        kwargs: dict[str, Any],
    ) -> Result:
        form = None if answer is None else AnswerForm(answer)
        run = self._open(conversation(question, files), form, session, kwargs)
        events: list[Event] = []
        async with aclosing(run):
            async for event in run if kwargs.get("durable") is None else until_it_waits(run):
                events.append(event)
                if isinstance(event, ElicitationAsked):
                    run.answer(event.request_id, None)  # hooks were asked before
        if form is not None and not run.has_value:
            done = events[-1] if events and isinstance(events[-1], Done) else None
            why = (done.detail or done.reason) if done is not None else "cancelled"
            raise AnswerInvalid(f"The run ended without a typed answer ({why}).")
        shown = run.shown_before()
        return await asyncio.to_thread(result_of, events, run.value, run.plan.files, shown)

    def _open(
        self,
        messages: list[dict[str, Any]],
        form: AnswerForm | None,
        session: Any,
        kwargs: dict[str, Any],
    ) -> Run:
        if session is not None and not isinstance(session, Session):
            raise InputError(
                f"session= takes a Session, not a {type(session).__name__}.",
                fix='Give session=Session("chats.db", "name").',
            )
        run: Run = self.stream(messages, answer=form, session=session, **kwargs)  # type: ignore[attr-defined]
        return run


def conversation(
    question: str | Sequence[Any], files: Sequence[str | Path]
) -> list[dict[str, Any]]:
    """Returns the messages of a question with files.

    Raises:
        InputError: the question is empty, or a file is not there.
    """
    if isinstance(question, str):
        return [user_message(question, files)]
    if not isinstance(question, Sequence) or isinstance(question, bytes):
        raise InputError(
            f"The question is a {type(question).__name__}.", fix="Give a text, or messages."
        )
    return [as_dict(message) for message in question]
