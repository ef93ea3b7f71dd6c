"""A run saved as a test plays again, with the same checks, through any form of calls."""

from pathlib import Path

import pytest

from qwenbelt.agents import FnCallAgent, ReActChat
from qwenbelt.core.errors import InputError
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing import (
    CheckFailed,
    Scenario,
    ScriptedServer,
    Trajectory,
    parse_scenario,
    play,
    scenario_text,
)

KEY = "sk-abcdefghijklmnopqrstuvwx"


def original() -> Scenario:
    scenario = Scenario(f"How strong? My key is {KEY}")
    scenario.turn(
        calls=[("passages", {"query": "strength"}), ("adder", {"a": 400, "b": 5})],
        think="Both at once.",
        text="Let me look.",
    )
    return scenario.answer('It is "mean tensile strength was 405 MPa" [1]. Cost: $${x}')


@pytest.mark.parametrize("agent", [FnCallAgent, ReActChat])
def test_a_run_becomes_a_scenario_that_plays(agent: type[FnCallAgent], tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with ScriptedServer(original()) as server, TraceWriter(trace) as writer:
        made = agent(function_list=["passages", "adder"], llm=server.llm)
        made.run_nonstream([{"role": "user", "content": original().say}], trace=writer)
    text = scenario_text(Trajectory.from_trace(trace), name="saved")
    assert KEY not in text
    scenario = parse_scenario(text)
    assert scenario.agent == ("react" if agent is ReActChat else None)
    assert scenario.tools == ["passages", "adder"]
    first, last = scenario.conversations[0].turns
    assert [call.name for call in first.calls] == ["passages", "adder"]
    assert last.expect["results"]["adder"] == "400 + 5 = 405"
    assert last.expect["results"]["passages"] == {"contains": "[1] steel.pdf p.3"}
    assert scenario.then["overlap"] == ["adder", "passages"]
    assert scenario.then["answer"] == {"contains": ["405"]}
    assert scenario.then["citations"] is True
    (run,) = play(scenario)
    assert run.answer.endswith("Cost: ${x}")

    changed = text.replace("400", "401")
    with pytest.raises(CheckFailed, match=r"turn 2: the result of adder"):
        play(parse_scenario(changed))


def test_several_questions_in_one_trace(tmp_path: Path) -> None:
    scenario = Scenario("first?").answer("one")
    scenario.turn(say="second?", calls=[("adder", {"a": 1, "b": 1})]).answer("two")
    (run,) = play(scenario)
    assert run.questions == {1: "first?", 2: "second?"}
    again = parse_scenario(scenario_text(run))
    assert [turn.say for turn in again.conversations[0].turns] == [None, "second?", None]
    (second,) = play(again)
    assert second.answer == "two"


def test_a_trace_without_a_reply_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="holds no reply"):
        scenario_text(Trajectory())
    with pytest.raises(InputError, match="does not say what was asked"):
        scenario_text(Trajectory(turns=1, answer="x"))
