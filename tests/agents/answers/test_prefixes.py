"""Every request of a conversation begins with all bytes of the one before."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from qwenbelt import Limits
from qwenbelt.agents import Assistant, FnCallAgent, ReActChat
from qwenbelt.agents.models.capabilities import model_capabilities
from qwenbelt.agents.runtime.kept_views import KeptViews
from qwenbelt.core.errors import ToolError
from qwenbelt.core.events import HistoryCompacted, Notice, Usage
from qwenbelt.testing import Call, Scenario, ScriptedLLM, ScriptedServer, Trajectory, prefix


def said(*texts: str) -> Scenario:
    llm = ScriptedLLM(model="m")
    for text in texts:
        llm.turn(text=text)
    return llm


def talk(agent: Any, questions: list[str], messages: list[dict[str, Any]], **run: Any) -> None:
    for question in questions:
        messages.append({"role": "user", "content": question})
        *_, last = agent.run(messages, **run)
        messages += last


QUESTIONS = ["How deep is the north?", "How deep is the south?", "And how deep is the east?"]


@pytest.fixture
def harbour(tmp_path: Path) -> str:
    path = tmp_path / "harbour.txt"
    path.write_text(
        "\n\n".join(
            f"The {d} is {n} m deep." for n, d in enumerate(("north", "south", "east", "west"), 5)
        )
    )
    return str(path)


@pytest.mark.parametrize("form", ["native", "nous"])
def test_passages_of_earlier_questions_stay_beside_them(form: str, harbour: str) -> None:
    with ScriptedServer(said("5 m.", "6 m.", "7 m.")) as server:
        llm = {**server.llm, "generate_cfg": {"tool_format": form}}
        messages: list[dict[str, Any]] = []
        talk(Assistant(llm=llm, files=[harbour]), QUESTIONS, messages)
    run = Trajectory.from_server(server)
    run.check(prefix(stable=True))
    sent = server.requests[-1].request.body["messages"]
    assert sum("north is 5 m" in str(message["content"]) for message in sent) >= 1
    assert [m["content"] for m in messages if m["role"] == "user"] == QUESTIONS


def test_knowledge_stands_beside_the_question_and_stays() -> None:
    with ScriptedServer(said("5 m.", "6 m.")) as server:
        agent = Assistant(llm=server.llm, system_message="Short answers.")
        messages: list[dict[str, Any]] = []
        talk(agent, QUESTIONS[:1], messages, knowledge="The north is 5 m deep.")
        talk(agent, QUESTIONS[1:2], messages, knowledge="The south is 6 m deep.")
    Trajectory.from_server(server).check(prefix(stable=True))
    first, second = (exchange.request.body["messages"] for exchange in server.requests)
    assert first[0]["content"] == second[0]["content"] == "Short answers."
    assert "north is 5 m" in first[1]["content"]
    assert "south is 6 m" in second[-1]["content"]


def survey(name: str) -> str:
    """Returns all soundings.

    Args:
        name: of the berth.
    """
    return f"{name}: sounding 12 m; " * 300


def test_a_compaction_is_done_once_and_not_anew_each_turn() -> None:
    scripted = ScriptedLLM(model="m")
    for turn in range(12):
        scripted.turn(calls=[Call("survey", {"name": f"berth {turn}"})])
        scripted.turn(text=f"Berth {turn} is 12 m deep.")
    with ScriptedServer(scripted) as server:
        llm = {**server.llm, "generate_cfg": {"max_input_tokens": 9000}}
        agent = FnCallAgent([survey], llm)
        messages: list[dict[str, Any]] = []
        compacted = 0
        for turn in range(12):
            messages.append({"role": "user", "content": f"How deep is berth {turn}?"})
            result = agent.ask(messages)
            messages += result.messages
            compacted += sum(isinstance(e, HistoryCompacted) for e in result.trace)
    bodies = [exchange.request.body["messages"] for exchange in server.requests]
    breaks = sum(after[: len(before)] != before for before, after in pairwise(bodies))
    assert 1 <= compacted <= 4
    assert breaks == compacted


def test_another_conversation_is_not_given_what_stood_in_one() -> None:
    views, told = KeptViews(), list[str]()
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]
    sent = [asked[0], {"role": "user", "content": "passages, a"}]
    views.keep(asked, sent, ["passages"])
    answered = [*asked, {"role": "assistant", "content": "b"}]
    other = [{"role": "system", "content": "t"}, asked[1]]
    assert views.restored(answered, told) == [*sent, answered[2]]
    assert views.restored(other, []) == [other[0], sent[1]]
    assert told == ["passages"]
    for strange in (
        [{"role": "user", "content": "c"}],
        [],
        [{"role": "assistant", "content": "a"}],
    ):
        assert views.restored(strange, []) == strange


def test_a_run_tells_what_its_requests_repeat_and_why_a_prefix_broke() -> None:
    class Growing(FnCallAgent):
        """Gets one more tool after its first call."""

        def _tools_for_run(self) -> dict[str, Any]:
            found = super()._tools_for_run()
            return found if calls else {k: v for k, v in found.items() if k != "late"}

    calls: list[str] = []

    def depth(name: str) -> str:
        """Returns a depth.

        Args:
            name: of the berth.
        """
        if name == "grow":
            calls.append(name)
        return "12 m"

    def late() -> str:
        """Comes later."""
        return ""

    llm = ScriptedLLM(model="m")
    for name in ("a", "b", "grow", "c"):
        llm.turn(calls=[Call("depth", {"name": name})])
    llm.turn(text="12 m.")
    with ScriptedServer(llm) as server:
        trace = Growing([depth, late], server.llm).ask("How deep?").trace
    shares = [event.repeated for event in trace if isinstance(event, Usage)]
    assert [share > 0.5 for share in shares] == [False, True, True, False, True]
    (notice,) = (event.text for event in trace if isinstance(event, Notice))
    assert "late" in notice


def depth(name: str) -> str:
    """Returns how deep a berth is.

    Args:
        name: of the berth.
    """
    if name == "none":
        raise ToolError("There is no such berth.")
    return f"{name}: 12 m"


def whole_survey(name: str) -> str:
    """Returns more soundings than a result may hold.

    Args:
        name: of the berth.
    """
    return f"{name}: sounding 12 m; " * 3000


def ask_all(agent: Any, questions: list[str]) -> None:
    messages: list[dict[str, Any]] = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        result = agent.ask(messages, answer=Told)
        assert isinstance(result.value, Told)
        messages += result.messages


STEP = st.tuples(
    st.lists(
        st.tuples(st.sampled_from(["depth", "whole_survey"]), st.sampled_from(["a", "none"])),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
TALK = st.lists(st.lists(STEP, max_size=2), min_size=1, max_size=3)


class Told(BaseModel):
    metres: int


KINDS = ["native", "nous", "react", "assistant", "deferred", "typed", "final tool"]


def scripted(kind: str, turns: list[list[Any]]) -> ScriptedLLM:
    llm = ScriptedLLM(model="m")
    for number, steps in enumerate(turns):
        for calls, fails in steps:
            made = [Call(name, {"name": berth}) for name, berth in calls]
            if kind == "react":
                made = made[:1]
            if kind == "deferred":
                made = [
                    Call("call_tool", {"name": name, "arguments": {"name": berth}})
                    for name, berth in calls
                ]
            llm.turn(calls=made, faults={"status": 503} if fails else ())
        text = f"It is {number} m."
        if kind == "final tool":
            llm.turn(calls=[Call("final_answer", {"metres": number})])
        elif kind == "typed":
            llm.turn(text=f'{{"metres": {number}}}')
        else:
            llm.turn(text=f"Final Answer: {text}" if kind == "react" else text)
    return llm


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TALK)
def test_every_request_begins_with_the_one_before(
    kind: str, harbour: str, turns: list[list[Any]]
) -> None:
    """Agents, forms, artifacts, failed calls and retries; from turn to turn of one conversation."""
    # the call of the final tool is the answer's text in the next turn
    turns = turns[:1] if kind == "final tool" else turns
    llm = scripted(kind, turns)
    agents: dict[str, Any] = {"react": ReActChat, "assistant": Assistant}
    with ScriptedServer(llm) as server:
        form = kind if kind in ("native", "nous") else "native"
        config = dict(server.llm)
        if kind != "react":
            config["generate_cfg"] = {"tool_format": form}
        more: dict[str, Any] = {"files": [harbour]} if kind == "assistant" else {}
        more |= {"defer_tools": True} if kind == "deferred" else {}
        agent = agents.get(kind, FnCallAgent)([depth, whole_survey], config, "Short.", **more)
        questions = [f"How deep is it, {n}?" for n in range(len(turns))]
        if kind in ("typed", "final tool"):
            model_capabilities(server.url, "m").structured = "" if kind == "final tool" else None
            ask_all(agent, questions)
        else:
            talk(agent, questions, [])
    bodies = [e.request.body for e in server.requests]
    assert len(bodies) >= len(turns)
    for before, after in pairwise(bodies):
        assert after.get("tools") == before.get("tools")
        assert after["messages"][: len(before["messages"])] == before["messages"]


def test_in_code_mode_a_long_result_declares_nothing_new() -> None:
    cells = [
        "print(tools.whole_survey(name='a') * 2)",
        "print(tools.read_artifact(name='{}')[:40])",
    ]
    llm = ScriptedLLM(model="m")
    llm.turn(calls=[Call("code_interpreter", {"code": cells[0]})])
    named = "code_interpreter-1.txt"
    llm.turn(calls=[Call("code_interpreter", {"code": cells[1].format(named)})])
    llm.turn(text="It is 12 m.")
    with ScriptedServer(llm) as server:
        limits = Limits(result_bytes=4000)
        agent = FnCallAgent([whole_survey], server.llm, code_mode=True, limits=limits)
        result = agent.ask("How deep is it?")
    bodies = [e.request.body for e in server.requests]
    for before, after in pairwise(bodies):
        assert after["tools"] == before["tools"]
        assert after["messages"][: len(before["messages"])] == before["messages"]
    assert [t["function"]["name"] for t in bodies[0]["tools"]] == ["code_interpreter"]
    results = [m["content"] for m in result.messages if m["role"] == "function"]
    assert "read_artifact" in str(results[0])
    assert "characters 0-3000" in str(results[1])
