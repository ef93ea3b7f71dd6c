"""The times of a run, gathered from its events: what the lanes of a run are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal[
    "waiting",
    "asked",
    "running",
    "done",
    "raised",
    "failed",
    "refused",
    "cancelled",
    "timeout",
]
_ENDS: dict[str, State] = {
    "ok": "done",
    "raised": "raised",
    "failed": "failed",
    "refused": "refused",
    "cancelled": "cancelled",
    "timeout": "timeout",
}
MOST_OUTPUT = 4000  # characters of what a running call has printed


@dataclass
class CallTiming:
    """One tool call; times are seconds of one monotonic clock, None when not reached yet."""

    call_id: str
    name: str
    turn: int
    sealed: float
    arguments: str = ""
    started: float | None = None
    finished: float | None = None
    ok: bool = False
    cancelled: bool = False
    status: str = ""
    error: str = ""
    parent: str = ""
    asked: bool = False
    reason: str = ""
    progress: str = ""
    output: str = ""
    fraction: float | None = None
    result: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        """The state of the call."""
        if self.finished is not None:
            told = _ENDS.get(self.status)  # traces of earlier versions have no status
            return told or ("cancelled" if self.cancelled else "done" if self.ok else "failed")
        if self.started is not None:
            return "running"
        return "asked" if self.asked else "waiting"

    @property
    def end(self) -> str:
        """How it ended, as in `ToolFinished.status`; "" while it has not."""
        return "" if self.finished is None else self.status or ("ok" if self.ok else "failed")

    def seconds(self, now: float) -> float:
        """Returns how long it ran, or has run until `now`."""
        if self.started is None:
            return 0.0
        return max(0.0, (self.finished if self.finished is not None else now) - self.started)


@dataclass
class ModelCall:
    """One request to the model and its reply."""

    turn: int
    started: float
    first_token: float | None = None
    finished: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    repeated: float = 0.0  # the share of the request with which the one before began

    @property
    def cached(self) -> float:
        """The share of what was sent that the endpoint had in its cache."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else 0.0


class Timeline:
    """The calls of a run, in the order in which they were sealed.

    Feed it each event in order, as dicts: `timeline.add(event.to_dict())` while it runs, or
    the lines of a trace.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.calls: list[CallTiming] = []
        self.models: list[ModelCall] = []
        self.cost = 0.0
        self.currency = ""
        self._open: dict[str, CallTiming] = {}
        for record in records:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> CallTiming | None:
        """Takes in one event; returns the call it speaks of, if any."""
        kind = record.get("event", "")
        if kind.startswith("tool_") or kind == "approval_asked":
            return self._tool(kind, record)
        if kind == "model_started":
            self.models.append(ModelCall(int(record["turn"]), float(record["started"])))
        elif kind == "model_finished":
            self._model_finished(record)
        elif kind == "usage":
            self._usage(record)
        return None

    def _call(self, record: Mapping[str, Any]) -> CallTiming:
        call_id = str(record.get("call_id", ""))
        call = self._open.get(call_id)
        if call is None:
            sealed = record.get("sealed", record.get("started", record.get("t", 0.0)))
            turn = self.models[-1].turn if self.models else 0
            call = CallTiming(call_id, str(record.get("name", "")), turn, float(sealed or 0.0))
            self._open[call_id] = call
            self.calls.append(call)
        return call

    def _tool(self, kind: str, record: Mapping[str, Any]) -> CallTiming:
        call = self._call(record)
        call.arguments = str(record.get("arguments", call.arguments))
        call.parent = str(record.get("parent", call.parent))
        if kind == "approval_asked":
            call.asked = True
        if kind in ("tool_waiting", "approval_asked"):
            call.reason = str(record.get("reason", ""))
        elif kind == "tool_started":
            call.started = float(record["started"])
        elif kind == "tool_progress":
            self._progress(call, record)
        elif kind == "tool_finished":
            self._tool_finished(call, record)
        return call

    @staticmethod
    def _progress(call: CallTiming, record: Mapping[str, Any]) -> None:
        text = str(record.get("text") or "")
        if record.get("output"):
            call.output = (call.output + text)[-MOST_OUTPUT:]
            lines = call.output.strip().rsplit("\n", 1)
            call.progress = lines[-1]
        else:
            call.progress, call.fraction = text or call.progress, record.get("fraction")

    def _tool_finished(self, call: CallTiming, record: Mapping[str, Any]) -> None:
        call.sealed = float(record.get("sealed", call.sealed))
        call.started = record.get("started")
        call.finished = float(record["finished"])
        call.ok, call.cancelled = bool(record["ok"]), bool(record.get("cancelled"))
        call.status, call.error = str(record.get("status", "")), str(record.get("error", ""))
        call.result = str(record.get("result", ""))
        call.items = list(record.get("items", ()))
        call.artifacts = [str(path) for path in record.get("artifacts", ())]
        # the same id may come again in a later run of the same trace
        self._open.pop(call.call_id, None)

    def _model_finished(self, record: Mapping[str, Any]) -> None:
        if not self.models or self.models[-1].finished is not None:
            self.models.append(ModelCall(int(record["turn"]), float(record["started"])))
        model = self.models[-1]
        model.first_token = record.get("first_token")
        model.finished = float(record["finished"])

    def _usage(self, record: Mapping[str, Any]) -> None:
        if self.models:
            self.models[-1].input_tokens += int(record.get("input_tokens", 0))
            self.models[-1].output_tokens += int(record.get("output_tokens", 0))
            self.models[-1].cached_tokens += int(record.get("cached_tokens") or 0)
            self.models[-1].repeated = float(record.get("repeated") or 0.0)
            self.models[-1].cost += float(record.get("cost") or 0.0)
        if record.get("cost"):
            self.cost += float(record["cost"])
            self.currency = str(record.get("currency", ""))

    @property
    def running(self) -> bool:
        """Whether a call has not ended."""
        return bool(self._open)

    @property
    def cached(self) -> int:
        """The tokens that went in and were read from the endpoint's cache."""
        return sum(m.cached_tokens for m in self.models)

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens that went in and came out."""
        return sum(m.input_tokens for m in self.models), sum(m.output_tokens for m in self.models)

    def span(self, now: float | None = None) -> tuple[float, float]:
        """Returns when the first thing began and when the last one ended, or `now`."""
        begins = [m.started for m in self.models] + [c.sealed for c in self.calls]
        times = [t for m in self.models for t in (m.started, m.first_token, m.finished)]
        times += [t for c in self.calls for t in (c.sealed, c.started, c.finished)]
        if now is not None:
            times.append(now)
        known = [t for t in times if t is not None]
        return (min(begins), max(known)) if begins else (0.0, 0.0)

    def turn(self, number: int) -> Timeline:
        """Returns the part that belongs to one reply of the model and the calls in it."""
        part = Timeline()
        part.models = [m for m in self.models if m.turn == number]
        part.calls = [c for c in self.calls if c.turn == number]
        return part

    def most_parallel(self, now: float | None = None) -> int:
        """Returns the greatest number of calls that ran at the same time."""
        edges: list[tuple[float, int]] = []
        for call in self.calls:
            end = call.finished if call.finished is not None else now
            if call.started is not None and end is not None:
                edges += [(call.started, 1), (end, -1)]
        running = most = 0
        for _, step in sorted(edges):
            running += step
            most = max(most, running)
        return most
