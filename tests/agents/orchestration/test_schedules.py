"""Random schedules in simulated time, held against the limit and against a plain simulation."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenbelt.agents.runtime.resource_queue import Limits

Run = Callable[[Any], Any]
_SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@dataclass(frozen=True)
class Planned:
    """A call: when its arguments are complete, how long it runs, what it touches."""

    sealed: float
    seconds: float
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def conflicts(self, other: Planned) -> bool:
        touched = other.reads | other.writes
        return bool(self.writes & touched or other.writes & (self.reads | self.writes))

    @property
    def text(self) -> str:
        return json.dumps({"d": self.seconds, "r": sorted(self.reads), "w": sorted(self.writes)})


def resources(names: str = "ABC") -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names), max_size=2)


TIMES = st.integers(0, 12).map(lambda n: n / 4)
LENGTHS = st.integers(1, 12).map(lambda n: n / 4)
CALLS = st.builds(Planned, TIMES, LENGTHS, resources(), resources())
SCHEDULES = st.lists(CALLS, min_size=1, max_size=9).map(lambda c: sorted(c, key=lambda x: x.sealed))


def drawn(source: random.Random) -> list[Planned]:
    """A random schedule, quicker than hypothesis draws one."""

    def some() -> frozenset[str]:
        return frozenset(source.sample("ABC", source.choice([0, 0, 1, 1, 2])))

    calls = [
        Planned(source.randint(0, 12) / 4, source.randint(1, 12) / 4, some(), some())
        for _ in range(source.randint(1, 8))
    ]
    return sorted(calls, key=lambda call: call.sealed)


async def played(bench: Any, tool: Any, calls: list[Planned], limits: Limits) -> list[Any]:
    """Plays a schedule; returns when each call ran, from the first byte of the reply."""
    b = bench([tool], limits=limits)
    tool.ran.clear()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number, call in enumerate(calls):
        await asyncio.sleep(max(0.0, begin + call.sealed - loop.time()))
        b.call("work", json.dumps({"i": number, **json.loads(call.text)}))
    outcomes = await b.results()
    assert [outcome.text for outcome in outcomes] == [f"r{n}" for n in range(len(calls))]
    return [tuple(t - begin for t in tool.ran[n]) for n in range(len(calls))]


def first_come_first_served(calls: list[Planned]) -> list[tuple[float, float]]:
    """The times at which calls run when each waits for the earlier ones that it conflicts with."""
    out: list[tuple[float, float]] = []
    for number, call in enumerate(calls):
        before = [out[k][1] for k in range(number) if call.conflicts(calls[k])]
        start = max([call.sealed, *before])
        out.append((start, start + call.seconds))
    return out


def release_date_limit(calls: list[Planned]) -> float:
    """No scheduler can be done sooner: on each resource its writers run one after the other."""
    limit = max(call.sealed + call.seconds for call in calls)
    for name in {name for call in calls for name in call.writes}:
        end = 0.0
        for call in calls:
            if name in call.writes:
                end = max(end, call.sealed) + call.seconds
        limit = max(limit, end)
    return limit


def check(calls: list[Planned], ran: list[tuple[float, float]]) -> None:
    expected = first_come_first_served(calls)
    for (start, end), (wanted, _), call in zip(ran, expected, calls, strict=True):
        assert abs(start - wanted) < 1e-6
        assert abs(end - start - call.seconds) < 1e-6
    for one in range(len(calls)):
        for two in range(one):
            if calls[one].conflicts(calls[two]):
                assert ran[one][0] >= ran[two][1] - 1e-6 or ran[two][0] >= ran[one][1] - 1e-6
    if all(len(call.reads | call.writes) <= 1 and not call.reads for call in calls):
        assert max(end for _, end in ran) <= release_date_limit(calls) * 1.05


@given(calls=SCHEDULES)
@settings(_SETTINGS, max_examples=150)
def test_resources_are_given_first_come_first_served(
    in_virtual_time: Run, bench: Any, recorder: Any, calls: list[Planned]
) -> None:
    tool = recorder(read_only=True)
    check(calls, in_virtual_time(played(bench, tool, calls, Limits(in_flight=64))))


@given(seed=st.integers(0, 2**32))
@settings(_SETTINGS, max_examples=200)
def test_ten_thousand_schedules_have_no_overlap_and_meet_the_limit(
    in_virtual_time: Run, bench: Any, recorder: Any, seed: int
) -> None:
    tool, source = recorder(read_only=True), random.Random(seed)
    for _ in range(50):
        calls = drawn(source)
        if source.random() < 0.5:  # one exclusive resource each: the limit is known exactly
            calls = [
                Planned(c.sealed, c.seconds, writes=frozenset(sorted(c.writes)[:1])) for c in calls
            ]
        check(calls, in_virtual_time(played(bench, tool, calls, Limits(in_flight=64))))


@given(calls=SCHEDULES, slots=st.integers(1, 4), weights=st.integers(1, 5))
@settings(_SETTINGS, max_examples=100)
def test_slots_are_never_exceeded_and_never_idle(
    in_virtual_time: Run, bench: Any, recorder: Any, calls: list[Planned], slots: int, weights: int
) -> None:
    tool = recorder(read_only=True, weight=weights)
    ran = in_virtual_time(played(bench, tool, calls, Limits(in_flight=slots)))
    at_once = slots // min(weights, slots)
    assert tool.most <= at_once
    for number, (start, _) in enumerate(ran):
        if start <= calls[number].sealed + 1e-6:
            continue
        waited = [k for k, (begin, end) in enumerate(ran) if k != number and begin < start <= end]
        blocked = any(calls[k].conflicts(calls[number]) for k in waited)
        earlier = any(
            calls[k].conflicts(calls[number]) and ran[k][1] >= start - 1e-6 for k in range(number)
        )
        assert blocked or earlier or len(waited) >= at_once


@given(calls=SCHEDULES, cancel=TIMES)
@settings(_SETTINGS, max_examples=100)
def test_a_cancel_at_any_time_ends_everything(
    in_virtual_time: Run, bench: Any, recorder: Any, calls: list[Planned], cancel: float
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool])

    async def main() -> tuple[dict[str, Any], float]:
        for number, call in enumerate(calls):
            b.call("work", json.dumps({"i": number, **json.loads(call.text)}))
        await asyncio.sleep(cancel)
        begin = asyncio.get_running_loop().time()
        await b.scheduler.cancel()
        return b.scheduler.outcomes(), asyncio.get_running_loop().time() - begin

    outcomes, took = in_virtual_time(main())
    assert took <= 0.1
    assert tool.running == 0
    assert len(outcomes) == len(calls)
    for outcome in outcomes.values():
        assert outcome.ok or outcome.text == "Error: cancelled by the user"
