"""Every rule of the scheduler, in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, model_validator
from qwen_agent.tools.base import BaseTool

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.resource_queue import Limits
from qwenbelt.core.errors import ToolError
from qwenbelt.core.events import ToolCallReady, ToolFinished, ToolStarted, ToolWaiting
from qwenbelt.tools.base import Tool

Run = Callable[[Any], Any]


def work(i: int, d: float = 1.0, **more: Any) -> str:
    return json.dumps({"i": i, "d": d, **more})


class Effect(BaseTool):  # type: ignore[misc]
    """A stock tool: declares nothing."""

    name = "effect"
    description = "Has an effect."
    parameters: Any = []  # noqa: RUF012  as qwen-agent's class declares it

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Any] = []

    def call(self, params: Any, **kwargs: Any) -> str:
        self.given.append(params)
        return "done"


# -- early starts -------------------------------------------------------------------------------


def test_harmless_calls_start_when_sealed_and_others_at_the_end(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    read, write = recorder("read", read_only=True), recorder("write")
    b = bench([read, write])

    async def main() -> list[Any]:
        b.call("read", work(1))
        b.call("write", work(1))
        await asyncio.sleep(5)
        assert read.ran[1] == (start, start + 1)
        assert write.count == 0
        return await b.results()

    start = 0.0

    async def timed() -> tuple[list[Any], float]:
        nonlocal start
        start = asyncio.get_running_loop().time()
        return await main(), asyncio.get_running_loop().time()

    outcomes, end = in_virtual_time(timed())
    assert [o.text for o in outcomes] == ["r1", "r1"]
    assert end == pytest.approx(start + 6)
    assert [e.reason for e in b.kinds(ToolWaiting)] == ["end of the reply"]


def test_results_come_in_call_order_with_their_ids(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    b = bench([recorder(read_only=True)])

    async def main() -> list[Any]:
        ids = [b.call("work", work(i, d)) for i, d in enumerate([3, 1, 2])]
        outcomes = await b.results()
        assert ids == ["c0", "c1", "c2"]
        return outcomes

    assert [o.text for o in in_virtual_time(main())] == ["r0", "r1", "r2"]
    assert [e.call_id for e in b.kinds(ToolFinished)] == ["c1", "c2", "c0"]


def test_a_cut_reply_starts_nothing_more(in_virtual_time: Run, bench: Any, recorder: Any) -> None:
    read, write = recorder("read", read_only=True), recorder("write")
    b = bench([read, write], limits=Limits(in_flight=1))

    async def main() -> list[Any]:
        b.call("read", work(1))
        b.call("read", work(2))
        b.call("write", work(3))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        b.scheduler.release(cut=True)
        return list((await b.scheduler.results()).values())

    first, second, third = in_virtual_time(main())
    assert first.ok
    assert not second.ok
    assert not third.ok
    assert "cut off" in second.text
    assert (read.count, write.count) == (1, 0)


def test_a_broken_reply_is_forgotten(in_virtual_time: Run, bench: Any, recorder: Any) -> None:
    read, write = recorder("read", read_only=True), recorder("write")
    b = bench([read, write])

    async def main() -> None:
        b.call("read", work(1, 9))
        b.call("write", work(2, 9))
        await asyncio.sleep(1)
        await b.scheduler.discard()
        assert await b.results() == []

    in_virtual_time(main())
    assert (read.running, write.count) == (0, 0)


def test_a_call_that_changes_after_sealing_runs_again(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    read = recorder(read_only=True, idempotent=True)
    b = bench([read])

    async def main() -> list[Any]:
        call = ToolCall(0, "a", "work", work(1, 9), complete=True)
        b.scheduler.seal(call)
        b._count = 1
        b.call("work", work(1, 9))  # shares the first one's execution
        b.call("work", json.dumps({"i": 3, "d": 0, "say": {"$result": 1}}))
        await asyncio.sleep(1)
        call.arguments = work(2, 1)
        await b.scheduler.replace(call)
        return await b.results()

    outcomes = {o.text for o in in_virtual_time(main())}
    assert outcomes == {"r2", "r1"}  # the dependent call got the new result
    assert b.scheduler.outcomes()["c2"].text == "r2"
    finished = [e for e in b.kinds(ToolFinished) if e.call_id == "a"]
    assert [e.result for e in finished] == ["r2"]  # the void execution is not told of


# -- resources and slots ------------------------------------------------------------------------


def test_readers_share_and_a_writer_is_alone(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool])

    async def main() -> None:
        for i, kind in enumerate("rrwrr"):
            b.call("work", work(i, 1, **{kind: ["x"]}))
        b.call("work", work(9, 1, w=["y"]))
        await b.results()

    in_virtual_time(main())
    begin = tool.ran[0][0]
    assert [tool.ran[i][0] - begin for i in range(5)] == [0, 0, 1, 2, 2]
    assert tool.ran[9][0] == begin  # unrelated calls are not held up


def test_places_are_taken_in_the_order_of_sealing(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    read, write = recorder("read", read_only=True), recorder("write")
    b = bench([read, write])

    async def main() -> None:
        b.call("write", work(1, 1, w=["x"]))
        b.call("read", work(1, 1, r=["x"]))  # harmless, but it asked after the writer
        await asyncio.sleep(2)
        assert read.count == 0
        await b.results()

    in_virtual_time(main())
    assert read.ran[1][0] == write.ran[1][1]


def test_slots_weights_and_limits_by_name(in_virtual_time: Run, bench: Any, recorder: Any) -> None:
    light, heavy = recorder("light", read_only=True), recorder("heavy", read_only=True, weight=3)
    single = recorder("single", read_only=True, max_concurrency=1)
    limits = Limits(in_flight=4, per_tool={"light": 2}, per_resource={"x": 1})
    b = bench([light, heavy, single], limits=limits)

    async def main() -> None:
        for i in range(3):
            b.call("light", work(i, 1))
        b.call("heavy", work(0, 1))
        b.call("single", work(0, 1))
        b.call("single", work(1, 1))
        await b.results()

    in_virtual_time(main())
    assert light.most == 2
    assert heavy.ran[0][0] - light.ran[0][0] == 1  # it waited for three free slots
    assert single.most == 1


def test_readers_of_a_resource_can_be_limited(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool], limits=Limits(per_resource={"x": 2}))

    async def main() -> None:
        for i in range(5):
            b.call("work", work(i, 1, r=["x"]))
        await b.results()

    in_virtual_time(main())
    assert tool.most == 2


# -- sharing, retries, limits -------------------------------------------------------------------


def test_identical_calls_of_an_idempotent_tool_run_once(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool, other = recorder(idempotent=True, read_only=True), recorder("other", read_only=True)
    b = bench([tool, other])

    async def main() -> list[Any]:
        b.call("work", '{"i": 1, "d": 1}')
        b.call("work", '{"d": 1,  "i": 1}')
        b.call("other", work(1))
        b.call("other", work(1))
        return await b.results()

    assert [o.text for o in in_virtual_time(main())] == ["r1"] * 4
    assert (tool.count, other.count) == (1, 2)
    assert len(b.kinds(ToolStarted)) == 3
    assert len(b.kinds(ToolFinished)) == 4


class Flaky(Tool):
    name = "flaky"
    description = "Fails at first."
    read_only = True
    retry_on = (ConnectionError,)
    max_retries = 2

    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        super().__init__()
        self.failures, self.error, self.count = failures, error, 0

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        self.count += 1
        if self.count <= self.failures:
            raise self.error("no")
        return "yes"


@pytest.mark.parametrize(
    ("failures", "error", "text", "count"),
    [
        (2, ConnectionError, "yes", 3),
        (3, ConnectionError, "Error: ConnectionError: no", 3),
        (1, KeyError, "Error: KeyError: 'no'", 1),
    ],
)
def test_declared_transient_errors_are_tried_again(
    in_virtual_time: Run, bench: Any, failures: int, error: Any, text: str, count: int
) -> None:
    tool = Flaky(failures, error)
    b = bench([tool])

    async def main() -> list[Any]:
        b.call("flaky")
        return await b.results()

    assert in_virtual_time(main())[0].text == text
    assert tool.count == count


def test_each_tool_has_its_limit(in_virtual_time: Run, bench: Any, recorder: Any) -> None:
    own, none = recorder("own", read_only=True, timeout=2.0), recorder("none", read_only=True)
    b = bench([own, none], limits=Limits(call_seconds=5))

    async def main() -> tuple[list[Any], float]:
        begin = asyncio.get_running_loop().time()
        b.call("own", work(1, 99))
        b.call("none", work(1, 99))
        b.call("none", work(2, 1))
        return await b.results(), asyncio.get_running_loop().time() - begin

    outcomes, took = in_virtual_time(main())
    assert [o.text for o in outcomes] == [
        "Error: own took longer than 2 s and was stopped.",
        "Error: none took longer than 5 s and was stopped.",
        "r2",
    ]
    assert took <= 5.05
    assert not any(o.cancelled or o.abandoned for o in outcomes)


class Deaf(Tool):
    """Does not stop when it is told to."""

    name = "deaf"
    description = "Deaf."
    read_only = True
    timeout = 1.0

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        end = asyncio.get_running_loop().time() + 3
        while asyncio.get_running_loop().time() < end:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue
        return "late"


def test_a_tool_that_does_not_stop_is_left_behind(in_virtual_time: Run, bench: Any) -> None:
    b = bench([Deaf()])

    async def main() -> tuple[list[Any], float]:
        begin = asyncio.get_running_loop().time()
        b.call("deaf")
        found = await b.results(), asyncio.get_running_loop().time() - begin
        await asyncio.sleep(5)
        return found

    outcomes, took = in_virtual_time(main())
    assert took <= 1.05
    assert outcomes[0].abandoned
    assert b.kinds(ToolFinished)[0].abandoned


# -- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("work", '{"i": 1, "fail": "boom"}', "Error: ValueError: boom"),
        ("nothing", "{}", "Error: There is no tool named 'nothing'. Available: work, effect."),
        ("", "{{{", "Error: The call could not be read as JSON. Write it again."),
        ("work", '{"i": ', "Error: The arguments are not valid JSON (Expecting value at character"),
        ("work", "[1]", "Error: The arguments must be a JSON object, not list."),
        ("work", "[" * 100_000, "Error: "),
        ("effect", '{"a": ', "Error: The arguments are not valid JSON"),
    ],
)
def test_what_fails_is_a_line_for_the_model_and_fails_alone(
    in_virtual_time: Run, bench: Any, recorder: Any, name: str, arguments: str, text: str
) -> None:
    b = bench([recorder(read_only=True), Effect()])

    async def main() -> list[Any]:
        b.call("work", work(1))
        b.call(name, arguments)
        b.call("work", work(2))
        return await b.results()

    before, broken, after = in_virtual_time(main())
    assert (before.text, after.text) == ("r1", "r2")
    assert broken.text.startswith(text)
    assert "\n" not in broken.text
    assert not broken.ok


class Checked(Tool):
    """Fails wherever a tool's own code is asked."""

    description = "Fails."
    read_only = True

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def parse(self, params: Any) -> Any:
        if self.name == "parse":
            raise RuntimeError("parse")
        return params

    def resources(self, arguments: Any) -> Any:
        if self.name == "resources":
            raise RuntimeError("resources")
        return set(), set()

    async def acall(self, arguments: Any, **kwargs: Any) -> Any:
        if self.name == "exit":
            raise SystemExit(3)
        if self.name == "cancel":
            raise asyncio.CancelledError
        if self.name == "circle":
            circle: list[Any] = []
            circle.append(circle)
            return {"circle": circle}
        return "\ud800 broken text"


def test_faulty_tools_cost_only_their_own_result(in_virtual_time: Run, bench: Any) -> None:
    names = ["parse", "resources", "exit", "cancel", "circle", "surrogate"]
    b = bench([Checked(name) for name in names])

    async def main() -> list[Any]:
        for name in names:
            b.call(name)
        return await b.results()

    outcomes = in_virtual_time(main())
    assert [o.ok for o in outcomes] == [False] * 5 + [True]
    assert outcomes[0].text == "Error: RuntimeError: parse"
    assert "SystemExit" in outcomes[2].text
    assert "inside the tool" in outcomes[3].text
    assert not outcomes[3].cancelled


def test_stock_tools_get_json_text_and_bare_text(in_virtual_time: Run, bench: Any) -> None:
    tool = Effect()
    b = bench([tool])
    given = ['{"a":  1}', "null", "", '"{\\"a\\": 1}"', "print(1)", '{"a": 1} ']
    expected = ['{"a":  1}', "{}", "{}", '{"a": 1}', "print(1)", '{"a": 1} ']

    async def main() -> list[Any]:
        for text in given:
            b.call("effect", text)
            await asyncio.sleep(0)
        b.scheduler.release()
        while len(tool.given) < len(given):
            await asyncio.sleep(0)
        return list((await b.scheduler.results()).values())

    outcomes = asyncio.run(main())
    assert all(o.ok for o in outcomes)
    assert sorted(tool.given) == sorted(expected)


def test_too_many_calls_are_refused_one_by_one(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool], allowed=2, beyond="Not run: only 2.")

    async def main() -> list[Any]:
        for i in range(4):
            b.call("work", work(i))
        return await b.results()

    assert [o.text for o in in_virtual_time(main())] == [
        "r0",
        "r1",
        "Error: Not run: only 2.",
        "Error: Not run: only 2.",
    ]
    assert tool.count == 2
    assert len(b.kinds(ToolCallReady)) == 4


def test_what_is_late_is_stopped_at_the_end_of_the_time(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    b = bench([recorder(read_only=True)], limits=Limits(in_flight=1))

    async def main() -> tuple[list[Any], float]:
        begin = asyncio.get_running_loop().time()
        b.call("work", work(1, 1))
        b.call("work", work(2, 99))
        b.call("work", work(3, 99))
        b.scheduler.release()
        outcomes = list((await b.scheduler.results(2.0)).values())
        return outcomes, asyncio.get_running_loop().time() - begin

    outcomes, took = in_virtual_time(main())
    assert took <= 2.06
    assert [o.text for o in outcomes] == ["r1"] + [
        "Error: Stopped: the time of this run is used up."
    ] * 2


def test_big_results_are_cut_and_kept(in_virtual_time: Run, bench: Any, recorder: Any) -> None:
    b = bench([recorder(read_only=True)], limits=Limits(result_bytes=1000))

    async def main() -> list[Any]:
        b.call("work", json.dumps({"i": 1, "say": "界" * 5000}))
        return await b.results()

    (outcome,) = in_virtual_time(main())
    assert len(outcome.text.encode()) < 1200
    assert "read_artifact 'work-1.txt'" in outcome.text
    assert b.artifacts["work-1.txt"] == "界" * 5000


# -- calls that use the results of others -------------------------------------------------------


def dependent(i: int, reference: Any) -> str:
    return json.dumps({"i": i, "d": 1, "say": reference})


def test_a_call_starts_when_its_inputs_are_there(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool])

    async def main() -> list[Any]:
        rows = json.dumps({"rows": [{"total": "7"}]})
        b.call("work", json.dumps({"i": 1, "d": 2, "say": rows}))
        b.call("work", work(2, 5))
        b.call("work", dependent(3, {"$result": 1, "path": "rows[0].total"}))
        b.call("work", dependent(4, {"$result": "c2"}))
        return await b.results()

    outcomes = in_virtual_time(main())
    assert [o.text for o in outcomes[2:]] == ["7", "7"]
    begin = tool.ran[1][0]
    assert [tool.ran[i][0] - begin for i in (1, 2, 3, 4)] == [0, 0, 2, 3]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"$result": 9}, "Error: The call refers to the result of 9, which no earlier call gives."),
        ({"$result": 2}, "Error: The call refers to the result of 2,"),
        ({"$result": "nobody"}, "Error: The call refers to the result of 'nobody'"),
        ({"$result": None}, "Error: The call refers to the result of None"),
        ({"$result": {"a": 1}}, "Error: The call refers to the result of {'a': 1}"),
        ({"$result": 1, "path": "a.b"}, "Error: 'a.b': nothing at 'b'"),
        ({"$result": 1, "path": "list[7]"}, "Error: 'list[7]': nothing at '7'"),
    ],
)
def test_references_that_lead_nowhere(
    in_virtual_time: Run, bench: Any, recorder: Any, reference: Any, text: str
) -> None:
    b = bench([recorder(read_only=True)])

    async def main() -> list[Any]:
        b.call("work", json.dumps({"i": 1, "say": '{"a": 1, "list": []}'}))
        b.call("work", dependent(2, reference))
        return await b.results()

    first, second = in_virtual_time(main())
    assert first.ok
    assert second.text.startswith(text)


def test_what_depends_on_a_failed_call_is_not_run(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    tool = recorder(read_only=True)
    b = bench([tool])

    async def main() -> list[Any]:
        b.call("work", '{"i": 1, "fail": "no"}')
        b.call("work", dependent(2, {"$result": "work"}))
        return await b.results()

    assert in_virtual_time(main())[1].text.startswith("Error: Not run: the call of work that it")
    assert tool.count == 1


def test_an_input_may_be_sealed_later_when_calls_are_interleaved(
    in_virtual_time: Run, bench: Any, recorder: Any
) -> None:
    b = bench([recorder(read_only=True)])

    async def main() -> dict[str, Any]:
        b.scheduler.seal(ToolCall(1, "second", "work", dependent(2, {"$result": 1}), complete=True))
        await asyncio.sleep(1)
        b.scheduler.seal(ToolCall(0, "first", "work", work(1), complete=True))
        b.scheduler.release()
        found: dict[str, Any] = await b.scheduler.results()
        return found

    assert in_virtual_time(main())["second"].text == "r1"


class Typed(Tool):
    """Needs a number."""

    name = "typed"
    description = "Adds one."
    parameters: Any = {"properties": {"n": {"type": "integer"}}}  # noqa: RUF012

    def parse(self, params: Any) -> Any:
        values = super().parse(params)
        if not isinstance(values["n"], int):
            raise ToolError("n must be a number.")
        return values

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        return json.dumps({"n": arguments["n"] + 1})


def test_arguments_are_checked_when_the_inputs_are_there(in_virtual_time: Run, bench: Any) -> None:
    b = bench([Typed(), Effect()])

    async def main() -> list[Any]:
        b.call("typed", '{"n": 1}')
        b.call("typed", '{"n": {"$result": 1, "path": "n"}}')
        b.call("typed", '{"n": {"$result": 2}}')
        return await b.results()

    outcomes = in_virtual_time(main())
    assert [o.text for o in outcomes] == ['{"n": 2}', '{"n": 3}', "Error: n must be a number."]


class Counted(BaseModel):
    """Counts how often it is made."""

    made: ClassVar[int] = 0
    n: int = 0
    seen: list[int] = []

    @model_validator(mode="after")
    def count(self) -> Counted:
        Counted.made += 1
        return self


class OnceChecked(Tool):
    """A sync tool in the form that the documentation shows, which also changes what it got."""

    name = "once"
    description = "Doubles."
    Arguments = Counted

    def parse(self, params: Any) -> Any:
        arguments = super().parse(params)
        arguments.n *= 2
        return arguments

    def call(self, params: Any, **kwargs: Any) -> str:
        first = self.parse(params)
        params["n"] = 10
        return f"{first.n} {self.parse(params).n}"


def test_arguments_are_validated_once(bench: Any) -> None:
    """The scheduler and the tool's own `call` share one validation, unless the values change."""
    Counted.made = 0

    async def main() -> list[Any]:  # in real time: the tool runs in a thread
        b = bench([OnceChecked()])
        b.call("once", '{"n": 1}')
        return await b.results()

    assert asyncio.run(main())[0].text == "2 20"
    assert Counted.made == 2
