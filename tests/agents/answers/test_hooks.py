"""Hooks look at a run, change it, refuse, and answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qwenbelt import Hook, Refuse
from qwenbelt.agents.hooks import HookCall, TopicGuard
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import Done, ToolFinished
from qwenbelt.testing import Scenario

RAN: list[str] = []


def note(text: str) -> str:
    """Notes a text.

    Args:
        text: the text.
    """
    RAN.append(text)
    return f"noted {text}"


@pytest.fixture(autouse=True)
def _none_ran() -> None:
    RAN.clear()


def two_turns() -> Scenario:
    return Scenario().turn(calls=[("note", {"text": "a secret"})]).answer("It is a secret.")


def test_a_hook_sees_everything_and_changes_nothing(served: Any) -> None:
    seen: list[str] = []

    class Watch(Hook):
        def before_model(self, request: Any) -> None:
            request.messages.clear()  # a copy
            seen.append(f"model {request.turn}")

        async def after_model(self, reply: Any) -> None:
            await asyncio.sleep(0)
            seen.append(f"reply {len(reply.calls)}")

        def before_tool(self, call: HookCall) -> None:
            seen.append(f"{call.name} {call.arguments['text']}")
            call.arguments["text"] = "changed, but not returned"

        def after_tool(self, call: HookCall, outcome: Any) -> None:
            seen.append(f"{call.name}: {outcome.text} {outcome.ok}")

        def before_answer(self, answer: Any) -> None:
            seen.append(answer.text)

        def on_event(self, event: Any) -> None:
            if isinstance(event, Done):
                seen.append("done")

    result = served(two_turns(), [note], hooks=[Watch]).ask("Note it.")
    assert result.text == "It is a secret."
    assert seen == [
        "model 1",
        "reply 1",
        "note a secret",
        "note: noted a secret True",
        "model 2",
        "reply 0",
        "It is a secret.",
        "done",
    ]
    assert RAN == ["a secret"]


def test_what_a_hook_returns_takes_the_place_of_what_it_was_given(served: Any) -> None:
    class Change(Hook):
        def before_model(self, request: Any) -> Any:
            request.messages[-1]["content"] += " (in one word)"
            return request

        def before_tool(self, call: HookCall) -> HookCall:
            return HookCall(call.id, call.name, {"text": "masked"})

        def after_tool(self, call: HookCall, outcome: Any) -> Any:
            outcome.text = outcome.text.upper()
            return outcome

        def before_answer(self, answer: Any) -> Any:
            answer.text = answer.text.replace("secret", "***")
            return answer

    result = served(two_turns(), [note], hooks=[Change()]).ask("Note it.")
    assert RAN == ["masked"]
    assert result.text == "It is a ***."
    assert result.messages[-1]["content"] == "It is a ***."
    first, second = served.asked
    assert first.messages[-1]["content"] == "Note it. (in one word)"
    assert "NOTED MASKED" in str(second.messages)


def test_a_refused_call_does_not_run_and_the_model_is_told_why(served: Any) -> None:
    class Guard(Hook):
        def before_tool(self, call: HookCall) -> Any:
            return Refuse("Secrets are not noted.")

    result = served(two_turns(), [note], hooks=[Guard()]).ask("Note it.")
    assert RAN == []
    (finished,) = [e for e in result.trace if isinstance(e, ToolFinished)]
    assert finished.status == "refused"
    assert "Secrets are not noted." in str(served.asked[-1].messages)


def test_a_hook_gives_the_result_itself(served: Any) -> None:
    class Answer(Hook):
        def before_tool(self, call: HookCall) -> str:
            return "kept elsewhere"

    served(two_turns(), [note], hooks=[Answer()]).ask("Note it.")
    assert RAN == []
    assert "kept elsewhere" in str(served.asked[-1].messages)


def test_a_question_and_an_answer_can_be_refused(served: Any) -> None:
    guard = TopicGuard(lambda question: "weather" not in question, "Only numbers here.")
    agent = served(two_turns(), [note], hooks=[guard])
    refused = agent.ask("How is the weather?")
    assert (refused.reason, refused.text) == ("refused", "Only numbers here.")
    assert not served.asked
    assert agent.ask("Note it.").reason == "answer"

    class NoSecrets(Hook):
        def before_answer(self, answer: Any) -> Any:
            return Refuse("That may not be said.") if "secret" in answer.text else None

    result = served(two_turns(), [note], hooks=[NoSecrets()]).ask("Note it.")
    assert (result.reason, result.text) == ("refused", "That may not be said.")
    assert "It is a secret" not in str(result.messages)


def test_a_guard_that_breaks_ends_the_run(served: Any) -> None:
    class Broken(Hook):
        def before_model(self, request: Any) -> None:
            raise RuntimeError("no rules loaded")

    agent = served(two_turns(), [note], hooks=[Broken()], plays=None)
    with pytest.raises(RuntimeError, match="no rules loaded"):
        agent.ask("Note it.")
    assert not served.asked
    with pytest.raises(ConfigError, match="is no hook; it has none of its methods"):
        served(two_turns(), hooks=[object()], plays=None)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        served(two_turns(), hooks=["no.such.module:Hook"], plays=None)


class Careful(Hook):
    """Changes, or refuses, what must not be shown."""

    def before_answer(self, answer: Any) -> Any:
        if "secret" in answer.text:
            return Refuse("That may not be said.")
        answer.text = answer.text.replace("Bob", "***")
        return answer


class Masked(Hook):
    def after_model(self, reply: Any) -> Any:
        reply.text = reply.text.replace("Bob", "***")
        return reply


def told(events: Any) -> list[str]:
    """The texts between the beginnings and ends of replies."""
    shown: list[str] = []
    for event in events:
        if event.kind == "model_started":
            shown.append("")
        elif event.kind == "text":
            shown[-1] += event.text
        elif event.kind == "model_finished":
            shown.append("")
    return [text for text in shown if text]


@pytest.mark.parametrize("hook", [Careful, Masked])
def test_no_face_is_told_what_a_hook_changes(served: Any, hook: type[Hook]) -> None:
    play = Scenario().turn(text="I note.", calls=[("note", {"text": "a"})]).answer("Bob has it.")
    result = served(play, [note], hooks=[hook]).ask("Who?")
    assert told(result.trace) == ["I note.", "*** has it."]
    kinds = [event.kind for event in result.trace]
    assert kinds.index("text") < kinds.index("model_finished") < kinds.index("tool_finished")
    assert "Bob" not in str(result.trace)


def test_a_refusal_is_all_that_is_told(served: Any) -> None:
    result = served(two_turns(), [note], hooks=[Careful]).ask("Note it.")
    assert result.reason == "refused"
    assert told(result.trace) == ["That may not be said."]
    asked = served(two_turns(), hooks=[TopicGuard(lambda question: False, "Only numbers.")])
    events = asked.ask("Hello?").trace
    assert [event.text for event in events if event.kind == "text"] == ["Only numbers."]


@pytest.mark.parametrize("late", [False, True])
def test_who_only_looks_on_does_not_stop_a_run(
    served: Any, late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Hook):
        def on_event(self, event: Any) -> Any:
            if late:
                return self.fails()
            raise ValueError("broken")

        async def fails(self) -> None:
            raise ValueError("broken")

    assert served(two_turns(), [note], hooks=[Broken()]).ask("What?").text == "It is a secret."
    assert RAN == ["a secret"]
    assert "on_event failed" in caplog.text
