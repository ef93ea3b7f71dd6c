"""Durable runs: one question under an id, resumed after a crash, and answered only once.

    agent.ask("Compare the filings.", files=files, durable="runs.sqlite", run_id="filings-1")

A run is kept as the turn of a session: each reply before its calls run, each result as it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.codecs.base import Codec
from qwenbelt.agents.models.deltas import Finish, Text, WirePiece
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.models.endpoint_model import Model, Request
from qwenbelt.agents.models.wrapped_model import WrappedModel
from qwenbelt.agents.sessions.approvals import RunApprovals
from qwenbelt.agents.sessions.database import Message
from qwenbelt.agents.sessions.session import Session, TurnRecorder
from qwenbelt.core.errors import EndpointError, InputError
from qwenbelt.core.events import ToolFinished

RUN = "run:"  # before the names of their sessions


@dataclass
class DurableTurn:
    """Where a durable run begins.

    Attributes:
        messages: what was said so far.
        recorder: keeps what comes; None for a run that is done.
        answer: the recorded answer of a run that is done, else None.
    """

    messages: list[Message]
    recorder: TurnRecorder | None = None
    answer: str | None = None


class AnswerRecorder(TurnRecorder):
    """Keeps a run open until it has an answer: what a limit has ended can be gone on with."""

    def result(self, event: ToolFinished) -> None:
        """Keeps a result; a call that waits for an approval has none when its run is left."""
        waits = self.approvals is not None and event.call_id in self.approvals.open
        if not (waits and event.status == "cancelled"):
            super().result(event)

    async def end(self, messages: Sequence[Message], reason: str) -> None:
        """Closes the run where it ended with an answer."""
        await super().end(messages, reason if reason == "answer" else "cancelled")
        if reason == "answer" and self.approvals is not None:
            await asyncio.to_thread(self.approvals.forget)


def durable_turn(
    place: str | Path, run_id: str | None, question: Sequence[Message], agent: str
) -> DurableTurn:
    """Returns where a run begins: at its beginning, in its middle, or at its recorded answer.

    Args:
        place: a SQLite file, or `postgresql://…`.
        run_id: names the run; one made of the question and the agent's name by default.
        question: its messages.
        agent: the agent's name.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the database cannot be used, or the id is that of another question.
    """
    asked = list(question)
    if run_id is None:
        text = json.dumps([agent, asked], sort_keys=True, ensure_ascii=False, default=str)
        run_id = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
    session = Session(place, f"{RUN}{run_id}")
    turns = session.open_turns()
    if turns:
        _, is_open, kept = turns[0]
        if kept[: len(asked)] != json.loads(json.dumps(asked)):
            raise InputError(f"The run {run_id} asked another question.", fix="Give another id.")
        if not is_open:
            return DurableTurn(kept[:-1], answer=text_of(kept[-1].get("content")))
    messages, recorder = session.turn_for(asked, AnswerRecorder)
    recorder.approvals = RunApprovals(place, run_id)
    return DurableTurn(messages, recorder)


class RecordedModel(WrappedModel):
    """Repeats the answer of a finished run; sends no request.

    Args:
        inner: the model that answered.
        answer: its answer.
    """

    def __init__(self, inner: Model, answer: str) -> None:
        super().__init__(inner)
        self._answer = answer

    @property
    def codec(self) -> Codec:
        """The answer is plain text."""
        return codec_for("native")

    @property
    def max_retries(self) -> int:
        """Nothing is sent."""
        return 0

    @property
    def thinks_not(self) -> bool:
        """There are no thoughts in the record."""
        return True

    @property
    def is_led(self) -> bool:
        """Nothing is asked of it."""
        return False

    def adapt(self, error: EndpointError, request: Request) -> str:
        """There is nothing to change."""
        return ""

    async def pieces(self, request: Request) -> AsyncIterator[WirePiece]:
        """Yields the answer."""
        yield Text(self._answer)
        yield Finish("stop")
