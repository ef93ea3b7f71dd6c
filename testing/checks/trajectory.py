"""What an agent did in one run: its calls, their results and times, and its answer.

run = Trajectory.from_trace("trace.jsonl")
run.check(called("sql_query", sql=contains("avg")), overlapped("a", "b"), answer(approx(405)))
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwenbelt.core.reply_fold import ReplyFold
from qwenbelt.core.trace import read_trace
from qwenbelt.testing.checks.made_call import MadeCall, value_of
from qwenbelt.testing.errors import CheckFailed
from qwenbelt.testing.scenarios.request import text_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from qwenbelt.testing.checks.checks import Check
    from qwenbelt.testing.server.reply_sender import Exchange
    from qwenbelt.testing.server.server import ScriptedServer

Record = dict[str, Any]


@dataclass
class Trajectory:
    """What happened in one run.

    Attributes:
        calls: the tool calls in the order in which the model made them.
        answer: the final text.
        reason: why the run ended, as `Done.reason`; "" when it did not end.
        detail: one line about a reason other than "answer".
        turns: replies of the model.
        input_tokens: tokens read by the model, over all turns.
        output_tokens: tokens written by the model.
        cost: money, when the endpoint's prices are known.
        began: when the first thing happened, by the clock of all times.
        seconds: from the first to the last event.
        retries: requests that were sent again.
        asked: the person's first message.
        questions: the person's messages, by the number of the reply that each led to.
        said: the text of each reply of the model, by its number from 1.
        thought: its thoughts, in the same way.
        agent: the agent's name.
        model: the model's name.
        records: the trace that this was read from.
        requests: what a scripted endpoint saw of it, if there was one.
    """

    calls: list[MadeCall] = field(default_factory=list)
    answer: str = ""
    reason: str = ""
    detail: str = ""
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    began: float = 0.0
    seconds: float = 0.0
    retries: int = 0
    asked: str = ""
    questions: dict[int, str] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)
    thought: dict[int, str] = field(default_factory=dict)
    agent: str = ""
    model: str = ""
    notices: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    requests: list[Exchange] = field(default_factory=list)

    @classmethod
    def from_trace(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a run's `trace.jsonl`.

        Raises:
            InputError: the file cannot be read as a trace.
        """
        return cls.from_records(read_trace(path))

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> Self:
        """Reads the records of a trace: one dict an event, its kind under `event`."""
        run = cls(records=list(records))
        reader = _TrajectoryReader(run)
        for record in records:
            reader.read(record)
        reader.finish()
        return run

    @classmethod
    def from_server(cls, server: ScriptedServer) -> Self:
        """Reads what a scripted endpoint saw, for agents that write no trace.

        A call lasts from its arguments' end to the request that brings its result, so overlap
        cannot be seen from this.
        """
        from qwenbelt.testing.server.observed_run import fill_observed

        run = cls()
        fill_observed(run, server.requests)
        return run

    def beside(self, server: ScriptedServer) -> Self:
        """Adds what a scripted endpoint saw of this run, for checks on the wire."""
        self.requests = list(server.requests)
        return self

    def named(self, name: str) -> list[MadeCall]:
        """Returns the calls of one tool."""
        return [call for call in self.calls if call.name == name]

    def spans(self) -> list[Record]:
        """Returns when each call ran, as trace records."""
        return [
            {"event": "tool_finished", "started": call.started, "finished": call.finished}
            for call in self.calls
            if call.ran
        ]

    def check(self, *checks: Check) -> Self:
        """Makes all checks and returns the trajectory.

        Raises:
            CheckFailed: what did not hold, and the run's lanes.
        """
        lines = [line for check in checks for line in check.failures(self)]
        if lines:
            from qwenbelt.testing.checks.lanes import lanes

            raise CheckFailed("\n".join([*lines, "", lanes(self)]))
        return self


class _TrajectoryReader:
    """Builds a trajectory from records, one after another."""

    def __init__(self, run: Trajectory) -> None:
        self.run = run
        self.by_id: dict[str, MadeCall] = {}
        self.times: list[float] = []
        self.reply = ReplyFold()
        self.turn = 0
        self.before = 0  # replies of earlier runs in the same trace

    def read(self, record: Record) -> None:
        read = getattr(self, f"_{record.get('event')}", None)
        if read is not None:
            read(record)
        if isinstance(record.get("t"), (int, float)):
            self.times.append(record["t"])

    def finish(self) -> None:
        self._keep_reply()
        run = self.run
        for call in run.calls:
            self.times += [t for t in (call.sealed, call.started, call.finished) if t is not None]
        if self.times:
            run.began = min(self.times)
            run.seconds = max(self.times) - run.began
        run.turns = max(run.turns, self.turn)
        if not run.answer and run.reason in ("", "answer"):
            run.answer = run.said.get(run.turns, "")

    def _run_started(self, record: Record) -> None:
        self.run.agent = str(record.get("agent", ""))
        self.run.model = str(record.get("model", ""))
        users = [m for m in record.get("messages", ()) if m.get("role") == "user"]
        asked = text_of(users[-1].get("content")) if users else ""
        self.run.asked = self.run.asked or asked
        self.run.questions[self.turn + 1] = asked
        self._keep_reply()
        self.before = self.turn
        self.by_id.clear()

    def _model_started(self, record: Record) -> None:
        self._keep_reply()
        self.turn = self.before + int(record["turn"])
        self.times.append(record["started"])

    def _model_finished(self, record: Record) -> None:
        self.times.append(record["finished"])

    def _text(self, record: Record) -> None:
        self._fold(record)

    def _thinking(self, record: Record) -> None:
        self._fold(record)

    def _text_relabelled(self, record: Record) -> None:
        self._fold(record)

    def _retrying(self, record: Record) -> None:
        self.run.retries += 1
        self._fold(record)
        void = [c for c in self.run.calls if c.turn == self.turn and c.started is None]
        self.run.calls = [c for c in self.run.calls if c not in void]

    def _fold(self, record: Record) -> None:
        self.reply.take(str(record["event"]), str(record.get("text", "")))

    def _keep_reply(self) -> None:
        """Keeps what is left of the reply that has ended."""
        if self.reply.text:
            self.run.said[self.turn] = "".join(self.reply.text)
        if self.reply.thoughts:
            self.run.thought[self.turn] = "".join(self.reply.thoughts)
        self.reply = ReplyFold()

    def _tool_ready(self, record: Record) -> None:
        call = self._call(record)
        call.arguments = value_of(record.get("arguments"))
        call.sealed = record.get("sealed")

    def _tool_started(self, record: Record) -> None:
        self._call(record).started = record.get("started")

    def _tool_finished(self, record: Record) -> None:
        call = self._call(record)
        call.sealed = record.get("sealed", call.sealed)
        call.started = record.get("started", call.started)
        call.finished = record.get("finished")
        call.ok, call.cancelled = record.get("ok"), bool(record.get("cancelled"))
        call.status, call.error = str(record.get("status", "")), str(record.get("error", ""))
        call.result = record.get("result")
        call.artifacts = tuple(record.get("artifacts") or ())

    def _usage(self, record: Record) -> None:
        self.run.input_tokens += int(record.get("input_tokens") or 0)
        self.run.output_tokens += int(record.get("output_tokens") or 0)
        if record.get("cost") is not None:
            self.run.cost = (self.run.cost or 0.0) + float(record["cost"])

    def _notice(self, record: Record) -> None:
        self.run.notices.append(str(record.get("text", "")))

    def _done(self, record: Record) -> None:
        self.run.reason = str(record.get("reason", ""))
        self.run.answer = str(record.get("text") or "")
        self.run.detail = str(record.get("detail") or "")

    def _call(self, record: Record) -> MadeCall:
        call_id = str(record.get("call_id"))
        call = self.by_id.get(call_id)
        if call is None or call not in self.run.calls:
            parent = str(record.get("parent", ""))
            call = MadeCall(call_id, str(record.get("name")), turn=self.turn, parent=parent)
            self.by_id[call_id] = call
            self.run.calls.append(call)
        return call


__all__ = ["MadeCall", "Trajectory"]
