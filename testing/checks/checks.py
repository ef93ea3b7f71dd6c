"""Checks on a trajectory. Each reports what did not hold, and what came nearest.

    run.check(
        called("sql_query", sql=contains("avg"), times=1),
        never("write_file"),
        tool("search") >> {tool("read", page=3), "sql_query"} >> tool("plot"),
        overlapped("search", "sql_query"),
        result("sql_query", contains("412")),
        answer(contains("405")),
        budget(turns=3, calls=4, seconds=10),
    )

Arguments that are not named are ignored; `equals({...})` as the only argument matches them all.
The same checks as YAML are read by `qwenbelt.testing.checks.yaml_checks`.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qwenbelt.core.errors import InputError
from qwenbelt.core.trace import overlapping_calls
from qwenbelt.testing.checks.matchers import Matcher, describe_difference, shown_value, subset
from qwenbelt.testing.checks.trajectory import MadeCall, Trajectory
from qwenbelt.testing.errors import did_you_mean


class Check(Protocol):
    """Anything that can say what is wrong with a run."""

    def failures(self, run: Trajectory) -> list[str]:
        """Returns what does not hold, one entry each; empty when all holds."""
        ...


@dataclass(frozen=True)
class Step:
    """A call that is looked for: a tool, and what its arguments must be like.

    As a check, it holds when such a call was made, and exactly `times` times if that is given.
    `a >> b` is an order: `a` ended before `b` began.
    """

    name: str
    arguments: Any = None
    times: int | None = None

    def why_not(self, call: MadeCall) -> str | None:
        """Returns None when the call fits, else why it does not."""
        if call.name != self.name:
            return f"it is a call of {call.name}"
        if self.arguments is None:
            return None
        return describe_difference(self.arguments, call.arguments)

    def fitting(self, run: Trajectory) -> list[MadeCall]:
        """Returns the calls that fit."""
        return [call for call in run.calls if self.why_not(call) is None]

    def failures(self, run: Trajectory) -> list[str]:
        """Says that the call is missing, or was made too often."""
        count = len(self.fitting(run))
        if self.times is None and not count:
            return [f"{self} was never called.{nearest_call(self, run)}"]
        if self.times is not None and count != self.times:
            hint = nearest_call(self, run) if count < self.times else ""
            return [f"{self} was called {count} times, not {self.times}.{hint}"]
        return []

    def __rshift__(self, later: Any) -> Order:
        """Returns the order: this before that."""
        return Order(((self,), _layer_of_steps(later)))

    def __rrshift__(self, earlier: Any) -> Order:
        """Returns the order: a set before this."""
        return Order((_layer_of_steps(earlier), (self,)))

    def __str__(self) -> str:
        if self.arguments is None:
            return self.name
        text = (
            self.arguments.text
            if isinstance(self.arguments, Matcher)
            else shown_value(self.arguments)
        )
        return f"{self.name}({text})"

    def __hash__(self) -> int:
        return hash((self.name, str(self)))


def tool(step_name: str, arguments: Any = None, /, **named: Any) -> Step:
    """Returns the step of a tool; named arguments must match, others are ignored."""
    if arguments is not None and named:
        raise InputError("Give the arguments as one value or by name, not both.")
    if named:
        arguments = subset(named)
    elif isinstance(arguments, Mapping):
        arguments = subset(arguments)
    return Step(step_name, arguments)


def called(
    step_name: str, arguments: Any = None, /, *, times: int | None = None, **named: Any
) -> Step:
    """Checks that a tool was called, exactly `times` times if that is given."""
    step = tool(step_name, arguments, **named)
    return Step(step.name, step.arguments, times)


def once(step_name: str, arguments: Any = None, /, **named: Any) -> Step:
    """Checks that a tool was called exactly once."""
    return called(step_name, arguments, times=1, **named)


def never(step_name: str, arguments: Any = None, /, **named: Any) -> Check:
    """Checks that a tool was not called; with arguments, not called like that."""
    step = tool(step_name, arguments, **named)

    def check(run: Trajectory) -> Iterator[str]:
        for call in step.fitting(run):
            place = f"in turn {call.turn}" if call.turn else ""
            given = shown_value(call.arguments)
            yield f"{step} must never be called, and was {place} with {given}."

    return FunctionCheck(check)


@dataclass(frozen=True)
class FunctionCheck:
    """A check made from a function."""

    body: Callable[[Trajectory], Iterable[str]]

    def failures(self, run: Trajectory) -> list[str]:
        """Returns the function's findings."""
        return list(self.body(run))


def nearest_call(step: Step, run: Trajectory) -> str:
    """Returns a sentence about the call that comes nearest to a step."""
    same = [call for call in run.calls if call.name == step.name]
    if same:
        best = min(same, key=lambda call: _distance(step, call))
        return f" Nearest: {call_text(best)}; {step.why_not(best) or 'which fits'}."
    names = sorted({call.name for call in run.calls})
    return did_you_mean(step.name, names) or f" Called were: {', '.join(names) or 'no tools'}."


def _distance(step: Step, call: MadeCall) -> int:
    reason = step.why_not(call)
    return 0 if reason is None else len(reason)


def call_text(call: MadeCall) -> str:
    """Returns a call in words: its turn, tool and arguments."""
    place = f"turn {call.turn}, " if call.turn else ""
    return f"{place}{call.name}({shown_value(call.arguments)})"


def _layer_of_steps(value: Any) -> tuple[Step, ...]:
    if isinstance(value, Step):
        return (value,)
    if isinstance(value, str):
        return (Step(value),)
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        steps = tuple(step for entry in value for step in _layer_of_steps(entry))
        if steps:
            return steps
    raise InputError(f"An order is made of tools and sets of tools, not {value!r}.")


@dataclass(frozen=True)
class Order:
    """A partial order: every call of a layer ended before any call of the next layer began."""

    layers: tuple[tuple[Step, ...], ...]

    def __rshift__(self, later: Any) -> Order:
        """Adds a layer."""
        more = later.layers if isinstance(later, Order) else (_layer_of_steps(later),)
        return Order((*self.layers, *more))

    def __rrshift__(self, earlier: Any) -> Order:
        """Puts a layer before."""
        return Order((_layer_of_steps(earlier), *self.layers))

    def __str__(self) -> str:
        parts = [" and ".join(map(str, layer)) for layer in self.layers]
        return " >> ".join(f"{{{p}}}" if " and " in p else p for p in parts)

    def failures(self, run: Trajectory) -> list[str]:
        """Returns which step has no place, and the nearest call for it."""
        for step in itertools.chain(*self.layers):
            if not step.fitting(run):
                return [f"{self}: {step} was never called.{nearest_call(step, run)}"]
        after: tuple[MadeCall, ...] = ()
        for layer in self.layers:
            allowed = [c for c in run.calls if all(_ended_before(earlier, c) for earlier in after)]
            placed = _earliest_assignment(layer, allowed)
            if placed is None:
                return [f"{self} does not hold: {_misplaced(layer, run, after)}"]
            after = placed
        return []


def _earliest_assignment(
    layer: Sequence[Step], calls: Sequence[MadeCall]
) -> tuple[MadeCall, ...] | None:
    """Returns a call of its own for each step, such that the last of them ends soonest.

    An earlier end never spoils a later layer, so taking the soonest layer by layer is exact.
    """
    owner: dict[int, int] = {}  # the step that has the call, by the calls' place in `known`
    known: list[MadeCall] = []
    for call in sorted(calls, key=_end_of_call):
        known.append(call)
        owner = {}
        if all(_assign_call(index, layer, known, owner, set()) for index in range(len(layer))):
            return tuple(known[at] for at in owner)
    return None


def _assign_call(
    index: int,
    layer: Sequence[Step],
    calls: Sequence[MadeCall],
    owner: dict[int, int],
    tried: set[int],
) -> bool:
    """Gives a step a call, moving other steps to other calls where that helps."""
    for at, call in enumerate(calls):
        if at in tried or layer[index].why_not(call) is not None:
            continue
        tried.add(at)
        if at not in owner or _assign_call(owner[at], layer, calls, owner, tried):
            owner[at] = index
            return True
    return False


def _end_of_call(call: MadeCall) -> tuple[int, float]:
    return (call.turn, 0.0) if call.finished is None else (0, call.finished)


def _ended_before(a: MadeCall, b: MadeCall) -> bool:
    """Whether `a` ended before `b` began; by their turns when the times are not known."""
    if a.finished is not None and b.started is not None:
        return a is not b and a.finished <= b.started
    return a.turn < b.turn


def _misplaced(layer: Sequence[Step], run: Trajectory, after: Sequence[MadeCall]) -> str:
    for step, earlier in itertools.product(layer, after):
        fitting = step.fitting(run)
        if not any(_ended_before(earlier, call) for call in fitting):
            began, ended = (
                _when_called(run, fitting[-1], "began"),
                _when_called(run, earlier, "ended"),
            )
            return f"{began} before {ended}."
    return f"there are too few calls for {' and '.join(map(str, layer))}."


def _when_called(run: Trajectory, call: MadeCall, word: str) -> str:
    time = call.started if word == "began" else call.finished
    at = f" at {time - run.began:.3f} s" if time is not None else ""
    return f"{call_text(call)} {word}{at}"


def overlapped(*names: str) -> Check:
    """Checks that calls of these tools ran at the same time, by the trace's times.

    Naming a tool twice wants two calls of it.
    """
    if len(names) < 2:
        raise InputError("`overlapped` needs at least two tools.")

    wanted = Counter(names)

    def check(run: Trajectory) -> Iterator[str]:
        ran = [call for call in run.calls if call.ran and call.name in wanted]
        for name in wanted:
            if not any(call.name == name for call in ran):
                lack = "ran with known times" if run.named(name) else "was called"
                near = nearest_call(Step(name), run)
                yield f"overlap of {', '.join(names)}: {name} never {lack}.{near}"
                return
        most = max((_running_together(ran, call, wanted) for call in ran), key=Counter.total)
        if most != wanted:
            lacking = ", ".join((wanted - most).elements())
            yield (
                f"{' and '.join(names)} did not run at the same time: when the others ran, "
                f"{lacking} did not.{_gap_between_calls(ran, wanted)}"
            )

    return FunctionCheck(check)


def _running_together(ran: list[MadeCall], call: MadeCall, wanted: Counter[str]) -> Counter[str]:
    """Returns which of the wanted tools were running when `call` began."""
    now = call.started or 0.0
    running = Counter(c.name for c in ran if (c.started or 0.0) <= now < (c.finished or 0.0))
    return running & wanted


def _gap_between_calls(ran: list[MadeCall], wanted: Counter[str]) -> str:
    """Returns a sentence about the two calls that came nearest to each other."""
    pairs = [
        (a, b)
        for a, b in itertools.permutations(ran, 2)
        if (a.finished or 0.0) <= (b.started or 0.0) and (a.name != b.name or wanted[a.name] > 1)
    ]
    if not pairs:
        return ""
    a, b = min(pairs, key=lambda pair: (pair[1].started or 0.0) - (pair[0].finished or 0.0))
    gap = (b.started or 0.0) - (a.finished or 0.0)
    return f" {call_text(a)} had ended {gap:.3f} s before {call_text(b)} began."


def result(name: str, wanted: Any, *, number: int | None = None) -> Check:
    """Checks a result of a tool: any of its calls, or the one with this number from 1."""

    def check(run: Trajectory) -> Iterator[str]:
        found = run.named(name)
        if number is not None:
            found = found[number - 1 : number]
        if not found:
            yield f"there is no result of {name}.{nearest_call(Step(name), run)}"
            return
        reasons = [describe_difference(wanted, call.result) for call in found]
        if all(reasons):
            yield f"the result of {name}: {reasons[0]}"

    return FunctionCheck(check)


def answer(wanted: Any) -> Check:
    """Checks the final text."""

    def check(run: Trajectory) -> Iterator[str]:
        reason = describe_difference(wanted, run.answer)
        if reason:
            yield f"the answer: {reason}"

    return FunctionCheck(check)


def ended(reason: str = "answer") -> Check:
    """Checks why the run ended."""

    def check(run: Trajectory) -> Iterator[str]:
        if run.reason != reason:
            more = f" ({run.detail})" if run.detail else ""
            yield f"the run ended with {run.reason or 'nothing'!r}{more}, not with {reason!r}"

    return FunctionCheck(check)


def all_ok(*allowed: str) -> Check:
    """Checks that every call ended well, but for those of the tools named."""

    def check(run: Trajectory) -> Iterator[str]:
        for call in run.calls:
            if call.name in allowed or (call.ok is not False and call.result is not None):
                continue
            what = "has no result"
            if call.result is not None:
                what = f"{call.ending}: {shown_value(call.result)}"
            yield f"{call_text(call)} {what}"

    return FunctionCheck(check)


def no_repeats() -> Check:
    """Checks that no call was made twice with the same arguments."""

    def check(run: Trajectory) -> Iterator[str]:
        seen: dict[str, MadeCall] = {}
        for call in run.calls:
            key = json.dumps([call.name, call.arguments], sort_keys=True, default=str)
            if key in seen:
                yield f"{call_text(call)} repeats the call of turn {seen[key].turn}"
            seen.setdefault(key, call)

    return FunctionCheck(check)


_LIMITS: dict[str, tuple[str, Callable[[Trajectory], float]]] = {
    "turns": ("turns of the model", lambda run: run.turns),
    "calls": ("tool calls", lambda run: len(run.calls)),
    "tokens": ("tokens", lambda run: run.input_tokens + run.output_tokens),
    "input_tokens": ("tokens read", lambda run: run.input_tokens),
    "output_tokens": ("tokens written", lambda run: run.output_tokens),
    "seconds": ("seconds", lambda run: run.seconds),
    "cost": ("money", lambda run: run.cost or 0.0),
    "retries": ("retries", lambda run: run.retries),
    "side_by_side": ("calls side by side", lambda run: overlapping_calls(run.spans())),
    "connections": ("connections", lambda run: len({e.connection for e in run.requests})),
}


def budget(**most: float) -> Check:
    """Checks that a run used at most so much: turns, calls, tokens, seconds, cost, retries.

    `side_by_side` is the most calls that ran at the same time; `connections` counts those to a
    scripted endpoint.
    """
    for name, value in most.items():
        if name not in _LIMITS:
            hint = did_you_mean(name, _LIMITS) or f" Known are: {', '.join(_LIMITS)}."
            raise InputError(f"`budget` has no {name!r}.{hint}")
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise InputError(f"`budget.{name}` must be a number, not {value!r}.")

    def check(run: Trajectory) -> Iterator[str]:
        for name, limit in most.items():
            words, read = _LIMITS[name]
            used = read(run)
            if used > limit:
                yield f"over budget: {used:.4g} {words}, at most {limit:g}"

    return FunctionCheck(check)
